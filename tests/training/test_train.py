"""Training: every recipe trains, resumes and writes a file that loads; runs are deterministic."""

import dataclasses
import json
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from trainingfiles import MAX_FILE_BYTES, make_training_photos

from restore.models.catalog import Catalog
from restore.models.loader import load_net
from training import __main__ as command_line
from training import recipe_deblur
from training.batches import iterate_batches
from training.clock import ComputeClock
from training.dataset import load_patch_sources
from training.evaluation import load_trained
from training.motion_blur import IDENTITY_KERNEL
from training.paths import LITE_WEIGHTS
from training.registry import RECIPES
from training.settings import TrainSettings
from training.train import train

CHEAP_SCORE_PX = {"denoise": 64, "colorize": 64, "inpaint": 64}

pytestmark = pytest.mark.usefixtures("restored_threads", "cheap_scores", "identity_kernels")


@pytest.fixture
def restored_threads() -> Iterator[None]:
    """Restore the number of threads, which a training sets for the process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def cheap_scores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Score few and small patches."""
    for name, recipe in RECIPES.items():
        cheap = dataclasses.replace(
            recipe,
            score_patches_per_photo=1,
            score_px=CHEAP_SCORE_PX.get(name, recipe.score_px),
            pretrained=None,  # tests download nothing
        )
        monkeypatch.setitem(RECIPES, name, cheap)


@pytest.fixture
def identity_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the estimation of blur kernels, which takes a second per photo."""
    kernels = [torch.from_numpy(IDENTITY_KERNEL)] * 2
    monkeypatch.setattr(recipe_deblur, "estimate_kernels", lambda photo: kernels)


@pytest.fixture
def settings(tmp_path: Path) -> TrainSettings:
    return TrainSettings(
        photos=make_training_photos(tmp_path / "photos"),
        work=tmp_path / "work",
        out=tmp_path / "out",
        batch_size=2,
        minutes=2.0,
        checkpoint_every_s=0,
    )


def only_entry(folder: Path) -> dict[str, object]:
    """The only entry of provenance.json."""
    entries: dict[str, dict[str, object]] = json.loads((folder / "provenance.json").read_text())
    (entry,) = entries.values()
    return entry


FAST_RECIPES = {"denoise", "faces"}
"""Recipes that the core suite trains; the others train in the same way."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in FAST_RECIPES else [pytest.mark.slow])
        for name in sorted(RECIPES)
    ],
)
def test_recipe_trains_resumes_and_writes_a_file_that_loads(
    name: str, settings: TrainSettings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    if name == "colors":  # the only recipe that cannot do without it
        shutil.copytree(settings.photos / "natural", settings.photos / "extra")
    for steps in (1, 2):
        train(name, dataclasses.replace(settings, steps=steps))
        assert ("resumed at step 1" in caplog.text) == (steps > 1)
        entry = only_entry(settings.out)
        assert (entry["steps"], entry["seed"]) == (steps, 1)
    file = settings.out / RECIPES[name].file
    row = next((row for row in Catalog.load().rows if row.file == file.name), None)
    net = load_net(file, row) if row else load_trained(RECIPES[name], settings.out)
    assert sum(parameter.numel() for parameter in net.parameters()) > 100_000
    assert file.stat().st_size <= MAX_FILE_BYTES[file.name]
    assert file.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    "name", ["denoise", pytest.param("upscale_real_x4", marks=pytest.mark.slow)]
)
def test_resumed_training_gives_the_same_weights(name: str, settings: TrainSettings) -> None:
    for steps in (1, 2):
        train(name, dataclasses.replace(settings, steps=steps))
    resumed = load_file(settings.out / RECIPES[name].file)
    train(name, dataclasses.replace(settings, steps=2, work=settings.work / "uninterrupted"))
    uninterrupted = load_file(settings.out / RECIPES[name].file)
    assert all(torch.equal(resumed[key], uninterrupted[key]) for key in uninterrupted)


def test_checkpoint_of_another_seed_is_rejected(settings: TrainSettings) -> None:
    train("upscale_x2", dataclasses.replace(settings, steps=1))
    with pytest.raises(SystemExit, match="belongs to a run with seed 1"):
        train("upscale_x2", dataclasses.replace(settings, steps=2, seed=2))


