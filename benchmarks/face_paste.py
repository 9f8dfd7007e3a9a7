"""One restored face pasted into a photo, by region against the whole frame: `python -m benchmarks.face_paste`.

Prints a row for each size of face and convention, and adds them to results/face_paste.jsonl with `--record`.

Three ways in turn, in one run: by region, the same code over the whole frame, and the official helpers' steps as they stand,
one after the other over the whole frame. The first two must agree in every bit, the third within a grey level but for 0.1 %.
The network and the parser are no part of it, the parse mask is made beforehand. OpenCV has one thread, so that a busy machine
disturbs less; figures are medians.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import cv2
import numpy as np

from benchmarks.rows import machine, record
from restore.faces.convention import CONVENTIONS, Convention
from restore.faces.masks import parse_mask
from restore.faces.paste import Frame, placement

PHOTO_PX = 2048
FACE_SIDES_PX = (
    160,
    320,
    640,
)  # of the square that a crop covers in the photo; the face itself is about half of it
REPEATS = 11

Array = np.ndarray
Way = Callable[[Array], Array]


def smooth_noise(side_px: int, seed: int) -> Array:
    """A picture of no meaning, RGB uint8."""
    noise = np.random.default_rng(seed).integers(0, 256, (side_px, side_px, 3)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 2)


def face_mask() -> Array:
    """The parse mask of an ellipse of a face."""
    y, x = np.mgrid[0:512, 0:512]
    return parse_mask((((y - 260) / 200) ** 2 + ((x - 256) / 160) ** 2 < 1).astype(np.uint8))


def matrix_for(side_px: int) -> Array:
    """Photo to crop, for a face a little turned, off the middle of the photo."""
    factor = side_px / 512
    turned = factor * np.array([[np.cos(0.17), -np.sin(0.17)], [np.sin(0.17), np.cos(0.17)]])
    middle = np.array([0.37, 0.43]) * PHOTO_PX
    matrix: Array = cv2.invertAffineTransform(
        np.column_stack([turned, middle - turned @ (255.5, 255.5)])
    )
    return matrix


def official_steps(
    canvas: Array, face: Array, matrix: Array, mask: Array, convention: Convention
) -> Array:
    """The helpers' order of operations at scale 1, each over the whole frame."""
    size, inverse = (canvas.shape[1], canvas.shape[0]), placement(matrix, 1)
    layer = cv2.warpAffine(face, inverse, size)
    weight = cv2.warpAffine(mask, inverse, size)
    if convention.square_mask:
        eroded = cv2.erode(
            cv2.warpAffine(np.ones((512, 512), np.float32), inverse, size),
            np.ones((2, 2), np.uint8),
        )
        layer = eroded[..., None] * layer
        edge_px = int(float(np.sum(eroded)) ** 0.5) // 20 * 2
        core = cv2.erode(eroded, np.ones((edge_px, edge_px), np.uint8))
        weight = np.minimum(weight, cv2.GaussianBlur(core, (edge_px + 1, edge_px + 1), 0))
    blended: Array = weight[..., None] * layer + (1 - weight[..., None]) * canvas
    return blended.astype(np.uint8)


def measured(side_px: int, convention: Convention) -> dict[str, object]:
    """Times the three ways in turn and compares their results."""
    photo, face, mask, matrix = (
        smooth_noise(PHOTO_PX, 1),
        smooth_noise(512, 2),
        face_mask(),
        matrix_for(side_px),
    )

    def pasted(canvas: Array, *, whole_frame: bool) -> Array:
        frame = Frame(canvas, quirks=True)
        frame.paste(
            face, matrix, 1, mask=mask, square=convention.square_mask, whole_frame=whole_frame
        )
        frame.settle()
        return canvas

    ways: dict[str, Way] = {
        "region": lambda canvas: pasted(canvas, whole_frame=False),
        "whole_frame": lambda canvas: pasted(canvas, whole_frame=True),
        "official_steps": lambda canvas: official_steps(canvas, face, matrix, mask, convention),
    }
    times: dict[str, list[float]] = {name: [] for name in ways}
    results: dict[str, Array] = {}
    for repeat in range(REPEATS + 1):  # the first is the warm-up
        for name, way in ways.items():
            canvas = photo.copy()
            started_s = time.perf_counter()
            results[name] = way(canvas)
            if repeat:
                times[name].append(time.perf_counter() - started_s)
    unequal = int((results["region"] != results["whole_frame"]).sum())
    difference = np.abs(results["region"].astype(int) - results["official_steps"])
    if unequal or (difference > 1).mean() > 1e-3:
        raise SystemExit(
            f"{convention.name}, {side_px} px: the ways disagree ({unequal} samples, at most {difference.max()} levels)"
        )
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "convention": convention.name,
        "photo_px": PHOTO_PX,
        "face_square_px": side_px,
        **{f"{name}_ms": round(1000 * seconds, 1) for name, seconds in medians.items()},
        "times_faster_than_whole_frame": round(medians["whole_frame"] / medians["region"], 1),
        "times_faster_than_official_steps": round(medians["official_steps"] / medians["region"], 1),
        "samples_unequal_to_whole_frame": unequal,
        "most_levels_from_official_steps": int(difference.max()),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--record", action="store_true", help="add the rows to results/face_paste.jsonl"
    )
    args = parser.parse_args()
    cv2.setNumThreads(1)
    where = {"repeats": REPEATS, "opencv_threads": 1, "opencv": cv2.__version__, **machine()}
    print(
        f"{'convention':12}{'face px':>8}{'region ms':>11}{'whole ms':>10}{'official ms':>13}{'faster':>8}{'than official':>15}"
    )
    for convention in CONVENTIONS.values():
        for side_px in FACE_SIDES_PX:
            row = measured(side_px, convention)
            print(
                f"{row['convention']:12}{row['face_square_px']:>8}{row['region_ms']:>11}{row['whole_frame_ms']:>10}{row['official_steps_ms']:>13}"
                f"{row['times_faster_than_whole_frame']:>8}{row['times_faster_than_official_steps']:>15}"
            )
            if args.record:
                record("face_paste", row | where)


if __name__ == "__main__":
    main()
