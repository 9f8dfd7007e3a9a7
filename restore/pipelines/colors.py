"""colors: correct the colours of faded photos and of photos with a cast.

A small network sees the photo as a square thumbnail and predicts a look-up table from old to new
colours (after Zeng et al., TPAMI 2020), which is applied to every pixel. A photo whose colours the
table would hardly change is returned as it is. A grey or toned photo keeps its tone: only its
contrast is restored.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.faces.colour import Tone, toning_residual, visible_tone
from restore.imaging.colour import srgb_to_space
from restore.imaging.colour_tables import (
    apply_curve,
    apply_table,
    convert_values,
    identity_table,
    look_up,
    table_in_space,
    tone_curve,
)
from restore.imaging.convert import to_8_bits, to_grey, to_rgb
from restore.imaging.fading import BLACK_PERCENTILE, FadingEstimate, estimate_fading
from restore.imaging.photo import Photo
from restore.imaging.resize import blend_pixels
from restore.models.adapters.base import ColorTableAdapter
from restore.models.loader import Model
from restore.options import ColorsOptions
from restore.pipelines.context import StepContext
from restore.runtime.output_checks import checked_output
from restore.runtime.tensors import to_batch

CHANGE_RANGE = (9.0, 13.0)
"""Mean CIE76 differences that the table makes to the thumbnail: up to the first, the photo is not
changed; from the second on, the table is applied in full; between them, in part."""

CHANGE_RANGE_OF_FADED = (1.0, 3.0)
"""The same for photos whose black and white points show that they have faded.

Lower ones change more good photos, higher ones correct fewer faded ones: docs/lite-training.md has
figures for the held-back photos of train/extra, which benchmarks.colors does not measure.
"""

MAX_CORRECTED_RESIDUAL = 3.0
"""Residual of `toning_residual` up to which a corrected thumbnail has a single tone. It is lower
than that of photos, because a thumbnail has less noise. Measured after the correction: synthetic
sepia prints up to 2.9 (73), real grey and toned ones up to 2.8 (19 of 20; the other 3.4), faded
photos of scenes with weak colours 3.0 and more (95 % of 34)."""

MIN_CONTRAST = 0.01
"""Linear light between the black and the white point, in at least one channel, from which a photo
has contrast. Less is a blank page, whose fading cannot be told from its colour."""


def run_colors(photo: Photo, options: ColorsOptions, context: StepContext) -> Photo:
    """Correct the colours of a photo; alpha is not changed.

    The report gets the fading of the photo, and how much its colours change.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    if options.strength == 0.0:
        return photo
    report = context.report
    with report.stage("net"):
        thumbnail = make_thumbnail(photo, context.models["colors"])
        tone, table = predict_for_tone(photo, thumbnail, context)
    fading = estimate_fading(photo)
    change = mean_change(thumbnail if tone == "colour" else without_tint(thumbnail), table)
    report.fading = {**fading.facts(), "change": round(change, 2)}
    if not has_contrast(fading):
        report.notes.append("this photo has no contrast, so its colours were not changed")
        return photo
    weight = weight_of(change, is_faded=fading.is_faded)
    if weight == 0.0:
        report.notes.append("the colours of this photo need no correction, so it was not changed")
        return photo
    table = blend_with_identity(table, weight)
    with report.stage("merge"):
        if tone == "colour":
            matrix = srgb_to_space(photo.icc)
            result = apply_table(
                photo.pixels, table if matrix is None else table_in_space(table, matrix)
            )
        else:
            report.notes.append(f"this photo is {tone}: only its contrast was restored")
            result = apply_curve(photo.pixels, tone_curve(table))
    return photo.with_pixels(blend_pixels(result, photo.pixels, options.strength), photo.alpha)


def has_contrast(fading: FadingEstimate) -> bool:
    """Return whether a photo has black and white points; one of a single colour has none."""
    points = zip(fading.black_points, fading.white_points, strict=True)
    return max(white - black for black, white in points) >= MIN_CONTRAST


