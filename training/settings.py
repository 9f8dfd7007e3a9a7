"""Settings of one training run."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from training.paths import LITE_WEIGHTS
from training.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class TrainSettings:
    """What a training runs on, and for how long.

    Attributes:
        photos: folder with natural/, faces/ and damage/ as far as the recipe needs them, or an
            archive of them (pack.py); for a recipe with one folder also that folder.
        work: folder for checkpoints.
        out: folder for the finished weights and provenance.json.
        minutes: limit of computing time, including the time before an interruption.
        steps: length of the schedule; default of the recipe if None.
        batch_size: patches per step; default of the recipe if None.
        peak_lr: highest learning rate; default of the recipe if None.
        device: torch device.
        threads: compute threads on a CPU.
        workers: processes that prepare batches; with 0, batches are prepared in the main process.
        seed: seed of the weights and of the patches.
        checkpoint_every_s: seconds between checkpoints.
        bfloat16: compute convolutions in bfloat16. This is three times as fast on CPUs with AMX
            and slower on other CPUs.
        only: prefixes, separated by commas, of the names of the parameters that are trained; all
            if None. Adversarial training is then off.
        fine_tune: start a new run from the finished weights in `out`.
        teacher: file of a network whose output is learnt too, for recipes that have a teacher.
            Adversarial training is then off.
    """

    photos: Path
    work: Path
    out: Path = LITE_WEIGHTS
    minutes: float = 70.0
    steps: int | None = None
    batch_size: int | None = None
    peak_lr: float | None = None
    device: str = "cpu"
    threads: int = 1
    workers: int = 0
    seed: int = 1
    checkpoint_every_s: float = 60.0
    bfloat16: bool = False
    only: str | None = None
    fine_tune: bool = False
    teacher: Path | None = None

    def apply_to(self, recipe: Recipe) -> Recipe:
        """Return the recipe with the values that the settings override."""
        names = ("steps", "batch_size", "peak_lr")
        overrides = {name: value for name in names if (value := getattr(self, name)) is not None}
        return dataclasses.replace(recipe, **overrides)
