"""Measure as on a CPU without AVX-512, by limits that the libraries read when they are loaded.

A limited run shows which code the libraries choose and how it compares, but not the caches and
clocks of an older CPU. oneDNN, ATen, OpenBLAS and Numba are limited; MKL chooses by itself.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

NATIVE = "native"
AVX2: Mapping[str, str] = MappingProxyType(
    {
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "OPENBLAS_CORETYPE": "Haswell",
        "NUMBA_CPU_NAME": "haswell",
        "NUMBA_CPU_FEATURES": "+avx2,+fma,+f16c,+bmi,+bmi2",
        # Numba does not compile a cached kernel again because of other features.
        "NUMBA_CACHE_DIR": str(Path(tempfile.gettempdir()) / "restore-numba-avx2"),
    }
)


def add_option(parser: argparse.ArgumentParser) -> None:
    """Add the option `--instruction-set`."""
    parser.add_argument(
        "--instruction-set",
        default=NATIVE,
        choices=(NATIVE, "avx2"),
        help="avx2: compute as on a CPU without AVX-512 (default: all that this CPU has)",
    )


def restart_limited(instruction_set: str) -> None:
    """Replace this process by the same command with the limits, unless it has them already."""
    if instruction_set == NATIVE or all(os.environ.get(key) == AVX2[key] for key in AVX2):
        return
    os.environ.update(AVX2)
    os.execv(sys.executable, sys.orig_argv)
