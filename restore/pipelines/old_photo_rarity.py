"""Adapt the probability of scratches to how much of a photo is scratched.

The lite network was trained on damaged patches. Of a photo with few scratches or none, it therefore
returns too high probabilities: branches, cords and stars become scratches. The share of scratches
is estimated from the photo itself, together with probabilities that agree with it (Saerens,
Latinne, Decaestecker: Adjusting the Outputs of a Classifier to New a Priori Probabilities, Neural
Computation 2002).
"""

from __future__ import annotations

import numpy as np

TRAINED_SHARE = 0.08
"""Share of scratches for which the probabilities of the network need no change. Chosen so that
undamaged photos are hardly changed, and damaged ones come about as close to the original as without
the adaptation (docs/lite-training.md, Scratches)."""

MIN_SHARE = 1e-4
"""Smallest estimate of the share."""

LEVELS = 4096
"""Levels to which probabilities are rounded to estimate the share."""

MAX_ITERATIONS = 200
TOLERANCE = 1e-6
"""Change of the share at which the iteration ends."""


def adapt_to_rarity(probability: np.ndarray) -> np.ndarray:
    """Lower the probabilities if less than TRAINED_SHARE of the photo is scratched.

    Args:
        probability: HxW float32 in [0, 1], as the network returns it.

    Returns:
        HxW float32 in [0, 1], nowhere larger.
    """
    return _scale_odds(probability, _odds(estimate_share(probability)) / _odds(TRAINED_SHARE))


def estimate_share(probability: np.ndarray) -> float:
    """Estimate the share of scratches by expectation maximisation.

    Args:
        probability: HxW float32 in [0, 1], as the network returns it.

    Returns:
        The share that equals the mean of the probabilities that are adapted to it, from MIN_SHARE
        to TRAINED_SHARE.
    """
    rounded = np.rint(probability * (LEVELS - 1)).astype(np.int32)
    counts = np.bincount(rounded.ravel(), minlength=LEVELS)
    levels = np.linspace(0.0, 1.0, LEVELS)
    share = TRAINED_SHARE
    for _ in range(MAX_ITERATIONS):
        adapted = _scale_odds(levels, _odds(share) / _odds(TRAINED_SHARE))
        mean = float(np.average(adapted, weights=counts))
        previous, share = share, min(max(mean, MIN_SHARE), TRAINED_SHARE)
        if abs(share - previous) < TOLERANCE:
            break
    return share


def _odds(probability: float) -> float:
    return probability / (1.0 - probability)


def _scale_odds(probability: np.ndarray, ratio: float) -> np.ndarray:
    """Return the probabilities whose odds are `ratio` times those of the given ones."""
    scaled: np.ndarray = ratio * probability / (ratio * probability + (1.0 - probability))
    return scaled
