"""Stages of the reports in words."""

from __future__ import annotations

from collections.abc import Mapping

STAGES: Mapping[str, str] = {
    "decode": "reading photos",
    "propose": "choosing steps",
    "optimize": "preparing networks",
    "upload": "copying photos to the device",
    "download": "copying results from the device",
    "detect": "finding faces",
    "faces": "restoring faces",
    "parse": "finding the outlines of faces",
    "paste": "pasting faces",
    "scratches": "finding scratches",
    "net": "computing networks",
    "merge": "applying colours",
    "resize": "resizing",
    "reduce": "reducing photos",
    "encode": "compressing results",
}
"""What is done in each stage of the reports."""


def stage_words(stage: str) -> str:
    """Return what is done in a stage."""
    return STAGES.get(stage, stage)
