"""upscale: enlarge a photo with Real-ESRGAN (Wang et al., ICCVW 2021) by an exact factor.

Follows RealESRGANer.enhance: alpha goes through the network separately from colour, grey photos
become three equal channels and return as luminance, and the rounded result is resized with Lanczos.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from restore.imaging.photo import Photo
from restore.imaging.reduce import reduce_photo
from restore.imaging.resize import blend_photos
from restore.models.adapters.base import UpscaleAdapter
from restore.models.catalog import DENOISE_PARTNER, NET, X2_PARTNER, Checkpoint
from restore.models.checkpoint_file import interpolate_weights
from restore.models.loader import Model
from restore.options import EnhanceOptions, UpscaleOptions, UpscalerOptions
from restore.pipelines.cleanness import is_sharp_and_clean
from restore.pipelines.context import StepContext
from restore.pipelines.sizes import (
    check_network_output_size,
    check_scaled_size,
    check_target_size,
    output_size,
)
from restore.pipelines.tiles import as_function, run_network
from restore.report import Report
from restore.runtime.tiling import Net

CLEAN_UPSCALER = "upscale clean photos"
"""Key of StepContext.models for the embedded upscaler for clean photos."""
CLEAN_VARIANT = "lite_fidelity"
TILE_WORKING_BYTES = 600e6
"""Working memory for which the default tile size is chosen: larger tiles have less overlap."""


def run_upscale(photo: Photo, options: UpscaleOptions, context: StepContext) -> Photo:
    """Enlarge a photo, alpha included, to exactly the size that the options state.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    scale = options.scale_for(photo.width, photo.height)
    return blend_photos(enlarge(photo, scale, options, context), photo, options.strength)


