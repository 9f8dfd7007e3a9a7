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

LITE = PROJECT / "weights" / "lite"


@pytest.mark.parametrize("name", ["upscale", "denoise"])
def test_the_recipe_trains_resumes_and_writes_a_file_that_loads(tmp_path, name):
    photos, work, out = tmp_path / "photos", tmp_path / "work", tmp_path / "out"
    photos.mkdir()
    y, x = np.mgrid[0:176, 0:176]
    for index in range(10):
        waves = 128 + 100 * np.sin(x / (5 + index)) * np.cos(y / 7)
        Image.fromarray(np.stack([waves, waves.T, waves], -1).astype(np.uint8)).save(photos / f"{index}.png")

    def train(steps: int) -> dict:
        options = ["--photos", photos, "--work", work, "--out", out, "--steps", str(steps), "--minutes", "2", "--checkpoint-every", "0"]
        command = [sys.executable, LITE / "train.py", name, *options]
        done = subprocess.run([str(word) for word in command], capture_output=True, text=True, check=True)
        assert ("resumed at step 2" in done.stderr) == (steps > 2)
        return next(iter(json.loads((out / "provenance.json").read_text()).values()))

    assert train(2)["steps"] == 2
    row = train(4)
    assert row["steps"] == 4
    assert row["seed"] == 1
    file = next(out.glob("*.safetensors"))
    assert sum(p.numel() for p in load_net(file).parameters()) > 100_000


def test_every_embedded_file_is_small_and_has_its_provenance():
    provenance = json.loads((LITE / "provenance.json").read_text())
    rows = [row for row in Catalog.load().rows if row.embedded]
    assert {row.file for row in rows} == set(provenance) == {path.name for path in LITE.glob("*.safetensors")}
    for row in rows:
        assert (LITE / row.file).stat().st_size == row.bytes <= 2 * 2**20
        assert {"data", "licence", "steps", "seconds", "device", "figures"} <= set(provenance[row.file])
