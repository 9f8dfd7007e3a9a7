"""The recipes of the lite upscalers: x4 and x2 of cleanly reduced photos, and x4 of photos as they are found."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import numpy as np
import torch
from PIL import Image
from spandrel.architectures.Compact import Compact
from torch import Tensor, nn

from weights.lite.recipe import NATURAL, Pair, Photo, Recipe, as_it_is, edge_loss
from weights.lite.wear import lightly_worn, worn

WORN_MARGIN_PX = 4  # of the low resolution, drawn around a patch and cut off: filters mirror what they lack
LIGHTLY = 0.3  # of the patches are worn lightly


def reduced(photo: Photo, scale: int) -> Pair:
    """(low, high): `high` cropped to a multiple of `scale`, `low` reduced so often by antialiased bicubic, rounded to 8 bits."""
    height, width = (side - side % scale for side in photo.shape[:2])
    high = np.ascontiguousarray(photo[:height, :width])
    low = np.asarray(Image.fromarray(high).resize((width // scale, height // scale), Image.Resampling.BICUBIC))
    return low, high


def draw_reduced(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """A random aligned patch of `patch_px` low-resolution pixels and its target."""
    low, high = pair
    scale = high.shape[0] // low.shape[0]
    top, left = (int(rng.integers(0, side - patch_px + 1)) for side in low.shape[:2])
    low_patch = low[top : top + patch_px, left : left + patch_px]
    high_patch = high[scale * top : scale * (top + patch_px), scale * left : scale * (left + patch_px)]
    return low_patch, high_patch


def draw_worn(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """A random patch of a photo, and the same worn, at a quarter: `patch_px` there."""
    photo, scale = pair[0], 4
    side = min(patch_px + 2 * WORN_MARGIN_PX, *(length // scale for length in photo.shape[:2]))
    margin = (side - patch_px) // 2
    top, left = (int(rng.integers(0, length - scale * side + 1)) for length in photo.shape[:2])
    around = photo[top : top + scale * side, left : left + scale * side]
    wear = lightly_worn if rng.random() < LIGHTLY else worn
    low = wear(around, (side, side), rng)
    inner, outer = (slice(start, start + length) for start, length in ((margin, patch_px), (scale * margin, scale * patch_px)))
    return np.ascontiguousarray(low[inner, inner]), np.ascontiguousarray(around[outer, outer])


def grown(net: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A Compact that begins as a shallower one of its width: the convolutions that this has not are identities, to be learnt.

    The last convolution is taken over where it makes as many samples of a pixel.
    """
    own = net.state_dict()
    last, other_last = (max(int(key.split(".")[1]) for key in keys) for keys in (own, state))
    for key, value in own.items():
        _, place, kind = key.split(".")
        if (index := int(place)) < other_last:
            value.copy_(state[key])
        elif index < last and index % 2 == 0:
            nn.init.dirac_(value) if kind == "weight" else nn.init.zeros_(value)
        elif index < last:
            nn.init.ones_(value)  # a PReLU of slope 1 does nothing
        elif state[f"body.{other_last}.{kind}"].shape == value.shape:
            value.copy_(state[f"body.{other_last}.{kind}"])
    with torch.no_grad():
        net.load_state_dict(own)
    return net


UPSCALE_X4_RECIPE = Recipe(
    file="lite_upscale_x4.safetensors",
    build=functools.partial(Compact, num_feat=48, num_conv=10, upscale=4, act_type="prelu"),
    prepare=functools.partial(reduced, scale=4),
    draw=draw_reduced,
    patch_px=40,
    batch=12,
    steps=18_000,
    peak_lr=1e-3,
    purpose="x4 upscaling of bicubically reduced photos",
    data=NATURAL,
)
UPSCALE_X2_RECIPE = Recipe(
    file="lite_upscale_x2.safetensors",
    build=functools.partial(Compact, num_feat=48, num_conv=10, upscale=2, act_type="prelu"),
    prepare=functools.partial(reduced, scale=2),
    draw=draw_reduced,
    patch_px=48,
    batch=8,
    steps=40_000,
    peak_lr=7e-4,
    purpose="x2 upscaling of bicubically reduced photos",
    data=NATURAL,
    begins_with="lite_upscale_x4.safetensors",
    begin=grown,
    half_precision=True,
)
UPSCALE_REAL_RECIPE = Recipe(
    file="lite_upscale_real_x4.safetensors",
    build=functools.partial(Compact, num_feat=48, num_conv=16, upscale=4, act_type="prelu"),
    prepare=as_it_is,
    draw=draw_worn,
    patch_px=40,
    batch=8,
    steps=40_000,
    peak_lr=3e-4,
    purpose="x4 upscaling of photos with blur, noise and JPEG",
    data=NATURAL,
    begins_with="lite_upscale_x4.safetensors",
    begin=grown,
    loss=edge_loss,
    adversarial=5.0,
    score_px=64,
    half_precision=True,
)
