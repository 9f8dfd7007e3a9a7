"""How many photos and masks a request may have."""

from __future__ import annotations

from restore.errors import Code, RestoreError
from restore.options.names import MAX_PHOTOS
from restore.words import counted

SEND_PHOTOS = f"Send 1 to {MAX_PHOTOS} photos, as image, as images, or both."
PASS_PHOTOS = f"Pass one photo, or a list of up to {MAX_PHOTOS} photos."


def check_photo_count(photos: int, remedy: str = SEND_PHOTOS) -> None:
    """Check the number of photos of a request.

    Args:
        photos: how many there are.
        remedy: how to give them; the default is for requests over HTTP.

    Raises:
        RestoreError: PHOTO_COUNT.
    """
    if not 1 <= photos <= MAX_PHOTOS:
        raise RestoreError(
            Code.PHOTO_COUNT,
            f"the request has {counted(photos, 'photo')}",
            remedy,
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
