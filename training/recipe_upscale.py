"""The recipes of the lite upscalers: x4 and x2 of cleanly reduced photos, x4 of degraded ones."""

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

from restore.models.adapters.lite_upscale import new_lite_upscale
from restore.models.loader import load_net
from restore.nets.lite.grain import split_bands
from restore.nets.lite.upscale import LiteUpscale
from training.degradations import degrade_lightly, degrade_second_order, quantise
from training.losses import l1_gradient_loss
from training.recipe import NATURAL, Pair, Photo, Recipe, pair_with_itself
from training.structural_loss import structural_loss

MARGIN_PX = 4  # of the low resolution, around a patch: filters reflect the border of their input
RESIZE_FACTORS = (0.6, 1.6)  # of the half of the patches that are resized
LIGHTLY_DEGRADED_SHARE = 0.3
SHARPENING_LIGHTLY_DEGRADED, SHARPENING_DEGRADED = 0.3, 0.8  # of the target
SHARPENING_SIGMA_PX = 1.0  # mostly finer than what the structural loss compares
TEXTURE_WINDOW_PX, TEXTURE_STRIDE_PX = 20, 8  # of the upscaled photo
MAD_TO_DEVIATION = 0.6745  # median absolute value of a normal distribution of unit variance
UPSCALE_PARTS = ("picture", "grain")  # key prefixes of LiteUpscale
STRUCTURAL_WEIGHT = 1.0
GRAIN_WEIGHT = 650.0


