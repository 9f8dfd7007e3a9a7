"""Pasting restored faces into a photo, each in its own region only.

The steps are those of the official helpers (facexlib, CodeFormer), which compute them over the
whole frame for every face. The result here is the same, bit for bit. The last bits of a warp depend
on where it starts, because OpenCV accumulates single-precision coordinates. So all steps are
computed in blocks of a grid that is fixed to the frame, and a block has the same pixels in every
region.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from restore.faces.align import CROP_PX
from restore.faces.convention import Convention

BLOCK_PX = 128
"""A multiple of every SIMD vector length, so that rows are split into the same vectors."""

_REACH_PX = 4  # of interpolation (1 px), and of a blur that exceeds the erosion before it

Region = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of the frame; x1 and y1 are exclusive."""

EMPTY_REGION: Region = (0, 0, 0, 0)


@dataclass(frozen=True)
class _Square:
    """The warped square of the crop: eroded once, and eroded further and blurred."""

    eroded: np.ndarray
    soft: np.ndarray


def resize_background(
    pixels: np.ndarray, size: tuple[int, int], convention: Convention
) -> np.ndarray:
    """Resize the photo around the faces to (width, height), by the convention's interpolation."""
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return cv2.resize(pixels, size, interpolation=convention.background_interpolation)


def crop_to_frame_transform(matrix: np.ndarray, scale: float, *, exact: bool = False) -> np.ndarray:
    """Return the 2x3 transform from a crop to the frame.

    The official helpers map a photo's pixel x to scale * x + scale / 2 for scales above 1. By the
    pixels' centres it is scale * x + (scale - 1) / 2, half a pixel less.

    Args:
        matrix: 2x3, photo to crop.
        scale: size of the frame over the size of the photo.
        exact: use the exact position. Restored faces may be where the official code puts them,
            but a difference must be aligned with the edges that it sharpens.
    """
    inverse: np.ndarray = cv2.invertAffineTransform(np.asarray(matrix, np.float64)) * scale
    if exact:
        inverse[:, 2] += (scale - 1) / 2
    elif scale > 1:
        inverse[:, 2] += scale / 2
    return inverse


class Frame:
    """A photo into which faces are pasted.

    Changed blocks are kept as floats until `write_back`, so they are rounded only once.

    Args:
        pixels: HxWx3 uint8 or uint16, the photo at the result's size; `write_back` changes it in
            place.
    """

    skips_empty_blocks = True
    """Whether blocks in which the weight of a face is 0 are skipped."""

    def __init__(self, pixels: np.ndarray) -> None:
        self.pixels = pixels
        self._blocks: dict[tuple[int, int], np.ndarray] = {}

    def paste(
        self,
        face: np.ndarray,
        matrix: np.ndarray,
        scale: float,
        *,
        mask: np.ndarray | None,
        square: bool,
        crop: np.ndarray | None = None,
    ) -> Region:
        """Paste one restored face over the frame and the faces pasted before.

        Args:
            face: 512x512x3, levels 0 to 255, uint8 or float.
            matrix: 2x3, photo to crop.
            scale: size of the frame over the size of the photo.
            mask: 512x512 float32, the weight of the face from 0 to 1.
            square: limit the mask by the square of the crop, eroded and blurred (CodeFormer). A
                mask or the square is required.
            crop: 512x512x3, the face before restoration. If given, the difference between face
                and crop is added to the frame, so that a face larger than a crop keeps detail
                that the crop does not contain.

        Returns:
            The computed region, or EMPTY_REGION for a face outside the frame.

        Raises:
            ValueError: there is neither a mask nor the square.
        """
        if mask is None and not square:
            raise ValueError("pasting a face needs a mask or the square of its crop")
        to_frame = crop_to_frame_transform(matrix, scale, exact=crop is not None)
        region = self.region_of(to_frame)
        if region == EMPTY_REGION:
            return region
        from_frame = cv2.invertAffineTransform(to_frame)
        limit = _warp_square(from_frame, region, scale) if square else None
        for block in _blocks(region):
            x0, y0, x1, y1 = block
            layer = _warp_layer(face, crop, from_frame, block)
            weight = None if mask is None else _warp(mask, from_frame, block)
            if limit is not None:
                inside = np.s_[y0 - region[1] : y1 - region[1], x0 - region[0] : x1 - region[0]]
                layer *= limit.eroded[inside][..., None]
                soft = limit.soft[inside]
                weight = soft if weight is None else np.minimum(weight, soft)
            assert weight is not None, "there is a mask or a square"
            self._blend(block, layer, weight[..., None], is_difference=crop is not None)
        return region

    def write_back(self) -> None:
        """Convert the changed blocks to integers and write them into the pixels."""
        for (y0, x0), values in self._blocks.items():
            self.pixels[y0 : y0 + BLOCK_PX, x0 : x0 + BLOCK_PX] = self.to_levels(values)
        self._blocks.clear()

    def region_of(self, to_frame: np.ndarray) -> Region:
        """Return the region that a crop can change, given its transform to the frame."""
        return region_of_crop(to_frame, self.pixels.shape[1], self.pixels.shape[0])

    def to_levels(self, values: np.ndarray) -> np.ndarray:
        """Convert float levels to the dtype of the pixels: rounded and clipped."""
        largest = np.iinfo(self.pixels.dtype).max
        levels: np.ndarray = np.clip(np.rint(values), 0, largest).astype(self.pixels.dtype)
        return levels

    def _blend(
        self, block: Region, layer: np.ndarray, weight: np.ndarray, *, is_difference: bool
    ) -> None:
        """Blend levels into a block; pixels with weight 0 do not change."""
        x0, y0, x1, y1 = block
        below = self._blocks.get((y0, x0))
        if below is None:
            if self.skips_empty_blocks and not weight.any():
                return
            below = self.pixels[y0:y1, x0:x1]
        change = weight * layer * np.float32(np.iinfo(self.pixels.dtype).max / 255)
        values = change + (below if is_difference else (1 - weight) * below)
        self._blocks[y0, x0] = values.astype(np.float32, copy=False)


