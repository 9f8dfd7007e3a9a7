"""The recipe of the lite deblurring network: sharp photos under the paths that a hand-held camera takes while its shutter is open.

What the network mends is a Wiener filter's answer for a kernel that was found, not given. So that it learns from the errors that are
really made, kernels are looked for in training photos as they will be in use, each once.
"""

from __future__ import annotations

import dataclasses
import zlib

import cv2
import numpy as np
import torch

from restore.nets.lite.kernel_estimation import KERNEL_PX
from restore.nets.lite.deblur import GAMMAS, Mending, candidates, shakes_of
from training.recipe import NATURAL, Pair, Photo, Recipe, widened
from training.degradations import compressed, quantised

LEAST_PX = 3
POINTS = 96  # of a path, spread over a kernel
SHARP = 0.1  # of the photos are not blurred: one with nothing wrong must come out as it went in
SHAKES = 3  # of each photo, whose kernels are looked for
AROUND_PX = (
    12  # of a patch, that is deblurred with it: what is near the border of a photo comes out worse
)


STILL = np.pad(np.ones((1, 1), np.float32), KERNEL_PX // 2)


def shake_kernel(rng: np.random.Generator, side_px: int | None = None) -> np.ndarray:
    """A camera's path as a blur kernel: 21x21 float32 that sums to 1, its mean in the middle.

    A point with inertia is pushed at random and now and then jerked (after Boracchi & Foi, IEEE TIP 2012); the path is scaled to
    fit a square of `side_px`, 3 to 21 where not given.
    """
    inertia, push, jerk = rng.uniform(0.7, 1.0), rng.uniform(0.02, 0.4), rng.uniform(0.0, 0.05)
    heading = rng.uniform(0.0, 2 * np.pi)
    velocity = np.array([np.cos(heading), np.sin(heading)])
    at, path = np.zeros(2), []
    for _ in range(POINTS):
        path.append(at)
        at = at + velocity
        if rng.random() < jerk:
            velocity = -velocity * rng.uniform(0.5, 1.5) + rng.normal(0.0, 0.7, 2)
        velocity = inertia * velocity + push * rng.normal(0.0, 1.0, 2) - 0.005 * at
    points = np.array(path)
    points = points - points.min(axis=0)
    wanted = side_px or int(rng.integers(LEAST_PX, KERNEL_PX + 1))
    points = points * ((wanted - 2) / max(float(points.max()), 1e-6))
    points = (
        np.clip(points - points.mean(axis=0), -(KERNEL_PX - 2) / 2, (KERNEL_PX - 2) / 2)
        + KERNEL_PX // 2
    )
    kernel = np.zeros((KERNEL_PX, KERNEL_PX))
    corner = np.floor(points).astype(int)
    share = points - corner
    for down in (0, 1):
        for right in (0, 1):
            weight = np.abs(1 - down - share[:, 0]) * np.abs(1 - right - share[:, 1])
            np.add.at(kernel, (corner[:, 0] + down, corner[:, 1] + right), weight)
    return np.asarray(kernel / kernel.sum(), np.float32)


def shaken(photo: np.ndarray, kernel: np.ndarray, gamma: float = 1.0) -> np.ndarray:
    """The photo (HxWx3 of 0 to 255) under the kernel, as float32, its border mirrored; the samples' powers of `gamma` add up."""
    light = (photo.astype(np.float32) / 255.0) ** gamma
    summed: np.ndarray = cv2.filter2D(light, -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return np.asarray(255.0 * summed.clip(0.0) ** (1.0 / gamma), np.float32)


def exposed(photo: np.ndarray, rng: np.random.Generator) -> Photo:
    """What a camera makes of it: noise of up to 3 levels, 8 bits, and JPEG one time in four."""
    noisy = photo + rng.uniform(0.0, 3.0) * rng.standard_normal(photo.shape, np.float32)
    return compressed(noisy, rng, (70, 95)) if rng.random() < 0.25 else quantised(noisy)


@dataclasses.dataclass(frozen=True)
class Shake:
    """A kernel, the power of the samples that add up under it, and the kernels that are found where a photo is blurred so (21x21)."""

    kernel: np.ndarray
    gamma: float
    found: list[torch.Tensor]


_shakes: dict[tuple[int, int], Shake] = {}


def shake_for(photo: Photo, number: int) -> Shake:
    """The shake of that number that a photo is trained with: its pixels decide which; looked for once in a process."""
    key = (zlib.crc32(photo.tobytes()), number)
    if key not in _shakes:
        rng = np.random.default_rng(key)
        kernel, gamma = (
            STILL if rng.random() < SHARP else shake_kernel(rng),
            float(rng.choice(GAMMAS)),
        )
        blurred = exposed(shaken(photo, kernel, gamma), rng)
        with torch.inference_mode():
            _shakes[key] = Shake(kernel, gamma, shakes_of(as_tensor(blurred)))
    return _shakes[key]


def with_shakes_found(photo: Photo) -> Pair:
    """The photo twice; what is found of its shakes is known from then on, also to the processes that draw patches."""
    for number in range(SHAKES):
        shake_for(photo, number)
    return photo, photo


def as_tensor(photo: Photo) -> torch.Tensor:
    """HxWx3 uint8 -> 3xHxW in [0, 1]."""
    return torch.from_numpy(photo).permute(2, 0, 1).to(torch.float32) / 255.0


def draw_shaken(pair: Pair, patch_px: int, rng: np.random.Generator) -> Pair:
    """(HxWx15 float32: a random patch as a shaking camera gives it, and deblurred four times; HxWx3 uint8: as it is)."""
    photo = pair[0]
    shake = shake_for(photo, int(rng.integers(0, SHAKES)))
    wide, reach = patch_px + 2 * AROUND_PX, KERNEL_PX // 2
    wide = min(wide, *photo.shape[:2])
    top, left = (int(rng.integers(0, side - wide + 1)) for side in photo.shape[:2])
    # What lies beyond is blurred into it, as in a photo.
    rows, columns = (slice(max(start - reach, 0), start + wide + reach) for start in (top, left))
    seen = shaken(photo[rows, columns], shake.kernel, shake.gamma)[
        top - rows.start :, left - columns.start :
    ][:wide, :wide]
    with torch.inference_mode():
        guesses = candidates(as_tensor(exposed(seen, rng)), shake.found).permute(1, 2, 0).numpy()
    start = (wide - patch_px) // 2
    inner = (slice(start, start + patch_px),) * 2
    return guesses[inner], np.ascontiguousarray(photo[top : top + wide, left : left + wide][inner])


DEBLUR_RECIPE = Recipe(
    file="lite_deblur.safetensors",
    build=Mending,
    prepare=with_shakes_found,
    draw=draw_shaken,
    patch_px=144,
    batch=4,
    steps=40_000,
    peak_lr=8e-4,
    purpose="undoes the shake of a camera, kernels up to 21 px: mends what Wiener filters leave",
    data=NATURAL,
    score_draws=1,
    begin=widened,
    half_precision=True,
)
