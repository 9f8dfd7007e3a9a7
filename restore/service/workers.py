"""All workers of this gateway: those that it starts, and those with a given address."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from restore.errors import Code, RestoreError
from restore.service.devices import worker_environments
from restore.service.local_worker import LocalWorker
from restore.service.settings import Settings
from restore.service.worker import Worker
from restore.service.worker_state import WorkerState
from restore.serving.uploads import INPUT_FOLDERS

MAX_SHOWN_CHARACTERS = 80
LOG_FILTER = "RUST_LOG"
LOGS = {LOG_FILTER: "warn,coglet::setup=info,coglet::prediction=info"}
"""Cog's server logs what setup and predictions print, and not each of its own steps."""


class Workers:
    """The workers of a gateway.

    Args:
        settings: number, addresses and weights of the workers.
        folders: folders of the stored files, which local workers may read.

    Raises:
        RestoreError: OPTION_INVALID for an address that is not a URL, for a folder that the workers
            cannot be told, or if there is no worker.
    """

    def __init__(self, settings: Settings, *folders: Path) -> None:
        self._settings = settings
        self._folders = _path_list(folders)
        self._remote = [
            Worker(_name_of(url), url.rstrip("/"), settings.public_url)
            for url in settings.worker_urls
        ]
        self._local = [LocalWorker(f"worker-{number}") for number in range(1, settings.workers + 1)]
        # A gateway without workers may serve those of others that share its database.
        if not self.all and settings.database_url is None:
            raise RestoreError(
                Code.OPTION_INVALID,
                "the service has no workers",
                "Start some with --workers 1, or name the address of one with --worker URL.",
            )

    @property
    def all(self) -> Sequence[Worker]:
        """All workers."""
        return (*self._local, *self._remote)

    def list(self) -> tuple[WorkerState, ...]:
        """Return the state of all workers."""
        return tuple(worker.state for worker in self.all)

    async def run(self) -> None:
        """Run all workers until this is cancelled; then stop those that were started here."""
        environments = await asyncio.to_thread(worker_environments, len(self._local))
        for local, environment in zip(self._local, environments, strict=True):
            local.environment = {**self._shared_environment(), **environment}
        try:
            async with asyncio.TaskGroup() as group:
                for worker in self.all:
                    group.create_task(worker.run())
        finally:
            for worker in self.all:
                worker.client.close()

    def _shared_environment(self) -> dict[str, str]:
        environment = {INPUT_FOLDERS: self._folders, **({} if LOG_FILTER in os.environ else LOGS)}
        if self._settings.weights:
            environment["RESTORE_WEIGHTS"] = self._settings.weights
        return environment


def _path_list(folders: Sequence[Path]) -> str:
    """Return absolute paths as one text, separated as in PATH.

    Raises:
        RestoreError: OPTION_INVALID.
    """
    paths = [str(folder.resolve()) for folder in folders]
    for path in paths:
        if os.pathsep in path:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"the folder '{path}' has '{os.pathsep}' in its path",
                "Choose a data folder without it.",
            )
    return os.pathsep.join(paths)


def _name_of(url: str) -> str:
    """Return host and port of a worker's address.

    Raises:
        RestoreError: OPTION_INVALID.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise RestoreError(
            Code.OPTION_INVALID,
            f"'{url[:MAX_SHOWN_CHARACTERS]}' is not the address of a worker",
            "Write it as http://HOST:PORT.",
        )
    return parts.netloc.rpartition("@")[2]
