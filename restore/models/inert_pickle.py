"""An unpickler for torch.load that executes nothing and accepts every file.

Training frameworks save optimizers, options and other objects beside the tensors. torch's own
restricted unpickler (`weights_only`) refuses the whole file then. Here, tensors and containers are
rebuilt, and every other class or function becomes a placeholder, whatever its name: nothing is
imported. This module is passed to torch.load as its `pickle_module`.
"""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import IO, Any

import torch._utils


class Placeholder:
    """An instance of a class that is not in this program's list; it keeps nothing.

    The methods are those that an unpickler calls on objects.
    """

    dump_patches = False
    """Read by torch.load where a whole module was saved with its source."""

    def __new__(cls, *args: object, **options: object) -> Placeholder:
        del args, options
        return super().__new__(cls)

    def __init__(self, *args: object, **options: object) -> None:
        pass

    def __call__(self, *args: object) -> Placeholder:
        return self  # a method of an unknown class, for example

    def __setstate__(self, state: object) -> None:
        pass

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def append(self, item: object) -> None:
        """Ignore an item of a list."""

    def extend(self, items: object) -> None:
        """Ignore items of a list."""

    def add(self, item: object) -> None:
        """Ignore an item of a set."""


class _Rebuild:
    """A function of torch that rebuilds tensors; a pickle cannot change its attributes."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, *args: object) -> object:
        return self._function(*args)

    def __setstate__(self, state: object) -> None:
        raise pickle.UnpicklingError("the file tries to change a function")


_REBUILD = ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_parameter")


class Unpickler(pickle.Unpickler):
    """Rebuilds tensors and containers; torch.load adds the storages."""

    def find_class(self, module: str, name: str, /) -> Any:  # noqa: ANN401 - classes and functions
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if module == "torch._utils" and name in _REBUILD:
            return _Rebuild(getattr(torch._utils, name))
        return Placeholder


def load(file: IO[bytes], **options: Any) -> Any:  # noqa: ANN401 - as pickle.load
    """Read one object; torch.load calls this for the older format of checkpoints."""
    return Unpickler(file, **options).load()
