"""The worker process of Cog's server: set-up, requests, logs and the end of the process."""

from __future__ import annotations

import atexit
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from restore.errors import RestoreError, unexpected
from restore.options.arguments import parse_preload
from restore.options.counts import check_photo_count
from restore.options.inputs import Inputs
from restore.serving.inputs import cog_inputs
from restore.serving.parent import end_with_parent
from restore.serving.progress_lines import ProgressLines
from restore.serving.schema import update_schema
from restore.serving.served_results import ServedResults
from restore.serving.uploads import allowed_sources, open_uploads
from restore.serving.watched import Watched

PRELOAD_ENVIRONMENT = "RESTORE_PRELOAD"

log = logging.getLogger("restore.serving.worker")


@dataclass(frozen=True)
class Response:
    """The result of a request.

    Attributes:
        paths: one file for each photo, in order, then the masks if the request asked for them.
        reports: the report of each photo.
    """

    paths: list[Path]
    reports: list[dict[str, Any]]


class Worker:
    """The networks of a worker process of Cog's server, and the requests that it serves."""

    def __init__(self) -> None:
        """Load the networks named by RESTORE_PRELOAD, or all of them if it is not set.

        Raises:
            RestoreError: for a setting or weights that cannot be used.
        """
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
        self.results, self.progress = ServedResults(), ProgressLines()
        atexit.register(self.results.close)
        end_with_parent(self.results.close)
        self.watched = Watched()
        update_schema()
        from restore import Restorer  # noqa: PLC0415 - imports torch
        from restore.serving.cog_patch import leave_sources_unread  # noqa: PLC0415 - imports cog

        try:
            allowed_sources()
            leave_sources_unread()
            preload = os.environ.get(PRELOAD_ENVIRONMENT, "").strip() or "all"
            parse_preload(preload, PRELOAD_ENVIRONMENT)  # an error names the variable
            self.restorer = Restorer(preload=preload, progress=self.progress)
            self.restorer.encodes_early = True
        except Exception:
            log.exception("setup failed")  # Cog logs the message only
            raise

    def respond(
        self,
        *,
        task: str,
        image: object,
        images: Sequence[object] | None,
        mask: object,
        masks: Sequence[object] | None,
        **options: object,
    ) -> Response:
        """Restore the photos of a request and write the results to a temporary folder.

        Raises:
            RestoreError: for a request that cannot be served; UNEXPECTED for an internal error.
        """
        try:
            with self.watched.working(), self.progress.request():
                return self._restore(task, (image, images), (mask, masks), options)
        except RestoreError as error:
            log.error("%s", error)  # noqa: TRY400 - the message says everything
            raise
        except Exception as error:
            log.exception("prediction failed")  # Cog returns the message only and logs nothing
            raise unexpected(error) from error

    def _restore(
        self,
        task: str,
        photos: tuple[object, Sequence[object] | None],
        masks: tuple[object, Sequence[object] | None],
        options: Mapping[str, object],
    ) -> Response:
        with open_uploads(*photos) as photo_files, open_uploads(*masks, "mask") as mask_files:
            check_photo_count(len(photo_files))  # names the inputs of HTTP
            given = cast(Inputs, _given(options))  # Cog has checked them
            results = self.restorer.run(task, photo_files, masks=mask_files, **given)
        with self.results.new_folder() as folder:
            paths = results.save(folder, prefix=f"{folder.name[:8]}-")
        return Response(paths, [report.to_dict() for report in results.reports])


def _given(options: Mapping[str, object]) -> dict[str, object]:
    """Return the options that differ from their defaults: Cog passes all of them."""
    defaults = {cog_input.name: cog_input.default for cog_input in cog_inputs()}
    return {
        name: value
        for name, value in options.items()
        if value is not None and (name not in defaults or value != defaults[name])
    }
