"""Tests of the plan: what is new, has changed, is done or has failed."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from batchfakes import photo

from restore.batch.folder import LocalFolder
from restore.batch.manifest import FOLDER, Manifest
from restore.batch.output import Output
from restore.batch.plan import Plan, estimate, make_plan
from restore.batch.processing import Outcome
from restore.models.substitutes import BetterWeights

NEW, DONE, FAILED = photo("new.jpg"), photo("done.jpg"), photo("failed.jpg")
PHOTOS = (DONE, FAILED, NEW)
USED = "upscale x4plus: lite weights"


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Output]:
    folder = LocalFolder(tmp_path)
    with Manifest(folder) as manifest:
        output = Output(folder, manifest, "s")
        report = {"output": {"bytes": 60}}
        output.save(DONE, Outcome("done.jpg", b"result", "jpg", seconds=2.0, report=report))
        output.save(FAILED, Outcome("failed.jpg", error={"code": "E206", "message": "m"}))
        yield output


def plan(output: Output, settings: str = "s", **options: object) -> Plan:
    return make_plan(
        PHOTOS,
        output.manifest,
        settings,
        output.folder,
        **options,  # type: ignore[arg-type]
    )


def test_only_new_photos_are_to_do(output: Output) -> None:
    assert plan(output) == Plan((NEW,), done=1, failed=(FAILED,), changed=0)


def test_failed_photos_are_tried_again_on_request(output: Output) -> None:
    assert plan(output, retry_failed=True).to_do == (FAILED, NEW)


def test_force_restores_all(output: Output) -> None:
    assert plan(output, force=True) == Plan(PHOTOS, done=0, failed=(), changed=1)


def test_other_settings_restore_all(output: Output) -> None:
    assert plan(output, "other") == Plan(PHOTOS, done=0, failed=(), changed=1)


def test_changed_photo_is_restored_again(output: Output) -> None:
    changed = photo("done.jpg", b"longer")
    made = make_plan((changed,), output.manifest, "s", output.folder)
    assert made == Plan((changed,), done=0, failed=(), changed=1)


def test_missing_result_is_made_again(output: Output, tmp_path: Path) -> None:
    (tmp_path / "done.jpg").unlink()
    assert plan(output).to_do == (DONE, NEW)


def test_limit(output: Output) -> None:
    assert plan(output, force=True, limit=2).to_do == (DONE, FAILED)


def test_only_changed_photos_within_the_limit_are_counted(output: Output) -> None:
    photos = (NEW, DONE)
    made = make_plan(photos, output.manifest, "other", output.folder, limit=1)
    assert made == Plan((NEW,), done=0, failed=(), changed=0)


def test_estimate_comes_from_photos_with_the_same_settings(output: Output) -> None:
    found = estimate(output.folder, "s")
    assert found is not None
    assert (found.seconds_per_photo, found.bytes_per_photo, found.rows) == (2.0, 60, 1)
    assert estimate(output.folder, "other") is None


class Arrived(BetterWeights):
    """Stands for weights that have arrived since."""

    def __init__(self) -> None: ...

    def than(self, substitutes: Iterable[str]) -> str:
        return "official weights" if tuple(substitutes) == (USED,) else ""


def test_result_is_made_again_once_better_weights_than_its_own_are_there(output: Output) -> None:
    outcome = Outcome("new.jpg", b"result", "jpg", substitutes=(USED,))
    output.save(NEW, outcome)
    assert plan(output) == Plan((), done=2, failed=(FAILED,), changed=0)
    made = plan(output, better=Arrived())
    assert made == Plan((NEW,), done=1, failed=(FAILED,), changed=1)
    output.save(NEW, replace(outcome, substitutes=()))
    assert plan(output, better=Arrived()).to_do == ()


def test_result_without_a_record_of_its_weights_is_kept_and_counted(
    output: Output, tmp_path: Path
) -> None:
    manifest = tmp_path / FOLDER / "manifest.jsonl"
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    for row in rows:
        del row["substitutes"]
    manifest.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    older = Manifest(output.folder, read_only=True)
    for better, unrecorded in ((Arrived(), 1), (None, 0)):
        made = make_plan(PHOTOS, older, "s", output.folder, better=better)
        assert (made.done, made.unrecorded) == (1, unrecorded)
