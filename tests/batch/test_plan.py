"""Tests of the plan: what is new, has changed, is done or has failed."""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from batchfakes import photo

from restore.batch.folder import LocalFolder
from restore.batch.manifest import FOLDER, Manifest
from restore.batch.output import Output
from restore.batch.plan import (
    OTHER_OPTIONS,
    PHOTO_CHANGED,
    UP_TO_DATE,
    Plan,
    estimate,
    make_plan,
)
from restore.batch.processing import Outcome
from restore.errors import Code, RestoreError
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
    replaced = {"done.jpg": UP_TO_DATE}
    assert plan(output, force=True) == Plan(PHOTOS, 0, (), changed=1, replaced=replaced)


def test_other_settings_restore_all(output: Output) -> None:
    replaced = {"done.jpg": OTHER_OPTIONS}
    assert plan(output, "other") == Plan(PHOTOS, 0, (), changed=1, replaced=replaced)


def test_changed_photo_is_restored_again(output: Output) -> None:
    changed = photo("done.jpg", b"longer")
    made = make_plan((changed,), output.manifest, "s", output.folder)
    replaced = {"done.jpg": PHOTO_CHANGED}
    assert made == Plan((changed,), 0, (), changed=1, replaced=replaced)


def test_results_that_a_run_would_replace_are_refused_by_their_kinds(output: Output) -> None:
    plan(output).refuse_replacing("out")
    with pytest.raises(RestoreError) as caught:
        plan(output, "other").refuse_replacing("out")
    assert caught.value.code is Code.OUTPUT_UNWRITABLE
    assert "replace files in 'out': 1 result made with other options" in caught.value.reason
    assert "the first is that of 'done.jpg'" in caught.value.reason
    assert "Use --overwrite" in caught.value.remedy


@pytest.mark.parametrize(
    ("output_format", "is_replaced"), [("jpg", True), ("same", True), ("png", False)]
)
def test_result_of_another_format_is_not_replaced(
    output: Output, output_format: str, *, is_replaced: bool
) -> None:
    made = plan(output, "other", output_format=output_format)
    assert (made.changed, bool(made.replaced)) == (1, is_replaced)


def test_missing_result_is_not_replaced(output: Output, tmp_path: Path) -> None:
    (tmp_path / "done.jpg").unlink()
    assert plan(output, "other").replaced == {}


def test_earlier_result_of_a_photo_that_has_failed_since_is_known(
    output: Output, tmp_path: Path
) -> None:
    damaged = photo("done.jpg", b"damaged")
    output.save(damaged, Outcome("done.jpg", error={"code": "E206", "message": "m"}))
    for manifest in (output.manifest, Manifest(output.folder, read_only=True)):
        mended = photo("done.jpg", b"mended photo")
        made = make_plan((mended,), manifest, "s", output.folder)
        assert made.replaced == {"done.jpg": PHOTO_CHANGED}
        again = make_plan((DONE,), manifest, "s", output.folder, manifest_settings="m")
        assert (again.to_do, again.replaced) == ((DONE,), {})  # its own result
    assert (tmp_path / "done.jpg").read_bytes() == b"result"


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
    replaced = {"new.jpg": "made while the official weights were missing"}
    assert made == Plan((NEW,), 1, (FAILED,), changed=1, replaced=replaced)
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


def test_refusal_counts_the_results_by_reason() -> None:
    replaced = {"a.jpg": PHOTO_CHANGED, "b.jpg": OTHER_OPTIONS, "c.jpg": OTHER_OPTIONS}
    refused = Plan((), 0, (), changed=3, replaced=replaced)
    reason = (
        f"2 results {OTHER_OPTIONS}, and 1 result {PHOTO_CHANGED}; the first is that of 'a.jpg'"
    )
    with pytest.raises(RestoreError, match=re.escape(reason)):
        refused.refuse_replacing("out")
