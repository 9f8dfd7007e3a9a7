"""How many photos and masks a request may have."""

import pytest

from restore.errors import Code, RestoreError
from restore.options.counts import PASS_PHOTOS, check_mask_count, check_photo_count


@pytest.mark.parametrize(("photos", "words"), [(0, "0 photos"), (5, "5 photos")])
def test_other_numbers_of_photos_are_refused(photos: int, words: str) -> None:
    with pytest.raises(RestoreError, match=f"the request has {words}") as caught:
        check_photo_count(photos)
    assert caught.value.code is Code.PHOTO_COUNT
    assert "Send 1 to 4 photos, as image, as images" in caught.value.remedy
    with pytest.raises(RestoreError, match="Pass one photo, or a list of up to 4 photos"):
        check_photo_count(photos, PASS_PHOTOS)
    for allowed in range(1, 5):
        check_photo_count(allowed)


@pytest.mark.parametrize(
    ("masks", "photos", "words"),
    [(2, 1, "2 masks for 1 photo"), (2, 3, "2 masks for 3 photos"), (4, 3, "4 masks for 3 photos")],
)
def test_other_numbers_of_masks_are_refused(masks: int, photos: int, words: str) -> None:
    with pytest.raises(RestoreError, match=rf"{words}\.") as caught:
        check_mask_count(masks, photos)
    assert caught.value.code is Code.MASK
    for allowed in (0, 1, photos):
        check_mask_count(allowed, photos)
