"""Free memory of the host, without torch: `restore batch` plans its workers before they load it."""

from __future__ import annotations

import os
from pathlib import Path

CGROUP_FOLDER = Path("/sys/fs/cgroup")


def host_free_bytes() -> int:
    """Return the smaller of the system's available memory and what a container limit leaves.

    The container limit is that of cgroup v2.
    """
    free_bytes = _system_free_bytes()
    container_bytes = _container_free_bytes()
    return free_bytes if container_bytes is None else max(0, min(free_bytes, container_bytes))


def _system_free_bytes() -> int:
    memory_info = Path("/proc/meminfo")
    if not memory_info.exists():
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    # MemAvailable includes the file cache, which the kernel can reclaim.
    available = next(
        line for line in memory_info.read_text().splitlines() if line.startswith("MemAvailable")
    )
    return int(available.split()[1]) * 1024


def _container_free_bytes() -> int | None:
    """Return what the cgroup limit leaves, or None without a limit."""
    try:
        limit, used, statistics = (
            (CGROUP_FOLDER / name).read_text().strip()
            for name in ("memory.max", "memory.current", "memory.stat")
        )
    except OSError:
        return None
    if limit == "max":
        return None
    # The used memory includes the file cache, which the kernel can reclaim.
    file_cache_bytes = sum(
        int(line.split()[1])
        for line in statistics.splitlines()
        if line.startswith(("inactive_file ", "active_file "))
    )
    return int(limit) - int(used) + file_cache_bytes
