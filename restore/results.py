"""Results: the restored photos of a request with their reports."""

from __future__ import annotations

import os
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path

from restore.errors import Code, RestoreError
from restore.imaging.coding import output_format_of
from restore.imaging.early_encoding import Encoded
from restore.imaging.outputs import encode_all, make_folder, save_all, save_json, write_atomically
from restore.imaging.photo import Photo
from restore.imaging.suffixes import FORMAT_OF_SUFFIX, output_suffixes_in_words
from restore.models.substitutes import Substitute
from restore.options import OutputOptions, Request
from restore.options.arguments import check_text, path_of
from restore.pipelines.inspect import Inspection
from restore.report import Report
from restore.runtime.memory import translate_memory_errors


@dataclass(frozen=True)
class Results:
    """Restored photos and their reports, in the order of the request.

    Attributes:
        photos: the restored photos.
        reports: their reports.
        request: the validated options.
        masks: by photo index, the scratches that were found, if the request has `return_mask`.
        encoded: by photo index, the results that are being encoded already.
        substitutes: weights that were used instead of the official ones, because these are missing.
        networks: the networks that were used, as texts of `UsedNetwork`.
        inspections: for the task `inspect`, what was found in each photo; the photos are unchanged.
    """

    photos: tuple[Photo, ...]
    reports: tuple[Report, ...] = field(repr=False)
    request: Request = field(repr=False)
    masks: Mapping[int, Photo] = field(default_factory=dict)
    inspections: tuple[Inspection, ...] = ()
    encoded: Mapping[int, Future[Encoded]] = field(default_factory=dict, repr=False)
    substitutes: frozenset[Substitute] = frozenset()
    networks: frozenset[str] = field(default=frozenset(), repr=False)

    def save(
        self, folder: str | os.PathLike[str], prefix: str = "", *, with_reports: bool = False
    ) -> list[Path]:
        """Write all photos into a folder; if one cannot be written, none is left there.

        Existing files of the same names are replaced.

        Files are named `<prefix><n>-<name>.<format>`. Masks follow the photos, as
        `<prefix><n>-<name>-mask.png`. Encoding times and warnings are added to the reports. The
        task `inspect` writes its inspections as `<prefix><n>-<name>.json` and nothing else.

        Args:
            folder: where to write; created if it does not exist.
            prefix: start of every file name.
            with_reports: also write each report as `<prefix><n>-<name>.json`.

        Raises:
            RestoreError: OUTPUT_UNWRITABLE, OPTION_INVALID for a folder that is no path.
        """
        to = path_of("folder", folder)
        check_text("prefix", prefix)
        if self.inspections:
            documents = [inspection.to_dict() for inspection in self.inspections]
            names = [photo.name for photo in self.photos]
            return save_json(names, documents, to, prefix)
        with translate_memory_errors(", ".join(photo.name for photo in self.photos), "encoding"):
            return save_all(
                self.photos,
                self.reports,
                self.request.output,
                to,
                prefix,
                self.masks,
                with_reports=with_reports,
                early=self.encoded,
            )

    def save_as(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> Path:
        """Write the photo of a request with one photo to a file, and return its path.

        The suffix decides the format. A folder that does not exist is created. Encoding time and
        warnings are added to the report.

        Args:
            path: the file.
            overwrite: replace an existing file, which may be the photo that was restored.

        Raises:
            RestoreError: OUTPUT_UNWRITABLE, also for an existing file; OUTPUT_TOO_LARGE;
                OPTION_INVALID for a suffix that results cannot have, and after `inspect`;
                PHOTO_COUNT for several photos.
        """
        path, count = path_of("path", path), len(self.photos)
        if count != 1:
            reason = f"'{path.name}' is one file, and the request has {count} photos"
            raise RestoreError(Code.PHOTO_COUNT, reason, "Use save(folder).")
        # Path.is_dir raises an error in a folder that cannot be searched.
        if os.path.isdir(path):  # noqa: PTH112
            reason, remedy = f"'{path}' is a folder", "Name a file in it, or use save(folder)."
            raise RestoreError(Code.OUTPUT_UNWRITABLE, reason, remedy)
        file_format = FORMAT_OF_SUFFIX.get(path.suffix.lower())
        if file_format is None:
            reason = f"'{path.name}' does not end with the suffix of a format of results"
            remedy = f"Use {output_suffixes_in_words()}."
            raise RestoreError(Code.OPTION_INVALID, reason, remedy)
        if os.path.lexists(path) and not overwrite:
            remedy = "Choose another name, or use save_as(path, overwrite=True)."
            raise RestoreError(Code.OUTPUT_UNWRITABLE, f"'{path.name}' exists already", remedy)
        output = self.request.output
        if output_format_of(output.output_format, self.photos[0].format) != file_format:
            output = output.model_copy(update={"output_format": file_format})
        [data] = self._encode(output)
        make_folder(path.parent)
        write_atomically(data, path)
        return path

    def to_bytes(self) -> list[bytes]:
        """Return the content of the file of each photo, in the `output_format` of the request.

        Encoding times and warnings are added to the reports.

        Raises:
            RestoreError: OUTPUT_TOO_LARGE; OPTION_INVALID after `inspect`.
        """
        return self._encode(self.request.output)

    def _encode(self, output: OutputOptions) -> list[bytes]:
        if self.inspections:
            reason = "inspect changes no photo, so there is none to encode"
            raise RestoreError(Code.OPTION_INVALID, reason, "Use inspections, or save(folder).")
        early = self.encoded if output == self.request.output else {}
        with translate_memory_errors(", ".join(photo.name for photo in self.photos), "encoding"):
            return encode_all(self.photos, self.reports, output, early)
