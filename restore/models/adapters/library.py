"""Networks of spandrel and spandrel_extra_arches: both find the sizes in the checkpoint's keys."""

from __future__ import annotations

import importlib
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import ModuleType
from typing import Any, cast
from unittest import mock

from torch import nn

from restore.models.adapters.base import Adapter, UnknownSizesError
from restore.models.catalog import Checkpoint
from restore.models.checkpoint_file import StateDict
from restore.models.spandrel_parts import import_part

_assign_lock = threading.Lock()


class LibraryAdapter(Adapter):
    """A network that spandrel loads.

    Args:
        module: the module of spandrel that contains the network's class, which has the module's
            own name, and its architecture, whose name ends with `Arch`.
        sizes: for each manifest row, by id, the constructor arguments that differ from the
            defaults. Only needed to build a network without its checkpoint.
    """

    def __init__(self, module: str, sizes: Mapping[str, Mapping[str, Any]]) -> None:
        self._module = module
        self._name = module.rpartition(".")[2]
        self._sizes = sizes

    def create(self, row: Checkpoint) -> nn.Module:
        if row.id not in self._sizes:
            raise UnknownSizesError(f"only the file of row '{row.id}' contains the network's sizes")
        net_class: Callable[..., nn.Module] = getattr(self._import(), self._name)
        return net_class(**self._sizes[row.id])

    def from_state(self, state: StateDict) -> nn.Module:
        architecture = getattr(self._import(), f"{self._name}Arch")()
        if not architecture.detect(state):
            raise ValueError(f"the tensors are not those of {self._name}")
        with _load_by_assignment():
            return cast(nn.Module, architecture.load(state).model)

    def _import(self) -> ModuleType:
        return import_part(self._module)


class ExtraLibraryAdapter(LibraryAdapter):
    """A network that spandrel_extra_arches loads."""

    def _import(self) -> ModuleType:
        with warnings.catch_warnings():
            # spandrel_extra_arches calls torch.jit.script when it is imported.
            warnings.filterwarnings(
                "ignore", message="`torch.jit.script` is deprecated", category=DeprecationWarning
            )
            return importlib.import_module(self._module)


class AnyLibraryAdapter(Adapter):
    """Any network of spandrel's main registry; the keys of the checkpoint decide."""

    def from_state(self, state: StateDict) -> nn.Module:
        import spandrel  # noqa: PLC0415 - imports torchvision, and is only needed without a row

        try:
            with _load_by_assignment():
                return cast(nn.Module, spandrel.MAIN_REGISTRY.load(state).model)
        except spandrel.UnsupportedModelError as error:
            raise ValueError("the tensors are those of no architecture in spandrel") from error


SPANDREL = AnyLibraryAdapter()


@contextmanager
def _load_by_assignment() -> Iterator[None]:
    """Make spandrel assign tensors: it calls `load_state_dict(state)`, which copies them."""
    original = nn.Module.load_state_dict

    def load(
        self: nn.Module, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = True
    ) -> object:
        return original(self, state_dict, strict=strict, assign=assign)

    with _assign_lock, mock.patch.object(nn.Module, "load_state_dict", load):
        yield