@pytest.mark.slow
def test_only_trains_the_parameters_with_a_prefix(tmp_path: Path, settings: TrainSettings) -> None:
    file = settings.out / "lite_upscale_real_x4.safetensors"
    train("upscale_real_x4", dataclasses.replace(settings, steps=1))
    before = load_file(file)
    grain = dataclasses.replace(
        settings, work=tmp_path / "grain", fine_tune=True, only="grain", steps=2
    )
    train("upscale_real_x4", grain)
    after = load_file(file)
    changed = {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])}
    assert changed == {"grain"}
    entry = only_entry(settings.out)
    assert entry["only"] == "grain"
    assert isinstance(entry["earlier"], list)
    assert len(entry["earlier"]) == 1
    with pytest.raises(SystemExit, match="start with 'none'"):
        train("upscale_real_x4", dataclasses.replace(grain, work=tmp_path / "none", only="none"))


@pytest.mark.slow
def test_fine_tuning_starts_from_the_finished_weights(
    tmp_path: Path, settings: TrainSettings
) -> None:
    file = settings.out / "lite_denoise.safetensors"
    train("denoise", dataclasses.replace(settings, steps=2))
    first = load_file(file)
    fine_tuning = dataclasses.replace(
        settings,
        work=tmp_path / "second",
        steps=1,
        peak_lr=1e-4,
        bfloat16=True,
        fine_tune=True,
    )
    train("denoise", fine_tuning)
    second = load_file(file)
    assert all(
        float((second[key].float() - first[key].float()).abs().max()) < 1e-3 for key in first
    )
    assert any((second[key] != first[key]).any() for key in first)
    entry = only_entry(settings.out)
    expected = {
        "steps": 1,
        "batch": 2,
        "peak_lr": 1e-4,
        "device": "CPU, 1 thread(s), bfloat16",
    }
    assert {key: entry[key] for key in expected} == expected
    assert isinstance(entry["earlier"], list)
    (earlier,) = entry["earlier"]
    assert (earlier["steps"], earlier["device"]) == (2, "CPU, 1 thread(s)")


def test_fine_tuning_without_finished_weights_is_an_error(settings: TrainSettings) -> None:
    with pytest.raises(SystemExit, match=r"has no lite_denoise\.safetensors to fine-tune"):
        train("denoise", dataclasses.replace(settings, steps=1, fine_tune=True))


def test_workers_do_not_change_the_batches(settings: TrainSettings) -> None:
    recipe = RECIPES["denoise"]
    source, _ = load_patch_sources(recipe, settings.photos)
    without_workers, with_workers = (
        iterate_batches(recipe, source, dataclasses.replace(settings, workers=workers), 3)
        for workers in (0, 2)
    )
    for _ in range(3):
        for first, second in zip(next(without_workers), next(with_workers), strict=True):
            torch.testing.assert_close(first, second, rtol=0, atol=0)


def test_missing_folder_is_an_error(tmp_path: Path, settings: TrainSettings) -> None:
    (tmp_path / "photos" / "faces").rename(tmp_path / "faces")
    with pytest.raises(SystemExit, match=r"has no folder faces/"):
        load_patch_sources(RECIPES["colorize"], settings.photos)


def test_waiting_time_is_not_computing_time() -> None:
    clock = ComputeClock.for_device(torch.device("cpu"), threads=1)
    time.sleep(0.2)
    assert clock.lap_s() < 0.1


def test_command_line_passes_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, TrainSettings]] = []
    monkeypatch.setattr(command_line, "train", lambda name, given: calls.append((name, given)))
    arguments = f"train upscale_x4 --photos {tmp_path} --minutes 30 --batch 4 --device cuda"
    monkeypatch.setattr(sys, "argv", ["training", *arguments.split(), "--workers", "3"])
    command_line.main()
    expected = TrainSettings(
        photos=tmp_path,
        work=LITE_WEIGHTS / "checkpoints",
        minutes=30.0,
        batch_size=4,
        device="cuda",
        workers=3,
    )
    assert calls == [("upscale_x4", expected)]


@pytest.mark.parametrize("command", ["train", "evaluate"])
def test_command_line_has_help(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["training", command, "--help"])
    with pytest.raises(SystemExit) as exit_:
        command_line.main()
    assert exit_.value.code == 0
    assert "--photos" in capsys.readouterr().out
