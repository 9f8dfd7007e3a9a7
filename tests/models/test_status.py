"""Tests of the table of checkpoints."""

from collections.abc import Callable
from typing import Any

from weightrows import lite_row, put, row

from restore.models.status import render_table, table
from restore.models.store import WeightStore


def test_states_checksums_and_sizes(store_of: Callable[..., WeightStore]) -> None:
    unknown: dict[str, Any] = {"sha256": None, "bytes": None, "bytes_about": 452_000_000}
    rows = (
        row("a", "https://x.org/a"),
        row("b", "https://x.org/b", commercial_use=False, **unknown),
        row("c", "https://x.org/c"),
        row("d", "https://x.org/d", also_serves=("e",), task="inpaint"),
        lite_row(),
    )
    store = store_of(*rows)
    for checkpoint in rows[:2]:
        put(store, checkpoint)
    store.locate(rows[0])
    lines = table(store)
    states = ["verified", "present", "missing", "missing", "embedded"]
    assert [line.state for line in lines] == states
    assert [line.sum for line in lines] == ["known", "trust on first use", *["known"] * 3]
    assert [line.size for line in lines[:2]] == ["0.0 MB", "about 452 MB"]
    assert [line.commercial_use for line in lines[:2]] == ["yes", "no"]
    assert lines[3].variant == "d, e"
    assert table(store, ["inpaint"]) == [lines[3]]


def test_columns_are_aligned(store_of: Callable[..., WeightStore]) -> None:
    store = store_of(row("a", "https://x.org/a"), row("longer-name", "https://x.org/b"))
    lines = render_table(table(store)).splitlines()
    assert lines[0].split()[:3] == ["TASK", "VARIANT", "FILE"]
    files = zip(lines, ("FILE", "a.pth", "longer-name.pth"), strict=True)
    assert len({line.index(file) for line, file in files}) == 1
