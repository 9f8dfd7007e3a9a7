"""Trains one of the lite networks from folders of clean photos: seeded, resumable, bounded by the time that it computes.

Stopped at any point, the same command goes on from the last checkpoint. At the end the averaged weights go to the recipe's file and
their line to provenance.json. Inference needs none of this file.

Two runs of one seed draw the same patches in the same order. The schedule ends at its steps or its minutes, whichever comes
first, so that a slower machine gets a shorter but complete schedule, not a longer wait.
"""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import logging
import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from training.adversary import Adversary
from training.metrics import HERE, PROVENANCE, provenance
from training.dataset import Material, gathered
from training.recipe import Recipe
from training.registry import RECIPES

EMA_DECAY = 0.999
Facts = dict[str, object]
"""What provenance.json tells of a course."""
log = logging.getLogger("lite.train")


@dataclasses.dataclass(frozen=True)
class Terms:
    """What a training is run on, and for how long.

    Attributes:
        photos: folder of clean photos, or the one above that holds natural/, faces/ and damage/.
        minutes: of computing, those before an interruption included.
        steps: length of the schedule; None is the recipe's own.
        batch: patches a step; None is the recipe's own.
        peak_lr: the highest learning rate; None is the recipe's own.
        threads: that compute, on a CPU.
        workers: processes that draw patches ahead; with none they are drawn when they are needed.
        work: where checkpoints are kept.
        checkpoint_every: seconds.
        out: where the finished weights and provenance.json go.
        bfloat16: whether convolutions are computed in it, three times as fast on processors that have units for it (AMX), slower on others.
        only: how the names of the parameters begin that learn, if not all do; there is no adversary then.
        go_on: whether a new course begins with the finished weights that are in `out`, grown where the network has become larger.
    """

    photos: Path
    work: Path
    out: Path = HERE
    minutes: float = 70.0
    steps: int | None = None
    batch: int | None = None
    peak_lr: float | None = None
    device: str = "cpu"
    threads: int = 1
    workers: int = 0
    seed: int = 1
    checkpoint_every: float = 60.0
    bfloat16: bool = False
    only: str | None = None
    go_on: bool = False


def to_tensor(patches: list[np.ndarray]) -> Tensor:
    """HxWxC arrays, uint8 or float32 -> NxCxHxW float, uint8 as [0, 1]; channels last in memory (the fastest layout for these nets)."""
    stacked = torch.from_numpy(np.stack(patches)).permute(0, 3, 1, 2)
    scaled = stacked.to(torch.float32).div_(255.0) if stacked.dtype == torch.uint8 else stacked
    return scaled.contiguous(memory_format=torch.channels_last)


def channels_last(net: nn.Module) -> nn.Module:
    """The layout in which these convolutions train fastest on a CPU."""
    for parameter in net.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
    return net


def turn(patch: np.ndarray, symmetry: int) -> np.ndarray:
    """One of the eight symmetries of the square."""
    turned = np.rot90(patch, symmetry % 4)
    return np.ascontiguousarray(turned[:, ::-1] if symmetry >= 4 else turned)


