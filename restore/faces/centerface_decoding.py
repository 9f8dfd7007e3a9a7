"""Faces from the output of CenterFace."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.faces.face import Face
from restore.nets.centerface import STRIDE_PX
from restore.runtime.transfers import download


def decode_faces(outputs: Tensor, min_score: float, max_overlap: float) -> list[Face]:
    """Convert the output of the network for one picture to faces.

    Args:
        outputs: 15xhxw; see `restore.nets.centerface.CenterFace`.
        min_score: positions with a lower score are no faces.
        max_overlap: as in `without_overlaps`.

    Returns:
        Faces in pixels of the input, the highest score first.
    """
    scores = torch.sigmoid(outputs[0])
    rows, columns = (scores >= min_score).nonzero(as_tuple=True)
    found = torch.cat([rows[None], columns[None], scores[None, rows, columns]])
    values = download(torch.cat([found, outputs[1:, rows, columns]])).T.astype(np.float64)
    return without_overlaps([_face(row) for row in values], max_overlap)


def without_overlaps(faces: Sequence[Face], max_overlap: float) -> list[Face]:
    """Drop the faces that overlap one with a higher score by more than `max_overlap`.

    The overlap of two boxes is their intersection over their union.

    Returns:
        The others, the highest score first.
    """
    if not faces:
        return []
    rectangles = [
        (left, top, right - left, bottom - top)
        for left, top, right, bottom in (face.box for face in faces)
    ]
    scores = [face.score for face in faces]
    kept = cv2.dnn.NMSBoxes(rectangles, scores, 0.0, max_overlap)
    return [faces[int(index)] for index in kept]


def _face(values: np.ndarray) -> Face:
    """Convert row, column, score and the 14 values of a position to a face."""
    row, column, score = values[:3]
    sides = np.exp(values[[4, 3]]) * STRIDE_PX  # width and height
    center = (np.array([column, row]) + values[[6, 5]] + 0.5) * STRIDE_PX
    corner = center - sides / 2
    landmarks = corner + values[7:].reshape(5, 2)[:, ::-1] * sides
    left, top, right, bottom = (float(side) for side in (*corner, *(corner + sides)))
    return Face((left, top, right, bottom), float(score), landmarks)
