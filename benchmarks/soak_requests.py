"""Requests of the soak test: random valid ones of every task, and faulty ones of every kind."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.client import Prediction, PredictionResult
from benchmarks.inputs import Json
from restore.imaging.encode import encode
from restore.imaging.photo import Photo, open_photo

DATA = Path(__file__).resolve().parent.parent / "data"
PHOTOS = ("1.jpg", "3.jpg", "8.jpg", "9.jpg")
MIN_SIDE_PX, MAX_SIDE_PX = 36, 320
MIN_LONG_SIDE_PX = 48
FAULTY_SHARE = 0.2
WARM_UP_PHOTOS = 4

TASKS: Mapping[str, Json] = {
    "face_restore": {},
    "enhance": {"scale": 1.5},
    "upscale": {"scale": 2},
    "restore": {},
    "colorize": {},
    "colors": {},
    "old_photo_restore": {"with_scratch": True},
    "inpaint": {"points": "[[8, 8], [30, 10], [20, 30]]"},
    "pipeline": {"steps": "restore,colorize,upscale", "scale": 1},
}


@dataclass(frozen=True)
class ExpectedRequest:
    """A request and its expected outcome: `succeeded`, or a text that the error must contain."""

    kind: str
    prediction: Prediction
    expected: str = "succeeded"

    def matches(self, result: PredictionResult) -> bool:
        """Return whether a result is the expected one."""
        if self.expected == "succeeded":
            return result.status == "succeeded"
        return result.status == "failed" and self.expected in result.error


def random_requests(count: int, seed: int) -> Iterator[ExpectedRequest]:
    """Generate `count` requests from a seed.

    Four of five are valid: any task, profile and mode, 1 to 4 photos of up to 320 pixels. The first
    valid requests take the tasks in turn, so that a short run covers all of them.
    """
    rng = np.random.default_rng(seed)
    photos = [open_photo(DATA / name) for name in PHOTOS]
    for index in range(count):
        if rng.random() < FAULTY_SHARE:
            yield FAULTS[int(rng.integers(len(FAULTS)))](rng)
            continue
        task = list(TASKS)[index] if index < len(TASKS) else str(rng.choice(list(TASKS)))
        images = [
            photo_uri(resized(photos[int(i)], int(rng.integers(MIN_LONG_SIDE_PX, MAX_SIDE_PX))))
            for i in rng.integers(0, len(photos), int(rng.integers(1, 5)))
        ]
        inputs = {
            **TASKS[task],
            "task": task,
            "runtime_profile": str(rng.choice(["baseline", "fast", "max_speed"])),
        }
        inputs["stability_mode"] = str(rng.choice(["safe", "optimized"]))
        inputs["output_format"] = str(rng.choice(["jpg", "png", "webp"]))
        yield expected_request(task, {**inputs, "images": images}, photos=len(images))


def warm_up_requests() -> Iterator[ExpectedRequest]:
    """Generate every task in every mode with the largest photos, which fills all caches."""
    photo = resized(open_photo(DATA / PHOTOS[0]), MAX_SIDE_PX)
    images = [photo_uri(photo)] * WARM_UP_PHOTOS
    for mode in ("safe", "optimized"):
        for profile in ("baseline", "fast"):
            for task, options in TASKS.items():
                inputs = {
                    **options,
                    "task": task,
                    "runtime_profile": profile,
                    "stability_mode": mode,
                    "images": images,
                }
                yield expected_request(task, inputs, photos=len(images))


def expected_request(
    kind: str, inputs: Json, expected: str = "succeeded", photos: int = 1
) -> ExpectedRequest:
    """Build a request with names for its photos."""
    names = tuple(f"{kind}-{index}" for index in range(photos))
    body = json.dumps({"input": inputs}).encode()
    return ExpectedRequest(kind, Prediction(names, body), expected)


def truncated_photo(rng: np.random.Generator) -> ExpectedRequest:
    """Build a request with half of a JPEG."""
    data = noise_jpeg(rng)
    inputs = {"task": "upscale", "image": png_uri(data[: len(data) // 2])}
    return expected_request("damaged photo", inputs, "[E206]")


def not_a_photo(rng: np.random.Generator) -> ExpectedRequest:
    """Build a request with random bytes."""
    inputs = {"task": "restore", "image": png_uri(rng.bytes(2000))}
    return expected_request("no photo", inputs, "[E205]")


def too_small_photo(rng: np.random.Generator) -> ExpectedRequest:
    """Build a request with a photo of 4x4 pixels."""
    inputs = {"task": "colorize", "image": png_uri(noise_jpeg(rng, 4))}
    return expected_request("too small", inputs, "[E204]")


def unknown_task(rng: np.random.Generator) -> ExpectedRequest:
    """Build a request for a task that does not exist."""
    inputs = {"task": "sharpen", "image": png_uri(noise_jpeg(rng))}
    return expected_request("unknown value", inputs, "HTTP 422")


def missing_photo(rng: np.random.Generator) -> ExpectedRequest:
    """Build a request without a photo."""
    return expected_request("no photo at all", {"task": str(rng.choice(list(TASKS)))}, "[E103]")


def missing_mask(rng: np.random.Generator) -> ExpectedRequest:
    """Build an inpaint request without a mask."""
    inputs = {"task": "inpaint", "image": png_uri(noise_jpeg(rng))}
    return expected_request("no mask", inputs, "[E104]")


FAULTS: tuple[Callable[[np.random.Generator], ExpectedRequest], ...] = (
    truncated_photo,
    not_a_photo,
    too_small_photo,
    unknown_task,
    missing_photo,
    missing_mask,
)


def noise_jpeg(rng: np.random.Generator, side_px: int = 64) -> bytes:
    """Encode uniform noise as a JPEG."""
    pixels = rng.integers(0, 256, (side_px, side_px, 3), dtype=np.uint8)
    return encode(Photo("noise", pixels), "jpg", 90)[0]


def resized(photo: Photo, long_px: int) -> Photo:
    """Resize a photo to a long side; no side is shorter than MIN_SIDE_PX."""
    factor = long_px / max(photo.width, photo.height)
    size = tuple(max(MIN_SIDE_PX, round(factor * px)) for px in (photo.width, photo.height))
    return Photo(photo.name, cv2.resize(photo.pixels, size, interpolation=cv2.INTER_AREA))


def photo_uri(photo: Photo) -> str:
    """Encode a photo as a PNG in a data URI."""
    return png_uri(encode(photo, "png", 90)[0])


def png_uri(data: bytes) -> str:
    """Encode bytes as a data URI of type PNG, whatever they are."""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"
