"""Tests of stages in words."""

import re

from places import PROJECT

from restore.batch.words import STAGES, stage_words


def test_every_stage_of_the_reports_has_words() -> None:
    stages = set[str]()
    for path in (PROJECT / "restore").rglob("*.py"):
        stages.update(re.findall(r'(?:\.stage|add_stage_ms)\("(\w+)"', path.read_text()))
    assert {"net", "encode"} < stages
    assert stages == STAGES.keys()
    assert stage_words("net") == "computing networks"


def test_a_stage_of_an_older_report_has_its_name() -> None:
    assert stage_words("blend") == "blend"
