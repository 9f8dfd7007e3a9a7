"""docs/figures.md: the figures occur in their pages and agree with the recorded rows."""

import json
import re

import pytest
from places import PROJECT

ROW = re.compile(r"\| (\S+) \| (.+) \| `(.+)` \|")
FIGURES = ROW.findall((PROJECT / "docs" / "figures.md").read_text())
RECORDED = [figure for figure in FIGURES if ".jsonl " in figure[2]]


def recorded_value(source: str) -> float:
    """Return the value of `FILE NAME=VALUE... FIELD[/DIVISOR]` in the newest matching row."""
    file, *conditions, field = source.split()
    field, _, divisor = field.partition("/")
    wanted = dict(condition.split("=") for condition in conditions)
    lines = (PROJECT / "benchmarks" / "results" / file).read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if is_match(row, wanted)]
    assert rows, f"no row matches {source}"
    value = rows[-1]
    for name in field.split("."):
        value = value[name]
    return float(value) / float(divisor or 1)


def is_match(row: dict[str, object], wanted: dict[str, str]) -> bool:
    return all(str(row.get(name)).replace(" ", "_") == text for name, text in wanted.items())


@pytest.mark.parametrize("page", sorted({page for page, _, _ in FIGURES}))
def test_figures_occur_in_their_page(page: str) -> None:
    text = " ".join((PROJECT / page).read_text().split())
    for _, figure, source in (row for row in FIGURES if row[0] == page):
        assert re.search(rf"(?<![\d.]){re.escape(figure)}(?!\d)", text), (figure, source)


@pytest.mark.parametrize(("page", "figure", "source"), RECORDED)
def test_figure_is_the_rounded_value_of_its_row(page: str, figure: str, source: str) -> None:
    number = re.match(r"[\d.]+", figure)
    assert number, f"{page}: {figure}"
    decimals = len(number[0].partition(".")[2])
    assert abs(recorded_value(source) - float(number[0])) <= 0.501 * 10**-decimals


def test_every_table_of_performance_is_in_the_list() -> None:
    text = (PROJECT / "docs" / "performance.md").read_text()
    listed = {figure for page, figure, _ in FIGURES if page == "docs/performance.md"}
    measured = set(re.findall(r"\| (\d[\d.]* (?:s|ms|MB|dB|min)) (?=\|)", text))
    assert measured <= listed
