"""Forked processes, in which torch would wait forever for threads that only the first one has."""

from __future__ import annotations

import os

import torch

from restore.errors import Code, RestoreError

_first_process: int | None = None
"""The process in which networks ran first; a forked process inherits it."""


def require_usable_process(device: torch.device) -> None:
    """Refuse to run networks in a process that was forked after networks ran.

    A CPU with one thread works, because torch then has no pool of threads.

    Raises:
        RestoreError: DEVICE.
    """
    global _first_process  # noqa: PLW0603 - torch's threads belong to the process, too
    if _first_process is None:
        _first_process = os.getpid()
    if os.getpid() == _first_process:
        return
    if device.type != "cpu" or torch.get_num_threads() > 1:
        raise RestoreError(
            Code.DEVICE,
            "this process was forked after networks ran, and torch cannot run them in it",
            "Start processes with the method spawn, or before the first Restorer loads networks.",
        )
