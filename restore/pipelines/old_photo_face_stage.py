"""The faces of an old photo, as Bringing Old Photos Back to Life restores them: aligned, made anew, matched and blended in.

Follows stages 2 to 4 of the official code, with the warps of scikit-image that it uses, on each face's own region of the photo.
Also how a picture becomes what the networks for old photos see, and their answer a picture.
"""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import cv2
import numpy as np
import torch
from skimage import transform

from restore.faces.face import Face
from restore.models.adapters.old_photo import to_input, to_pixels
from restore.models.loader import Model
from restore.pipelines.context import StepContext
from restore.pipelines.face_alignment import describe_face
from restore.runtime.output_checks import checked_output

skimage_transform = cast(Any, transform)  # its functions carry no types

STANDARD = (
    np.array([(196.0, 226.0), (316.0, 226.0), (256.0, 286.0), (220.0, 360.4), (292.0, 360.4)])
    / 256.0
    - 1.0
)
"""Where eyes, nose and the mouth's corners lie in an aligned face, -1 to 1."""

ENLARGEMENT = 1.3
ERODED_PX, EROSIONS, BLURRED_PX = 9, 3, 25
REACH_PX = BLURRED_PX // 2 + 2
SAMPLED_PX = 2  # around a face, that a bilinear sample may touch
SMALLEST_FACE_PX = (
    1.0  # of an aligned face's side in the photo: below, there is no face and no way back
)


def with_old_faces(
    pixels: np.ndarray, size: tuple[int, int], model: Model, context: StepContext
) -> np.ndarray:
    """HxWx3 uint8 -> the same with every face that the detector finds restored.

    Args:
        size: the photo's own width and height, in whose pixels the report gives the faces.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    assert context.detector is not None, "with_face needs a detector"
    report = context.report
    with report.stage("detect"):
        faces = context.detector.find(pixels, short_side_px=None, threshold=0.0)
    report.face_detector = context.detector.name
    per_pixel = np.array(size) / (pixels.shape[1], pixels.shape[0])
    result = pixels.astype(np.float64) if faces else pixels
    for index, face in enumerate(faces):
        context.progress("faces", index, len(faces))
        left_alone = restored_face(pixels, result, face, model, context)
        left, top, right, bottom = (
            float(edge) for edge in np.array(face.box) * np.tile(per_pixel, 2)
        )
        report.faces.append(
            describe_face(dataclasses.replace(face, box=(left, top, right, bottom)), left_alone)
        )
    report.face_restoration_applied = any(face["restored"] for face in report.faces)
    if not faces:
        report.warn("no face was found")
    elif not report.face_restoration_applied:
        report.warn(f"none of {len(faces)} faces was restored: {report.faces[0]['reason']}")
    return np.clip(np.rint(result), 0, 255).astype(np.uint8) if faces else pixels


def restored_face(
    pixels: np.ndarray, canvas: np.ndarray, face: Face, model: Model, context: StepContext
) -> str:
    """Restores one face of `pixels` on `canvas`, HxWx3 float64 in levels of 255; says why where it leaves it alone.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    net, side_px = model.partners["face_generator"], FACE_PX[model.variant == "scratch_hr"]
    with context.report.stage("faces"), torch.inference_mode():
        matrix = to_photo(five_corners(face), side_px)
        if matrix is None:
            return "its landmarks give no transform to the template"
        if region_of(matrix, side_px, pixels, 0) is None:
            return "it lies outside of the photo"
        upright = aligned_face(pixels, matrix, side_px)
        aligned = np.rint(upright).astype(np.uint8)
        seen = to_input(aligned, net)
        made = to_pixels(checked_output(net(seen), seen, f"{model.variant}: faces")[0])
    with context.report.stage("paste"):
        reference = context.rules.round_levels(upright).astype(np.uint8)
        blend(canvas, histogram_matched(made, reference), matrix)
    return ""


FACE_PX = {False: 256, True: 512}
"""Side of an aligned face, without and with old_photo_hr."""


def five_corners(face: Face) -> np.ndarray:
    """The five points that this method aligns by: eyes as the middle of their corners, cut to whole pixels, where dlib gave 68."""
    if face.outline is None:
        return face.landmarks
    points = face.outline
    five = np.stack(
        [
            (points[36] + points[39]) / 2,
            (points[42] + points[45]) / 2,
            points[30],
            points[48],
            points[54],
        ]
    )
    return np.asarray(np.floor(five), np.float64)


