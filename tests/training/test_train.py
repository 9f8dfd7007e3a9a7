"""The recipe of the lite weights: it trains, resumes, and writes files that load; the embedded ones have their line."""

import dataclasses
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import PROJECT
from PIL import Image
from safetensors.torch import load_file, save_file
from spandrel.architectures.DRUNet import DRUNet
from torch import nn

from restore.models.catalog import Catalog
from restore.models.loader import load_net
from restore.nets.lite.inpaint import LiteInpaint
from training import __main__ as command_line
from training import recipe_deblur as shake
from training import measure_faces
from training.recipe_faces import HELD_BACK_PEOPLE, degraded_face
from training.recipe_inpaint import deepened
from training.metrics import Places, trained
from training.dataset import gathered
from training.registry import RECIPES, widened
from training.train import Clock, Terms, drawn, train
from training.recipe_upscale import grown

LITE = PROJECT / "weights" / "lite"
LIMIT_BYTES = {
    "lite_upscale_x4.safetensors": 2e6,
    "lite_upscale_x2.safetensors": 2e6,
    "lite_upscale_real_x4.safetensors": 2e6,
    "lite_denoise.safetensors": 2e6,
    "lite_deblur.safetensors": 3e6,
    "lite_faces.safetensors": 4e6,
    "lite_scratches.safetensors": 2e6,
    "lite_inpaint.safetensors": 4e6,
    "lite_colorize.safetensors": 4e6,
}


@pytest.fixture
def one_thread() -> Iterator[None]:
    """A training sets the process's threads, which other tests want back."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def photos_in(folder: Path) -> Path:
    """Ten photos a folder of what looks like something, and as many damage maps."""
    for name in ("natural", "faces", "damage"):
        (folder / name).mkdir(parents=True)
    y, x = np.mgrid[0:272, 0:272]
    for index in range(10):
        waves = 128 + 100 * np.sin(x / (5 + index)) * np.cos(y / 7)
        for name in ("natural", "faces"):
            # By its name one of them shows a person who is held back.
            Image.fromarray(np.stack([waves, waves.T, waves], -1).astype(np.uint8)).save(
                folder / name / f"congress_{index:03d}.png"
            )
        Image.fromarray(np.where(waves > 220, 255, 0).astype(np.uint8)).save(
            folder / "damage" / f"hair_{index:03d}.png"
        )
    return folder


@pytest.fixture
def quickly_scored(monkeypatch) -> None:
    """What is reported of the held-back photos is not what takes a test's time."""
    for name, recipe in RECIPES.items():
        side_px = 64 if name in {"denoise", "colorize", "inpaint"} else recipe.score_px
        monkeypatch.setitem(
            RECIPES, name, dataclasses.replace(recipe, score_draws=1, score_px=side_px)
        )


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_recipe_trains_resumes_and_writes_a_file_that_loads(
    tmp_path, name, one_thread, quickly_scored, caplog, monkeypatch
):
    out = tmp_path / "out"
    # Looking for kernels takes a second each; test_lite_wear.py does it once.
    monkeypatch.setattr(shake, "shakes_of", lambda photo: [torch.from_numpy(shake.STILL)] * 2)
    terms = Terms(
        photos_in(tmp_path / "photos"), tmp_path / "work", out, batch=2, checkpoint_every=0
    )
    caplog.set_level("INFO")
    for steps in (1, 2):
        train(name, dataclasses.replace(terms, steps=steps, minutes=2.0))
        assert ("resumed at step 1" in caplog.text) == (steps > 1)
        (row,) = json.loads((out / "provenance.json").read_text()).values()
        assert (row["steps"], row["seed"]) == (steps, 1)
    file = next(out.glob("*.safetensors"))
    catalog_row = next((row for row in Catalog.load().rows if row.file == file.name), None)
    net = load_net(file, catalog_row) if catalog_row else trained(RECIPES[name], out)
    assert sum(p.numel() for p in net.parameters()) > 100_000
    assert file.stat().st_size <= LIMIT_BYTES[file.name]
    assert file.stat().st_mode & 0o777 == 0o644