def region_of_crop(to_frame: np.ndarray, width: int, height: int) -> Region:
    """Return the blocks of the frame that the square of a crop can change, or EMPTY_REGION."""
    corners = np.array([(x, y, 1) for x in (0, CROP_PX - 1) for y in (0, CROP_PX - 1)]) @ to_frame.T
    # One pixel of the crop beyond its corners takes part in the interpolation.
    reach = _REACH_PX + float(np.abs(to_frame[:, :2]).sum(axis=1).max())
    bounds = []
    for low, high, side in zip(
        corners.min(axis=0) - reach, corners.max(axis=0) + reach, (width, height), strict=True
    ):
        if high < 0 or low >= side:
            return EMPTY_REGION
        first = int(max(low, 0.0)) // BLOCK_PX * BLOCK_PX
        bounds.append((first, min(side, -(-(int(min(high, side)) + 1) // BLOCK_PX) * BLOCK_PX)))
    (x0, x1), (y0, y1) = bounds
    return x0, y0, x1, y1


def _blocks(region: Region) -> Iterator[Region]:
    x0, y0, x1, y1 = region
    for top in range(y0, y1, BLOCK_PX):
        for left in range(x0, x1, BLOCK_PX):
            yield left, top, min(left + BLOCK_PX, x1), min(top + BLOCK_PX, y1)


def _warp(image: np.ndarray, from_frame: np.ndarray, block: Region) -> np.ndarray:
    """Return a block of the warped crop by bilinear interpolation, 0 outside the crop."""
    x0, y0, x1, y1 = block
    shifted = from_frame.copy()
    shifted[:, 2] += from_frame[:, :2] @ (x0, y0)
    warped: np.ndarray = cv2.warpAffine(
        image,
        shifted,
        (x1 - x0, y1 - y0),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(0,) * 4,
    )
    return warped


def _warp_square(from_frame: np.ndarray, region: Region, scale: float) -> _Square:
    """Warp, erode and blur the square of a crop as CodeFormer does.

    Erosion and blur have a radius of a twentieth of the face's side.
    """
    x0, y0, x1, y1 = region
    ones = np.ones((CROP_PX, CROP_PX), np.float32)
    warped = np.empty((y1 - y0, x1 - x0), np.float32)
    for block in _blocks(region):
        left, top, right, bottom = block
        warped[top - y0 : bottom - y0, left - x0 : right - x0] = _warp(ones, from_frame, block)
    eroded = _erode(warped, int(2 * scale))
    edge_px = int(float(eroded.sum(dtype=np.float64)) ** 0.5) // 20
    inner = _erode(eroded, 2 * edge_px)
    return _Square(eroded, cv2.GaussianBlur(inner, (2 * edge_px + 1, 2 * edge_px + 1), 0))


def _erode(image: np.ndarray, side_px: int) -> np.ndarray:
    """Erode by a square; not at all for size 0 (tiny faces), for which OpenCV uses 3x3."""
    if side_px < 1:
        return image
    return cv2.erode(image, np.ones((side_px, side_px), np.uint8))


def _warp_layer(
    face: np.ndarray, crop: np.ndarray | None, from_frame: np.ndarray, block: Region
) -> np.ndarray:
    """Return the float32 levels that a block shows, or that are added to it."""
    layer = face if crop is None else face.astype(np.float32) - crop.astype(np.float32)
    if layer.dtype not in (np.uint8, np.float32):
        layer = layer.astype(np.float32)
    return _warp(layer, from_frame, block).astype(np.float32)
