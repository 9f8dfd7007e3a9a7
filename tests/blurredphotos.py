"""A photo with a known motion blur, for tests of kernel estimation and deblurring."""

import numpy as np
import torch
from skimage import data

from training.motion_blur import apply_blur, random_motion_kernel

CLEAN: np.ndarray = np.ascontiguousarray(data.astronaut()[:256, 96:352])
KERNEL = random_motion_kernel(np.random.default_rng(3), 13)
INNER = (slice(12, -12),) * 2


def blur_clean_photo() -> np.ndarray:
    """The clean photo blurred with KERNEL, with noise of one level; HxWx3 uint8."""
    noise = np.random.default_rng(1).standard_normal(CLEAN.shape)
    return np.clip(np.rint(apply_blur(CLEAN, KERNEL) + noise), 0, 255).astype(np.uint8)


def true_kernel() -> torch.Tensor:
    """KERNEL as a convolution kernel; OpenCV's filter is a correlation."""
    return torch.from_numpy(KERNEL[::-1, ::-1].copy())


def cosine_similarity(first: torch.Tensor, second: torch.Tensor) -> float:
    return float((first * second).sum() / first.norm() / second.norm())
