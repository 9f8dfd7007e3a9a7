"""Loss and score of the scratch network, with a tolerance of one pixel, and the weight of a pixel.

The target of a patch has two channels: damage (0 or 1), and the weight of a pixel in the loss.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.scratch_scores import grow
from training.scratch_visibility import MIN_CONTRAST, damage_contrast

BORDER_WEIGHT = 0.2  # of the pixels next to damage, in the cross-entropy
FAINT_WEIGHT = 0.1  # of damage that cannot be seen, and of the pixels next to it
WEAK_WEIGHT = 2.0  # of damage that can be seen and has at most WEAK_CONTRAST
WEAK_CONTRAST = 10.0  # standard deviations; two thirds of what was missed had less
LONG_WEIGHT = 1.5  # of long damage
MIN_LONG_PX = 23.0  # 5 % of the diagonal of the patches of the evaluation


def weigh_pixels(mask: np.ndarray, scanned: np.ndarray, undamaged: np.ndarray) -> np.ndarray:
    """Weigh the pixels of a damaged patch for the loss.

    Args:
        mask: HxW bool, the damage.
        scanned: HxW uint8.
        undamaged: HxW uint8, the scan without damage.

    Returns:
        HxW float32: 1 outside of the damage.
    """
    weights = np.ones(mask.shape, np.float32)
    if not mask.any():
        return weights
    contrast = damage_contrast(scanned, undamaged)
    visible = mask & (contrast > MIN_CONTRAST)
    weights[visible & (contrast <= WEAK_CONTRAST)] = WEAK_WEIGHT
    weights[_long_areas(mask)] *= LONG_WEIGHT
    weights[grow(mask & ~visible) & ~grow(visible)] = FAINT_WEIGHT
    return weights


def _long_areas(mask: np.ndarray) -> np.ndarray:
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    lengths = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    is_long = lengths >= MIN_LONG_PX
    is_long[0] = False  # the background
    return np.asarray(is_long[labels])


def tolerant_loss(output: Tensor, target: Tensor, source: Tensor, progress: float) -> Tensor:
    """Cross-entropy plus soft F1 over the batch, both with a tolerance of one pixel.

    The pixels next to damage hardly count, because the border of a line is ambiguous. F1 keeps the
    few pixels of thin damage from being outweighed (as Dice: Milletari et al., 3DV 2016).
    """
    damage, weight = target[:, :1], target[:, 1:]
    probability, near = output.sigmoid(), _grow(damage)
    pixel_weight = weight * torch.where(near > damage, BORDER_WEIGHT, 1.0)
    errors = F.binary_cross_entropy_with_logits(output, damage, pixel_weight, reduction="sum")
    # Weak damage counts more if it is missed. What is found there is correct once.
    found, true = probability * weight.clamp_max(1.0), damage * weight
    precision = ((found * near).sum() + 1.0) / (found.sum() + 1.0)
    recall = ((_grow(probability) * true).sum() + 1.0) / (true.sum() + 1.0)
    f1 = 2.0 * precision * recall / (precision + recall)
    return 2.0 * errors / output.numel() + 0.5 * (1.0 - f1)


def near_f1_score(output: Tensor, target: Tensor, source: Tensor) -> float:
    """F1 of one patch at threshold 0.5 with a tolerance of one pixel; 1 if nothing is to be found.

    Of an undamaged patch, it is 0 if anything is found.
    """
    found, true = (output > 0.0).float(), target[:, :1]
    if not float(found.sum() + true.sum()):
        return 1.0
    precision = float((found * _grow(true)).sum() / found.sum().clamp_min(1.0))
    recall = float((true * _grow(found)).sum() / true.sum().clamp_min(1.0))
    return 2.0 * precision * recall / max(precision + recall, 1e-9)


def _grow(mask: Tensor) -> Tensor:
    """Return the maximum over each pixel and its neighbours."""
    return F.max_pool2d(mask, 3, stride=1, padding=1)
