"""Camera shake: random motion blur kernels, and photos blurred with them."""

from __future__ import annotations

import cv2
import numpy as np

from restore.nets.lite.kernel_estimation import KERNEL_PX

MIN_KERNEL_PX = 3
PATH_POINTS = 96
IDENTITY_KERNEL = np.pad(np.ones((1, 1), np.float32), KERNEL_PX // 2)


def random_motion_kernel(rng: np.random.Generator, side_px: int | None = None) -> np.ndarray:
    """Draw the path of a shaking camera as a blur kernel.

    A point with inertia is accelerated at random and at times reverses its direction (after
    Boracchi & Foi, IEEE TIP 2012).

    Args:
        rng: random generator.
        side_px: side of the square that the path fits in; drawn from 3 to 21 by default.

    Returns:
        21x21 float32 that sums to 1, its centre of mass in the middle.
    """
    path = _random_path(rng)
    path = path - path.min(axis=0)
    side = side_px or int(rng.integers(MIN_KERNEL_PX, KERNEL_PX + 1))
    path = path * ((side - 2) / max(float(path.max()), 1e-6))
    limit = (KERNEL_PX - 2) / 2
    points = np.clip(path - path.mean(axis=0), -limit, limit) + KERNEL_PX // 2
    return _rasterise(points)


def _random_path(rng: np.random.Generator) -> np.ndarray:
    """Return PATH_POINTS positions; Nx2."""
    inertia = rng.uniform(0.7, 1.0)
    acceleration = rng.uniform(0.02, 0.4)
    reversal_probability = rng.uniform(0.0, 0.05)
    heading = rng.uniform(0.0, 2 * np.pi)
    velocity = np.array([np.cos(heading), np.sin(heading)])
    position, path = np.zeros(2), []
    for _ in range(PATH_POINTS):
        path.append(position)
        position = position + velocity
        if rng.random() < reversal_probability:
            velocity = -velocity * rng.uniform(0.5, 1.5) + rng.normal(0.0, 0.7, 2)
        velocity = inertia * velocity + acceleration * rng.normal(0.0, 1.0, 2) - 0.005 * position
    return np.array(path)


def _rasterise(points: np.ndarray) -> np.ndarray:
    """Distribute each point bilinearly to its four neighbouring pixels and normalise."""
    kernel = np.zeros((KERNEL_PX, KERNEL_PX))
    corner = np.floor(points).astype(int)
    fraction = points - corner
    for dy in (0, 1):
        for dx in (0, 1):
            weight = np.abs(1 - dy - fraction[:, 0]) * np.abs(1 - dx - fraction[:, 1])
            np.add.at(kernel, (corner[:, 0] + dy, corner[:, 1] + dx), weight)
    return np.asarray(kernel / kernel.sum(), np.float32)


def apply_blur(photo: np.ndarray, kernel: np.ndarray, gamma: float = 1.0) -> np.ndarray:
    """Correlate a photo with a kernel, with reflected borders.

    Args:
        photo: HxWx3 in 0 to 255.
        kernel: KxK that sums to 1.
        gamma: the blur is applied to the samples to this power; 2.2 is linear light.

    Returns:
        HxWx3 float32 in 0 to 255.
    """
    light = (photo.astype(np.float32) / 255.0) ** gamma
    blurred: np.ndarray = cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(255.0 * blurred.clip(0.0) ** (1.0 / gamma), np.float32)
