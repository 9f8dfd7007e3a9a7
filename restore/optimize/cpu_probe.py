"""Decides which networks compute below float32 on this CPU, by trying them in a child process.

bfloat16 is faster only on CPUs with AMX or AVX512-BF16, and not for every network. An illegal
instruction would end the process. A child therefore runs each network in both precisions on noise:
bfloat16 is used if the result is correct and the time shorter. Verdicts are kept in the user's
cache folder, by machine, version and file. RESTORE_CPU_PRECISION replaces the probe.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import platformdirs
import torch

from restore.errors import Code, RestoreError
from restore.models.catalog import Checkpoint
from restore.models.locations import PACKAGE
from restore.models.precision import FLOAT32, PrecisionName
from restore.version import __version__

ENVIRONMENT = "RESTORE_CPU_PRECISION"
PROBE, NEVER, MANIFEST, CUDA = "probe", "float32", "manifest", "cuda"
CHOICES = (PROBE, NEVER, MANIFEST, CUDA)
"""`manifest` and `cuda` use the precisions of the manifest for a CPU or for CUDA without a probe,
as tests and benchmarks do."""
CPU_FLAGS = frozenset({"amx_bf16", "avx512_bf16"})
MAX_PROBE_S = 8.0
"""Longest time that a process waits for its children in total. Networks that they do not reach
compute in float32."""
CHILD = "restore.optimize.cpu_probe_child"

log = logging.getLogger("restore")


class CpuProbe:
    """Knows the precision of each network on this CPU.

    Args:
        environment: RESTORE_CPU_PRECISION in it replaces the probe.
        cache_file: where verdicts are kept between processes.
        flags: features of the CPU; those of this machine by default.

    Raises:
        RestoreError: OPTION_INVALID for an unknown value in the environment.
    """

    def __init__(
        self,
        environment: Mapping[str, str] = os.environ,
        cache_file: Path | None = None,
        flags: frozenset[str] | None = None,
    ) -> None:
        self.choice = environment.get(ENVIRONMENT, "").strip() or PROBE
        if self.choice not in CHOICES:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"the environment variable {ENVIRONMENT} is '{self.choice}', which does not exist",
                f"Set it to one of {', '.join(CHOICES)}, or unset it.",
            )
        self.cache_file = cache_file or Path(platformdirs.user_cache_dir("restore")) / "cpu.json"
        self.supported = bool(CPU_FLAGS & (cpu_flags() if flags is None else flags))
        self.seconds_left = MAX_PROBE_S
        self._verdicts: dict[str, bool] | None = None

    def precision(self, row: Checkpoint, profile: str, path: Path | None) -> PrecisionName:
        """Return the precision of a network in a profile; the first call may run the probe.

        Args:
            row: its manifest row.
            profile: the performance profile.
            path: its checkpoint file; without one it is not probed, and float32.
        """
        if self.choice == NEVER:
            return FLOAT32
        if self.choice == CUDA:
            return row.precision_for(profile, CUDA)
        allowed = row.precision_for(profile, "cpu")
        if allowed == FLOAT32 or self.choice == MANIFEST:
            return allowed
        if not self.supported or path is None:
            return FLOAT32
        self.run([(row, path)])
        return allowed if self.verdicts.get(_key(row, path)) else FLOAT32

    @property
    def verdicts(self) -> dict[str, bool]:
        """Whether low precision is correct and faster, by machine, version and file."""
        if self._verdicts is None:
            self._verdicts = self._read()
        return self._verdicts

    def run(self, files: Sequence[tuple[Checkpoint, Path]]) -> None:
        """Probe the networks without a verdict, until the time of this process is spent.

        Those that are not reached compute in float32 in this process; the next one tries again.
        """
        if self.choice != PROBE or not self.supported or self.seconds_left <= 0:
            return
        wanted = {
            _key(row, path): (row.id, str(path))
            for row, path in files
            if row.precision_for("fast", "cpu") != FLOAT32
        }
        missing = {key: file for key, file in wanted.items() if key not in self.verdicts}
        if not missing:
            return
        started_s = time.monotonic()
        verdicts = run_child(list(missing.values()), self.seconds_left)
        self.seconds_left -= time.monotonic() - started_s
        found = dict(zip(missing, verdicts, strict=False))
        for key, (name, _) in missing.items():
            if key in found:
                log.info("below float32 on this CPU, %s: %s", name, found[key])
        self._write(found)
        self.verdicts.update({key: found.get(key, False) for key in missing})

    def _read(self) -> dict[str, bool]:
        try:
            content = json.loads(self.cache_file.read_text())
        except (OSError, ValueError):
            return {}
        if not isinstance(content, dict):
            return {}
        return {key: value for key, value in content.items() if isinstance(value, bool)}

    def _write(self, found: Mapping[str, bool]) -> None:
        """Add verdicts to the cache file; a folder that cannot be written is not an error."""
        temporary = self.cache_file.with_suffix(f".{os.getpid()}")
        try:
            self.cache_file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._read() | dict(found), indent=1))
            temporary.replace(self.cache_file)
        except OSError as error:
            log.info("the verdicts on low precision are not kept: %s", error)


def run_child(files: Sequence[tuple[str, str]], limit_s: float) -> list[bool]:
    """Try networks in a child process until the time is over.

    Args:
        files: row id and path of each checkpoint.
        limit_s: the child is ended after this time.

    Returns:
        Whether low precision is correct and faster, for the first networks. If the child dies, the
        network that it was trying has the verdict False.
    """
    command = [sys.executable, "-m", CHILD, json.dumps(list(files)), str(torch.get_num_threads())]
    try:
        child = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
            cwd=PACKAGE.parent,
        )
        output, died = child.stdout, child.returncode != 0
    except subprocess.TimeoutExpired as error:
        output, died = (error.stdout or b"").decode(), False
    verdicts = [line == "True" for line in output.splitlines() if line in {"True", "False"}]
    return [*verdicts, False] if died and len(verdicts) < len(files) else verdicts


def cpu_flags() -> frozenset[str]:
    """Return the features of the CPU as Linux names them; none on other systems."""
    return frozenset(_cpu_info("flags").split())


def _cpu_info(field: str) -> str:
    """Return the first value of a field of /proc/cpuinfo; empty if there is none."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:  # not Linux
        return ""
    return next((line.partition(":")[2] for line in lines if line.startswith(field)), "")


def _key(row: Checkpoint, path: Path) -> str:
    facts = path.stat()
    machine = f"{_cpu_info('model name')}{sorted(cpu_flags() & CPU_FLAGS)}{torch.get_num_threads()}"
    versions = f"{torch.__version__}{__version__}{facts.st_size}{facts.st_mtime_ns}"
    return f"{row.id} {hashlib.sha256((machine + versions).encode()).hexdigest()[:16]}"
