"""Result files: their names, and writing all of a request or none."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from types import MappingProxyType

from restore.errors import Code, RestoreError, system_reason
from restore.imaging.coding import SAME_FORMAT, output_format_of
from restore.imaging.early_encoding import Encoded, encode_timed
from restore.imaging.encode import encode
from restore.imaging.identify import identify
from restore.imaging.parallel import map_in_threads
from restore.imaging.photo import Photo
from restore.options import OutputOptions
from restore.report import Report

MAX_STEM_BYTES = 180
MAX_MEGAPIXELS_TOGETHER = 64
"""Photos of more pixels in total are encoded one after the other, which bounds the memory."""
_MAX_SIGNATURE_BYTES = 1024

_NO_MASKS: Mapping[int, Photo] = MappingProxyType({})
_NOTHING_EARLY: Mapping[int, Future[Encoded]] = MappingProxyType({})
_NO_MASK_NAMES: Mapping[int, str] = MappingProxyType({})


def save_all(
    photos: Sequence[Photo],
    reports: Sequence[Report],
    output: OutputOptions,
    folder: Path,
    prefix: str = "",
    masks: Mapping[int, Photo] = _NO_MASKS,
    *,
    with_reports: bool = False,
    early: Mapping[int, Future[Encoded]] = _NOTHING_EARLY,
) -> list[Path]:
    """Encode all photos in several threads, then write them.

    If one file cannot be written, none remains.

    Args:
        photos: the results of a request, in its order.
        reports: their reports, which are updated with the encoded size and warnings.
        output: format, quality, and whether the GPS position is kept.
        folder: where to write; it is created if it does not exist.
        prefix: start of every file name.
        masks: masks to write as PNG, by the index of their photo.
        with_reports: write each photo's report beside it as JSON.
        early: photos that are being encoded already, by their index.

    Returns:
        The paths of photos and masks, as from `planned_paths`.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE.
    """
    names = [photo.name for photo in photos]
    mask_names = {index: mask.name for index, mask in masks.items()}
    formats = [output_format_of(output.output_format, photo.format) for photo in photos]
    paths = planned_paths(names, formats, folder, prefix, mask_names)
    contents = encode_all(photos, reports, output, early)
    contents += [encode(masks[index], "png", 100)[0] for index in sorted(masks)]
    files = list(zip(paths, contents, strict=True))
    if with_reports:
        for path, report in zip(paths[: len(reports)], reports, strict=True):
            files.append((path.with_suffix(".json"), _json_file(report.to_dict())))
    _write_all(files, folder)
    return paths


def encode_all(
    photos: Sequence[Photo],
    reports: Sequence[Report],
    output: OutputOptions,
    early: Mapping[int, Future[Encoded]] = _NOTHING_EARLY,
) -> list[bytes]:
    """Encode all photos in several threads, and return the contents of their files.

    Args:
        photos: the results of a request, in its order.
        reports: their reports, which are updated with the encoded size and warnings.
        output: format, quality, and whether the GPS position is kept.
        early: photos that are being encoded already, by their index.

    Raises:
        RestoreError: as `encode`.
    """
    encoded = map_in_threads(
        lambda item: _encode(*item, output, early),
        list(enumerate(photos)),
        together=sum(photo.megapixels for photo in photos) <= MAX_MEGAPIXELS_TOGETHER,
    )
    for photo, report, each in zip(photos, reports, encoded, strict=True):
        _report_output(photo, report, output, each)
    return [each.data for each in encoded]


def save_json(
    names: Sequence[str], documents: Sequence[Mapping[str, object]], folder: Path, prefix: str = ""
) -> list[Path]:
    """Write one JSON file for each photo; if one file cannot be written, none remains.

    Args:
        names: the names of the photos of a request, in its order.
        documents: what to write for each photo.
        folder: where to write; it is created if it does not exist.
        prefix: start of every file name.

    Returns:
        The paths, as from `planned_paths` with the format 'json'.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE.
    """
    paths = planned_paths(names, ["json"] * len(names), folder, prefix)
    contents = [_json_file(document) for document in documents]
    _write_all(list(zip(paths, contents, strict=True)), folder)
    return paths


def planned_paths(
    names: Sequence[str],
    output_formats: Sequence[str],
    folder: Path,
    prefix: str = "",
    masks: Mapping[int, str] = _NO_MASK_NAMES,
) -> list[Path]:
    """Return the paths that `save_all` writes, so that a caller can check them before the work.

    Args:
        names: the names of the photos of a request, in its order.
        output_formats: 'jpg', 'png', 'webp' or 'json' for each photo.
        folder: the output folder.
        prefix: start of every file name.
        masks: names of masks, by the index of their photo.

    Returns:
        `<prefix><n>-<name>.<format>` for each photo, then `<prefix><n>-<name>-mask.png` for each
        mask; n starts at 1.
    """
    paths = [
        folder / f"{prefix}{number}-{file_stem(name)}.{output_format}"
        for number, (name, output_format) in enumerate(
            zip(names, output_formats, strict=True), start=1
        )
    ]
    return paths + [
        folder / f"{prefix}{index + 1}-{file_stem(name)}-mask.png"
        for index, name in sorted(masks.items())
    ]


def planned_format(source: Path, requested: str) -> str:
    """Return the format of a result before its photo is decoded.

    Args:
        source: the photo's file. Only its first bytes are read, and only if they matter.
        requested: the value of `output_format`.

    Returns:
        'jpg', 'png' or 'webp'; for 'same' and a file that is not a photo, which fails later, 'png'.
    """
    if requested != SAME_FORMAT:
        return requested
    try:
        with source.open("rb") as file:
            file_format = identify(file.read(_MAX_SIGNATURE_BYTES), source.name)
    except (OSError, ValueError, RestoreError):
        file_format = ""
    return output_format_of(requested, file_format)


def file_stem(name: str) -> str:
    """Return a photo's name without suffix, as a short file name without special characters."""
    with_hyphens = re.sub(r"[\u2010-\u2015\u2212]", "-", Path(name).stem)
    stem = re.sub(r"[^\w.-]+", "_", with_hyphens).strip("._")
    return stem.encode()[:MAX_STEM_BYTES].decode(errors="ignore") or "photo"