def test_a_course_may_teach_one_part_alone(tmp_path, one_thread, quickly_scored):
    out = tmp_path / "out"
    terms = Terms(
        photos_in(tmp_path / "photos"), tmp_path / "work", out, batch=2, steps=1, minutes=2.0
    )
    train("upscale_real_x4", terms)
    before = load_file(out / "lite_upscale_real_x4.safetensors")
    further = dataclasses.replace(
        terms, work=tmp_path / "further", go_on=True, only="grain", steps=2
    )
    train("upscale_real_x4", further)
    after = load_file(out / "lite_upscale_real_x4.safetensors")
    assert {key.split(".")[0] for key in before if not torch.equal(before[key], after[key])} == {
        "grain"
    }
    (row,) = json.loads((out / "provenance.json").read_text()).values()
    assert (row["only"], len(row["earlier"])) == ("grain", 1)
    with pytest.raises(SystemExit, match="begin with 'none'"):
        train("upscale_real_x4", dataclasses.replace(further, work=tmp_path / "none", only="none"))


def test_the_faces_that_are_measured_are_those_of_the_weights_that_are_named(tmp_path, monkeypatch):
    photos = photos_in(tmp_path / "train")
    name = min(
        file.name
        for file in (photos / "faces").iterdir()
        if measure_faces.person_of(file.name) in HELD_BACK_PEOPLE
    )
    monkeypatch.setattr(measure_faces, "HELD_BACK_PEOPLE", {measure_faces.person_of(name)})
    monkeypatch.setattr(
        measure_faces, "figures_of", lambda triples: {"restored": float(triples[0][1].mean())}
    )
    state = load_file(LITE / "lite_faces.safetensors")
    found = {}
    for folder, factor in (("as-they-are", 1.0), ("louder", 8.0)):
        (tmp_path / folder).mkdir()
        save_file(
            {key: factor * value for key, value in state.items()},
            tmp_path / folder / "lite_faces.safetensors",
        )
        found[folder] = measure_faces.find(Places(tmp_path, tmp_path / folder)).figures[
            "held_back_people"
        ]["restored"]
    assert found["louder"] != found["as-they-are"]


def test_workers_that_draw_ahead_change_nothing(tmp_path):
    terms = Terms(photos_in(tmp_path / "photos"), tmp_path / "work")
    recipe = RECIPES["denoise"]
    material, _ = gathered(recipe, terms.photos)
    alone, ahead = (
        iter(drawn(recipe, material, dataclasses.replace(terms, workers=workers), first=3))
        for workers in (0, 2)
    )
    for _ in range(3):
        for one, other in zip(next(alone), next(ahead), strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=0)


def test_time_that_a_process_waited_is_not_training_time():
    clock = Clock.of(torch.device("cpu"), threads=1)
    time.sleep(0.2)
    assert clock.lap_s() < 0.1


def test_the_command_line_names_what_is_to_be_done(tmp_path, monkeypatch):
    begun = []
    monkeypatch.setattr(command_line, "train", lambda name, terms: begun.append((name, terms)))
    words = [
        "train",
        "upscale_x4",
        "--photos",
        str(tmp_path),
        "--minutes",
        "30",
        "--device",
        "cuda",
        "--workers",
        "3",
    ]
    monkeypatch.setattr(sys, "argv", ["training", *words])
    command_line.main()
    ((name, terms),) = begun
    assert (name, terms.photos, terms.minutes, terms.device, terms.workers, terms.out) == (
        "upscale_x4",
        tmp_path,
        30.0,
        "cuda",
        3,
        LITE,
    )


def test_a_network_that_grew_begins_as_the_one_it_grew_from():
    small, large, halved = (
        RECIPES[name].build() for name in ("upscale_x4", "upscale_real_x4", "upscale_x2")
    )
    state = small.state_dict()
    photo = torch.rand(1, 3, 12, 9)
    with torch.no_grad():
        torch.testing.assert_close(
            grown(large.picture, state)(photo), small(photo), rtol=0, atol=1e-5
        )
        assert grown(halved, state)(photo).shape == (1, 3, 24, 18)
    # It is shallower, and its last convolution makes other samples and is its own.
    assert list(halved.state_dict())[-2:] == ["body.22.weight", "body.22.bias"]
    torch.testing.assert_close(halved.state_dict()["body.18.weight"], state["body.18.weight"])


def test_a_network_with_more_blocks_in_its_middle_begins_as_the_one_with_fewer():
    deeper = LiteInpaint()
    state = {
        key: 0.05 * torch.randn_like(value)
        for key, value in deeper.state_dict().items()
        if not key.startswith(("middle.5", "middle.6"))
    }
    shallow = LiteInpaint()
    shallow.middle = shallow.middle[:5]
    shallow.load_state_dict(state)
    photo = torch.rand(1, 4, 16, 32)
    with torch.no_grad():
        torch.testing.assert_close(deepened(deeper, state)(photo), shallow(photo))
    with pytest.raises(RuntimeError, match="shallower"):
        deepened(
            LiteInpaint(),
            {key: value for key, value in state.items() if not key.startswith("tail")},
        )


