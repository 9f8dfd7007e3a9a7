"""THIRD_PARTY.md names every checkpoint and every direct dependency, with the licence that the manifest or the package gives."""

import re
import tomllib
from importlib.metadata import metadata

import pytest
from conftest import PROJECT

TEXT = (PROJECT / "THIRD_PARTY.md").read_text()
LINES = [
    [cell.strip("` ") for cell in line.strip("|").split("|")]
    for line in TEXT.splitlines()
    if line.startswith("|")
]
ROWS = {cells[0]: cells for cells in LINES}
CHECKPOINTS = tomllib.loads((PROJECT / "weights" / "manifest.toml").read_text())["checkpoint"]
REQUIREMENTS = [
    line.split("==")[0]
    for line in (PROJECT / "requirements.txt").read_text().splitlines()
    if re.match("[a-z]", line)
]


def licence_words(package):
    """What a package says of its licence, in capitals, in whichever of three fields it says so; not all say much."""
    told = metadata(package)
    classifiers = [each for each in told.get_all("Classifier") or [] if each.startswith("License")]
    return " ".join(
        [told.get("License-Expression") or "", (told.get("License") or "")[:200], *classifiers]
    ).upper()


@pytest.mark.parametrize("row", CHECKPOINTS, ids=lambda row: row["id"])
def test_every_checkpoint_is_named_with_its_licence(row):
    assert ROWS[row["id"]][1:] == [
        row["task"],
        row["licence"],
        "yes" if row["commercial_use"] else "**no**",
    ]


def test_no_checkpoint_is_named_that_is_not_there():
    named = {name for name, cells in ROWS.items() if cells[-1] in ("yes", "**no**")}
    assert named == {row["id"] for row in CHECKPOINTS}


@pytest.mark.parametrize("package", REQUIREMENTS)
def test_every_direct_dependency_is_named_with_its_licence(package):
    words = {
        "Apache-2.0": "APACHE",
        "MIT": "MIT",
        "MIT-CMU": "MIT-CMU",
        "BSD-3-Clause": "BSD",
        "BSL-1.0": "BOOST",
        "CC0-1.0": "CC0",
    }
    licence = ROWS[package][1]
    said = licence_words(package)
    if said:
        assert any(
            word in said
            for name, word in words.items()
            if re.search(rf"(^|\W){re.escape(name)}(\W|$)", licence)
        ), said
    assert ROWS[package][1:] != ["", ""]


def test_no_dependency_is_named_that_is_not_there():
    start = TEXT.index("## Packages")
    named = re.findall(r"^\| `([^`]+)` \|", TEXT[start:], re.MULTILINE)
    assert sorted(named) == sorted(REQUIREMENTS)
