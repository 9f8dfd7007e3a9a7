"""Rules and functions that reproduce the official code exactly, faults included.

Only conformance tests and benchmarks use this module. It shows where `PixelRules` differs from the
official code of Real-ESRGAN, CodeFormer, facexlib, DDColor, LaMa and Bringing Old Photos Back to
Life, and why: each override names the fault.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType

import cv2
import numpy as np
from torch import Tensor
from torch.nn import functional as F

from restore.errors import Code, RestoreError
from restore.faces.colour import Tone, match_grey
from restore.faces.convention import Convention
from restore.faces.face import Face
from restore.faces.paste import Frame, Region
from restore.imaging.photo import Photo
from restore.imaging.resize import resize_lanczos
from restore.pipelines.rules import PixelRules
from restore.runtime.device import Runtime
from restore.runtime.tensors import quantise, to_planes

MIN_SHORT_SIDE_PX = MappingProxyType({"codeformer": 512})
"""Short side, by face convention, to which the official helper enlarges smaller photos."""

EYE_DISTANCE_FAULT = frozenset({"codeformer"})
"""Face conventions whose official helper computes the distance of the eyes from wrong numbers."""


class OfficialRules(PixelRules):
    """The rules of the official codes."""

    stretches_contrast = True  # torchvision's save_image(normalize=True)
    keeps_photo_size = False  # the result has the rounded size of the network's input, no alpha
    patch_multiple_px = 16
    max_scratched_share = 1.0  # fills whatever was detected: halftones become black
    ab_interpolation = "nearest"  # shows blocks in large photos
    has_exact_lightness = False  # OpenCV's interpolated tables
    checks_faces = False  # everything that the detector finds is restored and pasted
    keeps_paper_neutral = False  # makes white paper cream

    def keep_levels(self, result: np.ndarray, original: np.ndarray) -> np.ndarray:
        """Return the result as it is: patterns become darker, and white becomes 254."""
        return result

    def resize(self, photo: Photo, size: tuple[int, int]) -> Photo:
        """Resize colours and alpha separately, so that hidden colours show at the edges."""
        alpha = None if photo.alpha is None else resize_lanczos(photo.alpha, size)
        return photo.with_pixels(resize_lanczos(photo.pixels, size), alpha)

    def round_side(self, side: float) -> int:
        """Round down, as RealESRGANer does with `outscale`: 1063.67 pixels become 1063."""
        return int(side + 1e-6)  # the offset corrects float errors: 300 * 2.3 is 690, not 689

    def round_levels(self, levels: np.ndarray) -> np.ndarray:
        """Truncate: the official code casts floats to uint8."""
        return np.asarray(np.floor(levels))

    def prepare_photo(self, photo: Photo, convention: Convention) -> Photo:
        """Enlarge a small photo, so that the result does not have the requested size."""
        return photo.with_pixels(enlarge_small_photo(photo.pixels, convention), None)

    def eye_distance_px(self, face: Face, convention: Convention) -> float:
        """Measure the distance between the eyes, by CodeFormer's wrong indices where it does."""
        if convention.name in EYE_DISTANCE_FAULT:
            return codeformer_eye_distance_px(face)
        return super().eye_distance_px(face, convention)

    def match_grey(self, face: np.ndarray, crop: np.ndarray) -> np.ndarray:
        """Match without clipping, so that levels outside of 0 to 255 wrap around when pasted."""
        return match_grey(face, crop, clip=False)

    def keeps_colour(self, tone: Tone, *, turned_grey: bool) -> bool:
        """Return False: the official helpers do not look at the tone of toned photos."""
        return False

    def aligned_size(self, requested: tuple[int, int], input_px: int) -> tuple[int, int]:
        """Return the network's own size: the official code does not resize aligned faces back."""
        return input_px, input_px

    def face_frame(self, pixels: np.ndarray) -> Frame:
        return OfficialFrame(pixels)


