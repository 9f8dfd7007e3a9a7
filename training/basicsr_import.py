"""Makes basicsr 1.4.2, the field's degradations and metrics, importable beside today's torchvision, numpy and scipy.

Benchmarks and the program that degrades photos come through here; the predict path never does. Nothing in site-packages is
edited, and what the import needs or changes in the process is undone when it ends.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import numpy as np

# torchvision 0.17 removed this module; basicsr takes one function from it.
_REMOVED = "torchvision.transforms.functional_tensor"


def import_basicsr(submodule: str) -> ModuleType:
    """Imports one module of basicsr, such as "data.degradations", "metrics.psnr_ssim" or "metrics.niqe".

    The first import takes some seconds, as any part of basicsr imports all of its networks. Its functions expect BGR pictures
    and draw from the global generators of numpy and `random`.

    Args:
        submodule: its dotted name below `basicsr`.

    Raises:
        ModuleNotFoundError: basicsr is not installed, or has no such module.
    """
    # basicsr.data.degradations turns numpy's division warnings off for the whole process: errstate turns them on again.
    with _removed_module(), np.errstate(), warnings.catch_warnings():
        # basicsr.metrics.niqe takes a function from scipy.ndimage.filters, its deprecated place.
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module(f"basicsr.{submodule}")


@contextmanager
def _removed_module() -> Iterator[None]:
    """The module that torchvision removed, for as long as this lasts; one that is there already is left alone."""
    from torchvision.transforms import functional  # noqa: PLC0415 - seconds, and needed only here

    if _REMOVED in sys.modules:
        yield
        return
    stub = ModuleType(_REMOVED)
    stub.__dict__["rgb_to_grayscale"] = functional.rgb_to_grayscale
    sys.modules[_REMOVED] = stub
    try:
        yield
    finally:
        del sys.modules[_REMOVED]
