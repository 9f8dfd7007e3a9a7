"""Time how one restored face is pasted into a photo: by region and over the whole frame.

    python benchmarks/face_paste.py

Compares three implementations by turns in one run: this project by region, the same code over the
whole frame, and the steps of the official helpers over the whole frame. The first two must agree
exactly; the third may differ by more than one grey level in at most 0.1 % of the samples. Network
and parser are not part of it: the mask is prepared. OpenCV runs with one thread; times are medians.

Prints one row per size of face and convention; `--record` appends them to results/face_paste.jsonl.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.rows import machine, record
from restore.faces.convention import CONVENTIONS, Convention
from restore.faces.masks import parse_mask
from restore.faces.paste import crop_to_frame_transform
from restore.pipelines.official import OfficialFrame

PHOTO_PX = 2048
CROP_PX = 512
FACE_SIDES_PX = (160, 320, 640)
"""Sides of the square in the photo that a crop covers; the face is about half as wide."""
FACE_CENTRE = (0.37, 0.43)  # as fractions of the photo
FACE_ROTATION_RAD = 0.17
REPEATS = 11
MAX_SHARE_ABOVE_ONE_LEVEL = 1e-3

Array = np.ndarray
Paste = Callable[[Array], Array]


def smooth_noise(side_px: int, seed: int) -> Array:
    """Return blurred noise, RGB uint8."""
    noise = np.random.default_rng(seed).integers(0, 256, (side_px, side_px, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def face_mask() -> Array:
    """Return the parse mask of an elliptical face."""
    y, x = np.mgrid[0:CROP_PX, 0:CROP_PX]
    return parse_mask((((y - 260) / 200) ** 2 + ((x - 256) / 160) ** 2 < 1).astype(np.uint8))


def matrix_for(side_px: int) -> Array:
    """Return the transform from photo to crop of a slightly rotated face."""
    cos, sin = np.cos(FACE_ROTATION_RAD), np.sin(FACE_ROTATION_RAD)
    rotation = side_px / CROP_PX * np.array([[cos, -sin], [sin, cos]])
    centre = np.array(FACE_CENTRE) * PHOTO_PX
    crop_centre = ((CROP_PX - 1) / 2, (CROP_PX - 1) / 2)
    matrix: Array = cv2.invertAffineTransform(
        np.column_stack([rotation, centre - rotation @ crop_centre])
    )
    return matrix


def paste_in_official_steps(
    canvas: Array, face: Array, matrix: Array, mask: Array, convention: Convention
) -> Array:
    """Paste a face with the order of operations of the official helpers, at scale 1."""
    size, inverse = (canvas.shape[1], canvas.shape[0]), crop_to_frame_transform(matrix, 1)
    layer = cv2.warpAffine(face, inverse, size)
    weight = cv2.warpAffine(mask, inverse, size)
    if convention.square_mask:
        square = cv2.warpAffine(np.ones((CROP_PX, CROP_PX), np.float32), inverse, size)
        eroded = cv2.erode(square, np.ones((2, 2), np.uint8))
        layer = eroded[..., None] * layer
        edge_px = int(float(np.sum(eroded)) ** 0.5) // 20 * 2
        core = cv2.erode(eroded, np.ones((edge_px, edge_px), np.uint8))
        weight = np.minimum(weight, cv2.GaussianBlur(core, (edge_px + 1, edge_px + 1), 0))
    blended: Array = weight[..., None] * layer + (1 - weight[..., None]) * canvas
    return blended.astype(np.uint8)


def measured(side_px: int, convention: Convention) -> dict[str, object]:
    """Time the three implementations by turns and compare their results."""
    results, medians_s = _run(_implementations(side_px, convention))
    unequal = int((results["region"] != results["whole_frame"]).sum())
    difference = np.abs(results["region"].astype(int) - results["official_steps"])
    if unequal or (difference > 1).mean() > MAX_SHARE_ABOVE_ONE_LEVEL:
        raise SystemExit(
            f"{convention.name}, {side_px} px: the results differ "
            f"({unequal} samples, at most {difference.max()} levels)"
        )
    return {
        "convention": convention.name,
        "photo_px": PHOTO_PX,
        "face_square_px": side_px,
        **{f"{name}_ms": round(1000 * seconds, 1) for name, seconds in medians_s.items()},
        "times_faster_than_whole_frame": round(medians_s["whole_frame"] / medians_s["region"], 1),
        "times_faster_than_official_steps": round(
            medians_s["official_steps"] / medians_s["region"], 1
        ),
        "samples_unequal_to_whole_frame": unequal,
        "most_levels_from_official_steps": int(difference.max()),
    }


def _implementations(side_px: int, convention: Convention) -> Mapping[str, Paste]:
    face, mask, matrix = smooth_noise(CROP_PX, 2), face_mask(), matrix_for(side_px)

    def paste(canvas: Array, *, whole_frame: bool) -> Array:
        frame = OfficialFrame(canvas, whole_frame=whole_frame)
        frame.paste(face, matrix, 1, mask=mask, square=convention.square_mask)
        frame.write_back()
        return canvas

    return {
        "region": lambda canvas: paste(canvas, whole_frame=False),
        "whole_frame": lambda canvas: paste(canvas, whole_frame=True),
        "official_steps": lambda canvas: paste_in_official_steps(
            canvas, face, matrix, mask, convention
        ),
    }


def _run(implementations: Mapping[str, Paste]) -> tuple[dict[str, Array], dict[str, float]]:
    """Return the results and the median times, without the first call of each."""
    photo = smooth_noise(PHOTO_PX, 1)
    times_s: dict[str, list[float]] = {name: [] for name in implementations}
    results: dict[str, Array] = {}
    for repeat in range(REPEATS + 1):
        for name, paste in implementations.items():
            canvas = photo.copy()
            started_s = time.perf_counter()
            results[name] = paste(canvas)
            if repeat:
                times_s[name].append(time.perf_counter() - started_s)
    return results, {name: statistics.median(values) for name, values in times_s.items()}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--record", action="store_true", help="append rows to results/face_paste.jsonl"
    )
    options = parser.parse_args(arguments)
    cv2.setNumThreads(1)
    facts = {"repeats": REPEATS, "opencv_threads": 1, "opencv": cv2.__version__, **machine()}
    titles = ("region ms", "whole ms", "official ms", "faster", "than official")
    print(f"{'convention':12}{'face px':>9}" + "".join(f"{title:>15}" for title in titles))
    for convention in CONVENTIONS.values():
        for side_px in FACE_SIDES_PX:
            row = measured(side_px, convention)
            figures = (
                row["region_ms"],
                row["whole_frame_ms"],
                row["official_steps_ms"],
                row["times_faster_than_whole_frame"],
                row["times_faster_than_official_steps"],
            )
            head = f"{row['convention']:12}{row['face_square_px']:>9}"
            print(head + "".join(f"{figure:>15}" for figure in figures))
            if options.record:
                record("face_paste", row | facts)


if __name__ == "__main__":
    main()