class OfficialFrame(Frame):
    """A frame that converts pasted levels as the official helpers do.

    Args:
        pixels: HxWx3 uint8 or uint16; changed in place by `write_back`.
        truncates: cut off fractions and wrap around at 0 and 255 instead of rounding and clipping.
        whole_frame: compute every step over the whole frame, as the official helpers do. The result
            is the same, for more work.
    """

    def __init__(
        self, pixels: np.ndarray, *, truncates: bool = True, whole_frame: bool = False
    ) -> None:
        super().__init__(pixels)
        self._truncates = truncates
        self._whole_frame = whole_frame
        self.skips_empty_blocks = not whole_frame

    def region_of(self, to_frame: np.ndarray) -> Region:
        if self._whole_frame:
            return 0, 0, self.pixels.shape[1], self.pixels.shape[0]
        return super().region_of(to_frame)

    def to_levels(self, values: np.ndarray) -> np.ndarray:
        if not self._truncates:
            return super().to_levels(values)
        # Through int64: a cast of floats out of range differs between machines.
        wrapped = values.astype(np.int64) & np.iinfo(self.pixels.dtype).max
        return wrapped.astype(self.pixels.dtype)


def enlarge_small_photo(pixels: np.ndarray, convention: Convention) -> np.ndarray:
    """Enlarge HxWx3 pixels to the MIN_SHORT_SIDE_PX of the convention, if they are smaller."""
    min_px, short_px = MIN_SHORT_SIDE_PX.get(convention.name), min(pixels.shape[:2])
    if min_px is None or short_px >= min_px:
        return pixels
    factor = min_px / short_px
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)


def codeformer_eye_distance_px(face: Face) -> float:
    """Compute CodeFormer's distance between the eyes, whose indices are off by one.

    It takes the difference in y for the one in x, and the x of the right eye minus the x of the
    nose for the difference in y.
    """
    left, right, nose = face.landmarks[:3]
    return float(np.hypot(left[1] - right[1], right[0] - nose[0]))


def run_official_tiles(
    pixels: np.ndarray,
    net: Callable[[Tensor], Tensor],
    *,
    scale: int,
    multiple: int,
    runtime: Runtime,
    tile_px: int = 0,
    tile_pad_px: int = 10,
    pre_pad_px: int = 0,
) -> np.ndarray:
    """Run a network over a photo as RealESRGANer.enhance does: tiles without blending.

    Args:
        pixels: HxW or HxWx3, uint8 or uint16.
        net: the network, called with 1x3xHxW float tensors in [0, 1].
        scale: the network's factor.
        multiple: the network's size multiple; the photo is padded to it at the right and bottom.
        runtime: device and precision.
        tile_px: side of a tile; 0 for no tiles.
        tile_pad_px: context around each tile.
        pre_pad_px: reflected border that is added to the photo first.

    Returns:
        (H*scale)x(W*scale)[x3] of the input's dtype.

    Raises:
        RestoreError: OPTION_INVALID if a tile is not a multiple of the network's size multiple.
    """
    if tile_px and (tile_px % multiple or tile_pad_px % multiple):
        raise RestoreError(
            Code.OPTION_INVALID,
            f"a tile of {tile_px} pixels with {tile_pad_px} around it is not a multiple of"
            f" {multiple}",
            f"Use a tile and padding that are multiples of {multiple}.",
        )
    height, width = pixels.shape[:2]
    image = _padded(to_planes(pixels, runtime.device)[None], pre_pad_px, multiple)
    output = _run_cut_tiles(image, net, scale, tile_px, tile_pad_px) if tile_px else net(image)
    return quantise(
        output[0, :, : height * scale, : width * scale], pixels.dtype, grey=pixels.ndim == 2
    )


def _padded(image: Tensor, pre_pad_px: int, multiple: int) -> Tensor:
    if pre_pad_px:
        image = F.pad(image, (0, pre_pad_px, 0, pre_pad_px), "reflect")
    bottom, right = (-side % multiple for side in image.shape[2:])
    return F.pad(image, (0, right, 0, bottom), "reflect") if bottom or right else image


def _run_cut_tiles(
    image: Tensor, net: Callable[[Tensor], Tensor], scale: int, tile_px: int, pad_px: int
) -> Tensor:
    height, width = image.shape[2:]
    output = image.new_zeros((1, 3, height * scale, width * scale))
    for top in range(0, height, tile_px):
        for left in range(0, width, tile_px):
            bottom, right = min(top + tile_px, height), min(left + tile_px, width)
            y0, y1 = max(top - pad_px, 0), min(bottom + pad_px, height)
            x0, x1 = max(left - pad_px, 0), min(right + pad_px, width)
            tile = net(image[:, :, y0:y1, x0:x1])
            inner_y = slice((top - y0) * scale, (bottom - y0) * scale)
            inner_x = slice((left - x0) * scale, (right - x0) * scale)
            output[:, :, top * scale : bottom * scale, left * scale : right * scale] = tile[
                :, :, inner_y, inner_x
            ]
    return output
