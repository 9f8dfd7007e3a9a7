"""What every photo goes through before the first step and after the last one.

- A black-and-white photo that is saved as RGB is processed as grey, so that no network can give it
  a cast. It returns as RGB with equal channels. Channels that differ by a level or two, as after
  JPEG, keep these differences.
- Visible colours are extended under transparent pixels, so that hidden colours cannot reach the
  visible ones. What nobody changed returns with its original values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from restore.imaging.alpha import extend_colours, is_unreliable
from restore.imaging.convert import add_tint, grey_if_equal, to_rgb
from restore.imaging.photo import Photo
from restore.runtime.memory import translate_memory_errors


@dataclass(frozen=True)
class PreparedPhoto:
    """A photo as the steps process it, and as it was.

    Attributes:
        photo: the photo to process.
        original: the photo as decoded.
    """

    photo: Photo
    original: Photo

    def finish(self, result: Photo, asked: np.ndarray | None = None) -> Photo:
        """Undo the preparation in a result of the steps.

        Args:
            result: the photo after the last step.
            asked: HxW bool of the photo's size, True where the request asked for a change, so that
                hidden colours do not return.

        Returns:
            The result with three channels if the photo had three, and with its original values
            where it is transparent and where its colours were replaced but not processed.
        """
        if result.pixels is self.photo.pixels:
            return result.with_pixels(self.original.pixels, result.alpha)
        with translate_memory_errors(self.original.name, "finishing"):
            pixels = result.pixels
            if result.is_grey and not self.original.is_grey:
                pixels = add_tint(pixels, _extend(self.original, None))
            pixels = self._with_hidden_colours(pixels, result, asked)
        return result.with_pixels(pixels, result.alpha)

    def _with_hidden_colours(
        self, pixels: np.ndarray, result: Photo, asked: np.ndarray | None
    ) -> np.ndarray:
        """Restore the values of hidden pixels, and of those whose colour was only extended."""
        original = self.original
        if original.alpha is None or result.alpha is None:
            return pixels
        if pixels.shape[:2] != original.pixels.shape[:2]:
            return pixels
        kept = is_unreliable(original.alpha) & (result.alpha == original.alpha)
        if not kept.any():
            return pixels
        before, hidden = self.photo.pixels, original.pixels
        if not result.is_grey:
            before, hidden = to_rgb(before), to_rgb(hidden)
        same = result.pixels == before
        is_hidden = original.alpha == 0 if asked is None else (original.alpha == 0) & ~asked
        kept &= is_hidden | (same if result.is_grey else same.all(axis=2))
        return np.where(kept if pixels.ndim == 2 else kept[..., None], hidden, pixels)


def prepare_photo(photo: Photo, hole: np.ndarray | None = None) -> PreparedPhoto:
    """Prepare a photo for any step.

    Args:
        photo: the photo as decoded.
        hole: HxW bool, True where the photo will be filled, whose colours do not count.

    Raises:
        RestoreError: OUT_OF_MEMORY.
    """
    with translate_memory_errors(photo.name, "preparing"):
        pixels = grey_if_equal(_extend(photo, hole))
    if pixels is photo.pixels:
        return PreparedPhoto(photo, photo)
    return PreparedPhoto(photo.with_pixels(pixels, photo.alpha), photo)


def _extend(photo: Photo, hole: np.ndarray | None) -> np.ndarray:
    if photo.alpha is None:
        return photo.pixels
    return extend_colours(photo.pixels, photo.alpha, hole)
