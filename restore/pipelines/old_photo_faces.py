"""The faces of an old photo, as Bringing Old Photos Back to Life restores them: aligned, made anew, matched and blended in.

Follows stages 2 to 4 of the official code, with the warps of scikit-image that it uses, on each face's own region of the photo.
"""

from __future__ import annotations

from typing import Any, cast

import cv2
import numpy as np
import torch
from skimage import transform

from restore.faces.face import Face
from restore.models import Model
from restore.pipelines.faces import described
from restore.pipelines.job import Job

skimage_transform = cast(Any, transform)  # its functions carry no types

STANDARD = np.array([(196.0, 226.0), (316.0, 226.0), (256.0, 286.0), (220.0, 360.4), (292.0, 360.4)]) / 256.0 - 1.0
"""Where eyes, nose and the mouth's corners lie in an aligned face, -1 to 1."""

ENLARGEMENT = 1.3
ERODED_PX, EROSIONS, BLURRED_PX = 9, 3, 25
REACH_PX = BLURRED_PX // 2 + 2


def with_old_faces(pixels: np.ndarray, model: Model, job: Job) -> np.ndarray:
    """HxWx3 uint8 -> the same with every face that dlib finds restored."""
    assert job.detector is not None, "with_face needs a detector"
    net, side_px = model.partners["face_generator"], FACE_PX[model.variant == "scratch_hr"]
    with job.report.stage("detect"):
        faces = job.detector.find(pixels, short_side_px=None, threshold=0.0)
    job.report.face_detector = job.detector.name
    result = pixels.astype(np.float64)
    for index, face in enumerate(faces):
        job.progress("faces", index, len(faces))
        with job.report.stage("faces"), torch.inference_mode():
            matrix = to_photo(five_corners(face), side_px)
            upright = aligned_face(pixels, matrix, side_px)
            aligned = np.rint(upright).astype(np.uint8)
            seen = torch.from_numpy(aligned.transpose(2, 0, 1)[None].astype(np.float32)).to(next(net.parameters()).device)
            made = (net(seen / 255.0 * 2.0 - 1.0)[0].float() + 1.0) / 2.0
            face_pixels = (made * 255.0 + 0.5).clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()
        with job.report.stage("paste"):
            # The official code takes the levels of the face that it replaces without rounding them.
            reference = upright.astype(np.uint8) if job.official_quirks else aligned
            blend(result, histogram_matched(face_pixels, reference), matrix)
        job.report.faces.append(described(face, ""))
    job.report.face_restoration_applied = bool(faces)
    if not faces:
        job.report.warn("no face was found")
    return np.clip(np.rint(result), 0, 255).astype(np.uint8)


FACE_PX = {False: 256, True: 512}
"""Side of an aligned face, without and with old_photo_hr."""


def five_corners(face: Face) -> np.ndarray:
    """The five points that this method aligns by: eyes as the middle of their corners, cut to whole pixels, where dlib gave 68."""
    if face.outline is None:
        return face.landmarks
    points = face.outline
    five = np.stack([(points[36] + points[39]) / 2, (points[42] + points[45]) / 2, points[30], points[48], points[54]])
    return np.asarray(np.floor(five), np.float64)


def to_photo(landmarks: np.ndarray, side_px: int) -> np.ndarray:
    """2x3: from an aligned face of this side to the photo, the similarity of least squares (Umeyama 1991)."""
    target = (STANDARD * ENLARGEMENT + 1.0) / 2.0 * side_px
    ones, zeros = np.ones(len(target)), np.zeros(len(target))
    rows = np.concatenate([np.stack([target[:, 0], -target[:, 1], ones, zeros], 1), np.stack([target[:, 1], target[:, 0], zeros, ones], 1)])
    (along, across, x, y), *_ = np.linalg.lstsq(rows, np.concatenate([landmarks[:, 0], landmarks[:, 1]]), rcond=None)
    return np.array([[along, -across, x], [across, along, y]])


def aligned_face(pixels: np.ndarray, matrix: np.ndarray, side_px: int) -> np.ndarray:
    """The face upright: side x side x 3 float64 levels, bilinear, black where the photo ends."""
    to_photo_px = skimage_transform.AffineTransform(square(matrix))
    upright = skimage_transform.warp(pixels, to_photo_px, output_shape=(side_px, side_px), order=1, preserve_range=True)
    return cast(np.ndarray, upright)


def histogram_matched(source: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """`source` with the distribution of levels of `reference`, channel by channel; HxWx3 uint8."""
    channels = []
    for channel in range(3):
        shares = [
            np.cumsum(np.bincount(image[..., channel].ravel(), minlength=256)) / image[..., channel].size for image in (source, reference)
        ]
        table = np.minimum(np.searchsorted(shares[1], shares[0], side="left"), 255).astype(np.uint8)
        channels.append(table[source[..., channel]])
    return np.stack(channels, axis=-1)


def blend(canvas: np.ndarray, face: np.ndarray, matrix: np.ndarray) -> None:
    """Puts a restored face back in place: bicubic, with a feathered edge. `canvas` is HxWx3 float64 in levels of 255."""
    side_px = face.shape[0]
    corners = np.array([(x, y, 1.0) for x in (0, side_px) for y in (0, side_px)]) @ matrix.T
    left, top = np.maximum(np.floor(corners.min(axis=0)).astype(int) - REACH_PX, 0)
    right, bottom = np.minimum(np.ceil(corners.max(axis=0)).astype(int) + REACH_PX, (canvas.shape[1], canvas.shape[0]))
    if right <= left or bottom <= top:
        return
    to_face = np.linalg.inv(square(matrix)) @ np.array([[1.0, 0.0, left], [0.0, 1.0, top], [0.0, 0.0, 1.0]])
    place = {
        "inverse_map": skimage_transform.AffineTransform(to_face),
        "output_shape": (bottom - top, right - left),
        "preserve_range": True,
    }
    layer = skimage_transform.warp(face, order=3, **place)
    mask = skimage_transform.warp(np.ones((side_px, side_px), np.float32), order=0, **place).astype(np.float32)
    mask = cv2.erode(mask, np.ones((ERODED_PX, ERODED_PX), np.uint8), iterations=EROSIONS)
    weight = cv2.GaussianBlur(mask, (BLURRED_PX, BLURRED_PX), 0)[..., None].astype(np.float64)
    region = canvas[top:bottom, left:right]
    region[...] = np.clip(layer * weight + (1.0 - weight) * region, 0.0, 255.0)


def square(matrix: np.ndarray) -> np.ndarray:
    """2x3 -> 3x3."""
    return np.vstack([matrix, (0.0, 0.0, 1.0)])
