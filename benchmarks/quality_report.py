"""Text table and CSV file of compared photos, and the rows of their HTML report."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from benchmarks.comparison import Comparison
from benchmarks.page import Entry, figures_html
from benchmarks.quality import Figures, mean_of

COLUMNS = {
    "psnr_rgb_db": "PSNR",
    "psnr_y_db": "PSNR Y",
    "ssim": "SSIM",
    "ssimulacra2": "SSIMULACRA2",
    "flip": "FLIP",
    "gmsd": "GMSD",
    "niqe": "NIQE",
    "lpips": "LPIPS",
}
DECIMALS = {"ssim": 4, "flip": 4, "gmsd": 4, "niqe": 3, "lpips": 4}
DEFAULT_DECIMALS = 2
NOT_MEASURED = "not measured"


def table(rows: Sequence[Comparison]) -> str:
    """Format one line per photo and one of means; a trial shows each figure before and after."""
    degraded = any(row.degraded_figures for row in rows)
    width = max(len("photo"), *(len(row.name) for row in rows))
    cell_width = 22 if degraded else 13
    title = f"{'photo':{width}}" + "".join(f"{name:>{cell_width}}" for name in COLUMNS.values())
    lines = [title + ("   (degraded -> restored)" if degraded else "")]
    for name, before, after in [
        *((row.name, row.degraded_figures, row.figures) for row in rows),
        ("mean", *_means(rows)),
    ]:
        cells = (_cell(before, after, key) for key in COLUMNS)
        lines.append(f"{name:{width}}" + "".join(f"{text:>{cell_width}}" for text in cells))
    return "\n".join(lines)


def write_csv(rows: Sequence[Comparison], path: Path) -> None:
    """Write one line per photo and one of means; figures that were not measured are empty."""
    names = [each.name for each in fields(Figures)]
    degraded = any(row.degraded_figures for row in rows)
    lines = [
        *((row.name, row.figures, row.degraded_figures) for row in rows),
        ("mean", *reversed(_means(rows))),
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["photo", *names, *(f"degraded_{name}" for name in names if degraded)])
        for name, *both in lines:
            values = [getattr(each, key) for each in both if each for key in names]
            writer.writerow([name, *values])


def html_entry(row: Comparison) -> Entry:
    """Return the part of the HTML report that shows one photo."""
    rows = _html_rows(row.degraded_figures, row.figures)
    return Entry(row.name, figures_html(row.name, row.pictures), rows)


def html_means(rows: Sequence[Comparison]) -> dict[str, list[str]]:
    """Return the rows of the HTML report that show the means."""
    return _html_rows(*_means(rows), prefix="mean, ")


def _html_rows(
    before: Figures | None, after: Figures | None, prefix: str = ""
) -> dict[str, list[str]]:
    named = {f"{prefix}degraded": before, f"{prefix}restored": after}
    return {
        name: [_text(figures, key) for key in COLUMNS] for name, figures in named.items() if figures
    }


def _means(rows: Sequence[Comparison]) -> tuple[Figures | None, Figures | None]:
    before = [row.degraded_figures for row in rows if row.degraded_figures]
    return mean_of(before) if before else None, mean_of([row.figures for row in rows])


def _cell(before: Figures | None, after: Figures | None, key: str) -> str:
    texts = [_text(figures, key) for figures in (before, after) if figures]
    return NOT_MEASURED if NOT_MEASURED in texts[-1:] else " -> ".join(texts)


def _text(figures: Figures, key: str) -> str:
    value = getattr(figures, key)
    if value is None:
        return NOT_MEASURED
    return f"{value:.{DECIMALS.get(key, DEFAULT_DECIMALS)}f}"