def predict_for_tone(
    photo: Photo, thumbnail: np.ndarray, context: StepContext
) -> tuple[Tone, np.ndarray]:
    """Return the tone of a photo and its table.

    Colours that have nearly faded away look like a single tone. A photo counts as grey or toned
    only if it does so after the correction too. Its table is then predicted without its tint.
    """
    tone = visible_tone(photo.pixels)
    if not photo.is_grey:
        table = predict_table(thumbnail, context)
        corrected = np.rint(look_up(thumbnail, table).clip(0.0, 1.0) * 255).astype(np.uint8)
        if tone == "colour" or toning_residual(corrected) > MAX_CORRECTED_RESIDUAL:
            return "colour", table
    return tone, predict_table(without_tint(thumbnail), context)


def make_thumbnail(photo: Photo, model: Model) -> np.ndarray:
    """Reduce a photo to the network's square input: SxSx3 float32 sRGB values in [0, 1]."""
    side_px = model.row.input_px
    assert side_px is not None
    pixels = to_rgb(to_8_bits(photo.pixels))
    small = cv2.resize(pixels, (side_px, side_px), interpolation=cv2.INTER_AREA)
    values = small.astype(np.float32) / np.float32(255)
    if (matrix := srgb_to_space(photo.icc)) is not None:
        values = convert_values(values, np.linalg.inv(matrix)).clip(0.0, 1.0)
    return values


def without_tint(values: np.ndarray) -> np.ndarray:
    """Return the luminance of SxSx3 float32 values in three channels."""
    return to_rgb(to_grey(values))


def predict_table(thumbnail: np.ndarray, context: StepContext) -> np.ndarray:
    """Call the network: SxSx3 to the table of `apply_table` for sRGB.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    model = context.models["colors"]
    adapter = model.adapter_of_kind(ColorTableAdapter)
    inputs = to_batch([thumbnail], context.runtime.device)
    with torch.inference_mode():
        output: Tensor = adapter.predict_table(model.net, inputs).float()
    table = checked_output(output, inputs, model.row.file)[0]
    return np.ascontiguousarray(table.permute(1, 2, 3, 0).cpu().numpy())


def weight_of(change: float, *, is_faded: bool) -> float:
    """Return the weight of a table, 0 to 1, that makes this mean change.

    The network is least sure about photos that it hardly changes: most of them are good.
    """
    none, full = CHANGE_RANGE_OF_FADED if is_faded else CHANGE_RANGE
    return min(max((change - none) / (full - none), 0.0), 1.0)


def blend_with_identity(table: np.ndarray, weight: float) -> np.ndarray:
    """Return a table that makes `weight` times the change of another."""
    identity = identity_table(len(table))
    return np.asarray(identity + np.float32(weight) * (table - identity))


def mean_change(thumbnail: np.ndarray, table: np.ndarray) -> float:
    """Return the mean CIE76 difference that a table makes to SxSx3 float32 sRGB values."""
    before, after = _labs(thumbnail, table)
    return float(np.linalg.norm(after - before, axis=-1).mean())


def darkening(thumbnail: np.ndarray, table: np.ndarray) -> float:
    """Return by how much a table lowers the CIE lightness of the darkest percent of a thumbnail.

    Args:
        thumbnail: SxSx3 float32 sRGB values in [0, 1].
        table: the table of `apply_table`.
    """
    before, after = (
        np.percentile(lab[..., 0], BLACK_PERCENTILE) for lab in _labs(thumbnail, table)
    )
    return float(before - after)


def _labs(thumbnail: np.ndarray, table: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the CIE Lab values of SxSx3 float32 sRGB values before and after a table."""
    after = look_up(thumbnail, table).clip(0.0, 1.0)
    before_lab, after_lab = (
        cv2.cvtColor(np.ascontiguousarray(values), cv2.COLOR_RGB2LAB)
        for values in (thumbnail, after)
    )
    return before_lab, after_lab
