"""The recipe of the lite weights: it trains, resumes, and writes files that load; the embedded ones have their line."""

import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import PROJECT
from PIL import Image

from restore.catalog import Catalog
from restore.models import load_net
from weights.lite.faces import HELD_BACK_PEOPLE, degraded_face
from weights.lite.figures import trained
from weights.lite.recipes import RECIPES

LITE = PROJECT / "weights" / "lite"
LIMIT_BYTES = {
    "lite_upscale_x4.safetensors": 2e6,
    "lite_denoise.safetensors": 2e6,
    "lite_faces.safetensors": 4e6,
    "lite_scratches.safetensors": 2e6,
    "lite_inpaint.safetensors": 4e6,
    "lite_colorize.safetensors": 4e6,
}


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_the_recipe_trains_resumes_and_writes_a_file_that_loads(tmp_path, name):
    photos, work, out = tmp_path / "photos", tmp_path / "work", tmp_path / "out"
    for folder in ("natural", "faces", "damage"):
        (photos / folder).mkdir(parents=True)
    y, x = np.mgrid[0:272, 0:272]
    for index in range(10):
        waves = 128 + 100 * np.sin(x / (5 + index)) * np.cos(y / 7)
        for folder in ("natural", "faces"):
            # By its name one of them shows a person who is held back.
            Image.fromarray(np.stack([waves, waves.T, waves], -1).astype(np.uint8)).save(photos / folder / f"congress_{index:03d}.png")
        Image.fromarray(np.where(waves > 220, 255, 0).astype(np.uint8)).save(photos / "damage" / f"hair_{index:03d}.png")

    def train(steps: int) -> dict:
        options = ["--photos", photos, "--work", work, "--out", out, "--steps", str(steps), "--minutes", "2", "--checkpoint-every", "0"]
        command = [sys.executable, "-m", "weights.lite.train", name, *options]
        done = subprocess.run([str(word) for word in command], cwd=PROJECT, capture_output=True, text=True, check=True)
        assert ("resumed at step 2" in done.stderr) == (steps > 2)
        return next(iter(json.loads((out / "provenance.json").read_text()).values()))

    assert train(2)["steps"] == 2
    row = train(4)
    assert row["steps"] == 4
    assert row["seed"] == 1
    file = next(out.glob("*.safetensors"))
    catalog_row = next((row for row in Catalog.load().rows if row.file == file.name), None)
    net = load_net(file, catalog_row) if catalog_row else trained(RECIPES[name], out)
    assert sum(p.numel() for p in net.parameters()) > 100_000
    assert file.stat().st_size <= LIMIT_BYTES[file.name]


def test_nobody_held_back_is_trained_on():
    names = ["congress_005.jpg", "london_neutral_010.jpg", "london_smiling_010.jpg", "canada_002.jpg", "congress_006.jpg"]
    for recipe, place in (("faces", 0), ("colorize", 1), ("scratches", 1), ("inpaint", 1)):
        folder = RECIPES[recipe].folders[place]
        assert folder.name == "faces"
        assert [folder.holds_back(name, 0) for name in names] == [True, True, True, True, False]
    assert len(HELD_BACK_PEOPLE) == 60
    for recipe in ("upscale", "denoise", "colorize", "scratches", "inpaint"):
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
    assert {row.file for row in rows} == set(provenance) == {path.name for path in LITE.glob("*.safetensors")}
    for row in rows:
        assert (LITE / row.file).stat().st_size == row.bytes <= LIMIT_BYTES[row.file]
        assert {"data", "licence", "steps", "seconds", "device", "figures"} <= set(provenance[row.file])
