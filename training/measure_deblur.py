"""Measures the lite deblurring network on Kodak and held-back photos under seeded shakes of 7 to 21 px, with noise of one level.

PSNR over RGB, a border of the largest kernel's reach left out. Beside the input stand the Wiener filter with the true kernel, at the
best of three noise levels for each photo, and the one with the kernel that is found, before the network mends it. `sharp` are the same
photos without any shake: what the network does to what needs nothing. `slight` are shakes of 3 to 6 px, and `in linear light` those of 7 to
21 px as a sensor adds them up, where the others add up the samples as they are; Wiener's filters work in the light of the shake.
"""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image

from restore.nets.lite.kernel_estimation import KERNEL_PX, unshaken
from restore.nets.lite.deblur import GAMMAS, NOISES, LiteDeblur, candidates, shakes_of
from training.recipe_deblur import DEBLUR_RECIPE, STILL, shake_kernel, shaken
from training.metrics import (
    Figures,
    Findings,
    Measure,
    Places,
    as_tensor,
    colour_shift,
    cost_of,
    held_back,
    psnr,
    rounded,
    square,
    trained,
)
from training.recipe import Photo

TIMES = 2
LEAST_PX = 7  # of a measured kernel
SLIGHT_PX = (3, 6)  # least and most of one that is hardly seen
WIENER_NOISES = (1e-3, 3e-3, 1e-2)
NOISE_LEVELS = 1.0
SHOWN = 6
SHOWN_PX = 256


def blurred(photo: Photo, kernel: np.ndarray, seed: tuple[int, ...], gamma: float = 1.0) -> Photo:
    """The photo under the kernel, with noise, at 8 bits; light adds up as the samples to the power of `gamma` do."""
    noisy = shaken(photo, kernel, gamma) + NOISE_LEVELS * np.random.default_rng(
        seed
    ).standard_normal(photo.shape)
    return np.asarray(np.clip(np.rint(noisy), 0, 255), np.uint8)


def pixels_of(output: torch.Tensor) -> Photo:
    """3xHxW -> HxWx3 of 8 bits."""
    return np.asarray(np.rint(output.clamp(0, 1).permute(1, 2, 0).numpy() * 255.0), np.uint8)


def deblurred(net: LiteDeblur, photo: Photo, gamma: float = 1.0) -> tuple[Photo, Photo]:
    """(what the network makes of it, the Wiener filter's smoother answer with the kernel that it found in that light)."""
    seen = as_tensor(photo)[0]
    with torch.inference_mode():
        kernels = shakes_of(seen)
        smoother = candidates(seen, kernels)[3:].view(len(GAMMAS), len(NOISES), *seen.shape)[
            GAMMAS.index(gamma), -1
        ]
        return pixels_of(net.without(kernels, seen)), pixels_of(smoother)


def undone(photo: Photo, kernel: np.ndarray, gamma: float) -> list[Photo]:
    """By Wiener's filter with the true kernel, for each of WIENER_NOISES."""
    convolved = torch.from_numpy(kernel[::-1, ::-1].copy())
    return [
        pixels_of(light.clamp_min(0.0) ** (1.0 / gamma))
        for light in unshaken(as_tensor(photo)[0] ** gamma, convolved, WIENER_NOISES)
    ]


