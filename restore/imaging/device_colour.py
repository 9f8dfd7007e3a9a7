"""CIE Lab of sRGB on a device, with the constants of OpenCV but without its tables.

OpenCV's conversions of float sRGB interpolate in tables, whose error reaches half a level of 255.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, cat, split, where, zeros_like

_TO_Y = (0.212671, 0.715160, 0.072169)
_TO_RGB = (
    (3.240479, -1.53715, -0.498535),
    (-0.969256, 1.875991, 0.041556),
    (0.055648, -0.204043, 1.057311),
)
_WHITE_X, _WHITE_Z = 0.950456, 1.088754  # of D65, for Y = 1
_LINEAR_Y, _LINEAR_FACTOR = 0.008856, 903.3
_LINEAR_SLOPE, _LINEAR_OFFSET = 7.787, 16 / 116
_LINEAR_L = _LINEAR_Y * _LINEAR_FACTOR
_LINEAR_F = _LINEAR_SLOPE * _LINEAR_Y + _LINEAR_OFFSET
_GAMUT_TOLERANCE = 1e-4  # of linear light: a third of a level in black
_GAMUT_STEPS = 10  # bisections of the chroma


def lightness_of(rgb: Tensor) -> Tensor:
    """Convert Nx3xHxW sRGB in [0, 1], or Nx1xHxW grey, to Nx1xHxW CIE lightness, 0 to 100."""
    linear = where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    y = linear if rgb.shape[1] == 1 else _mix(split(linear, 1, dim=1), _TO_Y)
    return where(y <= _LINEAR_Y, _LINEAR_FACTOR * y, 116 * y.clamp_min(0) ** (1 / 3) - 16)


def rgb_of(lightness: Tensor, ab: Tensor) -> Tensor:
    """Convert CIE Lab to sRGB.

    Args:
        lightness: Nx1xHxW, 0 to 100.
        ab: Nx2xHxW in Lab units.

    Returns:
        Nx3xHxW, clipped to [0, 1].
    """
    linear = _linear_rgb_of(lightness, ab).clamp_(0.0, 1.0)
    return where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def multiply_chroma(lightness: Tensor, ab: Tensor, factor: float) -> Tensor:
    """Multiply the chroma of colours, and reduce it where they would be outside of sRGB.

    Lightness and hue are kept, which clipping would change.

    Args:
        lightness: Nx1xHxW, 0 to 100.
        ab: Nx2xHxW in Lab units.
        factor: 0 for grey.

    Returns:
        Nx2xHxW in Lab units.
    """
    wanted = ab * factor
    outside = ~_is_in_gamut(lightness, wanted)
    light = lightness[outside][None, None, None]
    far = wanted.movedim(1, -1)[outside[:, 0]].T[None, :, None]
    share, step = zeros_like(light), 0.5
    for _ in range(_GAMUT_STEPS):
        share = where(_is_in_gamut(light, far * (share + step)), share + step, share)
        step /= 2
    result = wanted.movedim(1, -1).clone()
    result[outside[:, 0]] = (far * share)[0, :, 0].T
    return result.movedim(-1, 1)


def _is_in_gamut(lightness: Tensor, ab: Tensor) -> Tensor:
    """Return where a colour is in sRGB, Nx1xHxW bool."""
    linear = _linear_rgb_of(lightness, ab)
    is_inside = (linear >= -_GAMUT_TOLERANCE) & (linear <= 1.0 + _GAMUT_TOLERANCE)
    return is_inside.all(dim=1, keepdim=True)


def _linear_rgb_of(lightness: Tensor, ab: Tensor) -> Tensor:
    """Convert CIE Lab to linear RGB, not clipped; shapes as for `rgb_of`."""
    a, b = split(ab, 1, dim=1)
    is_dark = lightness <= _LINEAR_L
    from_light = (lightness + 16) / 116
    y = where(is_dark, lightness / _LINEAR_FACTOR, from_light**3)
    f_y = where(is_dark, _LINEAR_SLOPE * y + _LINEAR_OFFSET, from_light)
    x, z = (
        where(f <= _LINEAR_F, (f - _LINEAR_OFFSET) / _LINEAR_SLOPE, f**3)
        for f in (f_y + a / 500, f_y - b / 200)
    )
    xyz = (x * _WHITE_X, y, z * _WHITE_Z)
    return cat([_mix(xyz, weights) for weights in _TO_RGB], dim=1)


def _mix(planes: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    first, second, third = planes
    return first * weights[0] + second * weights[1] + third * weights[2]
