"""An encoder that learns from its first version, which sees the photos in colour."""

from pathlib import Path

import numpy as np
import pytest
import torch
from fakeencoder import fake_state, write_wheel
from torch import Tensor, nn

from restore.nets.lite.colorize import LiteColorize
from training.feature_teacher import FeatureTeacher, feature_loss
from training.recipe_colorize import COLORIZE_RECIPE, load_feature_teacher, photo_of, split_lab
from training.run import SLOW_LR_SHARE, TrainingRun
from training.settings import TrainSettings


class Pyramid(nn.Module):
    """Return an image with its channels mixed to one, at three sizes."""

    def __init__(self, weights: tuple[float, float, float]) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 1, 1, bias=False)
        with torch.no_grad():
            self.mix.weight.copy_(torch.tensor(weights).view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> list[Tensor]:
        mixed = self.mix(image.expand(-1, 3, -1, -1))
        return [mixed, mixed[..., ::2, ::2], mixed[..., ::4, ::4]]


class PyramidNet(nn.Module):
    def __init__(self, encoder: Pyramid) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, image: Tensor) -> Tensor:
        return 2 * self.encoder(image)[0]


def first_weight(module: nn.Module) -> Tensor:
    return next(module.parameters())


def test_loss_is_relative_to_the_variance_of_what_is_taught() -> None:
    taught = [torch.randn(2, 3, 8, 8), 50 * torch.randn(2, 5, 4, 4)]
    assert float(feature_loss(taught, taught)) == 0.0
    means = [feature.mean().expand_as(feature) for feature in taught]
    assert float(feature_loss(means, taught)) == pytest.approx(1.0, abs=0.02)


def test_encoder_moves_towards_what_the_teacher_sees_in_colour() -> None:
    torch.manual_seed(0)
    net, teacher = PyramidNet(Pyramid((0.2, 0.2, 0.2))), Pyramid((1.0, 0.5, 0.0))
    lessons = FeatureTeacher(net.encoder, teacher, lambda target: target, weight=2.0)
    grey, photo = torch.rand(1, 1, 16, 16), torch.rand(1, 3, 16, 16)
    photo[:, :1] = grey
    optimiser, losses = torch.optim.Adam(net.encoder.parameters(), 0.02), []
    for _ in range(60):
        output, loss = lessons.run(net, grey, photo)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        losses.append(float(loss.detach()))
    # Of the taught 1.0 * red + 0.5 * green, the first input shows red; green is noise around 0.5.
    assert losses[-1] < 0.8 * losses[0]
    assert torch.equal(net(grey), lessons.run(net, grey, photo)[0])
    assert not net.encoder._forward_hooks
    assert output.shape == grey.shape


def test_target_gives_the_photo_back() -> None:
    photo = np.random.default_rng(1).integers(0, 256, (32, 32, 3), np.uint8)
    _, target = split_lab(photo, np.random.default_rng(2))
    restored = photo_of(torch.from_numpy(target).permute(2, 0, 1)[None])
    expected = torch.from_numpy(photo).permute(2, 0, 1)[None] / 255.0
    torch.testing.assert_close(restored, expected, atol=0.01, rtol=0.0)


def test_colour_recipe_teaches_the_encoder_only_if_it_is_trained(tmp_path: Path) -> None:
    write_wheel(tmp_path, fake_state(13))
    taught = TrainingRun.start(COLORIZE_RECIPE, TrainSettings(photos=tmp_path, work=tmp_path))
    assert taught.feature_teacher is not None
    shares = {group["share"]: len(group["params"]) for group in taught.optimiser.param_groups}
    assert isinstance(taught.net, LiteColorize)
    encoder, decoder = (
        len(list(part.parameters())) for part in (taught.net.encoder, taught.net.decoder)
    )
    assert shares == {SLOW_LR_SHARE: encoder, 1.0: decoder}
    only_decoder = TrainSettings(photos=tmp_path, work=tmp_path, only="decoder")
    assert TrainingRun.start(COLORIZE_RECIPE, only_decoder).feature_teacher is None


def test_step_trains_the_encoder_and_not_its_teacher(tmp_path: Path) -> None:
    write_wheel(tmp_path, fake_state(13))
    run = TrainingRun.start(COLORIZE_RECIPE, TrainSettings(photos=tmp_path, work=tmp_path))
    assert run.feature_teacher is not None
    assert isinstance(run.net, LiteColorize)
    trained, taught_by = run.net.encoder.stem.weight, first_weight(run.feature_teacher.teacher)
    assert torch.equal(trained, taught_by)
    first = taught_by.clone()
    run.net.train()
    target = torch.rand(2, 3, 64, 64)
    run.train_step(COLORIZE_RECIPE, (target[:, 2:], target), 0.5)
    assert torch.equal(taught_by, first)
    assert not torch.equal(trained, first)


def test_teacher_starts_as_the_pretrained_encoder(tmp_path: Path) -> None:
    write_wheel(tmp_path, fake_state(13))
    net = LiteColorize()
    lessons = load_feature_teacher(net, tmp_path)
    assert lessons is not None
    assert not torch.equal(first_weight(lessons.teacher), net.encoder.stem.weight)
    assert not any(parameter.requires_grad for parameter in lessons.teacher.parameters())
