"""Train a lite network from clean photos: seeded, resumable, limited in time.

An interrupted training continues from its last checkpoint with the same command. At the end, the
averaged weights are written to the file of the recipe, and provenance.json is updated. Inference
does not need this package.

Two runs with the same seed draw the same patches in the same order. The schedule ends after its
steps or its minutes, whichever is first: a slow machine gets a shorter but complete schedule.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from training.batches import iterate_batches
from training.clock import ComputeClock
from training.dataset import PatchSource, load_patch_sources
from training.pack import unpacked
from training.provenance import Facts, write_run
from training.recipe import Recipe
from training.registry import RECIPES
from training.run import TrainingRun
from training.settings import TrainSettings

LOG_EVERY_STEPS = 200
SCORE_EVERY_STEPS = 2000
FILE_MODE = 0o644  # a project that is installed for several users needs readable files
log = logging.getLogger("training")


def train(name: str, settings: TrainSettings) -> None:
    """Start or resume the training of a recipe; write its weights and provenance.

    Raises:
        SystemExit: photos or initial weights are missing, or the checkpoint has another seed.
    """
    recipe = settings.apply_to(RECIPES[name])
    torch.set_num_threads(settings.threads)
    torch.backends.cudnn.benchmark = True  # every batch has the same size
    torch.manual_seed(settings.seed)
    settings.out.mkdir(parents=True, exist_ok=True)
    settings.work.mkdir(parents=True, exist_ok=True)
    with unpacked(settings.photos) as photos:
        training, held_back = load_patch_sources(recipe, photos)
    checkpoint = settings.work / f"{name}.pt"
    run = TrainingRun.start(recipe, settings)
    if checkpoint.exists():
        run.load_checkpoint(checkpoint, settings)
    log.info(
        "%s: %d photos, %d held back, %d parameters",
        name,
        len(training.pairs),
        len(held_back.pairs),
        sum(parameter.numel() for parameter in run.net.parameters()),
    )
    _run_schedule(run, recipe, settings, (training, held_back), checkpoint)
    run.save_checkpoint(checkpoint, settings.seed)
    score = _log_score(run, recipe, held_back, settings.seed)
    _write_weights(run, recipe, name, settings.out)
    facts: Facts = {
        "recipe": name,
        "photos": len(training.pairs),
        "steps": run.step,
        "seconds": round(run.spent_s),
        "batch": recipe.batch_size,
        "peak_lr": recipe.peak_lr,
        f"held_back_{recipe.score_name}": round(score, 3),
    }
    facts |= {"only": settings.only} if settings.only else {}
    facts |= {"teacher": settings.teacher.name} if settings.teacher else {}
    facts |= {"earlier": run.earlier} if run.earlier else {}
    write_run(settings, recipe, facts)


def _run_schedule(
    run: TrainingRun,
    recipe: Recipe,
    settings: TrainSettings,
    sources: tuple[PatchSource, PatchSource],
    checkpoint: Path,
) -> None:
    """Train until the end of the schedule; log the loss and the score, write checkpoints."""
    training, held_back = sources
    device, limit_s = torch.device(settings.device), 60.0 * settings.minutes
    clock = ComputeClock.for_device(device, settings.threads)
    batches = iterate_batches(recipe, training, settings, run.step)
    saved_at_s, losses = time.monotonic(), list[Tensor]()
    while (progress := max(run.step / recipe.steps, run.spent_s / limit_s)) < 1.0:
        source, target = (
            patches.to(device, non_blocking=True, memory_format=torch.channels_last)
            for patches in next(batches)
        )
        losses.append(run.train_step(recipe, (source, target), progress))
        run.spent_s += clock.lap_s()
        if time.monotonic() - saved_at_s > settings.checkpoint_every_s:
            saved_at_s = time.monotonic()
            run.save_checkpoint(checkpoint, settings.seed)
        if run.step % LOG_EVERY_STEPS == 0:
            loss = float(torch.stack(losses).mean())
            losses.clear()
            log.info(
                "step %d, %.0f s, %.0f%%, training loss %.5f",
                run.step,
                run.spent_s,
                100 * progress,
                loss,
            )
        if run.step % SCORE_EVERY_STEPS == 0:
            _log_score(run, recipe, held_back, settings.seed)


def _log_score(run: TrainingRun, recipe: Recipe, held_back: PatchSource, seed: int) -> float:
    score = run.score(recipe, held_back, seed)
    log.info("held-back photos: %s %.3f", recipe.score_name, score)
    return score


def _write_weights(run: TrainingRun, recipe: Recipe, name: str, folder: Path) -> None:
    dtype = torch.float16 if recipe.half_precision else torch.float32
    state = {key: value.to(dtype).cpu().contiguous() for key, value in run.averaged.items()}
    save_file(state, folder / recipe.file, {"format": "pt", "recipe": name})
    (folder / recipe.file).chmod(FILE_MODE)
