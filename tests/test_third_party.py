"""Tests of THIRD_PARTY.md: it lists checkpoints and direct dependencies with their licences."""

import re
import tomllib
from importlib.metadata import metadata
from typing import Any

import pytest
from places import PROJECT

TEXT = (PROJECT / "THIRD_PARTY.md").read_text()
TABLE_LINES = [
    [cell.strip("` ") for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("|")
]
CELLS = {cells[0]: cells for cells in TABLE_LINES}
CHECKPOINTS = tomllib.loads((PROJECT / "weights" / "manifest.toml").read_text())["checkpoint"]
REQUIREMENTS = [
    line.split("==")[0]
    for line in (PROJECT / "requirements.txt").read_text().splitlines()
    if re.match("[a-z]", line)
]
METADATA_WORDS = {
    "Apache-2.0": "APACHE",
    "MIT": "MIT",
    "MIT-CMU": "MIT-CMU",
    "BSD-3-Clause": "BSD",
    "BSL-1.0": "BOOST",
    "CC0-1.0": "CC0",
}
"""Licences, and the word for them in the metadata of packages."""


def licence_metadata(package: str) -> str:
    """The licence in the metadata of a package, in capitals; "" if there is none."""
    fields: Any = metadata(package)  # a Message, whose `get` the stubs leave out
    classifiers = fields.get_all("Classifier") or []
    licences = [classifier for classifier in classifiers if classifier.startswith("License")]
    licence = (fields.get("License") or "")[:200]
    return " ".join([fields.get("License-Expression") or "", licence, *licences]).upper()


@pytest.mark.parametrize("row", CHECKPOINTS, ids=lambda row: row["id"])
def test_checkpoints_are_listed_with_their_licence(row: dict[str, Any]) -> None:
    commercial_use = "yes" if row["commercial_use"] else "**no**"
    assert CELLS[row["id"]][1:] == [row["task"], row["licence"], commercial_use]


def test_no_other_checkpoints_are_listed() -> None:
    listed = {name for name, cells in CELLS.items() if cells[-1] in ("yes", "**no**")}
    assert listed == {row["id"] for row in CHECKPOINTS}


@pytest.mark.parametrize("package", REQUIREMENTS)
def test_dependencies_are_listed_with_their_licence(package: str) -> None:
    licence, stated = CELLS[package][1], licence_metadata(package)
    names = [
        name for name in METADATA_WORDS if re.search(rf"(^|\W){re.escape(name)}(\W|$)", licence)
    ]
    if stated:
        assert any(METADATA_WORDS[name] in stated for name in names), stated
    assert CELLS[package][1:] != ["", ""]


def test_no_other_dependencies_are_listed() -> None:
    packages = TEXT[TEXT.index("## Packages") :]
    listed = re.findall(r"^\| `([^`]+)` \|", packages, re.MULTILINE)
    assert sorted(listed) == sorted(REQUIREMENTS)
