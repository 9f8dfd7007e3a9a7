"""Quality figures of a restored photo.

SSIM, NIQE and the PSNR of luma are those of basicsr, whose functions take BGR. SSIMULACRA2, FLIP
and GMSD are defined in perceptual.py. LPIPS is measured if its weights are present. NIQE has no
reference, and rewards noise and oversharpening: it decides nothing alone.
"""

from __future__ import annotations

import importlib.util
import math
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.perceptual import Rgb, flip_of, gmsd_of, missing_packages, ssimulacra2_of
from training.basicsr_import import import_basicsr

Lpips = Callable[[Rgb, Rgb], float]

ALEXNET = "alexnet-owt-7be5be79.pth"  # file name of torchvision
LINEAR = "alex.pth"  # file name of the lpips package, version 0.1
NIQE_BLOCK_PX = 96
MIN_LPIPS_SIDE_PX = 64
"""The poolings of AlexNet reduce smaller photos to nothing."""

_CONVOLUTIONS = (0, 3, 6, 8, 10)
"""Indices in AlexNet of the convolutions whose activations LPIPS compares."""


class NotMeasuredError(Exception):
    """A figure cannot be measured; the text says why."""


@dataclass(frozen=True)
class Figures:
    """Quality figures of one photo.

    Attributes:
        psnr_rgb_db, psnr_y_db: over all samples, and on BT.601 luma; infinite for equal photos.
        ssim: mean of the three channels (Wang et al., 2004); higher is better, 1 for equal photos.
        ssimulacra2, flip, gmsd: see perceptual.py; None if the package is not installed, and
            SSIMULACRA2 also for photos with a side below 225 px.
        niqe: without a reference, lower is more natural (Mittal et al., 2013); None for photos with
            less than two blocks of 96 px or without texture.
        lpips: lower is nearer to the original (Zhang et al., CVPR 2018, AlexNet, version 0.1); None
            if it is not measured.
    """

    psnr_rgb_db: float
    psnr_y_db: float
    ssim: float
    ssimulacra2: float | None
    flip: float | None
    gmsd: float
    niqe: float | None
    lpips: float | None


def psnr_db(first: np.ndarray, second: np.ndarray) -> float:
    """Return the PSNR of two arrays with values from 0 to 255, over all samples; inf if equal."""
    error = float(np.square(first.astype(np.float64) - second).mean())
    return math.inf if error == 0.0 else 10.0 * math.log10(255.0**2 / error)


def figures_of(original: Rgb, photo: Rgb, lpips: Lpips | None = None) -> Figures:
    """Measure a photo against its original of the same size."""
    metrics = import_basicsr("metrics.psnr_ssim")
    bgr = (original[..., ::-1], photo[..., ::-1])
    large_enough = min(photo.shape[:2]) >= MIN_LPIPS_SIDE_PX
    missing = missing_packages()
    return Figures(
        psnr_rgb_db=psnr_db(original, photo),
        psnr_y_db=float(metrics.calculate_psnr(*bgr, crop_border=0, test_y_channel=True)),
        ssim=float(metrics.calculate_ssim(*bgr, crop_border=0)),
        ssimulacra2=None if "SSIMULACRA2" in missing else ssimulacra2_of(original, photo),
        flip=None if "FLIP" in missing else flip_of(original, photo),
        gmsd=gmsd_of(original, photo),
        niqe=niqe_of(photo),
        lpips=lpips(original, photo) if lpips and large_enough else None,
    )


def mean_of(rows: Sequence[Figures]) -> Figures:
    """Average each figure over the photos that have it."""
    values = {
        field.name: [value for row in rows if (value := getattr(row, field.name)) is not None]
        for field in fields(Figures)
    }
    means = {name: float(np.mean(known)) if known else None for name, known in values.items()}
    return Figures(**means)  # type: ignore[arg-type]


def niqe_of(photo: Rgb) -> float | None:
    """Return NIQE on luma; None for photos with less than two blocks or without texture."""
    height, width = (side // NIQE_BLOCK_PX for side in photo.shape[:2])
    if height * width < 2:
        return None
    # Flat blocks cause a division by zero; basicsr drops their figures, but numpy warns.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        niqe = import_basicsr("metrics.niqe")
        try:
            value = float(niqe.calculate_niqe(photo[..., ::-1], crop_border=0))
        except np.linalg.LinAlgError:
            return None
    return value if np.isfinite(value) else None


def resized(photo: Rgb, like: Rgb) -> Rgb:
    """Resize a photo to the size of another: area averaging to shrink, bicubic to enlarge."""
    (height, width), before = like.shape[:2], photo.shape[:2]
    if before == (height, width):
        return photo
    shrinks = before[0] * before[1] > height * width
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(photo, (width, height), interpolation=interpolation), np.uint8)


def lpips_measure(folder: Path | None = None) -> Lpips:
    """Build LPIPS from torchvision's AlexNet and the linear weights of lpips; download nothing.

    Args:
        folder: folder with both files. By default they are looked for in torch's hub cache and, for
            the linear weights, in the lpips package.

    Raises:
        NotMeasuredError: a file is missing or contains other weights.
    """
    trunk, linear = (_weights(name, folder) for name in (ALEXNET, LINEAR))
    try:
        layers = [
            (trunk[f"features.{n}.weight"], trunk[f"features.{n}.bias"]) for n in _CONVOLUTIONS
        ]
        channel_weights = [linear[f"lin{n}.model.1.weight"] for n in range(len(_CONVOLUTIONS))]
    except KeyError as error:
        raise NotMeasuredError(
            f"{ALEXNET} or {LINEAR} contains other weights: {error} is missing"
        ) from error

    def measure(first: Rgb, second: Rgb) -> float:
        with torch.inference_mode():
            pairs = zip(_features(first, layers), _features(second, layers), strict=True)
            return sum(
                float(F.conv2d((a - b) ** 2, weight).mean())
                for (a, b), weight in zip(pairs, channel_weights, strict=True)
            )

    return measure


def _features(photo: Rgb, layers: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """Return the features after each ReLU of AlexNet, normalised over channels."""
    shift, scale = (
        torch.tensor(values)[:, None, None]
        for values in ([-0.030, -0.088, -0.188], [0.458, 0.448, 0.450])
    )
    x = torch.from_numpy(np.ascontiguousarray(photo)).permute(2, 0, 1)[None].float() / 127.5 - 1.0
    x = (x - shift) / scale
    features = []
    for index, (weight, bias) in enumerate(layers):
        if index in {1, 2}:
            x = F.max_pool2d(x, 3, 2)
        stride, padding = 4 if index == 0 else 1, 2 if index < 2 else 1
        x = F.relu(F.conv2d(x, weight, bias, stride=stride, padding=padding))
        features.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
    return features


def _weights(name: str, folder: Path | None) -> dict[str, Tensor]:
    hub = Path(torch.hub.get_dir()) / "checkpoints"
    folders = [folder] if folder else [hub, *_package_folders()]
    for place in folders:
        if (place / name).is_file():
            weights: dict[str, Tensor] = torch.load(
                place / name, map_location="cpu", weights_only=True
            )
            return weights
    raise NotMeasuredError(f"{name} is not in {' or '.join(str(place) for place in folders)}")


def _package_folders() -> list[Path]:
    """Return the folders of linear weights of the lpips package, which is not imported."""
    package = importlib.util.find_spec("lpips")
    locations = (package.submodule_search_locations if package else None) or ()
    return [Path(place) / "weights" / "v0.1" for place in locations]