def test_a_network_that_was_widened_begins_as_the_narrow_one():
    narrow, wide = (
        DRUNet(in_nc=3, out_nc=3, nc=[8, 12, 16, 24], nb=1),
        DRUNet(in_nc=3, out_nc=3, nc=[10, 16, 20, 24], nb=1),
    )
    photo = torch.rand(1, 3, 16, 24)
    with torch.no_grad():
        torch.testing.assert_close(
            widened(wide, narrow.state_dict())(photo), narrow(photo), rtol=0, atol=1e-5
        )
        assert all(
            bool(weights.flatten(1).any(1).all()) for weights in wide.state_dict().values()
        )  # each new channel is made of something
        # Biases, inputs and outputs that are new.
        few, more = nn.Sequential(nn.Conv2d(3, 4, 3)), nn.Sequential(nn.Conv2d(5, 6, 3))
        wider = widened(more, few.state_dict())
        torch.testing.assert_close(wider(torch.cat([photo, photo[:, :2]], 1))[:, :4], few(photo))
        assert bool(wider[0].weight[4:, 3:].any())


def test_a_course_that_goes_on_begins_with_the_weights_that_are_there(
    tmp_path, one_thread, quickly_scored
):
    out, photos = tmp_path / "out", photos_in(tmp_path / "photos")
    with pytest.raises(SystemExit, match=r"holds no lite_denoise\.safetensors to go on from"):
        train("denoise", Terms(photos, tmp_path / "none", out, steps=1, go_on=True))
    train("denoise", Terms(photos, tmp_path / "first", out, steps=2, batch=2))
    first = load_file(out / "lite_denoise.safetensors")
    train(
        "denoise",
        Terms(
            photos,
            tmp_path / "second",
            out,
            steps=1,
            batch=2,
            peak_lr=1e-4,
            bfloat16=True,
            go_on=True,
        ),
    )
    second = load_file(out / "lite_denoise.safetensors")
    assert all(
        float((second[key].float() - first[key].float()).abs().max()) < 1e-3 for key in first
    )
    assert any((second[key] != first[key]).any() for key in first)
    (row,) = json.loads((out / "provenance.json").read_text()).values()
    assert (row["steps"], row["batch"], row["peak_lr"], row["device"]) == (
        1,
        2,
        1e-4,
        "CPU, 1 thread(s), bfloat16",
    )
    ((earlier_steps, earlier_device),) = [
        (course["steps"], course["device"]) for course in row["earlier"]
    ]
    assert (earlier_steps, earlier_device) == (2, "CPU, 1 thread(s)")


def test_nobody_held_back_is_trained_on():
    names = [
        "congress_005.jpg",
        "london_neutral_010.jpg",
        "london_smiling_010.jpg",
        "canada_002.jpg",
        "congress_006.jpg",
    ]
    for recipe, place in (("faces", 0), ("colorize", 1), ("scratches", 1), ("inpaint", 1)):
        folder = RECIPES[recipe].folders[place]
        assert folder.name == "faces"
        assert [folder.holds_back(name, 0) for name in names] == [True, True, True, True, False]
    assert len(HELD_BACK_PEOPLE) == 60
    for recipe in (
        "upscale_x4",
        "upscale_x2",
        "upscale_real_x4",
        "denoise",
        "deblur",
        "colorize",
        "scratches",
        "inpaint",
    ):
        folder = RECIPES[recipe].folders[0]
        assert folder.name == "natural"
        assert [folder.holds_back("a.jpg", place) for place in (0, 7, 8)] == [True, True, False]


def test_a_degraded_face_is_drawn_by_its_seed_alone():
    face = np.random.default_rng(0).integers(0, 256, (256, 256, 3), dtype=np.uint8)
    first, second, other = (degraded_face(face, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert (first != other).any()
    assert first.shape == face.shape


def test_every_embedded_file_is_small_and_has_its_provenance():
    provenance = json.loads((LITE / "provenance.json").read_text())
    rows = [row for row in Catalog.load().rows if row.embedded]
    assert (
        {row.file for row in rows}
        == set(provenance)
        == {path.name for path in LITE.glob("*.safetensors")}
    )
    for row in rows:
        assert (LITE / row.file).stat().st_size == row.bytes <= LIMIT_BYTES[row.file]
        assert {"data", "licence", "steps", "seconds", "device", "figures"} <= set(
            provenance[row.file]
        )
