"""Networks of spandrel and spandrel_extra_arches: both find the sizes in the checkpoint's keys."""

from __future__ import annotations

import functools
import importlib
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast
from unittest import mock

import spandrel
from torch import nn

from restore.models.adapters.base import Adapter, UnknownSizesError
from restore.models.catalog import Checkpoint
from restore.models.checkpoint_file import StateDict

_assign_lock = threading.Lock()


class LibraryAdapter(Adapter):
    """A network that spandrel loads.

    Args:
        module: the module that contains the network's class; the class has the module's own name.
        sizes: for each manifest row, by id, the constructor arguments that differ from the
            defaults. Only needed to build a network without its checkpoint.
    """

    def __init__(self, module: str, sizes: Mapping[str, Mapping[str, Any]]) -> None:
        self._module = module
        self._sizes = sizes

    def create(self, row: Checkpoint) -> nn.Module:
        if row.id not in self._sizes:
            raise UnknownSizesError(f"only the file of row '{row.id}' contains the network's sizes")
        with no_deprecation_warning():
            module = importlib.import_module(self._module)
        net_class: Callable[..., nn.Module] = getattr(module, self._module.rpartition(".")[2])
        return net_class(**self._sizes[row.id])

    def from_state(self, state: StateDict) -> nn.Module:
        with _load_by_assignment():
            loaded = spandrel.ModelLoader(registry=self._registry()).load_from_state_dict(state)
        return cast(nn.Module, loaded.model)

    def _registry(self) -> spandrel.ArchRegistry:
        return spandrel.MAIN_REGISTRY


class ExtraLibraryAdapter(LibraryAdapter):
    """A network that spandrel_extra_arches loads."""

    def _registry(self) -> spandrel.ArchRegistry:
        return extra_registry()


SPANDREL = LibraryAdapter("spandrel", {})
"""Loads every architecture of spandrel's main registry."""


@functools.cache
def extra_registry() -> spandrel.ArchRegistry:
    """Import spandrel_extra_arches and return its registry; spandrel's own stays unchanged."""
    with no_deprecation_warning():
        from spandrel_extra_arches import EXTRA_REGISTRY  # noqa: PLC0415 - only rows that need it
    return EXTRA_REGISTRY


@contextmanager
def no_deprecation_warning() -> Iterator[None]:
    """Suppress a warning: spandrel_extra_arches calls torch.jit.script when it is imported."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="`torch.jit.script` is deprecated", category=DeprecationWarning
        )
        yield


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
