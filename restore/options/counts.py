"""How many photos and masks a request may have."""

from __future__ import annotations

from restore.errors import Code, RestoreError
from restore.options.names import MAX_PHOTOS
from restore.words import counted


def check_photo_count(photos: int) -> None:
    """Check the number of photos of a request.

    Raises:
        RestoreError: PHOTO_COUNT.
    """
    if not 1 <= photos <= MAX_PHOTOS:
        raise RestoreError(
            Code.PHOTO_COUNT,
            f"the request has {counted(photos, 'photo')}",
            f"Send 1 to {MAX_PHOTOS} photos, as image, as images, or both.",
        )


def check_mask_count(masks: int, photos: int) -> None:
    """Check that a request has no mask, one for all photos, or one for each.

    Raises:
        RestoreError: MASK.
    """
    if masks not in {0, 1, photos}:
        raise RestoreError(
            Code.MASK,
            f"the request has {counted(masks, 'mask')} for {counted(photos, 'photo')}",
            "Send one mask for all photos, or one mask per photo in the same order.",
        )
