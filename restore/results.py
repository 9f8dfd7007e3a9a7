"""Results: the restored photos of a request with their reports."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from restore.imaging.early_encoding import Encoded
from restore.imaging.outputs import save_all, save_json
from restore.imaging.photo import Photo
from restore.models.substitutes import Substitute
from restore.options import Request
from restore.pipelines.inspect import Inspection
from restore.report import Report
from restore.runtime.memory import translate_memory_errors


@dataclass(frozen=True)
class Results:
    """Restored photos and their reports, in the order of the request.

    Attributes:
        masks: by photo index, the scratches that were found, if the request has `return_mask`.
        encoded: by photo index, the results that are being encoded already.
        substitutes: weights that were used instead of the official ones, because these are missing.
        networks: the networks that were used, as texts of `UsedNetwork`.
        inspections: for the task `inspect`, what was found in each photo; the photos are unchanged.
    """

    photos: tuple[Photo, ...]
    reports: tuple[Report, ...]
    request: Request
    masks: Mapping[int, Photo] = field(default_factory=dict)
    inspections: tuple[Inspection, ...] = ()
    encoded: Mapping[int, Future[Encoded]] = field(default_factory=dict)
    substitutes: frozenset[Substitute] = frozenset()
    networks: frozenset[str] = frozenset()

    def save(
        self, folder: str | os.PathLike[str], prefix: str = "", *, with_reports: bool = False
    ) -> list[Path]:
        """Write all photos into a folder; if one cannot be written, none is left there.

        Files are named `<prefix><n>-<name>.<format>`. Masks follow the photos, as
        `<prefix><n>-<name>-mask.png`. Encoding times and warnings are added to the reports. The
        task `inspect` writes its inspections as `<prefix><n>-<name>.json` and nothing else.

        Args:
            folder: where to write; created if it does not exist.
            prefix: start of every file name.
            with_reports: also write each report as `<prefix><n>-<name>.json`.

        Raises:
            RestoreError: OUTPUT_UNWRITABLE.
        """
        if self.inspections:
            documents = [inspection.to_dict() for inspection in self.inspections]
            names = [photo.name for photo in self.photos]
            return save_json(names, documents, Path(folder), prefix)
        with translate_memory_errors(", ".join(photo.name for photo in self.photos), "encoding"):
            return save_all(
                self.photos,
                self.reports,
                self.request.output,
                Path(folder),
                prefix,
                self.masks,
                with_reports=with_reports,
                early=self.encoded,
            )
