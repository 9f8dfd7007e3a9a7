"""Trains the embedded lite weights from folders of clean photos: seeded, resumable, bounded by time.

    python -m weights.lite.train upscale --photos ../shared/photos/train/natural --minutes 70
    python -m weights.lite.train colorize --photos ../shared/photos/train --minutes 55

A recipe of one folder takes that folder or the one above it; the others take the one that holds natural/, faces/ and damage/.

Stopped at any point, the same command goes on from the last checkpoint in `--work`. At the end the averaged
weights go to the recipe's file in `weights/lite/` and their line to `weights/lite/provenance.json`. Inference needs none of
this file.

Two runs of one seed draw the same patches in the same order. The schedule ends at `--steps` or `--minutes`, whichever
comes first, so that a slower machine gets a shorter but complete schedule, not a longer wait.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import math
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from weights.lite.material import Material, gathered
from weights.lite.recipe import Recipe
from weights.lite.recipes import RECIPES

HERE = Path(__file__).resolve().parent
EMA_DECAY = 0.999
log = logging.getLogger("lite.train")


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
    rng = np.random.default_rng(seed)
    values = []
    with torch.inference_mode():
        for index, pair in enumerate(held_back.pairs):
            side = min(recipe.score_px or 2 * recipe.patch_px, *pair[0].shape[:2]) // 16 * 16
            for _ in range(recipe.score_draws):
                drawn = held_back.draw(recipe, index, side, rng)
                source, target = (to_tensor([array]) for array in drawn)
                values.append(recipe.score(net(source), target, source))
    return float(np.mean(values))


def learning_rate(recipe: Recipe, progress: float) -> float:
    """Short linear warm-up, then a cosine from the peak to a hundredth of it; `progress` in [0, 1]."""
    if progress < 0.01:
        return recipe.peak_lr * max(progress, 1e-4) / 0.01
    return recipe.peak_lr * (0.01 + 0.99 * 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0))))


@dataclasses.dataclass
class Course:
    """One training run: what is learnt, and how far it has come."""

    net: nn.Module
    averaged: dict[str, Tensor]
    optimiser: torch.optim.Optimizer
    step: int = 0
    spent_s: float = 0.0

    @classmethod
    def begun_or_resumed(cls, recipe: Recipe, checkpoint: Path, seed: int) -> Course:
        """The course of the checkpoint if there is one, else a new one."""
        net = channels_last(recipe.build())
        averaged = {key: value.detach().clone() for key, value in net.state_dict().items()}
        course = cls(net, averaged, torch.optim.Adam(net.parameters(), lr=recipe.peak_lr))
        if checkpoint.exists():
            saved = torch.load(checkpoint, weights_only=True)
            if saved["seed"] != seed:
                raise SystemExit(f"{checkpoint} is a course of seed {saved['seed']}: name another --work, or that seed")
            net.load_state_dict(saved["net"])
            course.optimiser.load_state_dict(saved["optimiser"])
            course.averaged, course.step, course.spent_s = saved["averaged"], saved["step"], saved["spent_s"]
            log.info("resumed at step %d after %.0f s", course.step, course.spent_s)
        return course

    def save(self, checkpoint: Path, seed: int) -> None:
        state = {"net": self.net.state_dict(), "optimiser": self.optimiser.state_dict(), "averaged": self.averaged}
        torch.save({**state, "step": self.step, "spent_s": self.spent_s, "seed": seed}, checkpoint.with_suffix(".new"))
        checkpoint.with_suffix(".new").replace(checkpoint)

    def learn(self, recipe: Recipe, source: Tensor, target: Tensor, progress: float) -> float:
        """One step; returns the loss before it."""
        for group in self.optimiser.param_groups:
            group["lr"] = learning_rate(recipe, progress)
        loss = recipe.loss(self.net(source), target, source, progress)
        self.optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        decay = min(EMA_DECAY, self.step / (self.step + 10.0))
        with torch.no_grad():
            for key, value in self.net.state_dict().items():
                self.averaged[key].lerp_(value, 1.0 - decay)
        return float(loss.detach())


def train(name: str, args: argparse.Namespace) -> None:
    """Runs or resumes one recipe and writes weights and provenance."""
    recipe = RECIPES[name]
    torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    args.out.mkdir(parents=True, exist_ok=True)
    args.work.mkdir(parents=True, exist_ok=True)
    training, held_back = gathered(recipe, args.photos)
    checkpoint = args.work / f"{name}.pt"
    course = Course.begun_or_resumed(recipe, checkpoint, args.seed)
    parameters = sum(p.numel() for p in course.net.parameters())
    log.info("%s: %d photos, %d held back, %d parameters", name, len(training.pairs), len(held_back.pairs), parameters)
    steps, limit_s, spent_before_s = args.steps or recipe.steps, 60.0 * args.minutes, course.spent_s
    started = saved_at = time.monotonic()
    losses: list[float] = []
    while (progress := max(course.step / steps, course.spent_s / limit_s)) < 1.0:
        source, target = batch_of(recipe, training, np.random.default_rng((args.seed, course.step)))
        losses.append(course.learn(recipe, source, target, progress))
        course.spent_s = spent_before_s + time.monotonic() - started
        if time.monotonic() - saved_at > args.checkpoint_every:
            saved_at = time.monotonic()
            course.save(checkpoint, args.seed)
        if course.step % 200 == 0:
            loss = float(np.mean(losses))
            log.info("%s: step %d, %.0f s, %.0f%%, training loss %.5f", name, course.step, course.spent_s, 100 * progress, loss)
            losses.clear()
        if course.step % 2000 == 0:
            report_validation(recipe, name, course.averaged, held_back, args.seed)
    score = report_validation(recipe, name, course.averaged, held_back, args.seed)
    dtype = torch.float16 if recipe.half_precision else torch.float32
    state = {key: value.to(dtype).contiguous() for key, value in course.averaged.items()}
    save_file(state, args.out / recipe.file, {"format": "pt", "recipe": name})
    row = {"steps": course.step, "seconds": round(course.spent_s), f"held_back_{recipe.score_name}": round(score, 3)}
    write_provenance(args, recipe, {"recipe": name, "photos": len(training.pairs), **row})


def report_validation(recipe: Recipe, name: str, averaged: dict[str, Tensor], held_back: Material, seed: int) -> float:
    """Logs and returns the held-back score of the averaged weights."""
    net = channels_last(recipe.build()).eval()
    net.load_state_dict(averaged)
    score = validation_score(recipe, net, held_back, seed)
    log.info("%s: held-back photos, %s %.3f", name, recipe.score_name, score)
    return score


def write_provenance(args: argparse.Namespace, recipe: Recipe, facts: dict[str, object]) -> None:
    """Adds or replaces the file's line in provenance.json."""
    path = args.out / "provenance.json"
    rows = json.loads(path.read_text()) if path.exists() else {}
    rows[recipe.file] = {
        "purpose": recipe.purpose,
        "data": recipe.data,
        "licence": "MIT",
        "seed": args.seed,
        "device": f"CPU, {args.threads} thread(s)",
        **facts,
    }
    path.write_text(json.dumps(rows, indent=2, sort_keys=True) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("name", choices=sorted(RECIPES))
    parser.add_argument("--photos", type=Path, required=True, help="folder of clean JPEG or PNG photos, or the one above")
    parser.add_argument("--minutes", type=float, default=70.0, help="time bound of the whole schedule, resumed time included")
    parser.add_argument("--steps", type=int, help="length of the schedule; the recipe's own by default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, default=HERE / "checkpoints", help="where checkpoints are kept")
    parser.add_argument("--checkpoint-every", type=float, default=60.0, metavar="SECONDS")
    parser.add_argument("--out", type=Path, default=HERE, help="where the finished weights go")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(args.name, args)


if __name__ == "__main__":
    main()
