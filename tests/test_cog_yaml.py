"""Tests of cog.yaml: weights, versions, entry point and environment agree with the code."""

import json
import re
from pathlib import Path

import pytest
import yaml
from places import PROJECT

from restore.models.bake import bake_commands
from restore.models.catalog import Catalog
from restore.options import CATALOG_TASKS
from restore.runtime.allocator import SERVER_ENVIRONMENT
from restore.serving.cog_process import PREDICTOR
from tools.cog_weights import with_commands

COG = yaml.safe_load((PROJECT / "cog.yaml").read_text())
REQUIREMENTS = (PROJECT / "requirements.txt").read_text()
ENVIRONMENT = dict(entry.split("=", 1) for entry in COG["environment"])


def pinned_version(package: str) -> str:
    match = re.search(rf"^{re.escape(package)}==(\S+)$", REQUIREMENTS, re.MULTILINE)
    assert match, package
    return match[1]


def test_image_contains_the_weights_of_every_task_as_in_the_manifest() -> None:
    tasks = {task for catalog_tasks in CATALOG_TASKS.values() for task in catalog_tasks}
    catalog, commands = Catalog.load(), COG["build"]["run"]
    assert commands == bake_commands(catalog, tasks, ENVIRONMENT["RESTORE_WEIGHTS_DIR"]), (
        "run `python tools/cog_weights.py`"
    )
    rows = [row for task in tasks for row in catalog.for_task(task) if not row.embedded]
    assert len(rows) == sum(1 for row in catalog.rows if not row.embedded)
    for row in rows:
        (command,) = (text for text in commands if re.search(rf"[/ ]{re.escape(row.file)} ", text))
        size_or_presence = f"= {row.bytes}" if row.bytes else f"test -s {row.file}"
        assert (row.sha256 or size_or_presence) in command
        assert row.archive is None or f"{row.archive};" in command
        assert row.member is None or f"{row.member} {row.file}" in command


def test_commands_are_written_into_the_file() -> None:
    text = (PROJECT / "cog.yaml").read_text()
    first, *others = COG["build"]["run"]
    outdated = text.replace(json.dumps(first), '"true"').replace(
        f"    - {json.dumps(others[0])}\n", ""
    )
    assert yaml.safe_load(outdated)["build"]["run"] == ["true", *others[1:]]
    assert with_commands(outdated) == text
    with pytest.raises(ValueError, match="RESTORE_WEIGHTS_DIR"):
        with_commands(text.replace("RESTORE_WEIGHTS_DIR", "OTHER"))


def test_weights_are_outside_the_folder_that_cog_mounts() -> None:
    assert Path(ENVIRONMENT["RESTORE_WEIGHTS_DIR"]).is_absolute()
    assert not ENVIRONMENT["RESTORE_WEIGHTS_DIR"].startswith("/src")
    assert ENVIRONMENT["RESTORE_WEIGHTS"] == "official"


def test_versions_and_entry_point_agree() -> None:
    assert COG["build"]["sdk_version"] == pinned_version("cog")
    assert COG["build"]["python_requirements"] == "requirements.txt"
    assert COG["predict"] == PREDICTOR
    assert (pinned_version("torch"), pinned_version("torchvision")) == ("2.11.0", "0.26.0")


@pytest.mark.parametrize(
    "file",
    ["requirements.txt", "requirements-service.txt", "requirements-dev.txt", "constraints.txt"],
)
def test_every_requirement_is_pinned_and_has_no_url(file: str) -> None:
    lines = [
        line
        for line in (PROJECT / file).read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert lines
    for line in lines:
        assert re.fullmatch(r"[\w.-]+(\[[a-z]+\])?==[\w.+-]+", line), line


def test_container_sets_the_same_environment_as_a_local_server() -> None:
    assert {name: ENVIRONMENT[name] for name in SERVER_ENVIRONMENT} == dict(SERVER_ENVIRONMENT)