def enlarge(photo: Photo, scale: float, options: UpscalerOptions, context: StepContext) -> Photo:
    """Enlarge a photo by exactly `scale`, without blending; also used behind restored faces.

    Below 1, the photo is reduced without the network.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    size = output_size(photo, scale, context.rules)
    if scale < 1:
        with context.report.stage("resize"):
            return reduce_photo(photo, size)
    plan = plan_enlargement(lambda: photo.pixels, scale, options, context)
    with context.report.stage("net"):
        pixels = run_network(photo.pixels, plan.net, plan.row, plan.tile_px, context)
        pixels = context.rules.keep_levels(pixels, photo.pixels)
        alpha = None
        if photo.alpha is not None:
            alpha = enlarge_alpha(photo.alpha, plan.alpha_net, plan.row, plan.tile_px, context)
    with context.report.stage("resize"):
        return context.rules.resize(photo.with_pixels(pixels, alpha), size)


@dataclass(frozen=True)
class Enlargement:
    """How a photo is enlarged.

    Attributes:
        net, alpha_net: the network for the pixels, and for alpha, which must not get film grain.
        row: the manifest row of the network.
        tile_px: side of a tile; 0 for the whole photo.
    """

    net: Net
    alpha_net: Net
    row: Checkpoint
    tile_px: int


def plan_enlargement(
    pixels: Callable[[], np.ndarray], scale: float, options: UpscalerOptions, context: StepContext
) -> Enlargement:
    """Choose network and tiles for a photo.

    Args:
        pixels: returns the photo's pixels, or at least their middle, for `is_sharp_and_clean`; only
            called if there is a choice between two networks.
        scale: factor by which the photo is enlarged.
        options: options of the step.
        context: context of the step; its report names the network.
    """
    model = _choose_network(pixels, scale, context)
    smooth = without_grain(model)
    net = network_function(options, model if options.grain else smooth)
    alpha_net = net if smooth is model else network_function(options, smooth)
    default_px = default_tile_px(model.row, context)
    tile_px = default_px if options.tile_size is None else options.tile_px
    return Enlargement(net, alpha_net, model.row, tile_px)


def _choose_network(pixels: Callable[[], np.ndarray], scale: float, context: StepContext) -> Model:
    """Return the network for a scale and a photo, and correct the report if it is another one."""
    model = network_for_scale(context.models["upscale"], scale)
    clean = context.models.get(CLEAN_UPSCALER)
    if clean is None or not is_sharp_and_clean(pixels()):
        return model
    other = network_for_scale(clean, scale)
    if other.row == model.row:
        return model
    report = context.report
    report.notes.append(f"{other.row.variant} enlarged the photo, because it is sharp and clean")
    _replace_weights(report, model, other)
    if next(iter(context.models)) == "upscale":
        report.variant = other.row.variant
    return other


def _replace_weights(report: Report, model: Model, other: Model | None) -> None:
    """Name the weights of another network in a report, or of none, instead of those of `model`."""
    replaced = {facts["file"] for facts in model.weights}
    report.weights = [facts for facts in report.weights if facts["file"] not in replaced]
    report.weights += [dict(facts) for facts in other.weights] if other else []


def check_upscale(
    photo: Photo, options: EnhanceOptions, output_format: str, context: StepContext
) -> None:
    """Check that the result is within the pixel limit and fits the output format.

    Raises:
        RestoreError: OUTPUT_TOO_LARGE, naming the size and the largest allowed factor.
    """
    scale = options.scale_for(photo.width, photo.height)
    model = network_for_scale(context.models["upscale"], scale)
    if options.has_target:
        described = network_for_scale(context.models["upscale"], options.scale)
        _replace_weights(context.report, described, model if scale >= 1 else None)
        if warning := check_target_size(photo, scale, model, output_format):
            context.report.warn(warning)
    else:
        check_scaled_size(photo, scale, "scale", output_format)
    if scale >= 1:
        check_network_output_size(photo, model)


def default_tile_px(row: Checkpoint, context: StepContext) -> int:
    """Return the tile size if the request has none: 512, or more if TILE_WORKING_BYTES allow it.

    Compiled and recorded networks have a fixed input shape, so they always use 512.
    """
    minimum_px = UpscalerOptions.default_tile_px
    if context.runtime.uses_fixed_shapes or not row.working_bytes_per_px:
        return minimum_px
    return max(minimum_px, int((TILE_WORKING_BYTES / row.working_bytes_per_px) ** 0.5))


def enlarge_alpha(
    alpha: np.ndarray, net: Net, row: Checkpoint, tile_px: int, context: StepContext
) -> np.ndarray:
    """Enlarge HxW alpha as a grey image; fully opaque alpha stays exactly opaque."""
    if int(alpha.min()) == np.iinfo(alpha.dtype).max:
        size = (alpha.shape[0] * row.scale, alpha.shape[1] * row.scale)
        return np.full(size, alpha.flat[0], alpha.dtype)
    return context.rules.keep_levels(run_network(alpha, net, row, tile_px, context), alpha)


def network_for_scale(model: Model, scale: float) -> Model:
    """Return the partner with scale 2 if that is enough, which is a quarter of the work.

    The weights of the returned model are those of the network that runs.
    """
    net = model.partners.get(X2_PARTNER)
    if net is None:
        return model
    # The weights are those of the network, then those of its partners in order.
    index = 1 + list(model.partner_rows).index(X2_PARTNER)
    row = model.partner_rows[X2_PARTNER]
    if scale > row.scale:
        weights = model.weights[:index] + model.weights[index + 1 :]
        return dataclasses.replace(model, weights=weights)
    return dataclasses.replace(
        model,
        row=row,
        net=net,
        partners={},
        weights=model.weights[index : index + 1],
        compiled_shapes=frozenset(),
        precisions={NET: model.precision_of(X2_PARTNER)},
    )


def without_grain(model: Model) -> Model:
    """Return the model without the layers that add film grain, if it has them."""
    net = model.adapter_of_kind(UpscaleAdapter).without_grain(model.net)
    if net is model.net:
        return model
    return dataclasses.replace(model, net=net, compiled_shapes=frozenset())


def network_function(options: UpscalerOptions, model: Model) -> Net:
    """Return the network, its weights interpolated with those of its denoise partner if any."""
    partner = model.partners.get(DENOISE_PARTNER)
    if partner is None or options.denoise_strength == 1.0:
        return as_function(model)
    weights = interpolate_weights(
        model.net.state_dict(), partner.state_dict(), options.denoise_strength
    )

    def forward(tiles: Tensor) -> Tensor:
        output: Tensor = torch.func.functional_call(model.net, weights, (tiles,))
        return output

    return forward