def batch_of(recipe: Recipe, material: Material, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """One batch of augmented training patches."""
    inputs, targets = [], []
    for index in rng.choice(len(material.pairs), recipe.batch, p=material.odds):
        source, target = material.draw(recipe, int(index), recipe.patch_px, rng)
        symmetry = int(rng.choice(recipe.symmetries))
        inputs.append(turn(source, symmetry))
        targets.append(turn(target, symmetry))
    return to_tensor(inputs), to_tensor(targets)


def validation_score(recipe: Recipe, net: nn.Module, held_back: Material, seed: int) -> float:
    """The recipe's mean score over fixed patches of the held-back photos."""
    rng, device = np.random.default_rng(seed), next(net.parameters()).device
    values = []
    with torch.inference_mode():
        for index, pair in enumerate(held_back.pairs):
            side = min(recipe.score_px or 2 * recipe.patch_px, *pair[0].shape[:2]) // 16 * 16
            for _ in range(recipe.score_draws):
                drawn = held_back.draw(recipe, index, side, rng)
                source, target = (to_tensor([array]).to(device) for array in drawn)
                values.append(recipe.score(net(source), target, source))
    return float(np.mean(values))


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Short linear warm-up, the peak as long as the recipe holds it, then a cosine to a hundredth of it; `progress` in [0, 1]."""
    if progress < 0.01:
        return recipe.peak_lr * max(progress, 1e-4) / 0.01
    falling = max(0.0, min(progress, 1.0) - recipe.held_until) / (1.0 - recipe.held_until)
    return recipe.peak_lr * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * falling)))


@dataclasses.dataclass
class Course:
    """One training run: what is learnt, and how far it has come."""

    net: nn.Module
    averaged: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    adversary: Adversary | None = None
    mixed: bool = False
    earlier: list[Facts] = dataclasses.field(
        default_factory=list
    )  # courses that this one goes on from
    step: int = 0
    spent_s: float = 0.0

    @classmethod
    def begun_or_resumed(cls, recipe: Recipe, checkpoint: Path, terms: Terms) -> Course:
        """The course of the checkpoint if there is one, else a new one."""
        seed, device = terms.seed, torch.device(terms.device)
        net = channels_last(begun(recipe, terms)).to(device)
        averaged = {key: value.detach().clone() for key, value in net.state_dict().items()}
        for name, parameter in net.named_parameters():
            parameter.requires_grad = name.startswith(terms.only or "")
        learning = [parameter for parameter in net.parameters() if parameter.requires_grad]
        if not learning:
            raise SystemExit(
                f"{recipe.file} has no parameters whose names begin with '{terms.only}'"
            )
        adversary = (
            Adversary(recipe.adversarial, device, mixed=terms.bfloat16)
            if recipe.adversarial and not terms.only
            else None
        )
        earlier = earlier_courses(recipe, terms) if terms.go_on else []
        optimiser = torch.optim.Adam(learning, recipe.peak_lr, fused=device.type == "cuda")
        course = cls(net, averaged, optimiser, adversary, terms.bfloat16, earlier)
        if checkpoint.exists():
            saved = torch.load(checkpoint, map_location=device, weights_only=True)
            if saved["seed"] != seed:
                raise SystemExit(
                    f"{checkpoint} is a course of seed {saved['seed']}: name another --work, or that seed"
                )
            net.load_state_dict(saved["net"])
            course.optimiser.load_state_dict(saved["optimiser"])
            course.averaged, course.step, course.spent_s = (
                saved["averaged"],
                saved["step"],
                saved["spent_s"],
            )
            course.earlier = saved["earlier"]
            if adversary:
                adversary.load_state_dict(saved["adversary"])
            log.info("resumed at step %d after %.0f s", course.step, course.spent_s)
        return course

    def save(self, checkpoint: Path, seed: int) -> None:
        state = {
            "net": self.net.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "averaged": self.averaged,
        }
        if self.adversary:
            state["adversary"] = self.adversary.state_dict()
        told = {"step": self.step, "spent_s": self.spent_s, "seed": seed, "earlier": self.earlier}
        torch.save({**state, **told}, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)

    def learn(self, recipe: Recipe, source: Tensor, target: Tensor, progress: float) -> Tensor:
        """One step; returns the loss before it, on the device: to read it here would keep a GPU waiting."""
        rate = learning_rate(recipe, progress)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.autocast(source.device.type, torch.bfloat16, enabled=self.mixed):
            output = self.net(source)
        output = output.float()
        loss = recipe.loss(output, target, source, progress)
        self.optimiser.zero_grad(set_to_none=True)
        if self.adversary:
            # A critic that goes on learning while the network hardly does would draw a hatch into its answers.
            torch.autograd.backward(
                output, self.adversary.steered(output, loss, rate / recipe.peak_lr)
            )
            self.adversary.learn(output, target)
        else:
            torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(EMA_DECAY, self.step / (self.step + 10.0))
        with torch.no_grad():
            now = self.net.state_dict()
            torch._foreach_lerp_(
                [self.averaged[key] for key in now], list(now.values()), 1.0 - decay
            )
        return loss.detach()


@dataclasses.dataclass
class Clock:
    """Time spent computing: a process that is stopped, or that others keep waiting, does not learn meanwhile.

    Attributes:
        now: seconds of a clock that runs on.
        share: of its seconds that count: the processor time of several threads runs faster than time.
        longest_s: that a lap may count.
    """

    now: Callable[[], float]
    share: float
    longest_s: float
    last_s: float = 0.0

    @classmethod
    def of(cls, device: torch.device, threads: int) -> Clock:
        """Processor time on a CPU; elsewhere time, a minute of it at most, as a step takes much less."""
        now, share, longest_s = (
            (time.process_time, 1.0 / threads, math.inf)
            if device.type == "cpu"
            else (time.perf_counter, 1.0, 60.0)
        )
        return cls(now, share, longest_s, now())

    def lap_s(self) -> float:
        """Seconds since the last lap."""
        before, self.last_s = self.last_s, self.now()
        return min(self.share * (self.last_s - before), self.longest_s)


def begun(recipe: Recipe, terms: Terms) -> nn.Module:
    """The recipe's network before the first step of this course."""
    net = recipe.build()
    if terms.go_on and not (terms.out / recipe.file).is_file():
        raise SystemExit(
            f"{terms.out} holds no {recipe.file} to go on from: train without --go-on first"
        )
    first = (
        terms.out / recipe.file
        if terms.go_on
        else HERE / recipe.begins_with
        if recipe.begins_with
        else None
    )
    return (
        recipe.begin(net, {key: value.float() for key, value in load_file(first).items()})
        if first
        else net
    )


@dataclasses.dataclass(frozen=True)
class Batches(Dataset[tuple[Tensor, Tensor]]):
    """The batch of each step: the seed and the step decide what is in it, not who draws it or when."""

    recipe: Recipe
    material: Material
    seed: int

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        return batch_of(self.recipe, self.material, np.random.default_rng((self.seed, step)))


def drawn(
    recipe: Recipe, material: Material, terms: Terms, first: int
) -> Iterable[tuple[Tensor, Tensor]]:
    """The batches from the step `first` on, without end."""
    return DataLoader(
        Batches(recipe, material, terms.seed),
        batch_size=None,
        sampler=itertools.count(first),
        num_workers=terms.workers,
        prefetch_factor=8 if terms.workers else None,
        worker_init_fn=lambda _: cv2.setNumThreads(0),
        pin_memory=terms.device != "cpu",
    )


def on_terms(recipe: Recipe, terms: Terms) -> Recipe:
    """The recipe with what the terms say otherwise."""
    said = {
        name: value
        for name in ("steps", "batch", "peak_lr")
        if (value := getattr(terms, name)) is not None
    }
    return dataclasses.replace(recipe, **said)


def train(name: str, terms: Terms) -> None:
    """Runs or resumes one recipe and writes weights and provenance."""
    recipe, device = on_terms(RECIPES[name], terms), torch.device(terms.device)
    torch.set_num_threads(terms.threads)
    torch.backends.cudnn.benchmark = True  # every batch has the same size
    torch.manual_seed(terms.seed)
    terms.out.mkdir(parents=True, exist_ok=True)
    terms.work.mkdir(parents=True, exist_ok=True)
    training, held_back = gathered(recipe, terms.photos)
    checkpoint = terms.work / f"{name}.pt"
    course = Course.begun_or_resumed(recipe, checkpoint, terms)
    parameters = sum(p.numel() for p in course.net.parameters())
    log.info(
        "%s: %d photos, %d held back, %d parameters",
        name,
        len(training.pairs),
        len(held_back.pairs),
        parameters,
    )
    steps, limit_s, clock = recipe.steps, 60.0 * terms.minutes, Clock.of(device, terms.threads)
    saved_at, losses, batches = (
        time.monotonic(),
        list[Tensor](),
        iter(drawn(recipe, training, terms, course.step)),
    )
    while (progress := max(course.step / steps, course.spent_s / limit_s)) < 1.0:
        source, target = (
            patches.to(device, non_blocking=True, memory_format=torch.channels_last)
            for patches in next(batches)
        )
        losses.append(course.learn(recipe, source, target, progress))
        course.spent_s += clock.lap_s()
        if time.monotonic() - saved_at > terms.checkpoint_every:
            saved_at = time.monotonic()
            course.save(checkpoint, terms.seed)
        if course.step % 200 == 0:
            loss = float(torch.stack(losses).mean())
            log.info(
                "%s: step %d, %.0f s, %.0f%%, training loss %.5f",
                name,
                course.step,
                course.spent_s,
                100 * progress,
                loss,
            )
            losses.clear()
        if course.step % 2000 == 0:
            report_validation(recipe, name, course, held_back, terms.seed)
    del batches
    course.save(checkpoint, terms.seed)
    score = report_validation(recipe, name, course, held_back, terms.seed)
    dtype = torch.float16 if recipe.half_precision else torch.float32
    state = {key: value.to(dtype).cpu().contiguous() for key, value in course.averaged.items()}
    save_file(state, terms.out / recipe.file, {"format": "pt", "recipe": name})
    # A file of the owner alone could not be read where the project is installed for others.
    (terms.out / recipe.file).chmod(0o644)
    facts: Facts = {
        "recipe": name,
        "photos": len(training.pairs),
        "steps": course.step,
        "seconds": round(course.spent_s),
    }
    facts |= {"batch": recipe.batch, "peak_lr": recipe.peak_lr}
    facts |= {"only": terms.only} if terms.only else {}
    facts |= {"earlier": course.earlier} if course.earlier else {}
    write_provenance(terms, recipe, {**facts, f"held_back_{recipe.score_name}": round(score, 3)})


def report_validation(
    recipe: Recipe, name: str, course: Course, held_back: Material, seed: int
) -> float:
    """Logs and returns the held-back score of the averaged weights."""
    net = copy.deepcopy(course.net).eval()
    net.load_state_dict(course.averaged)
    score = validation_score(recipe, net, held_back, seed)
    log.info("%s: held-back photos, %s %.3f", name, recipe.score_name, score)
    return score


def earlier_courses(recipe: Recipe, terms: Terms) -> list[Facts]:
    """What provenance.json tells of the weights that are there: the courses that made them."""
    row = provenance(terms.out)[recipe.file]
    before = row.get("earlier", [])
    assert isinstance(before, list)
    told = ("seed", "steps", "seconds", "batch", "peak_lr", "device", "only", "begun_with")
    return [*before, {key: row[key] for key in told if key in row}]


def write_provenance(terms: Terms, recipe: Recipe, facts: Facts) -> None:
    """Adds or replaces the file's line in provenance.json."""
    path = terms.out / PROVENANCE
    rows = provenance(terms.out) if path.exists() else {}
    device = (
        f"CPU, {terms.threads} thread(s)"
        if terms.device == "cpu"
        else torch.cuda.get_device_name(terms.device)
    )
    device += ", bfloat16" if terms.bfloat16 else ""
    rows[recipe.file] = {
        "purpose": recipe.purpose,
        "data": recipe.data,
        "licence": "MIT",
        "seed": terms.seed,
        "device": device,
        **({"begun_with": recipe.begins_with} if recipe.begins_with and not terms.go_on else {}),
        **facts,
    }
    path.write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n", encoding="utf-8")
