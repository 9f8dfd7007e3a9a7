"""Look-up tables of colours: apply them to pixels, convert them to other colour spaces.

A table is TxTxTx3 float32: the new red, green and blue at old blue, green and red values (the three
axes, in this order) of 0 to 1 in equal steps. New values may lie outside of 0 to 1.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from restore.imaging.icc import srgb_light

BAND_ROWS = 256
"""Rows that are converted at once, which bounds the memory."""

_LUMINANCE = np.array([0.299, 0.587, 0.114], np.float32)  # BT.601, as for grey photos


def apply_table(pixels: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Replace every colour by that of the table, interpolated between its nodes.

    Args:
        pixels: HxWx3, uint8 or uint16.
        table: TxTxTx3.

    Returns:
        HxWx3 of the same dtype, clipped and rounded.
    """
    full, result = np.iinfo(pixels.dtype).max, np.empty_like(pixels)
    for top in range(0, len(pixels), BAND_ROWS):
        band = slice(top, top + BAND_ROWS)
        values = look_up(pixels[band].astype(np.float32) / np.float32(full), table)
        np.rint(values.clip(0.0, 1.0) * np.float32(full), casting="unsafe", out=result[band])
    return result


def look_up(values: np.ndarray, table: np.ndarray) -> np.ndarray:
    """Interpolate a table at HxWx3 float32 values of 0 to 1, linearly along each axis."""
    nodes = torch.from_numpy(table).permute(3, 0, 1, 2)[None]
    positions = torch.from_numpy(values)[None, None] * 2 - 1
    with torch.inference_mode():
        found = F.grid_sample(nodes, positions, padding_mode="border", align_corners=True)
    return np.asarray(found[0, :, 0].permute(1, 2, 0).numpy())


def identity_table(nodes: int) -> np.ndarray:
    """Return the table that changes nothing."""
    steps = np.linspace(0.0, 1.0, nodes, dtype=np.float32)
    blue, green, red = np.meshgrid(steps, steps, steps, indexing="ij")
    return np.stack([red, green, blue], axis=-1)


def tone_curve(table: np.ndarray) -> np.ndarray:
    """Return what a table makes of greys without their tint: T values, rising, within 0 to 1."""
    diagonal = np.arange(len(table))
    greys = table[diagonal, diagonal, diagonal] @ _LUMINANCE
    return np.maximum.accumulate(greys.clip(0.0, 1.0))


def apply_curve(pixels: np.ndarray, curve: np.ndarray) -> np.ndarray:
    """Apply a curve to every sample.

    Args:
        pixels: HxW or HxWx3, uint8 or uint16.
        curve: T new values at old values of 0 to 1 in equal steps.
    """
    full = np.iinfo(pixels.dtype).max
    old = np.linspace(0.0, 1.0, full + 1)
    new = np.interp(old, np.linspace(0.0, 1.0, len(curve)), curve)
    levels = np.rint(new * full).astype(pixels.dtype)
    return cv2.LUT(pixels, levels) if pixels.dtype == np.uint8 else np.asarray(levels[pixels])


def table_in_space(table: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Convert a table for sRGB to one for another RGB space with the tone curve of sRGB.

    A colour outside of sRGB gets the change of the nearest one inside.

    Args:
        table: TxTxTx3 for sRGB.
        matrix: 3x3, from linear sRGB to the linear values of the space.
    """
    nodes = len(table)
    colours = convert_values(identity_table(nodes), np.linalg.inv(matrix)).reshape(1, -1, 3)
    inside = colours.clip(0.0, 1.0)
    changed = colours + look_up(inside, table) - inside
    return convert_values(changed, matrix).reshape(table.shape)


def convert_values(values: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Convert ...x3 values of sRGB's tone curve to other primaries: ...x3 float32, not clipped."""
    light = np.sign(values) * srgb_light(np.abs(values)) @ matrix.T
    size = np.abs(light)
    curve = 1.055 * np.maximum(size, 0.0031308) ** (1 / 2.4) - 0.055
    magnitudes = np.where(size <= 0.0031308, 12.92 * size, curve)
    return np.asarray(np.sign(light) * magnitudes, np.float32)
