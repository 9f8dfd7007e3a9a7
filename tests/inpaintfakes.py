"""Fake inpainting networks, masks and contexts for tests."""

import numpy as np
import torch
from torch import Tensor, nn

from restore.imaging.photo import Photo
from restore.models.catalog import Catalog, Checkpoint
from restore.models.loader import Model
from restore.options import InpaintOptions
from restore.pipelines.context import StepContext
from restore.pipelines.inpaint import run_inpaint
from restore.pipelines.rules import PixelRules
from restore.report import Report
from restore.runtime.device import runtime_for

ROW = Catalog.load().find("inpaint", "big")
LITE_ROW = ROW.model_copy(update={"architecture": "LiteInpaint", "size_multiple": 16})


class ConstantFill(nn.Module):
    """Fills with one colour, and records its inputs.

    The first pixel differs slightly, because a constant output is refused.
    """

    def __init__(self, *rgb: float) -> None:
        super().__init__()
        self.rgb = torch.tensor(rgb, dtype=torch.float32)[None, :, None, None]
        self.inputs: list[tuple[Tensor, Tensor]] = []

    def fill(self, image: Tensor, mask: Tensor) -> Tensor:
        self.inputs.append((image, mask))
        output = self.rgb.expand(image.shape).clone()
        output[..., 0, 0] += 1e-4
        return output

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        return self.fill(image, mask)


class LiteConstantFill(ConstantFill):
    """Has the input of the lite network: the masked photo and the mask in four channels."""

    def forward(self, masked: Tensor) -> Tensor:  # type: ignore[override]
        return self.fill(masked[:, :3], masked[:, 3:])


class MeanFill(ConstantFill):
    """Fills with the mean of the visible pixels."""

    def fill(self, image: Tensor, mask: Tensor) -> Tensor:
        super().fill(image, mask)
        visible = 1 - mask
        total, count = ((x * visible).sum((2, 3), keepdim=True) for x in (image, visible))
        return (total / count).expand(image.shape)


def context_of(
    net: nn.Module,
    mask: np.ndarray | None,
    row: Checkpoint = ROW,
    rules: PixelRules | None = None,
) -> StepContext:
    return StepContext(
        {"inpaint": Model(row, "big", net)},
        runtime_for("baseline", torch.device("cpu")),
        Report("a.png", "inpaint"),
        mask=mask,
        rules=rules or PixelRules(),
    )


def run_on(
    pixels: np.ndarray, net: nn.Module, mask: np.ndarray | None, strength: float = 1.0
) -> np.ndarray:
    options = InpaintOptions(strength=strength)
    return run_inpaint(Photo("a", pixels), options, context_of(net, mask)).pixels


def mask_of(height: int, width: int, *boxes: tuple[int, int, int, int]) -> np.ndarray:
    """Return a mask with holes at (top, left, height, width)."""
    mask = np.zeros((height, width), np.bool_)
    for top, left, tall, wide in boxes:
        mask[top : top + tall, left : left + wide] = True
    return mask


def random_pixels(*shape: int, dtype: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(1).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
