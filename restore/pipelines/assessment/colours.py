"""How much the network of the step `colors` would change the colours of a photo."""

from __future__ import annotations

from dataclasses import dataclass

from restore.faces.colour import Tone
from restore.imaging.photo import Photo
from restore.models.loader import Model
from restore.pipelines.colors import (
    darkening,
    make_thumbnail,
    mean_change,
    predict_for_tone,
    without_tint,
)
from restore.pipelines.context import StepContext
from restore.report import Report
from restore.runtime.device import Runtime


@dataclass(frozen=True, kw_only=True)
class ColourChange:
    """What the step `colors` would do to a photo.

    Attributes:
        change: mean CIE76 difference; small for photos that have not faded.
        darkening: CIE lightness by which the darkest parts become darker; large for photos whose
            black has faded.
        tone: the tone of the photo after the correction. A faded print in colour may have a single
            tone before.
    """

    change: float
    darkening: float
    tone: Tone


def predict_change(photo: Photo, model: Model, runtime: Runtime) -> ColourChange:
    """Call the network of the step `colors`.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    context = StepContext({"colors": model}, runtime, Report(photo.name, "colors"))
    thumbnail = make_thumbnail(photo, model)
    tone, table = predict_for_tone(photo, thumbnail, context)
    seen = thumbnail if tone == "colour" else without_tint(thumbnail)
    return ColourChange(
        change=mean_change(seen, table), darkening=darkening(seen, table), tone=tone
    )
