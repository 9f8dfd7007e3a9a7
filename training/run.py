"""One training run: the network, its averaged weights, the optimiser, and its checkpoint."""

from __future__ import annotations

import copy
import dataclasses
import logging
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from training.adversary import Adversary
from training.batches import Batch
from training.dataset import PatchSource
from training.losses import l1_gradient_loss
from training.paths import LITE_WEIGHTS
from training.provenance import Facts, earlier_runs
from training.recipe import Recipe
from training.settings import TrainSettings
from training.tensors import to_batch

EMA_DECAY = 0.999
EMA_WARM_UP_STEPS = 10.0
WARM_UP_SHARE = 0.01  # of the schedule
FINAL_LR_SHARE = 0.01  # of the peak learning rate
MAX_GRADIENT_NORM = 1.0
SCORE_SIDE_MULTIPLE = 16
TEACHER_WEIGHT = 1.0  # of the loss against the output of the teacher, beside that of the recipe
log = logging.getLogger("training")


@dataclasses.dataclass
class TrainingRun:
    """The state of a training run.

    Attributes:
        net: the network that is trained.
        averaged: exponential moving average of its weights, which the finished file holds.
        optimiser: of the trained parameters.
        adversary: for adversarial training, else None.
        teacher: network whose output is learnt too, else None.
        mixed: whether convolutions are computed in bfloat16.
        earlier: facts about the earlier runs that this run continues.
        step: finished steps.
        spent_s: computing seconds.
    """

    net: nn.Module
    averaged: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    adversary: Adversary | None = None
    teacher: nn.Module | None = None
    mixed: bool = False
    earlier: list[Facts] = dataclasses.field(default_factory=list)
    step: int = 0
    spent_s: float = 0.0

    @classmethod
    def start(cls, recipe: Recipe, settings: TrainSettings) -> TrainingRun:
        """Start a new run.

        Raises:
            SystemExit: there are no weights to fine-tune, `settings.only` selects no parameter, or
                the recipe has no teacher.
        """
        device = torch.device(settings.device)
        net = _to_channels_last(build_initial_net(recipe, settings)).to(device)
        averaged = {key: value.detach().clone() for key, value in net.state_dict().items()}
        parameters = _select_parameters(net, recipe, settings.only)
        adversary = None
        teacher = _load_teacher(recipe, settings)
        if recipe.adversarial_weight and not settings.only and not teacher:
            adversary = Adversary(recipe.adversarial_weight, device, mixed=settings.bfloat16)
        earlier = earlier_runs(recipe, settings.out) if settings.fine_tune else []
        optimiser = torch.optim.Adam(parameters, recipe.peak_lr, fused=device.type == "cuda")
        return cls(net, averaged, optimiser, adversary, teacher, settings.bfloat16, earlier)

    def load_checkpoint(self, checkpoint: Path, settings: TrainSettings) -> None:
        """Continue from a checkpoint.

        Raises:
            SystemExit: the checkpoint belongs to a run with another seed.
        """
        saved = torch.load(checkpoint, map_location=settings.device, weights_only=True)
        if saved["seed"] != settings.seed:
            raise SystemExit(
                f"{checkpoint} belongs to a run with seed {saved['seed']}: "
                f"choose another --work folder or --seed {saved['seed']}"
            )
        self.net.load_state_dict(saved["net"])
        self.optimiser.load_state_dict(saved["optimiser"])
        self.averaged, self.earlier = saved["averaged"], saved["earlier"]
        self.step, self.spent_s = saved["step"], saved["spent_s"]
        if self.adversary:
            self.adversary.load_state_dict(saved["adversary"])
        log.info("resumed at step %d after %.0f s", self.step, self.spent_s)

    def save_checkpoint(self, checkpoint: Path, seed: int) -> None:
        """Write a checkpoint, replacing the previous one atomically."""
        state = {
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "averaged": self.averaged,
            "step": self.step,
            "spent_s": self.spent_s,
            "seed": seed,
            "earlier": self.earlier,
        }
        if self.adversary:
            state["adversary"] = self.adversary.state_dict()
        torch.save(state, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)

    def train_step(self, recipe: Recipe, batch: Batch, progress: float) -> Tensor:
        """Train for one step.

        Args:
            recipe: the recipe.
            batch: inputs and targets.
            progress: position in the schedule, in [0, 1].

        Returns:
            The loss before the step, on the device; reading it here would make a GPU wait.
        """
        source, target = batch
        rate = learning_rate(recipe, progress)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(source.device.type, torch.bfloat16, enabled=self.mixed):
            output = self.net(source)
        output = output.float()
        loss = recipe.loss(output, target, source, progress)
        if self.teacher:
            loss = loss + TEACHER_WEIGHT * self._teacher_loss(self.teacher, output, source)
        self.optimiser.zero_grad(set_to_none=True)
        if self.adversary:
            # The adversarial weight falls with the learning rate: a discriminator that still
            # learns while the network hardly does adds a hatch pattern.
            gradient = self.adversary.combined_gradient(output, loss, rate / recipe.peak_lr)
            torch.autograd.backward(output, gradient)
            self.adversary.train_step(output, target)
        else:
            torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.net.parameters(), MAX_GRADIENT_NORM)
        self.optimiser.step()
        self.step += 1
        self._update_average()
        return loss.detach()

    def _teacher_loss(self, teacher: nn.Module, output: Tensor, source: Tensor) -> Tensor:
        """Return the loss of the first channels of the output against the output of the teacher."""
        with (
            torch.no_grad(),
            torch.autocast(source.device.type, torch.bfloat16, enabled=self.mixed),
        ):
            taught = teacher(source).float().clamp(0.0, 1.0)
        return l1_gradient_loss(output[:, : taught.shape[1]], taught, source, 1.0)

    def score(self, recipe: Recipe, held_back: PatchSource, seed: int) -> float:
        """Return the mean score of the averaged weights over fixed held-back patches."""
        net = copy.deepcopy(self.net).eval()
        net.load_state_dict(self.averaged)
        rng, device = np.random.default_rng(seed), next(net.parameters()).device
        scores = []
        with torch.inference_mode():
            for index, pair in enumerate(held_back.pairs):
                side_px = min(recipe.score_px or 2 * recipe.patch_px, *pair[0].shape[:2])
                side_px = side_px // SCORE_SIDE_MULTIPLE * SCORE_SIDE_MULTIPLE
                for _ in range(recipe.score_patches_per_photo):
                    patches = held_back.draw_patch(recipe, index, side_px, rng)
                    source, target = (to_batch([patch]).to(device) for patch in patches)
                    scores.append(recipe.score(net(source), target, source))
        return float(np.mean(scores))

    def _update_average(self) -> None:
        decay = min(EMA_DECAY, self.step / (self.step + EMA_WARM_UP_STEPS))
        with torch.no_grad():
            weights = self.net.state_dict()
            torch._foreach_lerp_(
                [self.averaged[key] for key in weights], list(weights.values()), 1.0 - decay
            )


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Return the learning rate: a linear warm-up, the peak, then a cosine to 1 % of it.

    Args:
        recipe: the recipe.
        progress: position in the schedule, in [0, 1].
    """
    if progress < WARM_UP_SHARE:
        return recipe.peak_lr * max(progress, 1e-4) / WARM_UP_SHARE
    fallen = max(0.0, min(progress, 1.0) - recipe.peak_until) / (1.0 - recipe.peak_until)
    cosine = 0.5 * (1.0 + math.cos(math.pi * fallen))
    return recipe.peak_lr * (FINAL_LR_SHARE + (1.0 - FINAL_LR_SHARE) * cosine)


def build_initial_net(recipe: Recipe, settings: TrainSettings) -> nn.Module:
    """Build the network with its weights before the first step.

    Raises:
        SystemExit: there are no weights to fine-tune.
    """
    net = recipe.build()
    if settings.fine_tune:
        initial_file = settings.out / recipe.file
        if not initial_file.is_file():
            raise SystemExit(
                f"{settings.out} has no {recipe.file} to fine-tune: train without --fine-tune first"
            )
    elif recipe.initial_file:
        initial_file = LITE_WEIGHTS / recipe.initial_file
    else:
        if recipe.pretrained:
            recipe.pretrained.load(net, settings.work)
        return net
    state = {key: value.float() for key, value in load_file(initial_file).items()}
    return recipe.transfer_weights(net, state)


def _load_teacher(recipe: Recipe, settings: TrainSettings) -> nn.Module | None:
    """Load the teacher of the settings, if any.

    Raises:
        SystemExit: the recipe has no teacher.
    """
    if settings.teacher is None:
        return None
    if recipe.load_teacher is None:
        raise SystemExit(f"{recipe.file} has no teacher: train it without --teacher")
    return _to_channels_last(recipe.load_teacher(settings.teacher)).to(settings.device)


def _select_parameters(net: nn.Module, recipe: Recipe, only: str | None) -> list[nn.Parameter]:
    """Freeze all parameters whose names start with no prefix in `only`; return the others."""
    prefixes = tuple((only or "").split(","))
    for name, parameter in net.named_parameters():
        parameter.requires_grad = name.startswith(prefixes)
    parameters = [parameter for parameter in net.parameters() if parameter.requires_grad]
    if not parameters:
        raise SystemExit(f"{recipe.file} has no parameters whose names start with '{only}'")
    return parameters


def _to_channels_last(net: nn.Module) -> nn.Module:
    """Set the memory layout in which convolutions train fastest on a CPU."""
    for parameter in net.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return net
