"""The harm check of photos on a device.

Sums over pixels are computed on the device; only the cells are downloaded. If they show harm, which
is rare, both photos are downloaded, and the check on the host decides what happens.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.imaging.device_colour import lightness_of
from restore.imaging.device_levels import measure_cells
from restore.imaging.device_photo import DevicePhoto, download_photo, upload_photo
from restore.pipelines.context import StepContext
from restore.pipelines.harm import (
    LARGE_CHANGE_LEVELS,
    CellComparison,
    Expected,
    Harm,
    harm_cells,
    harm_of,
    measures_noise,
)
from restore.pipelines.harm_bounds import BOUNDS
from restore.pipelines.harm_check import check_harm
from restore.runtime.levels import luminance
from restore.runtime.resampling import resize_planes
from restore.runtime.transfers import download


def check_harm_on_device(
    before: DevicePhoto,
    after: DevicePhoto,
    expected: Expected,
    context: StepContext,
    *,
    is_proposed: bool,
    corrects: bool,
) -> DevicePhoto:
    """Compare the result of a step with its input as `check_harm` does.

    Args and returns: as `check_harm`, with photos on the device. The areas that the step changes
    are those of `context.changed_on_device`.

    Raises:
        RestoreError: HARM if the step was requested by name and nothing sensible remains.
    """
    changed = _union(context.changed_on_device)
    harm = measure_harm_on_device(before, after, expected, changed)
    if not BOUNDS[expected].exceeded(harm):
        context.report.harm = harm.facts()
        return after
    if changed is not None:
        context.changed_areas.append(download(changed[0, 0]))
    first, second = download_photo(before), download_photo(after)
    checked = check_harm(
        first, second, expected, context, is_proposed=is_proposed, corrects=corrects
    )
    if checked is second:
        return after
    return before if checked is first else upload_photo(checked, after.levels.device)


def measure_harm_on_device(
    before: DevicePhoto, after: DevicePhoto, expected: Expected, changed: Tensor | None
) -> Harm:
    """Compare the result of a step with its input as `measure_harm` does.

    Args:
        before: the photo before the step.
        after: the result, of any size; it is reduced to the size of `before` by area.
        expected: what the step may change.
        changed: 1x1xHxW bool of the size of `before`, True where the step may change everything.
    """
    if after.levels is before.levels:
        return Harm()
    first, second = _comparable(before, after, expected)
    visible = torch.ones_like(first[:, :1])
    if before.alpha is not None:
        visible *= before.alpha > 0
    if changed is not None:
        visible *= ~changed
    large = ((luminance(second) - luminance(first)).abs() > LARGE_CHANGE_LEVELS) * visible
    size = harm_cells(before.width, before.height)
    planes = torch.cat([first * visible, second * visible, visible], dim=1)
    cells = resize_planes(planes, size, cv2.INTER_AREA)
    # One copy for the cells and both counts.
    totals = torch.stack([large.sum(), visible.sum()]).to(cells)
    values = download(torch.cat([cells.flatten(), totals]))
    large_px, visible_px = (float(value) for value in values[-2:])
    if not visible_px:
        return Harm()
    array = values[:-2].reshape(planes.shape[1], size[1], size[0]).transpose(1, 2, 0)
    channels = first.shape[1]
    comparison = CellComparison(
        sums=np.ascontiguousarray(array[..., :channels]),
        other_sums=np.ascontiguousarray(array[..., channels : 2 * channels]),
        weights=np.ascontiguousarray(array[..., -1]),
        changed_share=large_px / visible_px,
    )
    return harm_of(comparison, measure_cells(before.levels) if measures_noise(expected) else None)


def _comparable(
    before: DevicePhoto, after: DevicePhoto, expected: Expected
) -> tuple[Tensor, Tensor]:
    """Return both photos as 1xCxHxW float32 levels of 255 and of the size of `before`."""
    first, second = before.unit(), after.unit()
    if before.is_grey != after.is_grey:
        first, second = before.rgb_unit(), after.rgb_unit()
    second = resize_planes(second, (before.width, before.height), cv2.INTER_AREA)
    if expected is Expected.COLOUR:
        return lightness_of(first) * 2.55, lightness_of(second) * 2.55
    return first * 255, second * 255


def _union(areas: list[Tensor]) -> Tensor | None:
    return torch.stack(areas).any(dim=0) if areas else None
