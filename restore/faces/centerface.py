"""CenterFace (Xu et al., 2019, arXiv:1911.03599): the embedded face detector.

The whole photo is searched at one size. If it contains small faces, it is searched once more at
twice that size. The landmarks of each face are then found again in its aligned crop, twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.faces.align import CROP_PX, TEMPLATE, fit_similarity
from restore.faces.centerface_decoding import decode_faces, without_overlaps
from restore.faces.centerface_views import mean_of, mirrored_back, shift, shifted_back
from restore.faces.face import Face
from restore.faces.landmark_correction import correct_landmarks
from restore.faces.pictures import Picture, crop_picture, resize_picture, size_of, to_batch
from restore.models.loader import Model
from restore.nets.centerface import CROP_PX as CROP_SIDE_PX
from restore.nets.centerface import SIZE_MULTIPLE
from restore.runtime.output_checks import checked_output
from restore.runtime.transfers import download

LONG_SIDE_PX, SHORT_SIDE_PX = 960, 640
"""Largest sides at which a photo is searched. The network finds faces of 12 to 450 px there."""

MAX_ENLARGEMENT = 2.0
"""Small photos are enlarged by at most this factor: they contain nothing finer."""

SMALL_FACE_PX = 24
"""A face that is smaller in the first search starts the second one: there may be more of them."""

FINE_FACTOR = 2.0
"""Size of the second search relative to the first."""

MIN_CANDIDATE_SCORE = 0.35
"""Score in the photo from which a detection is looked at in its crop. Faces have 0.45 to 0.95,
foliage and snow up to 0.7."""

MAX_OVERLAP = 0.3
"""Intersection over union of two boxes above which they are one face."""

TEMPLATE_BOX_PX = 290.0
"""Longer side of the box of a face in a crop of 512x512."""

MIN_AGAIN_SCORE = 0.1
"""Lowest score of a face in its crop; the mean with that in the mirrored crop counts."""

MAX_MOVE_PX = 63.0
"""Largest distance of the centre of the landmarks from its place, in pixels of the 512x512 crop.
The eyes are 126 pixels apart."""

SHIFTS_PX = (-2, 2)
"""The last landmarks are the mean over crops that are moved by these: 4 px apart, which is half a
position of the finest features that the head for landmarks sees."""

MAX_CROPS = 8
"""Crops in one batch, beside the mirrored ones."""


class CenterFaceDetector:
    """CenterFace; the score is a probability, the mean of those in the aligned crop and mirrored.

    In the photo, small patterns get high scores; in the crop they do not. The detector uses its own
    sizes and limit of scores, because those of the official helpers were chosen for RetinaFace.
    """

    def __init__(self, model: Model) -> None:
        """Create a detector from a model of the catalog task `face_detect`."""
        self.name = model.variant
        self.weights = model.weights
        self._net = cast(Any, model.net)
        self._device = next(model.net.parameters()).device

    def find(
        self, pixels: np.ndarray, *, short_side_px: int | None, threshold: float
    ) -> list[Face]:
        """Find faces as described in `Detector.find`, but with the detector's own limit of scores.

        Args:
            pixels: as in `Detector.find`.
            short_side_px: largest short side of the first search.
            threshold: ignored.

        Raises:
            RestoreError: BAD_NUMBERS.
        """
        del threshold
        return self._find(pixels, short_side_px)

    def find_on_device(
        self, levels: Tensor, *, short_side_px: int | None, threshold: float
    ) -> list[Face]:
        """Find faces as `find` does, without copying the photo.

        Raises:
            RestoreError: BAD_NUMBERS.
        """
        del threshold
        return self._find(levels, short_side_px)

    def _find(self, picture: Picture, short_side_px: int | None) -> list[Face]:
        scale = _first_scale(picture, short_side_px)
        faces = self._search(picture, scale)
        fine_scale = min(FINE_FACTOR * scale, MAX_ENLARGEMENT)
        has_small = any(face.size_px * scale < SMALL_FACE_PX for face in faces)
        if has_small and fine_scale > scale:
            faces = without_overlaps(faces + self._search(picture, fine_scale), MAX_OVERLAP)
        return without_overlaps(self._refine(picture, faces), MAX_OVERLAP)

    def _search(self, picture: Picture, scale: float) -> list[Face]:
        """Return the candidates in a resized picture, in pixels of the picture."""
        width, height = size_of(picture)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        outputs = self._run([resize_picture(picture, size)])
        factors = np.array([width / size[0], height / size[1]])
        return [
            _resize_face(face, factors)
            for face in decode_faces(outputs[0], MIN_CANDIDATE_SCORE, MAX_OVERLAP)
        ]

    def _refine(self, picture: Picture, faces: Sequence[Face]) -> list[Face]:
        """Return the faces that are found in their aligned crops, with new landmarks and scores.

        A face that is not found there is looked for in an upright crop around its box, because its
        first landmarks may be wrong. The landmarks of probable faces are found once more, in crops
        that are aligned by the new landmarks; the score is that of the first crops.
        """
        refined = self._find_in_crops(picture, faces, [_aligned(face) for face in faces])
        lost = [index for index, face in enumerate(refined) if face.score < MIN_CANDIDATE_SCORE]
        around = [faces[index] for index in lost]
        again = self._find_in_crops(picture, around, [_around_box(face) for face in around])
        again = self._find_in_crops(picture, again, [_aligned(face) for face in again])
        for index, face in zip(lost, again, strict=True):
            refined[index] = face
        refined = [face for face in refined if face.score > 0.0]
        matrices = [
            _aligned(face) if face.score >= MIN_CANDIDATE_SCORE else None for face in refined
        ]
        last = self._find_in_crops(picture, refined, matrices, SHIFTS_PX)
        return [
            replace(face, landmarks=at_last.landmarks) if at_last.score > 0.0 else face
            for face, at_last in zip(refined, last, strict=True)
        ]

    def _find_in_crops(
        self,
        picture: Picture,
        faces: Sequence[Face],
        matrices: Sequence[np.ndarray | None],
        shifts_px: Sequence[int] = (0,),
    ) -> list[Face]:
        """Return the faces as they are found in their crops; the score is 0 if they are not.

        Args:
            picture: the picture.
            faces: faces in it.
            matrices: the 2x3 transform of each face to its 512x512 crop; None if it has none.
            shifts_px: the mean over crops that are shifted by these is returned.
        """
        found = list[Face]()
        for start in range(0, len(faces), MAX_CROPS):
            part = slice(start, start + MAX_CROPS)
            crops = [
                resize_picture(crop_picture(picture, matrix), (CROP_SIDE_PX, CROP_SIDE_PX))
                for matrix in matrices[part]
                if matrix is not None
            ]
            in_crops = iter(self._faces_in_place(crops, shifts_px))
            for face, matrix in zip(faces[part], matrices[part], strict=True):
                in_crop = None if matrix is None else next(in_crops)
                found.append(_moved(face, in_crop, matrix))
        return found

    def _faces_in_place(
        self, crops: Sequence[Picture], shifts_px: Sequence[int]
    ) -> list[Face | None]:
        """Return the face in the middle of each crop, in pixels of 512x512, or None.

        It is the mean of the face in the crop and in the mirrored crop, at each shift.
        """
        if not crops:
            return []
        batch = to_batch(crops, self._device)
        views = list[list[Face | None]]()
        for shift_px in shifts_px:
            shifted = shift(batch, shift_px)
            both = torch.cat([shifted, shifted.flip(3)]).float()
            with torch.inference_mode():
                outputs, heads = self._net.in_crops(both)
            places = [
                _face_in_place(output, deviations)
                for output, deviations in zip(
                    self._checked(outputs, both), download(self._checked(heads, both)), strict=True
                )
            ]
            views.append([shifted_back(face, shift_px) for face in places[: len(crops)]])
            mirrored = [mirrored_back(face) for face in places[len(crops) :]]
            views.append([shifted_back(face, shift_px) for face in mirrored])
        return [mean_of(seen) for seen in zip(*views, strict=True)]

    def _run(self, pictures: Sequence[Picture]) -> Tensor:
        return self._run_batch(to_batch(pictures, self._device))

    def _run_batch(self, levels: Tensor) -> Tensor:
        """Run the network on Nx3xHxW uint8 levels of any size."""
        height, width = levels.shape[2:]
        padding = (0, -width % SIZE_MULTIPLE, 0, -height % SIZE_MULTIPLE)
        with torch.inference_mode():
            padded = torch.nn.functional.pad(levels.float(), padding)
            return self._checked(self._net(padded), padded)

    def _checked(self, outputs: Tensor, levels: Tensor) -> Tensor:
        return checked_output(outputs, levels, type(self._net).__name__)


def _first_scale(picture: Picture, short_side_px: int | None) -> float:
    short_side, long_side = sorted(size_of(picture))
    largest_px = min(SHORT_SIDE_PX, short_side_px or SHORT_SIDE_PX)
    return min(LONG_SIDE_PX / long_side, largest_px / short_side, MAX_ENLARGEMENT)


def _resize_face(face: Face, factors: np.ndarray) -> Face:
    left, top, right, bottom = (float(side) for side in face.box * np.tile(factors, 2))
    # Landmarks are coordinates of pixel centres, boxes those of pixel corners.
    landmarks = (face.landmarks + 0.5) * factors - 0.5
    return Face((left, top, right, bottom), face.score, landmarks)


def _aligned(face: Face) -> np.ndarray | None:
    return fit_similarity(face.landmarks) if face.score > 0.0 else None


def _around_box(face: Face) -> np.ndarray:
    """Return the transform to an upright crop in which the box has the template's size."""
    left, top, right, bottom = face.box
    scale = TEMPLATE_BOX_PX / max(right - left, bottom - top, 1.0)
    center = np.array([left + right, top + bottom]) / 2
    offset = TEMPLATE.mean(axis=0) - scale * center
    return np.array([[scale, 0.0, offset[0]], [0.0, scale, offset[1]]])


