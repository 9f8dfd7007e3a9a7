"""Measure everything about a photo that decides which steps it needs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from torch import nn

from restore.faces.colour import Tone, visible_tone
from restore.faces.convention import Convention
from restore.faces.detect import Detector
from restore.faces.fit import CheckedFace
from restore.faces.search import find_faces
from restore.imaging.convert import to_8_bits, to_grey, to_rgb
from restore.imaging.fading import FadingEstimate, estimate_fading
from restore.imaging.photo import Photo
from restore.pipelines.assessment.blur import EdgeWidths, measure_edges
from restore.pipelines.assessment.colours import ColourChange
from restore.pipelines.assessment.jpeg import Blocks, measure_blocks, table_quality
from restore.pipelines.assessment.noise import Noise, measure_noise
from restore.pipelines.assessment.scratches import measure_scratches
from restore.pipelines.cleanness import middle_of

MEASURED_LONG_SIDE_PX = 1600
"""Noise and edges are measured in a photo of at most this size, about as it is seen on a screen."""

FACE_MARGIN = 0.1
"""Margin around the box of a face in which its edges are measured, in sides of the box."""

FACE_BORDER_PX = 12
"""The crop of a face is extended by this, because edges near the border do not count."""

PredictChange = Callable[[Photo], ColourChange]
"""Predicts what the step `colors` would do to a photo."""


@dataclass(frozen=True)
class FaceCondition:
    """A face that can be restored.

    Attributes:
        size_px: the shorter side of its box.
        edge_width_px: width of its sharpest edges; None if it has too few.
    """

    size_px: float
    edge_width_px: float | None


@dataclass(frozen=True)
class Measurements:
    """What was measured in a photo.

    Attributes:
        width_px, height_px: its size.
        tone: grey, toned or colour.
        noise: noise and grain.
        jpeg_quality: 1 to 100; None for a photo that is no JPEG.
        blocks: blocks of a JPEG, also of one that was stored in another format later.
        edges: widths of its edges; None if it has too few.
        scratch_length: total length of its scratches in diagonals.
        scratched_share: fraction of the photo in scratches.
        fading: black and white points, and cast.
        colour_change: what the step `colors` would do.
        faces: the faces that can be restored, the highest score first.
    """

    width_px: int
    height_px: int
    tone: Tone
    noise: Noise
    jpeg_quality: int | None
    blocks: Blocks
    edges: EdgeWidths | None
    scratch_length: float
    scratched_share: float
    fading: FadingEstimate
    colour_change: ColourChange
    faces: Sequence[FaceCondition]

    @property
    def long_side_px(self) -> int:
        return max(self.width_px, self.height_px)


def measure_photo(
    photo: Photo,
    detector: Detector,
    convention: Convention,
    scratch_net: nn.Module,
    predict_change: PredictChange,
) -> tuple[Measurements, Sequence[CheckedFace]]:
    """Measure a photo.

    Args:
        photo: the photo.
        detector: the face detector.
        convention: that of the face network, so that the same faces are found as by its steps.
        scratch_net: the lite network that finds scratches.
        predict_change: predicts what the step `colors` would do.

    Returns:
        The measurements, and all detected faces, the highest score first.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    rgb = to_rgb(to_8_bits(photo.pixels))
    seen = _reduce(rgb)
    tone = visible_tone(rgb)
    scratch_length, scratched_share = measure_scratches(photo, scratch_net, tone)
    faces = find_faces(
        detector,
        rgb,
        short_side_px=convention.detect_short_side_px,
        threshold=convention.score_threshold,
    )
    middle = np.ascontiguousarray(rgb[middle_of(photo.height, photo.width)])
    measurements = Measurements(
        width_px=photo.width,
        height_px=photo.height,
        tone=tone,
        noise=measure_noise(seen),
        jpeg_quality=table_quality(photo),
        blocks=measure_blocks(to_grey(middle)),
        edges=measure_edges(to_grey(seen)),
        scratch_length=scratch_length,
        scratched_share=scratched_share,
        fading=estimate_fading(photo),
        colour_change=predict_change(photo),
        faces=[measure_face(rgb, each) for each in faces if not each.reason],
    )
    return measurements, faces


def measure_face(rgb: np.ndarray, checked: CheckedFace) -> FaceCondition:
    """Measure how sharp a face of HxWx3 uint8 is."""
    face = checked.face
    left, top, right, bottom = face.box
    margins = FACE_MARGIN * (right - left), FACE_MARGIN * (bottom - top)
    rows = slice(max(0, round(top - margins[1])), max(0, round(bottom + margins[1])))
    columns = slice(max(0, round(left - margins[0])), max(0, round(right + margins[0])))
    crop = rgb[rows, columns]
    if crop.size == 0:
        return FaceCondition(face.size_px, None)
    border = (FACE_BORDER_PX,) * 4
    extended = cv2.copyMakeBorder(to_grey(crop), *border, borderType=cv2.BORDER_REPLICATE)
    edges = measure_edges(extended)
    return FaceCondition(face.size_px, edges.narrowest_px if edges else None)


def _reduce(rgb: np.ndarray) -> np.ndarray:
    factor = MEASURED_LONG_SIDE_PX / max(rgb.shape)
    if factor >= 1.0:
        return rgb
    height, width = (max(1, round(side * factor)) for side in rgb.shape[:2])
    return cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA)
