"""The recipes of the lite upscalers: x4 and x2 of cleanly reduced photos, and x4 of photos as they are found."""

from __future__ import annotations

import functools
from collections.abc import Mapping

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from spandrel.architectures.Compact import Compact
from torch import Tensor, nn
from torchvision.transforms.functional import rgb_to_grayscale

from restore.nets.lite.upscale import LiteUpscale, bands
from training.recipe import NATURAL, Pair, Photo, Recipe, as_it_is, edge_loss
from training.degradations import lightly_worn, quantised, worn

MARGIN_PX = (
    4  # of the low resolution, drawn around a patch and cut off: filters mirror what they lack
)
RESIZED = (0.6, 1.6)  # to 1 over this, of patches that are resized
LIGHTLY = 0.3  # of the patches are worn lightly
SHARPENED = {
    "worn": 1.4,
    "lightly": 0.3,
}  # how much of what a photo has finer than SHARPENED_SIGMA_PX is added to what is to be learnt
SHARPENED_SIGMA_PX = 2.0
TEXTURE_WINDOW_PX, TEXTURE_STRIDE_PX = 20, 8  # of the enlarged photo, in which texture is measured
OF_DEVIATION = 0.6745  # the median of the absolute values of a normal distribution
PARTS = ("picture", "grain")  # of a LiteUpscale
GRAIN_WEIGHT = 650.0  # a deviation of ten grey levels counts one


