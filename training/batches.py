"""Batches of augmented training patches, prepared in the main process or by workers."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator

import cv2
import numpy as np
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from training.dataset import PatchSource
from training.recipe import Recipe
from training.settings import TrainSettings
from training.tensors import to_batch

PREFETCHED_BATCHES = 8  # per worker

Batch = tuple[Tensor, Tensor]
"""Network inputs and targets, NxCxHxW."""


def apply_symmetry(patch: np.ndarray, index: int) -> np.ndarray:
    """Apply one of the eight symmetries of the square: index % 4 rotations, flipped from 4 on."""
    rotated = np.rot90(patch, index % 4)
    return np.ascontiguousarray(rotated[:, ::-1] if index >= 4 else rotated)


def draw_batch(recipe: Recipe, source: PatchSource, rng: np.random.Generator) -> Batch:
    """Draw one batch of augmented patches."""
    inputs, targets = [], []
    for index in rng.choice(len(source.pairs), recipe.batch_size, p=source.probabilities):
        patch, target = source.draw_patch(recipe, int(index), recipe.patch_px, rng)
        symmetry = int(rng.choice(recipe.symmetries))
        inputs.append(apply_symmetry(patch, symmetry))
        targets.append(apply_symmetry(target, symmetry))
    return to_batch(inputs), to_batch(targets)


@dataclasses.dataclass(frozen=True)
class BatchDataset(Dataset[Batch]):
    """The batch of each step. It depends on the seed and the step only, not on the workers."""

    recipe: Recipe
    source: PatchSource
    seed: int

    def __getitem__(self, step: int) -> Batch:
        return draw_batch(self.recipe, self.source, np.random.default_rng((self.seed, step)))


def iterate_batches(
    recipe: Recipe, source: PatchSource, settings: TrainSettings, first_step: int
) -> Iterator[Batch]:
    """Yield the batches from a step on, without end."""
    return iter(
        DataLoader(
            BatchDataset(recipe, source, settings.seed),
            batch_size=None,
            sampler=itertools.count(first_step),
            num_workers=settings.workers,
            prefetch_factor=PREFETCHED_BATCHES if settings.workers else None,
            worker_init_fn=lambda _: cv2.setNumThreads(0),
            pin_memory=settings.device != "cpu",
        )
    )