def inner_psnr(image: Photo, clean: Photo) -> float:
    """PSNR without the border."""
    part = (slice(KERNEL_PX // 2, -(KERNEL_PX // 2)),) * 2
    return psnr(image[part], clean[part])


def figures_of(
    net: LiteDeblur, photos: list[Photo], kernels: list[np.ndarray], gamma: float = 1.0
) -> tuple[dict[str, float], list[float]]:
    """(means over photos, each under its kernel; each photo's shift of colour)."""
    rows, shifts = [], []
    for index, (clean, kernel) in enumerate(zip(photos, kernels, strict=True)):
        photo = blurred(clean, kernel, (2026, index), gamma)
        result, found = deblurred(net, photo, gamma)
        known = max(inner_psnr(sharp, clean) for sharp in undone(photo, kernel, gamma))
        rows.append([*(inner_psnr(image, clean) for image in (result, photo, found)), known])
        shifts.append(colour_shift(photo, result))
    lite, before, found_db, known_db = np.mean(rows, axis=0)
    gains = np.array(rows)[:, 0] - np.array(rows)[:, 1]
    means = {
        "psnr_rgb_db": lite,
        "input_db": before,
        "gain_db": lite - before,
        "least_gain_db": gains.min(),
        "worse_share": (gains < 0).mean(),
    }
    return rounded(
        {**means, "wiener_found_kernel_db": found_db, "wiener_true_kernel_db": known_db}
    ) | {"photos": len(rows)}, shifts


def shakes(number: int, least_px: int, most_px: int) -> list[np.ndarray]:
    """So many kernels of these sizes, each of its own seed."""
    rngs = [np.random.default_rng((2026, index)) for index in range(number)]
    return [shake_kernel(rng, int(rng.integers(least_px, most_px + 1))) for rng in rngs]


def find(places: Places) -> Findings:
    """The figures on both sets, shaken and sharp, and some photos before and after."""
    net, figures, all_shifts = LiteDeblur().eval(), Figures(), list[float]()
    net.load_state_dict(trained(DEBLUR_RECIPE, places.weights).state_dict())
    sets = {
        "kodak": list(places.test("kodak").values()),
        "held_back": list(held_back(DEBLUR_RECIPE.folders[0], places.train).values()),
    }
    for name, photos in sets.items():
        kernels, slight = (
            shakes(TIMES * len(photos), *sides) for sides in ((LEAST_PX, KERNEL_PX), SLIGHT_PX)
        )
        figures[name], shifts = figures_of(net, TIMES * photos, kernels)
        figures[f"{name}_sharp"], _ = figures_of(net, photos, [STILL] * len(photos))
        figures[f"{name}_slight"], _ = figures_of(net, TIMES * photos, slight)
        figures[f"{name}_in_linear_light"], _ = figures_of(net, TIMES * photos, kernels, GAMMAS[1])
        all_shifts += shifts
        if name == "kodak":
            shown = [
                (clean, blurred(clean, kernels[i], (2026, i)))
                for i, clean in enumerate(photos[:SHOWN])
            ]
    figures["cost"] = cost_of(
        net, as_tensor(square(blurred(sets["kodak"][0], kernels[0], (2026, 0)), 512)), all_shifts
    )
    return Findings(figures, sheet_of(net, shown))


def sheet_of(net: LiteDeblur, pairs: list[tuple[Photo, Photo]]) -> Image.Image:
    """The middles of (clean, shaken) photos: shaken, deblurred, clean; a column a photo."""
    columns = []
    for clean, photo in pairs:
        top, left = ((length - SHOWN_PX) // 2 for length in clean.shape[:2])
        part = (slice(top, top + SHOWN_PX), slice(left, left + SHOWN_PX))
        columns.append(
            np.vstack([image[part] for image in (photo, deblurred(net, photo)[0], clean)])
        )
    return Image.fromarray(np.hstack(columns))


def verdict(figures: Figures) -> tuple[str, bool]:
    """The gain on Kodak and on held-back photos."""
    kodak, others = figures["kodak"], figures["held_back"]
    words = f"Kodak + {kodak['gain_db']:.2f} dB, held-back photos + {others['gain_db']:.2f} dB; true kernel, Wiener: + "
    return f"{words}{kodak['wiener_true_kernel_db'] - kodak['input_db']:.2f} dB on Kodak", kodak[
        "gain_db"
    ] >= 2.5


MEASURE = Measure(find, "+ 2.5 dB over the input, kernels up to 21 px", verdict)
