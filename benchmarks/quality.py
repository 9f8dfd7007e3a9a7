"""Figures of one restored photo beside its original: PSNR, SSIM and NIQE as basicsr computes them, LPIPS where its weights are.

basicsr's functions take BGR; nothing else here does.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from training.basicsr_import import import_basicsr

Rgb = NDArray[np.uint8]
"""HxWx3 uint8."""
Lpips = Callable[[Rgb, Rgb], float]

ALEXNET = "alexnet-owt-7be5be79.pth"  # torchvision's name for it
LINEAR = "alex.pth"  # the lpips package's name, version 0.1
NIQE_BLOCK_PX = 96
LPIPS_SMALLEST_PX = 64  # below, AlexNet's poolings have nothing left

_CONVOLUTIONS = (
    0,
    3,
    6,
    8,
    10,
)  # of AlexNet: LPIPS compares what comes out of the ReLU behind each


class NotMeasuredError(Exception):
    """A figure that cannot be had here; its text says why."""


@dataclass(frozen=True)
class Figures:
    """How near a photo is to its original, and how natural it looks.

    Attributes:
        psnr_rgb_db, psnr_y_db: over all samples, and on the luma of BT.601; infinite for equal photos.
        ssim: mean of the three channels (Wang et al., 2004); 1 for equal photos.
        niqe: without the original, lower is more natural (Mittal et al., 2013); None where the photo has less than two blocks of
            96 px, or too little in them.
        lpips: lower is nearer to the original (Zhang et al., CVPR 2018, AlexNet, version 0.1); None where it is not measured.
    """

    psnr_rgb_db: float
    psnr_y_db: float
    ssim: float
    niqe: float | None
    lpips: float | None


def figures_of(original: Rgb, photo: Rgb, lpips: Lpips | None = None) -> Figures:
    """All figures of a photo against its original, of the same size."""
    metrics = import_basicsr("metrics.psnr_ssim")
    bgr = (original[..., ::-1], photo[..., ::-1])
    return Figures(
        psnr_rgb_db=float(metrics.calculate_psnr(*bgr, crop_border=0)),
        psnr_y_db=float(metrics.calculate_psnr(*bgr, crop_border=0, test_y_channel=True)),
        ssim=float(metrics.calculate_ssim(*bgr, crop_border=0)),
        niqe=niqe_of(photo),
        lpips=lpips(original, photo)
        if lpips and min(photo.shape[:2]) >= LPIPS_SMALLEST_PX
        else None,
    )


def mean_of(rows: Sequence[Figures]) -> Figures:
    """The mean of each figure over the photos that have it."""
    values = {
        field.name: [value for row in rows if (value := getattr(row, field.name)) is not None]
        for field in fields(Figures)
    }
    return Figures(
        **{name: float(np.mean(some)) if some else None for name, some in values.items()}
    )  # type: ignore[arg-type]


def niqe_of(photo: Rgb) -> float | None:
    """NIQE on luma; None where it has no meaning: its statistics need two blocks at least, and texture in them."""
    height, width = (side // NIQE_BLOCK_PX for side in photo.shape[:2])
    if height * width < 2:
        return None
    # Flat blocks divide by nothing; basicsr leaves their figures out, and numpy remarks on it.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            value = float(
                import_basicsr("metrics.niqe").calculate_niqe(photo[..., ::-1], crop_border=0)
            )
        except np.linalg.LinAlgError:
            return None
    return value if np.isfinite(value) else None


def resized(photo: Rgb, like: Rgb) -> Rgb:
    """The photo at the size of another: averaged where it shrinks, bicubic where it grows."""
    (height, width), before = like.shape[:2], photo.shape[:2]
    if before == (height, width):
        return photo
    shrinks = before[0] * before[1] > height * width
    return np.asarray(
        cv2.resize(
            photo, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
        ),
        np.uint8,
    )


def lpips_measure(folder: Path | None = None) -> Lpips:
    """LPIPS from two files: torchvision's AlexNet and the linear weights of the lpips package; nothing is downloaded.

    Args:
        folder: where both lie; torch's hub cache where not given, and for the linear weights the lpips package.

    Raises:
        NotMeasuredError: a file that is not there, or is another.
    """
    trunk, linear = (_weights(name, folder) for name in (ALEXNET, LINEAR))
    try:
        layers = [
            (trunk[f"features.{n}.weight"], trunk[f"features.{n}.bias"]) for n in _CONVOLUTIONS
        ]
        shares = [linear[f"lin{n}.model.1.weight"] for n in range(len(_CONVOLUTIONS))]
    except KeyError as error:
        raise NotMeasuredError(
            f"{ALEXNET} or {LINEAR} holds other weights: {error} is missing"
        ) from error

    def measure(first: Rgb, second: Rgb) -> float:
        with torch.inference_mode():
            features = zip(_features(first, layers), _features(second, layers), shares, strict=True)
            return sum(float(F.conv2d((a - b) ** 2, share).mean()) for a, b, share in features)

    return measure


def _features(photo: Rgb, layers: Sequence[tuple[Tensor, Tensor]]) -> list[Tensor]:
    """AlexNet's features after each ReLU, of unit length at each position."""
    shift, scale = (
        torch.tensor(values)[:, None, None]
        for values in ([-0.030, -0.088, -0.188], [0.458, 0.448, 0.450])
    )
    x = torch.from_numpy(np.ascontiguousarray(photo)).permute(2, 0, 1)[None].float() / 127.5 - 1.0
    x = (x - shift) / scale
    found = []
    for index, (weight, bias) in enumerate(layers):
        if index in {1, 2}:
            x = F.max_pool2d(x, 3, 2)
        x = F.relu(
            F.conv2d(x, weight, bias, stride=4 if index == 0 else 1, padding=2 if index < 2 else 1)
        )
        found.append(x / (x.square().sum(1, keepdim=True).sqrt() + 1e-10))
    return found


def _weights(name: str, folder: Path | None) -> dict[str, Tensor]:
    folders = (
        [folder] if folder else [Path(torch.hub.get_dir()) / "checkpoints", *_package_folders()]
    )
    for place in folders:
        if (place / name).is_file():
            weights: dict[str, Tensor] = torch.load(
                place / name, map_location="cpu", weights_only=True
            )
            return weights
    raise NotMeasuredError(f"{name} is not in {' or '.join(str(place) for place in folders)}")


def _package_folders() -> list[Path]:
    """Where the lpips package keeps its linear weights, if it is installed; it is found, not imported."""
    package = importlib.util.find_spec("lpips")
    return (
        [Path(place) / "weights" / "v0.1" for place in (package.submodule_search_locations or ())]
        if package
        else []
    )