def reduce_photo(photo: Photo, scale: int) -> Pair:
    """Reduce a photo with Pillow's antialiased bicubic filter.

    Returns:
        (reduced photo, photo cropped to a multiple of `scale`)
    """
    height, width = (side - side % scale for side in photo.shape[:2])
    high = np.ascontiguousarray(photo[:height, :width])
    return _resize(high, (width // scale, height // scale)), high


def draw_reduced_patch(pair: Pair, patch_px: int, rng: np.random.Generator, scale: int) -> Pair:
    """Draw a patch and reduce it.

    Half of the patches are first resized by up to 1.6 either way, so that softer and finer photos
    than those of the training are upscaled as well.

    Returns:
        (patch_px square, the same `scale` times larger)
    """
    photo = pair[0]
    side = min(patch_px + 2 * MARGIN_PX, *(length // scale for length in photo.shape[:2]))
    factor = float(np.exp(rng.uniform(*np.log(RESIZE_FACTORS)))) if rng.random() < 0.5 else 1.0
    window_px = min(round(scale * side * factor), *photo.shape[:2])
    top, left = (int(rng.integers(0, length - window_px + 1)) for length in photo.shape[:2])
    window = _resize(
        photo[top : top + window_px, left : left + window_px], (scale * side, scale * side)
    )
    low, high = reduce_photo(window, scale)
    return crop_centre(low, high, patch_px)


def draw_degraded_patch(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """Draw a patch, degrade it to a quarter of its size, and sharpen the target.

    The unsharp mask of the target is taken from Real-ESRGAN. Without it, details that are blurred
    beyond recognition are predicted as the mean of all possibilities.

    Returns:
        (patch_px square, the same 4 times larger)
    """
    photo, scale = pair[0], 4
    side = min(patch_px + 2 * MARGIN_PX, *(length // scale for length in photo.shape[:2]))
    top, left = (int(rng.integers(0, length - scale * side + 1)) for length in photo.shape[:2])
    window = photo[top : top + scale * side, left : left + scale * side]
    if rng.random() < LIGHTLY_DEGRADED_SHARE:
        degrade, amount = degrade_lightly, SHARPENING_LIGHTLY_DEGRADED
    else:
        degrade, amount = degrade_second_order, SHARPENING_DEGRADED
    low = degrade(window, (side, side), rng)
    return crop_centre(low, sharpen(window, amount), patch_px)


def crop_centre(low: Photo, high: Photo, patch_px: int) -> Pair:
    """Crop the middle `patch_px` of a square and the corresponding part of the larger one."""
    scale, start = high.shape[0] // low.shape[0], (low.shape[0] - patch_px) // 2
    inner, outer = (slice(times * start, times * (start + patch_px)) for times in (1, scale))
    return np.ascontiguousarray(low[inner, inner]), np.ascontiguousarray(high[outer, outer])


def sharpen(photo: Photo, amount: float) -> Photo:
    """Apply an unsharp mask to HxWx3 uint8."""
    exact = photo.astype(np.float32)
    smooth = cv2.GaussianBlur(exact, (0, 0), SHARPENING_SIGMA_PX)
    return quantise(exact + amount * (exact - smooth))


def _resize(photo: Photo, size: tuple[int, int]) -> Photo:
    """Resize to (width, height) with Pillow's antialiased bicubic filter."""
    return np.asarray(Image.fromarray(photo).resize(size, Image.Resampling.BICUBIC))


def resize_compact(net: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Load weights of a Compact with another depth or scale and the same width.

    Of a shallower network, all layers are loaded and the added layers are identities. Of a deeper
    one, the first layers are loaded. The last convolution is loaded if the scale is the same.
    """
    own_state = net.state_dict()
    last, other_last = (max(int(key.split(".")[1]) for key in keys) for keys in (own_state, state))
    for key, value in own_state.items():
        _, position, kind = key.split(".")
        index = int(position)
        if index < min(last, other_last):
            value.copy_(state[key])
        elif index < last:
            _init_identity_layer(value, index, kind)
        elif state[f"body.{other_last}.{kind}"].shape == value.shape:
            value.copy_(state[f"body.{other_last}.{kind}"])
    with torch.no_grad():
        net.load_state_dict(own_state)
    return net


def _init_identity_layer(value: Tensor, index: int, kind: str) -> None:
    """Make a convolution (even index) or a PReLU (odd index) of a Compact an identity, in place."""
    if index % 2 == 1:
        nn.init.ones_(value)
    elif kind == "weight":
        nn.init.dirac_(value)
    else:
        nn.init.zeros_(value)


def start_lite_upscale(net: nn.Module, state: Mapping[str, Tensor]) -> nn.Module:
    """Load weights of a Compact as the picture part of a LiteUpscale, or those of a LiteUpscale."""
    assert isinstance(net, LiteUpscale)
    parts = {
        name: {
            key.removeprefix(f"{name}."): value
            for key, value in state.items()
            if key.startswith(f"{name}.")
        }
        for name in UPSCALE_PARTS
    }
    resize_compact(net.picture, parts["picture"] or state)
    if parts["grain"]:
        net.grain.load_state_dict(parts["grain"])
    return net


def measure_texture(picture: Tensor) -> Tensor:
    """Measure the standard deviation of each frequency band in windows, without edges.

    The deviation is estimated from the median of absolute values (Donoho, 1995), which ignores
    edges that fill less than half of a window.

    Args:
        picture: Nx3xHxW RGB.

    Returns:
        Nx3x(H/8)x(W/8), one channel per band.
    """
    border = (TEXTURE_WINDOW_PX - TEXTURE_STRIDE_PX) // 2
    bands = split_bands(rgb_to_grayscale(picture)).abs()
    padded = F.pad(bands, (border,) * 4, mode="reflect").flatten(0, 1)[:, None]
    windows = F.unfold(padded, TEXTURE_WINDOW_PX, stride=TEXTURE_STRIDE_PX)
    deviations = windows.median(dim=1).values / MAD_TO_DEVIATION
    rows, columns = (side // TEXTURE_STRIDE_PX for side in picture.shape[-2:])
    return deviations.view(len(picture), -1, rows, columns)


def picture_and_grain_loss(
    output: Tensor, target: Tensor, source: Tensor, progress: float
) -> Tensor:
    """Loss of the picture, and L2 of the grain strength, if given, against the lost texture.

    The loss of the picture is the L1 gradient loss plus the structural loss.
    """
    picture, strength = output[:, :3], output[:, 3:]
    picture_loss = l1_gradient_loss(picture, target, source, progress)
    picture_loss = picture_loss + STRUCTURAL_WEIGHT * structural_loss(picture, target)
    if not strength.shape[1]:
        return picture_loss
    with torch.no_grad():
        lost_variance = measure_texture(target).square() - measure_texture(picture).square()
        lost = lost_variance.clamp_min(0.0).sqrt()
    error = F.avg_pool2d(strength, TEXTURE_STRIDE_PX) - lost
    return picture_loss + GRAIN_WEIGHT * error.square().mean()


UPSCALE_X4_RECIPE = Recipe(
    file="lite_upscale_x4.safetensors",
    build=functools.partial(Compact, num_feat=48, num_conv=16, upscale=4, act_type="prelu"),
    prepare=pair_with_itself,
    draw_patch=functools.partial(draw_reduced_patch, scale=4),
    patch_px=48,
    batch_size=32,
    steps=100_000,
    peak_lr=1e-3,
    purpose="x4 upscaling of bicubically reduced photos",
    data=NATURAL,
    transfer_weights=resize_compact,
    score_px=64,
    half_precision=True,
)
UPSCALE_X2_RECIPE = Recipe(
    file="lite_upscale_x2.safetensors",
    build=functools.partial(Compact, num_feat=48, num_conv=10, upscale=2, act_type="prelu"),
    prepare=pair_with_itself,
    draw_patch=functools.partial(draw_reduced_patch, scale=2),
    patch_px=48,
    batch_size=8,
    steps=40_000,
    peak_lr=7e-4,
    purpose="x2 upscaling of bicubically reduced photos",
    data=NATURAL,
    initial_file=UPSCALE_X4_RECIPE.file,
    transfer_weights=resize_compact,
    half_precision=True,
)
UPSCALE_REAL_RECIPE = Recipe(
    file="lite_upscale_real_x4.safetensors",
    build=new_lite_upscale,
    prepare=pair_with_itself,
    draw_patch=draw_degraded_patch,
    patch_px=64,
    batch_size=24,
    steps=100_000,
    peak_lr=3e-4,
    purpose="x4 upscaling of photos with blur, noise and JPEG",
    data=NATURAL,
    initial_file=UPSCALE_X4_RECIPE.file,
    transfer_weights=start_lite_upscale,
    loss=picture_and_grain_loss,
    adversarial_weight=4.0,
    load_teacher=load_net,
    peak_until=0.4,
    score_px=64,
    half_precision=True,
)
