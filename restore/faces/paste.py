"""Paste restored faces into a photo, each on its own region only, and exactly as if it had been done over the whole frame.

The steps are the official helpers' (facexlib, CodeFormer), which compute every one of them over the whole frame for every face.
A warp's numbers depend in their last bits on where it starts, as OpenCV adds up single-precision coordinates from there. So
everything here is computed in blocks on a grid that is fixed to the frame: a block has the same pixels whatever region it is in.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from restore.faces.align import CROP_PX
from restore.faces.convention import Convention
from restore.faces.face import Array

BLOCK_PX = 128  # a multiple of any vector's length, so that a row falls into the same vectors in a region as in the frame

_REACH_PX = 4  # beyond the warped square: interpolation 1, and a blur that reaches 1 farther than the erosion before it took away

Region = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels of the frame; x1 and y1 are not part of it."""


@dataclass(frozen=True)
class _Square:
    """The crop's square in a region: what is left of it after the first erosion, and its softened core."""

    eroded: Array
    soft: Array


def background(pixels: Array, size: tuple[int, int], convention: Convention) -> Array:
    """Resize the photo around the faces to (width, height), untouched where it has that size already."""
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return cv2.resize(pixels, size, interpolation=convention.background_interpolation)


def placement(matrix: Array, scale: float, *, exact: bool = False) -> Array:
    """Return the 2x3 transform from a crop to the frame, given the one from the photo to the crop and the frame's scale.

    The official helpers put a photo's pixel x at scale * x + scale / 2 for scales above 1. As pixels are counted by their centres
    it lies at scale * x + (scale - 1) / 2, half a pixel less: `exact`. A face that replaces what was there may be where its
    network's authors put it; a difference has to meet the edges that it sharpens.
    """
    inverse: Array = cv2.invertAffineTransform(np.asarray(matrix, np.float64)) * scale
    if exact:
        inverse[:, 2] += (scale - 1) / 2
    elif scale > 1:
        inverse[:, 2] += scale / 2
    return inverse


class Frame:
    """A photo into which faces are pasted: what they touch is kept in floats until all are in, and rounded once.

    Args:
        pixels: HxWx3 uint8 or uint16, the photo at the result's size; changed in place by `settle`.
    """

    skips_empty_blocks = True
    """Whether blocks in which a face has no weight are left out."""

    def __init__(self, pixels: Array) -> None:
        self.pixels = pixels
        self._blocks: dict[tuple[int, int], Array] = {}

    def paste(
        self,
        face: Array,
        matrix: Array,
        scale: float,
        *,
        mask: Array | None,
        square: bool,
        crop: Array | None = None,
    ) -> Region:
        """Paste one restored face over what is there, earlier faces included.

        Args:
            face: 512x512x3, levels 0 to 255, uint8 or float.
            matrix: 2x3, photo to crop.
            scale: the frame's size over the photo's.
            mask: 512x512 float32, 0 to 1; where the face counts.
            square: whether the crop's own square, eroded and softened, limits the mask (CodeFormer). One of the two is needed.
            crop: 512x512x3, what the face was restored from. With it, what the network changed is added to the frame in place of
                replacing it, so that a face larger than a crop keeps the detail that a crop cannot hold.

        Returns:
            The region that was computed; (0, 0, 0, 0) where the face lies outside the frame.
        """
        if mask is None and not square:
            raise ValueError("a face is pasted by a mask, by its square or by both, not by neither")
        to_frame = placement(matrix, scale, exact=crop is not None)
        region = self.region_of(to_frame)
        if region == (0, 0, 0, 0):
            return region
        from_frame = cv2.invertAffineTransform(to_frame)
        limit = _square(from_frame, region, scale) if square else None
        for block in _blocks(region):
            x0, y0, x1, y1 = block
            layer = _layer(face, crop, from_frame, block)
            weight = None if mask is None else _warped(mask, from_frame, block)
            if limit is not None:
                here = np.s_[y0 - region[1] : y1 - region[1], x0 - region[0] : x1 - region[0]]
                layer *= limit.eroded[here][..., None]
                weight = (
                    limit.soft[here] if weight is None else np.minimum(weight, limit.soft[here])
                )
            assert weight is not None  # for the type checker; refused above
            self._compose(block, layer, weight[..., None], added=crop is not None)
        return region

    def settle(self) -> None:
        """Convert the pasted blocks to integers and write them into the pixels."""
        for (y0, x0), values in self._blocks.items():
            self.pixels[y0 : y0 + BLOCK_PX, x0 : x0 + BLOCK_PX] = self.to_levels(values)
        self._blocks.clear()

    def region_of(self, to_frame: Array) -> Region:
        """Return the region that a crop can change, given its transform to the frame."""
        return _region(to_frame, self.pixels.shape[1], self.pixels.shape[0])

    def to_levels(self, values: Array) -> Array:
        """Convert float levels to the dtype of the pixels: rounded and clipped."""
        full = np.iinfo(self.pixels.dtype).max
        return np.clip(np.rint(values), 0, full).astype(self.pixels.dtype)

    def _compose(self, block: Region, layer: Array, weight: Array, *, added: bool) -> None:
        """Blend levels into a block. Where the weight is 0, the result equals what was there."""
        x0, y0, x1, y1 = block
        below = self._blocks.get((y0, x0))
        if below is None:
            if self.skips_empty_blocks and not weight.any():
                return
            below = self.pixels[y0:y1, x0:x1]
        change = weight * layer * np.float32(np.iinfo(self.pixels.dtype).max / 255)
        values = change + (below if added else (1 - weight) * below)
        self._blocks[y0, x0] = values.astype(np.float32, copy=False)