def _face_in_place(outputs: Tensor, deviations: np.ndarray) -> Face | None:
    """Return the face in the middle of a crop, in pixels of 512x512.

    Args:
        outputs: the output of the network for the crop.
        deviations: the output of its head for landmarks.
    """
    factors = np.full(2, CROP_PX / CROP_SIDE_PX)
    best, best_move_px = None, MAX_MOVE_PX
    for small in decode_faces(outputs, MIN_AGAIN_SCORE, MAX_OVERLAP):
        face = _resize_face(small, factors)
        move_px = float(np.linalg.norm(face.landmarks.mean(axis=0) - TEMPLATE.mean(axis=0)))
        if move_px < best_move_px:
            best, best_move_px = face, move_px
    if best is None:
        return None
    return replace(best, landmarks=correct_landmarks(best.landmarks, deviations))


def _moved(face: Face, in_crop: Face | None, matrix: np.ndarray | None) -> Face:
    """Return the face with the landmarks and the score that were found in its crop."""
    if in_crop is None or matrix is None:
        return replace(face, score=0.0)
    to_photo = cv2.invertAffineTransform(matrix)
    landmarks = in_crop.landmarks @ to_photo[:, :2].T + to_photo[:, 2]
    return replace(face, score=in_crop.score, landmarks=landmarks)
