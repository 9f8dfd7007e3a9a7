"""Measures the lite denoiser on Kodak under seeded Gaussian noise, rounded and clipped to 8 bits as a file is, and draws real noise.

PSNR over all RGB samples. Beside it stands OpenCV's non-local means, of two strengths the better on all photos. Clipping moves a noisy
photo's mean colour, by three levels at sigma 50, so that it is told from both sides: how far it moves from the noisy photo's, and how far
from the clean one's it ends.
"""

from __future__ import annotations

import cv2
import numpy as np
from PIL import Image

from training.metrics import (
    Figures,
    Findings,
    Measure,
    Places,
    as_tensor,
    colour_shift,
    cost_of,
    cropped,
    psnr,
    rounded,
    square,
    through,
    trained,
)
from training.recipe import Photo
from training.registry import RECIPES

TARGETS_DB = {15: 33.8, 25: 31.4, 50: 28.2}
STRENGTHS = (0.6, 0.9)  # of non-local means, over sigma
MULTIPLE = 8
SHOWN_PX = 256


def find(places: Places) -> Findings:
    """The figures at each sigma, and parts of old photos before and after."""
    net, figures, shifts, off_clean = trained(RECIPES["denoise"], places.weights), Figures(), [], []
    photos = [cropped(photo, MULTIPLE) for photo in places.test("kodak").values()]
    for sigma in TARGETS_DB:
        rows = []
        for index, clean in enumerate(photos):
            noise = np.random.default_rng(index).normal(0.0, sigma, clean.shape)
            noisy = np.asarray(np.clip(np.rint(clean + noise), 0, 255), np.uint8)
            result = through(net, noisy)
            shifts.append(colour_shift(noisy, result))
            off_clean.append(colour_shift(clean, result))
            means = [
                cv2.fastNlMeansDenoisingColored(noisy, None, share * sigma, share * sigma, 5, 15)
                for share in STRENGTHS
            ]
            rows.append([psnr(image, clean) for image in (result, noisy, *means)])
        lite, noisy_db, *non_local = np.mean(rows, axis=0)
        moved = {
            "off_noisy_levels": float(np.mean(shifts[-len(photos) :])),
            "off_clean_levels": float(np.mean(off_clean[-len(photos) :])),
        }
        figures[f"kodak_sigma{sigma}"] = rounded(
            {
                "psnr_rgb_db": lite,
                "noisy_db": noisy_db,
                "non_local_means_db": max(non_local),
                **moved,
            }
        )
    figures["cost"] = cost_of(net, as_tensor(square(photos[0], 512)), shifts)
    figures["cost"] |= rounded({"colour_off_clean_levels": float(np.mean(off_clean))})
    old = [
        middle(photo)
        for photo in list(places.test("degraded").values())[:3]
        + list(places.test("historic").values())[:3]
    ]
    return Findings(
        figures,
        Image.fromarray(np.hstack([np.vstack([photo, through(net, photo)]) for photo in old])),
    )


def middle(photo: Photo) -> Photo:
    """The middle SHOWN_PX square of a photo, as it is."""
    top, left = ((length - SHOWN_PX) // 2 for length in photo.shape[:2])
    return np.ascontiguousarray(photo[top : top + SHOWN_PX, left : left + SHOWN_PX])


def verdict(figures: Figures) -> tuple[str, bool]:
    """All three, and whether each suffices."""
    reached = {sigma: figures[f"kodak_sigma{sigma}"]["psnr_rgb_db"] for sigma in TARGETS_DB}
    words = " / ".join(f"{value:.2f}" for value in reached.values())
    return f"Kodak {words} dB at sigma 15 / 25 / 50", all(
        reached[sigma] >= target for sigma, target in TARGETS_DB.items()
    )


MEASURE = Measure(find, "33.8 / 31.4 / 28.2 dB", verdict)
