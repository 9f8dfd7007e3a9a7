"""Views of the aligned crop of a face: shifted and mirrored, and the mean of what they show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from restore.faces.align import CROP_PX
from restore.faces.face import Face
from restore.nets.centerface import CROP_PX as CROP_SIDE_PX

MIRRORED = [1, 0, 2, 4, 3]
"""The landmarks of a mirrored face, in the order of `Face.landmarks`."""


def shift(batch: Tensor, shift_px: int) -> Tensor:
    """Move pictures to the right and down, or back; the pixels at the border repeat."""
    if not shift_px:
        return batch
    before, after = max(shift_px, 0), max(-shift_px, 0)
    padded = torch.nn.functional.pad(batch.float(), (before, after) * 2, mode="replicate")
    height, width = batch.shape[2:]
    return padded[:, :, after : after + height, after : after + width]


def shifted_back(face: Face | None, shift_px: int) -> Face | None:
    """Return the face of a shifted crop, in the crop that was not shifted."""
    if face is None:
        return None
    return replace(face, landmarks=face.landmarks - shift_px * CROP_PX / CROP_SIDE_PX)


def mirrored_back(face: Face | None) -> Face | None:
    """Return the face of a mirrored crop, in the crop that was not mirrored."""
    if face is None:
        return None
    columns = CROP_PX - 1 - face.landmarks[:, 0]
    landmarks = np.stack([columns, face.landmarks[:, 1]], axis=1)[MIRRORED]
    return replace(face, landmarks=landmarks)


def mean_of(views: Sequence[Face | None]) -> Face | None:
    """Return the face with the mean of landmarks and scores; a missing one has the score 0."""
    found = [face for face in views if face is not None]
    if not found:
        return None
    score = sum(face.score for face in found) / len(views)
    box = (0.0, 0.0, float(CROP_PX), float(CROP_PX))
    return Face(box, score, np.mean([face.landmarks for face in found], axis=0))
