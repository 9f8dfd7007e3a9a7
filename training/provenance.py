"""Read and write provenance.json: data, licence, training runs and figures of each weights file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch

from training.recipe import Recipe
from training.settings import TrainSettings

PROVENANCE = "provenance.json"
LICENCE = "MIT"
RUN_KEYS = (
    "seed",
    "steps",
    "seconds",
    "batch",
    "peak_lr",
    "device",
    "only",
    "teacher",
    "begun_with",
    "averaged_with",
)

Facts = dict[str, object]
"""The entry of one weights file, or what it says about one training run."""
Figures = dict[str, dict[str, float]]
"""Measured figures of one weights file: name of the test set to name of the figure to value."""


def read_provenance(folder: Path) -> dict[str, Facts]:
    """Read the entries of all weights files, by file name."""
    entries: dict[str, Facts] = json.loads((folder / PROVENANCE).read_text(encoding="utf-8"))
    return entries


def _write_provenance(folder: Path, entries: Mapping[str, Facts]) -> None:
    text = json.dumps(entries, indent=2, sort_keys=True) + "\n"
    (folder / PROVENANCE).write_text(text, encoding="utf-8")


def read_figures(recipe: Recipe, folder: Path) -> Figures:
    """Read the figures of the file of a recipe; empty if it was not evaluated."""
    figures = read_provenance(folder)[recipe.file].get("figures", {})
    assert isinstance(figures, dict)
    return figures


def write_figures(recipe: Recipe, folder: Path, figures: Figures) -> None:
    """Replace the figures of the file of a recipe."""
    entries = read_provenance(folder)
    entries[recipe.file]["figures"] = figures
    _write_provenance(folder, entries)


def earlier_runs(recipe: Recipe, folder: Path) -> list[Facts]:
    """Return what provenance.json says about the runs that produced the present weights."""
    entry = read_provenance(folder)[recipe.file]
    earlier = entry.get("earlier", [])
    assert isinstance(earlier, list)
    return [*earlier, {key: entry[key] for key in RUN_KEYS if key in entry}]


def write_run(settings: TrainSettings, recipe: Recipe, facts: Facts) -> None:
    """Replace the entry of the file of a recipe after a training run.

    Args:
        settings: settings of the run.
        recipe: its recipe.
        facts: what else is recorded, such as steps and score.
    """
    folder = settings.out
    entries = read_provenance(folder) if (folder / PROVENANCE).exists() else {}
    entry: Facts = {
        "purpose": recipe.purpose,
        "data": recipe.data,
        "licence": LICENCE,
        "seed": settings.seed,
        "device": _device_name(settings),
        **facts,
    }
    if recipe.pretrained:
        entry["licence"] = f"{LICENCE} AND {recipe.pretrained.licence}"
    if recipe.initial_file and not settings.fine_tune:
        entry["begun_with"] = recipe.initial_file
    elif recipe.pretrained and not settings.fine_tune:
        entry["begun_with"] = recipe.pretrained.source
    _write_provenance(folder, entries | {recipe.file: entry})


def _device_name(settings: TrainSettings) -> str:
    name = (
        f"CPU, {settings.threads} thread(s)"
        if settings.device == "cpu"
        else torch.cuda.get_device_name(settings.device)
    )
    return f"{name}, bfloat16" if settings.bfloat16 else name
