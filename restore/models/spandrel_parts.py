"""Imports single modules of spandrel.

`import spandrel` imports all of its architectures, and with them torchvision and torch's compiler
(torch._dynamo). That takes longer than importing torch, and a request needs one or two of them.
`importlib.util.LazyLoader` does not help: it runs the package when its `__path__` is read, and the
import of a part reads that.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from importlib.machinery import ModuleSpec
from types import ModuleType

_PACKAGE = "spandrel"
_lock = threading.RLock()


def import_part(name: str) -> ModuleType:
    """Import a module of spandrel, and only what this module needs.

    The package itself is initialised when one of its names is used, such as
    `spandrel.MAIN_REGISTRY`, so other users of spandrel in this process see no difference.

    Args:
        name: full name of the module, such as `spandrel.architectures.NAFNet`.

    Raises:
        ImportError: there is no such module.
    """
    with _lock:
        if _PACKAGE not in sys.modules and (spec := importlib.util.find_spec(_PACKAGE)):
            sys.modules[_PACKAGE] = _uninitialised(spec)
    return importlib.import_module(name)


def _uninitialised(spec: ModuleSpec) -> ModuleType:
    """Return a package that runs its `__init__.py` when a name is used that it does not have."""
    package = importlib.util.module_from_spec(spec)

    def initialise(name: str) -> object:
        with _lock:
            if vars(package).pop("__getattr__", None) and spec.loader:
                spec.loader.exec_module(package)
        try:
            return vars(package)[name]
        except KeyError:
            raise AttributeError(f"module '{_PACKAGE}' has no attribute '{name}'") from None

    package.__getattr__ = initialise  # type: ignore[method-assign] # PEP 562
    return package
