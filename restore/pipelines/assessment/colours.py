"""How much the network of the step `colors` would change the colours of a photo."""

from __future__ import annotations

from restore.faces.colour import Tone
from restore.imaging.photo import Photo
from restore.models.loader import Model
from restore.pipelines.colors import make_thumbnail, mean_change, predict_table
from restore.pipelines.context import StepContext
from restore.report import Report
from restore.runtime.device import Runtime


def predicted_change(photo: Photo, tone: Tone, model: Model, runtime: Runtime) -> float:
    """Return the mean CIE76 difference that the network would make to a photo.

    The network is near identity on photos that have not faded.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    thumbnail = make_thumbnail(photo, tone, model)
    context = StepContext({"colors": model}, runtime, Report(photo.name, "colors"))
    return mean_change(thumbnail, predict_table(thumbnail, context))