def write_atomically(data: bytes, path: Path) -> None:
    """Write a file so that it is either complete or absent, whatever happens meanwhile.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE.
    """
    # In the same folder, so that the rename is atomic.
    unfinished = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        try:
            unfinished.write_bytes(data)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except (OSError, ValueError) as error:  # ValueError: the path contains a NUL character
        raise _unwritable(
            f"'{path.name}' cannot be written to the folder '{path.parent}'"
            f" ({system_reason(error)})",
            "Choose an existing folder that you can write to, with enough free space.",
        ) from error


def make_folder(folder: Path) -> None:
    """Create an output folder, and its parents, if it does not exist.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: the path contains a NUL character
        raise _unwritable(
            f"the output folder '{folder}' cannot be created ({system_reason(error)})"
        ) from error


def require_writable(folder: Path) -> None:
    """Check, before the work and without creating it, that an output folder is writable.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE.
    """
    try:
        existing = next((parent for parent in (folder, *folder.parents) if parent.exists()), Path())
        is_writable = existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)
    except OSError as error:
        raise _unwritable(
            f"the output folder '{str(folder)[:80]}' is not writable ({system_reason(error)})"
        ) from error
    if not is_writable:
        raise _unwritable(
            f"the output folder '{folder}' is not writable "
            f"('{existing}' is not a folder that you can write to)"
        )


def _encode(
    index: int, photo: Photo, output: OutputOptions, early: Mapping[int, Future[Encoded]]
) -> Encoded:
    return early[index].result() if index in early else encode_timed(photo, output)


def _report_output(photo: Photo, report: Report, output: OutputOptions, encoded: Encoded) -> None:
    report.add_stage_ms("encode", encoded.elapsed_ms)
    for warning in encoded.warnings:
        report.warn(warning)
    report.output = {
        "format": output_format_of(output.output_format, photo.format),
        "width": photo.width,
        "height": photo.height,
        "bytes": len(encoded.data),
    }


def _json_file(document: Mapping[str, object]) -> bytes:
    return (json.dumps(document, indent=2) + "\n").encode()


def _write_all(files: Sequence[tuple[Path, bytes]], folder: Path) -> None:
    """Write all files; on any failure, delete those already written."""
    written: list[Path] = []
    try:
        make_folder(folder)
        for path, data in files:
            write_atomically(data, path)
            written.append(path)
    except BaseException:  # an interrupt included
        for path in written:
            path.unlink(missing_ok=True)
        raise


def _unwritable(
    reason: str, remedy: str = "Choose a folder that you can write to."
) -> RestoreError:
    return RestoreError(Code.OUTPUT_UNWRITABLE, reason, remedy)
