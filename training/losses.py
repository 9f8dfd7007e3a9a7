"""Losses and scores that several recipes use."""

from __future__ import annotations

import math

from torch import Tensor

L2_FROM = 0.67  # share of the schedule after which `l1_then_l2_loss` is the L2 loss
L2_WEIGHT = 8.0  # brings the L2 loss to the order of the L1 loss


def l1_then_l2_loss(output: Tensor, target: Tensor, source: Tensor, progress: float) -> Tensor:
    """L1, which learns edges first; then L2, which is what PSNR measures."""
    if progress < L2_FROM:
        return (output - target).abs().mean()
    return l2_loss(output, target, source, progress)


def l2_loss(output: Tensor, target: Tensor, source: Tensor, progress: float) -> Tensor:
    """Weighted L2, which is what PSNR measures. The noisiest samples dominate."""
    return (output - target).square().mean() * L2_WEIGHT


def l1_gradient_loss(output: Tensor, target: Tensor, source: Tensor, progress: float) -> Tensor:
    """L1 of the samples and of their horizontal and vertical differences."""
    error = output - target
    horizontal = error[..., 1:] - error[..., :-1]
    vertical = error[..., 1:, :] - error[..., :-1, :]
    return error.abs().mean() + horizontal.abs().mean() + vertical.abs().mean()


def patch_psnr_db(output: Tensor, target: Tensor, source: Tensor) -> float:
    """PSNR of a patch with samples in [0, 1]."""
    return mse_to_psnr_db((output.clamp(0, 1) - target).square())


def mse_to_psnr_db(squared_errors: Tensor) -> float:
    """PSNR in dB from squared errors of samples in [0, 1]; at most 100 dB."""
    return -10.0 * math.log10(float(squared_errors.mean()) + 1e-10)