def to_photo(landmarks: np.ndarray, side_px: int) -> np.ndarray | None:
    """2x3: from an aligned face of this side to the photo, the similarity of least squares (Umeyama 1991).

    None where the landmarks are no face: not finite, or all on one spot.
    """
    if not np.isfinite(landmarks).all():
        return None
    target = (STANDARD * ENLARGEMENT + 1.0) / 2.0 * side_px
    ones, zeros = np.ones(len(target)), np.zeros(len(target))
    rows = np.concatenate(
        [
            np.stack([target[:, 0], -target[:, 1], ones, zeros], 1),
            np.stack([target[:, 1], target[:, 0], zeros, ones], 1),
        ]
    )
    (along, across, x, y), *_ = np.linalg.lstsq(
        rows, np.concatenate([landmarks[:, 0], landmarks[:, 1]]), rcond=None
    )
    if side_px * np.hypot(along, across) < SMALLEST_FACE_PX:
        return None
    return np.array([[along, -across, x], [across, along, y]])


def aligned_face(pixels: np.ndarray, matrix: np.ndarray, side_px: int) -> np.ndarray:
    """The face upright: side x side x 3 float64 levels, bilinear, black where the photo ends."""
    region = region_of(matrix, side_px, pixels, SAMPLED_PX)
    if region is None:
        return np.zeros((side_px, side_px, 3))
    left, top, right, bottom = region
    to_region = square(matrix) - np.array([[0.0, 0.0, left], [0.0, 0.0, top], [0.0, 0.0, 0.0]])
    upright = skimage_transform.warp(
        pixels[
            top:bottom, left:right
        ],  # the whole photo would become doubles, for each of its faces
        skimage_transform.AffineTransform(to_region),
        output_shape=(side_px, side_px),
        order=1,
        preserve_range=True,
    )
    return cast(np.ndarray, upright)


def histogram_matched(source: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """`source` with the distribution of levels of `reference`, channel by channel; HxWx3 uint8."""
    channels = []
    for channel in range(3):
        shares = [
            np.cumsum(np.bincount(image[..., channel].ravel(), minlength=256))
            / image[..., channel].size
            for image in (source, reference)
        ]
        table = np.minimum(np.searchsorted(shares[1], shares[0], side="left"), 255).astype(np.uint8)
        channels.append(table[source[..., channel]])
    return np.stack(channels, axis=-1)


def blend(canvas: np.ndarray, face: np.ndarray, matrix: np.ndarray) -> None:
    """Puts a restored face back in place: bicubic, with a feathered edge. `canvas` is HxWx3 float64 in levels of 255."""
    side_px = face.shape[0]
    place_in_photo = region_of(matrix, side_px, canvas, REACH_PX)
    if place_in_photo is None:
        return
    left, top, right, bottom = place_in_photo
    to_face = np.linalg.inv(square(matrix)) @ np.array(
        [[1.0, 0.0, left], [0.0, 1.0, top], [0.0, 0.0, 1.0]]
    )
    place = {
        "inverse_map": skimage_transform.AffineTransform(to_face),
        "output_shape": (bottom - top, right - left),
        "preserve_range": True,
    }
    layer = skimage_transform.warp(face, order=3, **place)
    mask = skimage_transform.warp(np.ones((side_px, side_px), np.float32), order=0, **place).astype(
        np.float32
    )
    mask = cv2.erode(mask, np.ones((ERODED_PX, ERODED_PX), np.uint8), iterations=EROSIONS)
    weight = cv2.GaussianBlur(mask, (BLURRED_PX, BLURRED_PX), 0)[..., None].astype(np.float64)
    region = canvas[top:bottom, left:right]
    region[...] = np.clip(layer * weight + (1.0 - weight) * region, 0.0, 255.0)


def region_of(
    matrix: np.ndarray, side_px: int, pixels: np.ndarray, reach_px: int
) -> tuple[int, int, int, int] | None:
    """Left, top, right and bottom of an aligned face in the photo and of `reach_px` around it; None where it lies outside."""
    size = np.array((pixels.shape[1], pixels.shape[0]))
    corners = np.array([(x, y, 1.0) for x in (0, side_px) for y in (0, side_px)]) @ matrix.T
    first, last = np.floor(corners.min(axis=0)), np.ceil(corners.max(axis=0))
    if (last <= 0).any() or (first >= size).any():
        return None
    left, top = (int(edge) for edge in np.maximum(first - reach_px, 0))
    right, bottom = (int(edge) for edge in np.minimum(last + reach_px, size))
    return left, top, right, bottom


def square(matrix: np.ndarray) -> np.ndarray:
    """2x3 -> 3x3."""
    return np.vstack([matrix, (0.0, 0.0, 1.0)])


def device_of(net: torch.nn.Module) -> torch.device:
    """Where a network's weights are."""
    return next(net.parameters()).device
