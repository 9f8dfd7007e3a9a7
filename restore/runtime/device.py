"""Device selection, and what a performance profile means on a device."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from restore.errors import Code, RestoreError
from restore.options import RuntimeProfile
from restore.options.base import shortened
from restore.options.suggest import MAX_SHOWN_CHARACTERS

_REMEDY = "Use cpu, cuda or cuda:N of an existing GPU, or auto."


@dataclass(frozen=True)
class Runtime:
    """Where and how the networks of a request run.

    Attributes:
        device: the device of all networks.
        dtype: the floating-point type of network inputs.
        profile: 'baseline', 'fast' or 'max_speed'.
        compile_backend: the torch.compile backend; 'none' for optimized networks without
            compilation, None for networks exactly as they were loaded (stability mode `safe`).
        low_precision: whether networks may compute below float32, as their manifest rows allow.
        pixels_on_device: whether photos stay on the device between networks and steps.
    """

    device: torch.device
    dtype: torch.dtype
    profile: RuntimeProfile
    compile_backend: str | None = None
    low_precision: bool = False
    pixels_on_device: bool = False

    @property
    def optimized(self) -> bool:
        """Whether optimized copies of the networks are used."""
        return self.compile_backend is not None

    @property
    def compiles(self) -> bool:
        """Whether some networks are compiled, each for one fixed input shape."""
        return self.compile_backend not in {None, "none"}

    @property
    def uses_fixed_shapes(self) -> bool:
        """Whether some networks run as programs or CUDA graphs for one input shape each."""
        records_graphs = self.optimized and self.low_precision and self.device.type == "cuda"
        return self.compiles or records_graphs

    @property
    def batches_faces(self) -> bool:
        """Whether all faces of a request go through a network as one batch."""
        return self.profile != "baseline"

    @property
    def batches_tiles(self) -> bool:
        """Whether several tiles of a photo go through a network at once.

        On a CPU a tile uses all cores, and the features of several do not fit into its cache.
        Compiled and recorded networks have a fixed input shape: one tile.
        """
        is_cuda = self.device.type == "cuda"
        return self.profile != "baseline" and is_cuda and not self.uses_fixed_shapes

    @property
    def parses_faces(self) -> bool:
        """Whether the face parser computes the paste mask, rather than a fixed geometric mask."""
        return self.profile != "max_speed"

    @property
    def precision(self) -> str:
        """The name of the dtype of inputs and outputs, such as 'float32'."""
        return str(self.dtype).removeprefix("torch.")


def select_device(
    name: str | torch.device | None = None, environment: Mapping[str, str] = os.environ
) -> torch.device:
    """Select the device: `name`, else RESTORE_DEVICE, else CUDA if available, else the CPU.

    Raises:
        RestoreError: DEVICE if the named device does not exist on this machine.
    """
    if name is not None and not isinstance(name, str | torch.device):
        raise RestoreError(Code.DEVICE, f"device is {shortened(name)}, which is no device", _REMEDY)
    requested = name or environment.get("RESTORE_DEVICE", "").strip() or "auto"
    if requested == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(requested)
        torch.ones(1, device=device).item()
    except (RuntimeError, AssertionError, ImportError, NotImplementedError) as error:
        first_line = textwrap.shorten(str(error).splitlines()[0], 120, placeholder=" ...")
        shown = str(requested)[:MAX_SHOWN_CHARACTERS]
        raise RestoreError(
            Code.DEVICE,
            f"device '{shown}' cannot be used on this machine ({first_line})",
            _REMEDY,
        ) from error
    return device


def runtime_for(
    profile: RuntimeProfile,
    device: torch.device,
    compile_backend: str | None = None,
    *,
    low_precision: bool = False,
    pixels_on_device: bool = False,
) -> Runtime:
    """Return the runtime of a profile on a device, and configure torch for it.

    `baseline` uses the official arithmetic in float32, one tile and one face at a time. `fast`
    batches the faces of a request, on CUDA also the tiles of a photo, and allows low precision.
    `max_speed` also pastes faces without the face parser. TF32 is never used outside of copies
    below float32, which turn it on while they run (`restore.optimize.lowering`).

    Args:
        profile: the performance profile.
        device: the device, as from `select_device`.
        compile_backend: a torch.compile backend or 'none' for optimized networks; None for
            networks as loaded.
        low_precision: whether networks may compute below float32; never in `baseline`.
        pixels_on_device: whether photos stay on the device; never in `baseline`.
    """
    # TF32 has a 10-bit mantissa (float32: 23 bits). cuDNN convolutions use it by default.
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    runtime = Runtime(
        device,
        torch.float32,
        profile,
        compile_backend=compile_backend,
        low_precision=low_precision and profile != "baseline",
        pixels_on_device=pixels_on_device and profile != "baseline",
    )
    # The cuDNN autotuner slows the first forward of each shape and makes runs differ, so it is
    # used only where shapes are fixed.
    torch.backends.cudnn.benchmark = runtime.uses_fixed_shapes
    return runtime
