"""When a detected face is taken for a face: limits of each detector, as data.

Calibrated with `python benchmarks/face_detectors.py` (66 faces in 68 photos, 39 of them without a
face), and on natural photos. dlib: 38 detections, all of them faces, down to a score of 0.50, so a
higher limit would lose faces. A known false one, an emblem (0.516), is not found again at its
place in the aligned crop; all faces are, within 45 pixels. RetinaFace (mobile0.25): of 64 faces
with 0.8 and more, 61 are accepted; 20 false detections of up to 0.94 are all refused, because they
are not found again, or with at most 0.6. CenterFace: of 62 faces, 61 are accepted, with scores of
0.55 and more; the only other detection that is accepted is a face, too. A person far away in a
street (0.53) is not accepted. In the 490 photos of train/natural and train/natural2, seven
detections with 0.55 to 0.68 are accepted; all are faces of 6 to 30 pixels.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class DetectorLimits:
    """Limits for the detections of one detector.

    Attributes:
        min_score: detections with a lower score are dropped.
        min_turned_score: in a turned photo, at least one face must have this score.
        sure_score: with this score and landmarks that fit the template, a face needs no second
            detection.
        min_again_score: lowest score of the second detection, in the aligned crop.
        clear_again_score: with a lower score of the second detection, the crop is also searched
            turned.
        max_rounds: how often the face is aligned by the landmarks of the second detection, if the
            first ones do not fit.
    """

    min_score: float
    min_turned_score: float
    sure_score: float
    min_again_score: float
    clear_again_score: float
    max_rounds: int


MAX_AGAIN_ERROR_PX = 50.0
"""Largest distance of a landmark from the template in the second detection, in pixels of the crop.
The eyes are 126 pixels apart."""

MAX_SURE_MISFIT_PX = 17.0
"""RMS distance of the landmarks from the template, in pixels of the crop, up to which they fit.
Faces from the front have 3 to 17, profiles 20 to 50."""

MAX_SURE_TILT_DEG = 30.0
"""Faces that are tilted by more need a second detection."""

NETWORK = DetectorLimits(
    min_score=0.85,
    min_turned_score=0.95,
    sure_score=0.998,
    min_again_score=0.9,
    clear_again_score=0.98,
    max_rounds=3,
)
"""For RetinaFace, measured with mobile0.25."""

DLIB = DetectorLimits(
    min_score=0.5,
    min_turned_score=0.6,  # a parrot in a turned photo has 0.56
    sure_score=1.0,  # never reached: a second detection takes dlib 10 ms
    min_again_score=0.5,
    clear_again_score=0.7,
    max_rounds=2,
)

# CenterFace looks at each face in its aligned crop itself, so that few need the check.
CENTERFACE = DetectorLimits(
    min_score=0.55,
    min_turned_score=0.7,
    sure_score=0.65,
    min_again_score=0.5,  # a face of 15 pixels has 0.63 in the photo and 0.55 in its crop
    clear_again_score=0.7,
    max_rounds=2,
)

LIMITS: Mapping[str, DetectorLimits] = MappingProxyType({"dlib": DLIB, "centerface": CENTERFACE})
"""Limits by the name of the detector, where they differ from those of networks."""


def limits_of(detector_name: str) -> DetectorLimits:
    """Return the limits of a detector."""
    return LIMITS.get(detector_name, NETWORK)
