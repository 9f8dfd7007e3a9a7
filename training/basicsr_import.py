"""Import basicsr 1.4.2 (degradations and metrics) beside current torchvision, numpy and scipy.

Benchmarks, training and the degradation script use it; the predict path does not. Nothing in
site-packages is changed, and the workarounds in the process are undone after the import.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np

# basicsr imports one function from this module, which torchvision 0.17 removed.
_REMOVED_MODULE = "torchvision.transforms.functional_tensor"


def import_basicsr(submodule: str) -> ModuleType:
    """Import one module of basicsr.

    The first import takes some seconds, because every part of basicsr imports all its networks.
    Its functions expect BGR pictures and use the global random generators of numpy and `random`.

    Args:
        submodule: dotted name below `basicsr`, such as "data.degradations" or "metrics.niqe".

    Raises:
        ModuleNotFoundError: basicsr is not installed, or has no such module.
    """
    # basicsr.data.degradations switches numpy's division warnings off; errstate restores them.
    with _removed_module(), np.errstate(), warnings.catch_warnings():
        # basicsr.metrics.niqe imports from scipy.ndimage.filters, which is deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module(f"basicsr.{submodule}")


@contextmanager
def _removed_module() -> Iterator[None]:
    """Provide the module that torchvision removed, unless it exists."""
    from torchvision.transforms import functional  # noqa: PLC0415 - slow, and needed only here

    if _REMOVED_MODULE in sys.modules:
        yield
        return
    stub = ModuleType(_REMOVED_MODULE)
    stub.__dict__["rgb_to_grayscale"] = functional.rgb_to_grayscale
    sys.modules[_REMOVED_MODULE] = stub
    try:
        yield
    finally:
        del sys.modules[_REMOVED_MODULE]
