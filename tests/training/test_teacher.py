"""Training towards the output of another network."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training.recipe import Recipe
from training.registry import RECIPES
from training.run import TrainingRun
from training.settings import TrainSettings

TEACHER_FILE = Path("teacher.safetensors")


class ConstantTeacher(nn.Module):
    """Return the same level everywhere."""

    def forward(self, photos: Tensor) -> Tensor:
        return torch.full_like(photos, 0.8)


def learning_recipe() -> Recipe:
    """A recipe whose network adds one number to each channel, and starts as an identity."""

    def build() -> nn.Module:
        net = nn.Conv2d(3, 3, 1)
        with torch.no_grad():
            net.weight.copy_(torch.eye(3)[..., None, None])
            net.bias.zero_()  # type: ignore[union-attr]
        return net

    return dataclasses.replace(
        RECIPES["denoise"], build=build, peak_lr=0.01, load_teacher=lambda _: ConstantTeacher()
    )


@pytest.mark.parametrize("with_teacher", [True, False])
def test_output_moves_towards_the_teacher(tmp_path: Path, *, with_teacher: bool) -> None:
    recipe = learning_recipe()
    settings = TrainSettings(
        photos=tmp_path, work=tmp_path, teacher=TEACHER_FILE if with_teacher else None
    )
    run = TrainingRun.start(recipe, settings)
    patches = torch.full((1, 3, 8, 8), 0.5)
    for _ in range(10):
        run.train_step(recipe, (patches, patches), 0.5)
    brightness = float(run.net(patches).detach().mean())
    assert brightness > 0.55 if with_teacher else brightness == pytest.approx(0.5, abs=1e-3)


def test_teacher_replaces_the_adversary(tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPES["upscale_real_x4"], load_teacher=lambda _: nn.Identity())
    settings = TrainSettings(photos=tmp_path, work=tmp_path)
    assert TrainingRun.start(recipe, settings).adversary is not None
    taught = dataclasses.replace(settings, teacher=TEACHER_FILE)
    assert TrainingRun.start(recipe, taught).adversary is None


def test_recipe_without_a_teacher_rejects_one(tmp_path: Path) -> None:
    settings = TrainSettings(photos=tmp_path, work=tmp_path, teacher=TEACHER_FILE)
    with pytest.raises(SystemExit, match="has no teacher: train it without --teacher"):
        TrainingRun.start(RECIPES["denoise"], settings)
