"""Where the results of a command are written, and which of them are finished already.

A record beside the results, `.restore/NAME.json`, holds the checksums of the photo and of the
request that a result was made from, the networks, and the substitutes for official weights. Records
of versions that did not record the networks have a checksum with the whole manifest of the weights.
Without a matching record, an existing file may be the result of another photo of the same name, so
it is neither replaced nor taken for the result.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from restore.errors import Code, RestoreError, system_reason
from restore.imaging.suffixes import (
    FORMAT_OF_SUFFIX,
    READ_ONLY_SUFFIXES,
    output_suffixes_in_words,
)
from restore.models.locations import manifest_path
from restore.models.substitutes import BetterWeights
from restore.models.used_networks import KnownNetworks
from restore.options import Request
from restore.serving.fetch import DATA_SCHEME, has_scheme, local_file

if TYPE_CHECKING:
    from restore.results import Results

_RECORDS = ".restore"
_SUBSTITUTES, _NETWORKS = "substitutes", "networks"


def output_file(output: Path, photos: int, given: Mapping[str, object]) -> Path | None:
    """Return the output as a file, or None if it is a folder.

    Args:
        output: the value of `-o`.
        photos: number of photos.
        given: the options that the user gave.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE if it is a file, but must be a folder; OPTION_INVALID if
            `output_format` contradicts it.
    """
    output_format = FORMAT_OF_SUFFIX.get(output.suffix.lower())
    if output.is_dir():
        return None
    if output_format is None:
        suffixes = output_suffixes_in_words()
        remedy = f"Choose a folder, or for one photo a file that ends with {suffixes}."
        if output.exists():
            raise _unwritable(f"'{output}' is a file, not a folder", remedy)
        if output.suffix.lower() in READ_ONLY_SUFFIXES:
            reason = f"'{output}' ends with {output.suffix}, a format that results cannot have"
            raise _unwritable(reason, remedy)
        return None
    if photos > 1:
        raise _unwritable(
            f"'{output}' is the name of a file, but there are {photos} photos",
            "Choose a folder.",
        )
    if given.get("output_format", output_format) != output_format:
        reason = f"output_format is {given['output_format']}, but the output is '{output.name}'"
        raise RestoreError(Code.OPTION_INVALID, reason, "Leave one of them out.")
    return output


def plan_outputs(sources: Sequence[str], folder: Path, output_format: str) -> list[Path]:
    """Return one output path per source: the photo's own name, numbered where names repeat.

    Args:
        sources: paths, URLs or data URIs.
        folder: the output folder.
        output_format: the value of the option. With 'same' the suffix of a URL is provisional.
    """
    from restore.imaging.outputs import (  # noqa: PLC0415 - imports numpy and OpenCV
        file_stem,
        planned_format,
    )

    used: set[str] = set()
    paths = []
    for source in sources:
        stem = name = file_stem(_name_of(source))
        number = 1
        while name in used:
            number += 1
            name = f"{stem}-{number}"
        used.add(name)
        suffix = planned_format(local_file(source) or Path(source), output_format)
        paths.append(folder / f"{name}.{suffix}")
    return paths


@dataclass(frozen=True)
class Targets:
    """The files that a command writes for one photo.

    Attributes:
        result: the restored photo.
        mask: the mask of its scratches, if the request returns masks.
        report: its report, if the command writes reports.
    """

    result: Path
    mask: Path | None = None
    report: Path | None = None

    @classmethod
    def beside(cls, result: Path, *, with_mask: bool, with_report: bool) -> Targets:
        """Return a result with the further files of the command, which have the name of it."""
        mask = result.with_name(f"{result.stem}-mask.png") if with_mask else None
        return cls(result, mask, result.with_suffix(".json") if with_report else None)

    def files(self) -> Iterator[tuple[str, Path]]:
        """Yield what each file is and its path, the result first."""
        for kind, path in (("result", self.result), ("mask", self.mask), ("report", self.report)):
            if path is not None:
                yield kind, path


def require_other_files(
    targets: Sequence[Targets], sources: Sequence[str], masks: Sequence[str] = ()
) -> None:
    """Check that a command replaces none of its photos and masks, and none of its own files.

    Args:
        targets: the files that are written for each photo.
        sources: paths, URLs or data URIs of the photos.
        masks: the same of the masks.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE.
    """
    inputs = {
        _file_id(file): source
        for source in (*masks, *sources)
        if (file := local_file(source)) is not None
    }
    written: dict[Path, str] = {}
    for own, source in zip(targets, sources, strict=True):
        for kind, path in own.files():
            file_id = _file_id(path)
            if file_id is not None and file_id in inputs:
                other = inputs[file_id]
                replaced = "the photo itself" if other == source else f"the input '{other}'"
            elif path in written:
                replaced = f"a file of the photo '{written[path]}'"
            else:
                written[path] = source
                continue
            reason = f"the {kind} '{path}' would replace {replaced}"
            raise _unwritable(reason, "Choose another folder or file with --output.", source)


@dataclass(frozen=True)
class Origin:
    """What a result is made from, as checksums.

    Attributes:
        photo: sha256 of the photo's file.
        request: sha256 of the task, its steps and options, the masks and the weights policy.
        older_request: the same with the manifest of the weights, as older versions recorded it.
    """

    photo: str
    request: str
    older_request: str

    @classmethod
    def of(cls, photo: Path, request: Request, masks: Sequence[Path], weights: str) -> Origin:
        """Compute the checksums of a photo and of the request for it.

        Raises:
            OSError: a file cannot be read.
        """
        checksums = [_sha256(mask) for mask in masks]
        facts = [*request.facts(), checksums, weights]
        older = [*facts, _sha256(manifest_path())]
        return cls(_sha256(photo), _checksum(facts), _checksum(older))

    def require_made(self, result: Path, better: BetterWeights | None) -> None:
        """Check that an existing file is what this photo and this request give.

        Args:
            result: the file.
            better: finds better weights; None if the weights policy has no substitutes.

        Raises:
            RestoreError: OUTPUT_UNWRITABLE if it is not recorded as their result, if a network has
                changed, or if there are better weights now than those that it was made with.
                WEIGHTS_MANIFEST.
        """
        try:
            record = json.loads(_record_of(result).read_text())
            substitutes, networks = record.pop(_SUBSTITUTES), record.pop(_NETWORKS, None)
            request = self.older_request if networks is None else self.request
            is_result = record == {"photo": self.photo, "request": request}
            changed = KnownNetworks.load().changed(networks) if is_result and networks else ""
            arrived = better.than(substitutes) if is_result and better else ""
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            is_result, changed, arrived = False, "", ""
        if not is_result:
            raise exists_error(result)
        made = f"'{result}' is the result of this photo with these options, but it was made"
        if changed:
            raise _unwritable(
                f"{made} with other weights of {changed} than this version has",
                "Use --overwrite to restore it again, or choose another output with --output.",
            )
        if arrived:
            raise _unwritable(
                f"{made} while the {arrived} were missing",
                "Use --overwrite to restore it again with them, or choose another output with"
                " --output.",
            )

    def record(self, result: Path, made: Results) -> None:
        """Record that a result was made from this photo with this request.

        Args:
            result: the result.
            made: has the networks and the substitutes for official weights.

        Raises:
            RestoreError: OUTPUT_UNWRITABLE.
        """
        from restore.imaging.outputs import (  # noqa: PLC0415 - imports numpy and OpenCV
            make_folder,
            write_atomically,
        )

        path = _record_of(result)
        make_folder(path.parent)
        record = {
            "photo": self.photo,
            "request": self.request,
            _SUBSTITUTES: sorted(one.to_text() for one in made.substitutes),
            _NETWORKS: sorted(made.networks),
        }
        write_atomically(json.dumps(record).encode(), path)


def forget_origin(result: Path) -> None:
    """Delete the record of a result that is about to be replaced."""
    _record_of(result).unlink(missing_ok=True)


def exists_error(path: Path) -> RestoreError:
    """Return the error for an existing file that is not known to be the result."""
    return _unwritable(
        f"'{path}' exists already, and nothing shows that it is the result of this photo with"
        " these options and weights",
        "Use --overwrite to replace it, or choose another output with --output.",
    )


def write_error(path: Path, error: OSError) -> RestoreError:
    """Return the error for a result that the operating system does not let a command write."""
    reason = f"'{path}' cannot be written ({system_reason(error)})"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return _unwritable(reason, "Free some disk space, or choose another disk with --output.")
    return _unwritable(reason, "Choose another folder or file with --output.")


def _unwritable(reason: str, remedy: str, photo: str | None = None) -> RestoreError:
    return RestoreError(Code.OUTPUT_UNWRITABLE, reason, remedy, photo=photo)


def _record_of(result: Path) -> Path:
    return result.parent / _RECORDS / f"{result.name}.json"


def _file_id(path: Path) -> tuple[int, int] | None:
    """Return device and inode of a file, or None if there is no such file."""
    try:
        status = path.stat()
    except (OSError, ValueError):  # ValueError: a NUL character in the path
        return None
    return status.st_dev, status.st_ino


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _checksum(facts: list[object]) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _name_of(source: str) -> str:
    if has_scheme(source, DATA_SCHEME):
        return "photo"
    if path := local_file(source):
        return path.name
    return source.partition("?")[0].rstrip("/")
