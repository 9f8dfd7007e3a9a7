"""What the steps of a request did to a photo, as events of its XMP history (`record_steps`)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from restore.imaging.photo import Photo
from restore.imaging.xmp_history import Event
from restore.report import Report

_SHOWN_DIGITS = 16
_SKIPPED = "skipped"


def record_steps(photo: Photo, report: Report) -> Photo:
    """Return a finished photo with the history of its steps.

    Args:
        photo: the result of the last step.
        report: its report.
    """
    return replace(photo, metadata=replace(photo.metadata, history=tuple(_events(report))))


def _events(report: Report) -> Iterator[Event]:
    size = report.input.get("reduced_to")
    if isinstance(size, list):
        before = f"{report.input['width']}x{report.input['height']}"
        yield Event("resized", f"reduced from {before} to {size[0]}x{size[1]}")
    for step in report.steps or [report]:
        if step.status != _SKIPPED and step.variant:
            yield Event("edited", _parameters(step))


def _parameters(step: Report) -> str:
    files = (
        f"{facts['file']} (sha256 {str(facts['sha256'])[:_SHOWN_DIGITS]})"
        for facts in step.weights
        if facts.get("sha256")
    )
    reduced = ["reduced, to do no harm"] if step.status == "reduced" else []
    return "; ".join([f"{step.task} with {step.variant}", *files, *reduced])
