"""Rules for the few points where a pipeline may follow the official code or correct a fault of it.

Requests use `PixelRules`. `restore.pipelines.official` has the rules that reproduce the official
results, faults included, for conformance tests and benchmarks.
"""

from __future__ import annotations

import math

import numpy as np

from restore.faces.align import eye_distance_px
from restore.faces.colour import Tone, match_grey
from restore.faces.convention import Convention
from restore.faces.face import Face
from restore.faces.paste import Frame
from restore.imaging.flat_areas import keep_flat_areas
from restore.imaging.low_frequencies import keep_low_frequencies
from restore.imaging.photo import Photo
from restore.imaging.resize import resize_photo


class PixelRules:
    """The rules that every request follows."""

    stretches_contrast = False
    """Whether restored old photos are stretched to the full range of levels."""

    keeps_photo_size = True
    """Whether restored old photos return to the photo's own size, with its alpha."""

    patch_multiple_px = 32
    """Multiple of a side for `old_photo_hr`. With the official 16, the strip beyond the last of the
    largest patches stays empty."""

    max_scratched_share = 0.25
    """Share of an old photo above which detected scratches are not filled. Printed dots and cloth
    are detected at 40 to 90 %, damaged photos at up to 20 %."""

    ab_interpolation = "bilinear"
    """How predicted colours are enlarged to the photo's size."""

    has_exact_lightness = True
    """Whether the network of colorize gets an exact lightness. OpenCV's tables are up to 0.2 of 100
    off, which changes predicted colours in flat areas by up to 2 Lab units."""

    checks_faces = True
    """Whether detected faces are checked before they are restored, and restored ones before they
    are pasted."""

    keeps_paper_neutral = True
    """Whether colorize leaves white, black and the paper around a photo without colour."""

    def keep_levels(self, result: np.ndarray, original: np.ndarray) -> np.ndarray:
        """Correct local means and flat areas of the result of a network that repairs detail.

        Args:
            result: (kH)x(kW)[x3] integers.
            original: HxW[x3], the input of the network.
        """
        return keep_flat_areas(keep_low_frequencies(result, original), original)

    def resize(self, photo: Photo, size: tuple[int, int]) -> Photo:
        """Resize an enlarged photo to (width, height)."""
        return resize_photo(photo, size)

    def round_side(self, side: float) -> int:
        """Round the side of an enlarged photo to whole pixels; halves are rounded up."""
        return math.floor(side + 0.5)

    def round_levels(self, levels: np.ndarray) -> np.ndarray:
        """Round float levels to whole levels."""
        return np.asarray(np.rint(levels))

    def prepare_photo(self, photo: Photo, convention: Convention) -> Photo:
        """Return the photo in which faces are detected."""
        return photo

    def eye_distance_px(self, face: Face, convention: Convention) -> float:
        """Measure the distance between the eyes in pixels of the photo."""
        return eye_distance_px(face)

    def match_grey(self, face: np.ndarray, crop: np.ndarray) -> np.ndarray:
        """Make a restored face grey, with mean and standard deviation of its crop."""
        return match_grey(face, crop)

    def keeps_colour(self, tone: Tone, *, turned_grey: bool) -> bool:
        """Tell whether a restored face gets the colours of its crop if `keep_color` is not set.

        Args:
            tone: the tone of the photo.
            turned_grey: whether `match_grey` was applied to the face.
        """
        return tone != "colour" and not turned_grey

    def aligned_size(self, requested: tuple[int, int], input_px: int) -> tuple[int, int]:
        """Return the (width, height) of a restored photo that is one aligned face.

        Args:
            requested: (width, height) by the request's options.
            input_px: side of the network's input.
        """
        return requested

    def face_frame(self, pixels: np.ndarray) -> Frame:
        """Return the frame in which restored faces are pasted into HxWx3 pixels."""
        return Frame(pixels)
