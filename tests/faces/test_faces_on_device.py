"""Crops, masks, colours and pasting of faces on a device equal those of the host."""

import cv2
import numpy as np
import pytest
import torch
from facefakes import ASTRONAUT, face_at

from restore.faces.align import crop, estimate_similarity, smooth_crop
from restore.faces.area import mark_face
from restore.faces.colour import classify_tone, keep_colour, match_grey
from restore.faces.device_changes import (
    classify_tone_on_device,
    keep_colour_on_device,
    match_grey_on_device,
    measure_change_on_device,
)
from restore.faces.device_crops import crop_on_device, smooth_crop_on_device
from restore.faces.device_masks import (
    geometric_mask_on_device,
    mark_face_on_device,
    parse_masks_on_device,
)
from restore.faces.device_paste import DevicePaste, paste_on_device
from restore.faces.masks import class_labels, geometric_mask, parse_mask
from restore.faces.paste import Frame
from restore.faces.plausibility import measure_change
from restore.imaging.convert import to_grey, to_rgb
from restore.imaging.device_photo import DevicePhoto, download_photo, upload_photo
from restore.imaging.photo import Photo

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
PHOTO = np.ascontiguousarray(ASTRONAUT)


def matrix_of(x: float, y: float, size: float, tilt_deg: float = 8.0) -> np.ndarray:
    matrix = estimate_similarity(face_at(x, y, size, tilt_deg).landmarks)
    assert matrix is not None
    return matrix


def on_device(pixels: np.ndarray) -> DevicePhoto:
    return upload_photo(Photo("a", pixels), CPU)


def planes(face: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(face.astype(np.float32)).permute(2, 0, 1)[None].contiguous()


def pixels_of(face: torch.Tensor) -> np.ndarray:
    return face[0].permute(1, 2, 0).numpy().astype(np.float64)


def assert_near(result: np.ndarray, expected: np.ndarray, atol: float) -> None:
    """Compare all but a thousandth of the samples, at which interpolations round differently."""
    near = np.abs(result.astype(np.float64) - expected) <= atol
    assert near.mean() >= 0.999


@pytest.mark.parametrize("kind", ["uint8", "uint16", "grey"])
@pytest.mark.parametrize("size", [20, 90, 400, 1000])
def test_crops_equal_those_of_the_host(kind: str, size: int) -> None:
    large = cv2.resize(PHOTO, (900, 900), interpolation=cv2.INTER_CUBIC)
    pixels = large.astype(np.uint16) * 257 if kind == "uint16" else large
    pixels = to_grey(pixels) if kind == "grey" else pixels
    matrix = matrix_of(450, 350, size)
    for device_crop, host_crop in ((crop_on_device, crop), (smooth_crop_on_device, smooth_crop)):
        expected = host_crop(to_rgb(pixels), matrix)
        result = pixels_of(device_crop(on_device(pixels).levels, matrix))
        assert_near(result, expected, atol=1.0)
        assert float(np.abs(result - expected).mean()) < 0.1


def test_crop_outside_of_the_photo_has_the_colour_of_the_border() -> None:
    matrix = matrix_of(5000, 5000, 50)
    result = pixels_of(crop_on_device(on_device(PHOTO).levels, matrix))
    np.testing.assert_array_equal(result, crop(PHOTO, matrix))


def test_parsed_masks_equal_those_of_the_host() -> None:
    coarse = torch.from_numpy(RNG.normal(size=(2, 19, 9, 9)).astype(np.float32))
    logits = torch.nn.functional.interpolate(coarse, size=(512, 512), mode="bilinear")
    masks = parse_masks_on_device(logits)
    for mask, labels in zip(masks, class_labels(logits), strict=True):
        np.testing.assert_allclose(mask[0].numpy(), parse_mask(labels), atol=1e-4)


def test_marked_area_equals_that_of_the_host() -> None:
    expected = np.zeros((200, 300), np.bool_)
    area = torch.zeros(1, 1, 200, 300, dtype=torch.bool)
    for x, size in ((80.0, 40.0), (280.0, 70.0), (900.0, 30.0)):
        to_photo = cv2.invertAffineTransform(matrix_of(x, 100, size))
        mark_face(expected, geometric_mask(), to_photo)
        mark_face_on_device(area, geometric_mask_on_device(CPU), to_photo)
    differing = area[0, 0].numpy() ^ expected
    assert expected.any()
    assert differing.mean() < 0.001


@pytest.mark.parametrize("square", [False, True])
@pytest.mark.parametrize("kind", ["uint8", "uint16", "grey", "difference"])
def test_pasted_faces_equal_those_of_the_host(kind: str, square: bool) -> None:
    frame = cv2.resize(PHOTO, (500, 400))
    frame = frame.astype(np.uint16) * 257 if kind == "uint16" else frame
    frame = to_grey(frame) if kind == "grey" else frame
    face = np.clip(255.0 - crop(PHOTO, matrix_of(130, 100, 60)), 0, 255).astype(np.float32)
    before = np.full_like(face, 90.0) if kind == "difference" else None
    mask = geometric_mask()
    host = Frame(to_rgb(frame).copy())
    pastes = []
    for matrix in (matrix_of(100, 90, 30), matrix_of(120, 100, 35), matrix_of(240, 10, 25)):
        host.paste(face, matrix, 1.7, mask=mask, square=square, crop=before)
        crop_planes = None if before is None else planes(before)
        pastes.append(DevicePaste(planes(face), matrix, geometric_mask_on_device(CPU), crop_planes))
    host.write_back()
    expected = to_grey(host.pixels) if kind == "grey" else host.pixels
    device = on_device(frame)
    levels = paste_on_device(device.levels, pastes, 1.7, square=square)
    result = download_photo(device.with_levels(levels, None)).pixels
    assert not np.array_equal(result, frame)
    assert result.dtype == frame.dtype
    assert_near(result, expected, atol=257.0 if kind == "uint16" else 1.0)


def test_colours_equal_those_of_the_host() -> None:
    restored, before = (crop(PHOTO, matrix_of(x, 100, 60)) for x in (130.0, 140.0))
    pair = planes(restored), planes(before)
    assert_near(pixels_of(match_grey_on_device(*pair)), match_grey(restored, before), 1e-2)
    assert_near(pixels_of(keep_colour_on_device(*pair)), keep_colour(restored, before), 1e-2)


def test_change_equals_that_of_the_host() -> None:
    restored, before = (crop(PHOTO, matrix_of(x, 100, 60)) for x in (130.0, 140.0))
    expected = measure_change(restored, before)
    found = measure_change_on_device(planes(restored), planes(before))
    for name in ("shift", "contrast", "correlation", "grain"):
        assert getattr(found, name) == pytest.approx(getattr(expected, name), abs=1e-2)


SEPIA = np.clip(to_grey(PHOTO)[..., None] * np.array([1.0, 0.8, 0.6]) + 10, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("pixels", [PHOTO, SEPIA, to_rgb(to_grey(PHOTO)), to_grey(PHOTO)])
@pytest.mark.parametrize("bits", [8, 16])
def test_tone_equals_that_of_the_host(pixels: np.ndarray, bits: int) -> None:
    pixels = pixels.astype(np.uint16) * 257 if bits == 16 else pixels
    assert classify_tone_on_device(on_device(pixels)) == classify_tone(pixels)
