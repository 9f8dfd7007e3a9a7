"""Faces from the output of CenterFace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.faces.face import Face
from restore.nets.centerface import STRIDE_PX
from restore.runtime.transfers import download

SCORE_POWER = 8
"""Positions count by this power of their scores. With a lower one, positions at the border of the
face count too much."""

NEIGHBOUR_OVERLAP = 0.3
"""Positions whose boxes overlap that of the best position by this above the limit count fully."""


def decode_faces(outputs: Tensor, min_score: float, max_overlap: float) -> list[Face]:
    """Convert the output of the network for one picture to faces.

    Box and score of a face are those of the position with its highest score. Its landmarks are the
    mean over all positions of the face, because those of one position change abruptly when another
    position gets the highest score.

    Args:
        outputs: 15xhxw; see `restore.nets.centerface.CenterFace`.
        min_score: positions with a lower score are no faces.
        max_overlap: as in `without_overlaps`. Positions whose boxes overlap more are one face.

    Returns:
        Faces in pixels of the input, the highest score first.
    """
    scores = torch.sigmoid(outputs[0])
    rows, columns = (scores >= min_score).nonzero(as_tuple=True)
    found = torch.cat([rows[None], columns[None], scores[None, rows, columns]])
    values = download(torch.cat([found, outputs[1:, rows, columns]])).T.astype(np.float64)
    positions = _decode(values)
    kept = _best_of_overlapping(positions.boxes, positions.scores, max_overlap)
    return [_face(positions, index, min_score, max_overlap) for index in kept]


def without_overlaps(faces: Sequence[Face], max_overlap: float) -> list[Face]:
    """Drop the faces that overlap one with a higher score by more than `max_overlap`.

    The overlap of two boxes is their intersection over their union.

    Returns:
        The others, the highest score first.
    """
    boxes = np.array([face.box for face in faces]).reshape(-1, 4)
    scores = np.array([face.score for face in faces])
    return [faces[index] for index in _best_of_overlapping(boxes, scores, max_overlap)]


def _best_of_overlapping(boxes: np.ndarray, scores: np.ndarray, max_overlap: float) -> list[int]:
    """Return the indices that `without_overlaps` keeps, in its order."""
    if not len(boxes):
        return []
    rectangles = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(rectangles.tolist(), scores.tolist(), 0.0, max_overlap)
    return [int(index) for index in kept]


@dataclass(frozen=True)
class _Positions:
    """What the network says at N positions, in pixels of its input.

    Attributes:
        scores: N.
        boxes: Nx4.
        landmarks: Nx5x2.
    """

    scores: np.ndarray
    boxes: np.ndarray
    landmarks: np.ndarray


def _decode(values: np.ndarray) -> _Positions:
    """Decode Nx17 rows: row, column, score and the 14 values of a position."""
    sides = np.exp(values[:, [4, 3]]) * STRIDE_PX  # width and height
    centers = (values[:, [1, 0]] + values[:, [6, 5]] + 0.5) * STRIDE_PX
    corners = centers - sides / 2
    fractions = values[:, 7:].reshape(-1, 5, 2)[..., ::-1]
    landmarks = corners[:, None] + fractions * sides[:, None]
    return _Positions(values[:, 2], np.concatenate([corners, corners + sides], axis=1), landmarks)


def _face(positions: _Positions, index: int, min_score: float, max_overlap: float) -> Face:
    """Return the face whose best position has this index."""
    box, score = positions.boxes[index], float(positions.scores[index])
    # Both factors are 0 at their limit, so that no position counts abruptly. Neighbours of the best
    # position count fully, so that it does not matter which of them is the best.
    likely = positions.scores**SCORE_POWER - min_score**SCORE_POWER
    near = np.clip(_overlaps(positions.boxes, box) - max_overlap, 0.0, NEIGHBOUR_OVERLAP)
    weights = likely * near
    if weights.sum() > 0.0:
        landmarks = np.average(positions.landmarks, axis=0, weights=weights)
    else:  # the score is exactly the limit
        landmarks = positions.landmarks[index]
    left, top, right, bottom = (float(side) for side in box)
    return Face((left, top, right, bottom), score, landmarks)


def _overlaps(boxes: np.ndarray, box: np.ndarray) -> np.ndarray:
    """Return the intersection over union of each of Nx4 boxes with one."""
    low, high = np.maximum(boxes[:, :2], box[:2]), np.minimum(boxes[:, 2:], box[2:])
    common = np.clip(high - low, 0.0, None).prod(axis=1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return np.asarray(common / (areas + (box[2:] - box[:2]).prod() - common))
