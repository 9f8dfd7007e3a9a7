"""The table of checkpoints that `restore weights list` prints."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from restore.models.catalog import Checkpoint
from restore.models.store import State, WeightStore

_HEADINGS = (
    *("TASK", "VARIANT", "FILE", "SIZE", "LICENCE", "COMMERCIAL USE", "STATE", "SUM"),
    "SOURCE",
)


@dataclass(frozen=True)
class TableRow:
    """One checkpoint as text."""

    task: str
    variant: str
    file: str
    size: str
    licence: str
    commercial_use: str
    state: str
    sum: str
    source: str


def table(store: WeightStore, tasks: Iterable[str] = ()) -> list[TableRow]:
    """Return one row per checkpoint of the given catalog tasks; of all tasks by default.

    A copy in the package index has a row of its own, below that of the official file.
    """
    wanted = set(tasks) or {row.task for row in store.catalog.rows}
    lines = []
    for row in (row for row in store.catalog.rows if row.task in wanted):
        lines.append(
            _table_row(row, store.status(row), "in the package" if row.embedded else "official")
        )
        copy = row.as_index_copy()
        if copy and row.index_copy:
            lines.append(_table_row(copy, store.status(copy), row.index_copy.source))
    return lines


def render_table(rows: Iterable[TableRow]) -> str:
    """Format the table in aligned columns."""
    lines = [_HEADINGS, *(tuple(asdict(row).values()) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(_HEADINGS))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _table_row(row: Checkpoint, state: State, source: str) -> TableRow:
    return TableRow(
        task=row.task,
        variant=", ".join(row.variants),
        file=row.file,
        size=_size_of(row),
        licence=row.licence,
        commercial_use="yes" if row.commercial_use else "no",
        state=str(state),
        sum="known" if row.sha256 else "trust on first use",
        source=source,
    )


def _size_of(row: Checkpoint) -> str:
    if row.bytes:
        return f"{row.bytes / 1e6:.1f} MB"
    return f"about {row.bytes_about / 1e6:.0f} MB" if row.bytes_about else "unknown"
