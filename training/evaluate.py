"""Measures the lite weights, each by its own module, and writes what was found: provenance.json, the pictures, the README's tables."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from training import (
    measure_colorize,
    measure_deblur,
    measure_denoise,
    measure_faces,
    measure_inpaint,
    measure_real,
    measure_scratches,
    measure_upscale,
)
from training.metrics import HERE, Figures, Measure, Places, provenance, write_figures
from training.registry import RECIPES

README = "README.md"
QUALITY = 85  # of the pictures
log = logging.getLogger("lite.evaluate")

MEASURES: Mapping[str, Measure] = {
    "upscale_real_x4": measure_real.MEASURE,
    "upscale_x4": measure_upscale.X4,
    "upscale_x2": measure_upscale.X2,
    "denoise": measure_denoise.MEASURE,
    "deblur": measure_deblur.MEASURE,
    "faces": measure_faces.MEASURE,
    "colorize": measure_colorize.MEASURE,
    "inpaint": measure_inpaint.MEASURE,
    "scratches": measure_scratches.MEASURE,
}


def evaluate(names: Iterable[str], places: Places, out: Path = HERE) -> None:
    """Measures the named weights; figures and pictures go to `out`, and the tables of its README are written anew from all figures."""
    for name in names:
        recipe = RECIPES[name]
        findings = MEASURES[name].find(places)
        write_figures(recipe, out, findings.figures)
        log.info("%s: %s", name, MEASURES[name].verdict(findings.figures)[0])
        if findings.sheet is not None:
            findings.sheet.save(out / f"{name}.webp", quality=QUALITY)
    readme = out / README
    if readme.is_file():
        readme.write_text(with_tables(readme.read_text(encoding="utf-8"), out), encoding="utf-8")


def with_tables(text: str, folder: Path) -> str:
    """The README with both of its tables, which stand between comments, as the figures in provenance.json have them."""
    there = [name for name in MEASURES if (folder / RECIPES[name].file).is_file()]
    measured = {name: figures for name in there if "cost" in (figures := figures_of(name, folder))}
    for mark, table in (
        ("targets", targets_table(measured, folder)),
        ("figures", figures_tables(measured)),
    ):
        text, count = re.subn(
            rf"(<!-- {mark} -->\n).*?(<!-- /{mark} -->)",
            rf"\g<1>{table}\g<2>",
            text,
            flags=re.DOTALL,
        )
        if count != 1:
            raise SystemExit(
                f"{README} has no place for the table '{mark}' between <!-- {mark} --> and <!-- /{mark} -->"
            )
    return text


def figures_of(name: str, folder: Path) -> Figures:
    """What provenance.json says of a recipe's file."""
    figures = provenance(folder)[RECIPES[name].file].get("figures", {})
    assert isinstance(figures, dict)
    return figures


def targets_table(measured: Mapping[str, Figures], folder: Path) -> str:
    """A line a file: what it reaches, what it should, and what it costs."""
    lines = [
        "| weights | size | reached | target | met | mean colour moves | s a megapixel |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, figures in measured.items():
        reached, met = MEASURES[name].verdict(figures)
        cost, bytes_ = figures["cost"], (folder / RECIPES[name].file).stat().st_size
        shift = (
            f"{cost['colour_shift_levels']:.2f} levels" if "colour_shift_levels" in cost else "none"
        )
        cells = [
            name,
            f"{bytes_ / 1e6:.1f} MB",
            reached,
            MEASURES[name].target,
            "yes" if met else "**no**",
            shift,
        ]
        lines.append(f"| {' | '.join(cells)} | {cost['cpu_s_per_megapixel']:.1f} |")
    return "\n".join(lines) + "\n"


def figures_tables(measured: Mapping[str, Figures]) -> str:
    """All figures: a table a file, a line for each of the sets it was measured on."""
    parts = []
    for name, figures in measured.items():
        rows = {on: found for on, found in figures.items() if on != "cost"}
        columns = sorted({column for found in rows.values() for column in found})
        lines = [
            f"| {name} | {' | '.join(column.replace('_', ' ') for column in columns)} |",
            "|---" * (len(columns) + 1) + "|",
        ]
        for on, found in rows.items():
            cells = (f"{found[column]:.4g}" if column in found else "" for column in columns)
            lines.append(f"| {on.replace('_', ' ')} | {' | '.join(cells)} |")
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)
