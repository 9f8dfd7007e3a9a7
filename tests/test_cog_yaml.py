"""cog.yaml says what the project says: weights, versions, entry point."""

import re
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT

from restore.models.catalog import Catalog
from restore.models.store import bake_commands
from restore.options import CATALOG_TASKS
from restore.runtime.allocator import SERVER_ENVIRONMENT
from restore.serving.launcher import PREDICTOR

COG = yaml.safe_load((PROJECT / "cog.yaml").read_text())
REQUIREMENTS = (PROJECT / "requirements.txt").read_text()
BAKED = dict(entry.split("=", 1) for entry in COG["environment"])


def pinned(package: str) -> str:
    return re.search(rf"^{re.escape(package)}==(\S+)$", REQUIREMENTS, re.MULTILINE)[1]


def test_the_weights_of_every_task_that_works_are_baked_as_the_manifest_has_them():
    tasks = {needed for several in CATALOG_TASKS.values() for needed in several}
    assert COG["build"]["run"] == bake_commands(Catalog.load(), tasks, BAKED["RESTORE_WEIGHTS_DIR"])
    baked = [
        row
        for task in tasks
        for row in Catalog.load().for_task(task)
        if row.urls and row.archive is None
    ]
    assert len(baked) == len(COG["build"]["run"])
    for row in baked:
        check = row.sha256 or f"= {row.bytes}"
        assert sum(f"/{row.file} " in line and check in line for line in COG["build"]["run"]) == 1


def test_weights_lie_outside_of_src_over_which_cog_mounts_the_project():
    assert Path(BAKED["RESTORE_WEIGHTS_DIR"]).is_absolute()
    assert not BAKED["RESTORE_WEIGHTS_DIR"].startswith("/src")
    assert BAKED["RESTORE_WEIGHTS"] == "official"


def test_versions_and_entry_point_agree():
    assert COG["build"]["sdk_version"] == pinned("cog")
    assert COG["build"]["python_requirements"] == "requirements.txt"
    assert COG["predict"] == PREDICTOR
    assert (pinned("torch"), pinned("torchvision")) == ("2.11.0", "0.26.0")


@pytest.mark.parametrize("file", ["requirements.txt", "requirements-dev.txt", "constraints.txt"])
def test_every_requirement_is_one_exact_version_without_an_address(file):
    lines = [
        line
        for line in (PROJECT / file).read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert lines
    for line in lines:
        assert re.fullmatch(r"[A-Za-z0-9_.-]+==[A-Za-z0-9_.+-]+", line), line


def test_the_container_keeps_memory_for_what_a_local_server_does():
    assert {name: BAKED[name] for name in SERVER_ENVIRONMENT} == dict(SERVER_ENVIRONMENT)