def reduced(photo: Photo, scale: int) -> Pair:
    """(low, high): `high` cropped to a multiple of `scale`, `low` reduced so often by antialiased bicubic, rounded to 8 bits."""
    height, width = (side - side % scale for side in photo.shape[:2])
    high = np.ascontiguousarray(photo[:height, :width])
    low = np.asarray(
        Image.fromarray(high).resize((width // scale, height // scale), Image.Resampling.BICUBIC)
    )
    return low, high


def draw_reduced(pair: Pair, patch_px: int, rng: np.random.Generator, scale: int) -> Pair:
    """A random patch of a photo reduced `scale` times, `patch_px` there, and the patch.

    Half of the patches are first resized: photos that are softer or finer than the training's are enlarged as well.
    """
    photo = pair[0]
    side = min(patch_px + 2 * MARGIN_PX, *(length // scale for length in photo.shape[:2]))
    factor = float(np.exp(rng.uniform(*np.log(RESIZED)))) if rng.random() < 0.5 else 1.0
    window = min(round(scale * side * factor), *photo.shape[:2])
    top, left = (int(rng.integers(0, length - window + 1)) for length in photo.shape[:2])
    around = Image.fromarray(photo[top : top + window, left : left + window])
    low, high = reduced(
        np.asarray(around.resize((scale * side, scale * side), Image.Resampling.BICUBIC)), scale
    )
    return inside(low, high, patch_px)


def inside(low: Photo, high: Photo, patch_px: int) -> Pair:
    """The middle `patch_px` of a square, and the same of it enlarged."""
    scale, start = high.shape[0] // low.shape[0], (low.shape[0] - patch_px) // 2
    inner, outer = (slice(times * start, times * (start + patch_px)) for times in (1, scale))
    return np.ascontiguousarray(low[inner, inner]), np.ascontiguousarray(high[outer, outer])


def draw_worn(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """A random patch of a photo under an unsharp mask, and the same as it was, worn, at a quarter: `patch_px` there.

    The mask is Real-ESRGAN's idea: what is blurred beyond recognition would else be answered by the mean of all that it may have been.
    """
    photo, scale = pair[0], 4
    side = min(patch_px + 2 * MARGIN_PX, *(length // scale for length in photo.shape[:2]))
    top, left = (int(rng.integers(0, length - scale * side + 1)) for length in photo.shape[:2])
    around = photo[top : top + scale * side, left : left + scale * side]
    is_light = rng.random() < LIGHTLY
    low = (lightly_worn if is_light else worn)(around, (side, side), rng)
    high = sharpened(around, SHARPENED["lightly" if is_light else "worn"])
    return inside(low, high, patch_px)


def sharpened(photo: Photo, amount: float) -> Photo:
    """HxWx3 uint8 under an unsharp mask."""
    exact = photo.astype(np.float32)
    return quantised(exact + amount * (exact - cv2.GaussianBlur(exact, (0, 0), SHARPENED_SIGMA_PX)))


def grown(net: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A Compact that begins as a shallower one of its width: the convolutions that this has not are identities, to be learnt.

    Of a deeper one it takes the first convolutions, and either way the last where that makes as many samples of a pixel.
    """
    own = net.state_dict()
    last, other_last = (max(int(key.split(".")[1]) for key in keys) for keys in (own, state))
    for key, value in own.items():
        _, place, kind = key.split(".")
        if (index := int(place)) < min(last, other_last):
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


def with_grain_to_learn(net: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """A LiteUpscale whose picture begins as a Compact's, or all of it as an earlier one of its own."""
    assert isinstance(net, LiteUpscale)
    parts = {
        name: {
            key.removeprefix(f"{name}."): value
            for key, value in state.items()
            if key.startswith(f"{name}.")
        }
        for name in PARTS
    }
    grown(net.picture, parts["picture"] or state)
    if parts["grain"]:
        net.grain.load_state_dict(parts["grain"])
    return net


def deviations(picture: Tensor) -> Tensor:
    """Nx3xHxW RGB -> Nx3x(H/8)x(W/8): how strong the texture of each band is in windows, edges apart.

    The median of absolute values stands for the standard deviation (Donoho, 1995): no edge counts that fills less than half a window.
    """
    border = (TEXTURE_WINDOW_PX - TEXTURE_STRIDE_PX) // 2
    absolute = F.pad(bands(rgb_to_grayscale(picture)).abs(), (border,) * 4, mode="reflect").flatten(
        0, 1
    )[:, None]
    medians = (
        F.unfold(absolute, TEXTURE_WINDOW_PX, stride=TEXTURE_STRIDE_PX).median(dim=1).values
        / OF_DEVIATION
    )
    down, across = (side // TEXTURE_STRIDE_PX for side in picture.shape[-2:])
    return medians.view(len(picture), -1, down, across)


def picture_and_grain_loss(
    output: Tensor, target: Tensor, source: Tensor, progress: float
) -> Tensor:
    """Of the picture its edges; of the grain how far it is from the texture that the photo has beyond the picture, squared."""
    picture, strengths = output[:, :3], output[:, 3:]
    with torch.no_grad():
        lost = (deviations(target).square() - deviations(picture).square()).clamp_min(0.0).sqrt()
    apart = F.avg_pool2d(strengths, TEXTURE_STRIDE_PX) - lost
    return edge_loss(picture, target, source, progress) + GRAIN_WEIGHT * apart.square().mean()


UPSCALE_X4_RECIPE = Recipe(
    file="lite_upscale_x4.safetensors",
    build=functools.partial(Compact, num_feat=48, num_conv=16, upscale=4, act_type="prelu"),
    prepare=as_it_is,
    draw=functools.partial(draw_reduced, scale=4),
    patch_px=48,
    batch=32,
    steps=100_000,
    peak_lr=1e-3,
    purpose="x4 upscaling of bicubically reduced photos",
    data=NATURAL,
    begin=grown,
    score_px=64,
    half_precision=True,
)
UPSCALE_X2_RECIPE = Recipe(
    file="lite_upscale_x2.safetensors",
    build=functools.partial(Compact, num_feat=48, num_conv=10, upscale=2, act_type="prelu"),
    prepare=as_it_is,
    draw=functools.partial(draw_reduced, scale=2),
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
    build=LiteUpscale,
    prepare=as_it_is,
    draw=draw_worn,
    patch_px=40,
    batch=32,
    steps=100_000,
    peak_lr=3e-4,
    purpose="x4 upscaling of photos with blur, noise and JPEG",
    data=NATURAL,
    begins_with="lite_upscale_x4.safetensors",
    begin=with_grain_to_learn,
    loss=picture_and_grain_loss,
    adversarial=4.0,
    held_until=0.4,
    score_px=64,
    half_precision=True,
)
