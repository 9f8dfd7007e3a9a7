"""Evaluate the lite weights; write provenance.json, pictures and the tables of two pages."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from training import (
    measure_colorize,
    measure_colors,
    measure_deblur,
    measure_denoise,
    measure_faces,
    measure_inpaint,
    measure_scratches,
    measure_upscale,
    measure_upscale_real,
)
from training.evaluation import Evaluation, EvaluationPaths
from training.paths import DOCS
from training.provenance import Figures, read_figures, write_figures
from training.registry import RECIPES

PAGES: Mapping[str, str] = {"targets": "lite-weights.md", "figures": "lite-figures.md"}
"""The page of each table."""

PICTURES = "lite"
WEBP_QUALITY = 85
log = logging.getLogger("training")

EVALUATIONS: Mapping[str, Evaluation] = {
    "upscale_real_x4": measure_upscale_real.EVALUATION,
    "upscale_x4": measure_upscale.X4_EVALUATION,
    "upscale_x2": measure_upscale.X2_EVALUATION,
    "denoise": measure_denoise.EVALUATION,
    "deblur": measure_deblur.EVALUATION,
    "faces": measure_faces.EVALUATION,
    "colorize": measure_colorize.EVALUATION,
    "colors": measure_colors.EVALUATION,
    "inpaint": measure_inpaint.EVALUATION,
    "scratches": measure_scratches.EVALUATION,
}


@dataclass(frozen=True)
class Report:
    """Where an evaluation writes its tables and pictures.

    Attributes:
        folder: folder with the pages, whose tables are updated as far as the pages exist; pictures
            go to its subfolder lite/.
    """

    folder: Path = DOCS

    def page(self, table: str) -> Path:
        """Return the page of a table."""
        return self.folder / PAGES[table]

    def picture(self, name: str) -> Path:
        """Return the path of the picture of a recipe."""
        return self.folder / PICTURES / f"{name}.webp"


def evaluate(names: Iterable[str], paths: EvaluationPaths, report: Report) -> None:
    """Evaluate the weights of the named recipes.

    Figures go to provenance.json beside the weights. Each table is rewritten in its page from the
    figures of all recipes.

    Raises:
        SystemExit: a page has no place for its table; then no page is changed.
    """
    for name in names:
        measurement = EVALUATIONS[name].measure(paths)
        write_figures(RECIPES[name], paths.weights, measurement.figures)
        log.info("%s: %s", name, EVALUATIONS[name].assess(measurement.figures).summary)
        if measurement.sheet is not None:
            picture = report.picture(name)
            picture.parent.mkdir(parents=True, exist_ok=True)
            measurement.sheet.save(picture, quality=WEBP_QUALITY)
    texts = {
        page: replace_table(page, name, table)
        for name, table in build_tables(paths.weights).items()
        if (page := report.page(name)).is_file()
    }
    for page, text in texts.items():
        page.write_text(text, encoding="utf-8")


def build_tables(weights: Path) -> dict[str, str]:
    """Return the tables by name, from the figures in provenance.json."""
    measured = {}
    for name in EVALUATIONS:
        recipe = RECIPES[name]
        figures = read_figures(recipe, weights) if (weights / recipe.file).is_file() else {}
        if "cost" in figures:
            measured[name] = figures
    return {"targets": targets_table(measured, weights), "figures": figures_tables(measured)}


def replace_table(page: Path, name: str, table: str) -> str:
    """Return the text of a page with a table rewritten.

    The table stands between the comments `<!-- name -->` and `<!-- /name -->`.

    Raises:
        SystemExit: the comments are missing.
    """
    pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
    text, count = re.subn(
        pattern, rf"\g<1>{table}\g<2>", page.read_text(encoding="utf-8"), flags=re.DOTALL
    )
    if count != 1:
        raise SystemExit(
            f"{page.name} has no place for the table '{name}': "
            f"add a line <!-- {name} --> and a line <!-- /{name} -->"
        )
    return text


def targets_table(measured: Mapping[str, Figures], weights: Path) -> str:
    """Return a table with what each file reaches, its target and its cost."""
    lines = [
        "| weights | size | reached | target | met | change of mean colour | s per megapixel |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, figures in measured.items():
        assessment, cost = EVALUATIONS[name].assess(figures), figures["cost"]
        size_mb = (weights / RECIPES[name].file).stat().st_size / 1e6
        shift = cost.get("colour_shift_levels")
        cells = [
            name,
            f"{size_mb:.1f} MB",
            assessment.summary,
            EVALUATIONS[name].target,
            "yes" if assessment.is_met else "**no**",
            "not measured" if shift is None else f"{shift:.2f} levels",
            f"{cost['cpu_s_per_megapixel']:.1f}",
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def figures_tables(measured: Mapping[str, Figures]) -> str:
    """Return one table per file, with one row for each test set."""
    tables = []
    for name, figures in measured.items():
        rows = {test_set: values for test_set, values in figures.items() if test_set != "cost"}
        columns = sorted({column for values in rows.values() for column in values})
        lines = [
            f"| {name} | {' | '.join(column.replace('_', ' ') for column in columns)} |",
            "|---" * (len(columns) + 1) + "|",
        ]
        for test_set, values in rows.items():
            cells = (f"{values[column]:.4g}" if column in values else "" for column in columns)
            lines.append(f"| {test_set.replace('_', ' ')} | {' | '.join(cells)} |")
        tables.append("\n".join(lines) + "\n")
    return "\n".join(tables)