def _region(to_frame: Array, width: int, height: int) -> Region:
    """Return the frame's blocks that a crop's square can touch, or (0, 0, 0, 0)."""
    corners = np.array([(x, y, 1) for x in (0, CROP_PX - 1) for y in (0, CROP_PX - 1)]) @ to_frame.T
    # One pixel of the crop around it takes part in the interpolation.
    reach = _REACH_PX + float(np.abs(to_frame[:, :2]).sum(axis=1).max())
    bounds = []
    for low, high, side in zip(
        corners.min(axis=0) - reach, corners.max(axis=0) + reach, (width, height), strict=True
    ):
        if high < 0 or low >= side:
            return (0, 0, 0, 0)
        first = int(max(low, 0.0)) // BLOCK_PX * BLOCK_PX
        bounds.append((first, min(side, -(-(int(min(high, side)) + 1) // BLOCK_PX) * BLOCK_PX)))
    (x0, x1), (y0, y1) = bounds
    return x0, y0, x1, y1


def _blocks(region: Region) -> Iterator[Region]:
    x0, y0, x1, y1 = region
    for top in range(y0, y1, BLOCK_PX):
        for left in range(x0, x1, BLOCK_PX):
            yield left, top, min(left + BLOCK_PX, x1), min(top + BLOCK_PX, y1)


def _warped(image: Array, from_frame: Array, block: Region) -> Array:
    """Return a block of the frame as the warped crop has it, bilinear, 0 outside."""
    x0, y0, x1, y1 = block
    shifted = from_frame.copy()
    shifted[:, 2] += from_frame[:, :2] @ (x0, y0)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    warped: Array = cv2.warpAffine(
        image,
        shifted,
        (x1 - x0, y1 - y0),
        flags=flags,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(0,) * 4,
    )
    return warped


def _square(from_frame: Array, region: Region, scale: float) -> _Square:
    """Warp, erode and soften the crop's square, by CodeFormer's recipe: margins are a twentieth of the face's side."""
    x0, y0, x1, y1 = region
    ones = np.ones((CROP_PX, CROP_PX), np.float32)
    warped = np.empty((y1 - y0, x1 - x0), np.float32)
    for block in _blocks(region):
        left, top, right, bottom = block
        warped[top - y0 : bottom - y0, left - x0 : right - x0] = _warped(ones, from_frame, block)
    eroded = _eroded(warped, int(2 * scale))
    edge_px = int(float(eroded.sum(dtype=np.float64)) ** 0.5) // 20
    soft = _eroded(eroded, 2 * edge_px)
    return _Square(eroded, cv2.GaussianBlur(soft, (2 * edge_px + 1, 2 * edge_px + 1), 0))


def _eroded(image: Array, side_px: int) -> Array:
    """Erode by a square; by none where it has no size (tiny faces), for which OpenCV would take 3x3."""
    if side_px < 1:
        return image
    eroded: Array = cv2.erode(image, np.ones((side_px, side_px), np.uint8))
    return eroded


def _layer(face: Array, crop: Array | None, from_frame: Array, block: Region) -> Array:
    """Return what a block is to show, or what is to be added to it, in float32 levels."""
    layer = face if crop is None else face.astype(np.float32) - crop.astype(np.float32)
    if layer.dtype not in (np.uint8, np.float32):
        layer = layer.astype(np.float32)
    return _warped(layer, from_frame, block).astype(np.float32)
