"""LaMa (Suvorov et al., WACV 2022): the official file is a TorchScript program."""

from __future__ import annotations

import copy
import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from restore.models.adapters.base import InpaintAdapter, UnknownSizesError
from restore.models.catalog import Checkpoint
from restore.models.checkpoint_file import StateDict
from restore.models.spandrel_parts import import_part
from restore.nets.folding import fold_norms
from restore.nets.low_precision.lama import LowPrecisionLama

_FIRST_NORM = "model.1.bn_l.running_mean"
log = logging.getLogger(__name__)


class LamaAdapter(InpaintAdapter):
    """The program blacks out the hole and returns the filled photo."""

    can_compile = False  # torch.compile does not compile TorchScript programs

    def create(self, row: Checkpoint) -> nn.Module:
        raise UnknownSizesError(
            f"the network of row '{row.id}' is a TorchScript program, which only its file contains"
        )

    def from_state(self, state: StateDict) -> nn.Module:
        """Build spandrel's LaMa; used for optimized copies.

        Args:
            state: the keys of the TorchScript program without their common prefix.
        """
        lama = import_part("spandrel.architectures.LaMa").LaMa
        net: nn.Module = lama(in_nc=4, out_nc=3)
        net.load_state_dict({f"model.{key}": value for key, value in state.items()}, strict=True)
        return net

    def load(self, path: Path) -> nn.Module:
        with warnings.catch_warnings():
            # torch 2.11 deprecates TorchScript; the official file has no other format.
            warnings.filterwarnings(
                "ignore", message="`torch.jit.load` is deprecated", category=DeprecationWarning
            )
            net: nn.Module = torch.jit.load(path, map_location="cpu")  # type: ignore[no-untyped-call]
        for parameter in net.parameters():  # a program does not support `requires_grad_`
            parameter.requires_grad = False
        return net.float()

    def rewrite(self, net: nn.Module) -> nn.Module:
        """Convert the program to modules; copy it if its tensors do not fit them."""
        if not isinstance(net, torch.jit.ScriptModule):
            return super().rewrite(net)
        modules = self._as_modules(net)
        return copy.deepcopy(net) if modules is None else fold_norms(modules)

    def lower(self, net: nn.Module, dtype: torch.dtype, encoder_dtype: torch.dtype) -> nn.Module:
        del encoder_dtype
        is_program = isinstance(net, torch.jit.ScriptModule)
        modules = self._as_modules(net) if is_program else copy.deepcopy(net)
        if modules is None:
            raise ValueError("the LaMa program cannot be converted to modules")
        return LowPrecisionLama(modules, dtype)

    def _as_modules(self, program: nn.Module) -> nn.Module | None:
        """Convert the program to modules; return None if its tensors do not fit them."""
        state = program.state_dict()
        prefix = next(
            (key.removesuffix(_FIRST_NORM) for key in state if key.endswith(_FIRST_NORM)), None
        )
        if prefix is None:
            return None
        try:
            converted = self.from_state(
                {key.removeprefix(prefix): value for key, value in state.items()}
            )
        except RuntimeError as error:
            log.warning("the LaMa program was not converted for optimized requests: %s", error)
            return None
        return converted.eval().to(next(iter(state.values())).device)

    def fill(self, net: nn.Module, photo: Tensor, hole: Tensor) -> Tensor:
        # Without this, torch profiles and optimizes the program in the first two calls with each
        # shape, which takes seconds.
        with torch.jit.optimized_execution(False):  # type: ignore[attr-defined] # not in the stubs
            filled: Tensor = net(photo, hole)
        return filled


LAMA = LamaAdapter()
