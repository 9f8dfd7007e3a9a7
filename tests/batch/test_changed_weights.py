"""Photos that are restored again, because other weights would be used now."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from threading import Event

import pytest
from batchfakes import JOB, Recorder, direct_engine, write_photos
from weightrows import change_embedded_networks, put, row

from restore.batch import processing
from restore.batch.folder import Folder
from restore.batch.listing import BatchPhoto
from restore.batch.manifest import FOLDER
from restore.batch.plan import OTHER_OPTIONS
from restore.batch.processing import BatchJob, Outcome
from restore.batch.run import BatchOptions, Engine, OnOutcome, preview, run_batch
from restore.errors import RestoreError
from restore.models import substitutes
from restore.models.catalog import Catalog
from restore.models.store import WeightStore
from restore.models.used_networks import UsedNetwork


@pytest.fixture
def options(tmp_path: Path) -> BatchOptions:
    write_photos(tmp_path / "in", "a.jpg", "sub/b.png", "sub/c.jpg")
    return BatchOptions(str(tmp_path / "in"), str(tmp_path / "out"), JOB)


def engine_that_used(**facts: tuple[str, ...]) -> Engine:
    """Return an engine whose results have been made with other weights or networks."""

    def engine(
        job: BatchJob,
        folder: Folder,
        photos: Sequence[BatchPhoto],
        on_outcome: OnOutcome,
        stop: Event,
    ) -> None:
        def note(photo: BatchPhoto, outcome: Outcome) -> None:
            on_outcome(photo, replace(outcome, **facts))  # type: ignore[arg-type]

        direct_engine(job, folder, photos, note, stop)

    return engine


OFFICIAL = row("x4plus", "https://example.org/x4plus.pth")
lite_engine = engine_that_used(substitutes=("upscale x4plus: lite weights",))
NETWORK = UsedNetwork("upscale", "x4plus", "lite").to_text(Catalog.load())
network_engine = engine_that_used(networks=(NETWORK,))


def store_without_official_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> WeightStore:
    """Return the store that batches look into; OFFICIAL is missing in it."""
    store = WeightStore(Catalog((OFFICIAL,), tmp_path), tmp_path / "weights", offline=True)
    monkeypatch.setattr(substitutes, "WeightStore", lambda catalog, offline: store)
    return store


def update_manifest(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, task: str) -> None:
    """Let a newer manifest have other embedded networks of a task."""
    change_embedded_networks(monkeypatch, task)
    newer = tmp_path / f"{task}.toml"
    newer.write_text(f"# {task}\n")
    monkeypatch.setattr(processing, "manifest_path", lambda: newer)


def test_photos_of_lite_weights_are_restored_again_once_the_official_ones_are_there(
    options: BatchOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_without_official_weights(monkeypatch, tmp_path)
    local = replace(options, job=replace(JOB, weights="local"))
    run_batch(replace(local, limit=2), lite_engine, Recorder(), Event())
    summary = run_batch(local, lite_engine, Recorder(), Event())  # after an interruption
    assert (summary.done, summary.plan.done) == (1, 2)
    put(store, OFFICIAL)
    planned, _ = preview(local)
    assert (planned.changed, planned.done) == (3, 0)
    with pytest.raises(
        RestoreError, match=r"3 results made while the official weights of .* were missing"
    ):
        run_batch(local, direct_engine, Recorder(), Event())
    again = replace(local, overwrite=True)
    assert run_batch(again, direct_engine, Recorder(), Event()).done == 3
    assert preview(local)[0].done == 3


def test_weights_that_only_another_machine_lacks_are_told(
    options: BatchOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_without_official_weights(monkeypatch, tmp_path)
    local = replace(options, job=replace(JOB, weights="local"))
    assert run_batch(replace(local, limit=1), lite_engine, Recorder(), Event()).lacking == set()
    put(store, OFFICIAL)
    again = replace(local, overwrite=True)
    summary = run_batch(again, lite_engine, Recorder(), Event())
    assert summary.lacking == {"official weights of upscale x4plus"}


def test_photos_are_restored_again_once_one_of_their_networks_changes(
    options: BatchOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photos(tmp_path / "in", "x.jpg", content=b"bad")
    assert run_batch(options, network_engine, Recorder(), Event()).done == 3
    plan, _ = preview(options)
    assert (plan.done, len(plan.failed), plan.to_do) == (3, 1, ())
    update_manifest(monkeypatch, tmp_path, "colorize")
    plan, _ = preview(options)
    assert (plan.done, plan.changed) == (3, 0)
    assert [photo.name for photo in plan.to_do] == ["x.jpg"]  # another network may succeed
    update_manifest(monkeypatch, tmp_path, "upscale")
    plan, _ = preview(options)
    assert (plan.done, plan.changed, len(plan.to_do)) == (0, 3, 4)
    assert set(plan.replaced.values()) == {"made with other weights of upscale x4plus"}


def test_networks_of_the_environment_are_options(
    options: BatchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_batch(options, network_engine, Recorder(), Event()).done == 3
    monkeypatch.setenv("MODEL_FACE", "lite")
    assert preview(options)[0].done == 3  # upscale has no faces
    monkeypatch.setenv("MODEL_UPSCALE", "lite_fidelity")
    assert preview(options)[0].replaced == dict.fromkeys(
        ("a.jpg", "sub/b.png", "sub/c.jpg"), OTHER_OPTIONS
    )
    with pytest.raises(RestoreError, match="3 results made with other options"):
        run_batch(options, network_engine, Recorder(), Event())


def test_rows_of_older_versions_hold_for_their_manifest_only(
    options: BatchOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_batch(options, network_engine, Recorder(), Event())
    path = tmp_path / "out" / FOLDER / "manifest.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    for one in rows:
        del one["networks"]
        one["settings"] = options.job.manifest_fingerprint()
    path.write_text("".join(f"{json.dumps(one)}\n" for one in rows))
    assert preview(options)[0].done == 3
    update_manifest(monkeypatch, tmp_path, "colorize")
    assert preview(options)[0].changed == 3
