"""The manifest of a batch: one JSON line for each photo that is done or has failed.

A local manifest is appended to and synced after each row. An object store cannot append: there,
each run writes segments of rows. All files of the manifest are read at the start; the last row of a
photo counts. Memory holds a few words per photo, never the reports.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from io import FileIO
from typing import Any, Self

from restore.batch.folder import Folder, LocalFolder
from restore.batch.listing import BatchPhoto
from restore.batch.manifest_file import append, open_for_append
from restore.errors import Code, RestoreError
from restore.models.substitutes import Substitute
from restore.models.used_networks import UsedNetwork

FOLDER = ".restore-batch"
"""The folder in the output folder that holds the manifest."""
NAME, SUFFIX = "manifest", ".jsonl"
SEGMENT_ROWS = 500
SEGMENT_S = 30.0

DONE, FAILED = "done", "failed"


@dataclass(frozen=True)
class Row:
    """What became of one photo.

    Attributes:
        input: path of the photo relative to the input folder.
        size, state: of the photo, as in Entry.
        settings: fingerprint of task, options, weights policy and version; without networks, also
            of the manifest of the weights.
        status: 'done' or 'failed'.
        output: path of the result relative to the output folder; None if the photo failed.
        extra: further files, such as the mask of scratches.
        sha256: checksum of the result.
        error: code and message of the failure.
        seconds: computing time, without waiting.
        finished: seconds since 1970.
        version: version of this package.
        report: the report of the photo.
        substitutes: weights that were used instead of the official ones, as texts. None in rows
            of versions that did not record them.
        networks: the networks that were used, as texts. None in rows of photos that have failed
            and of versions that did not record them.
        older, older_key: files of an earlier result of a photo that has failed since, and the key
            of the row that made them.
    """

    input: str
    size: int
    state: str
    settings: str
    status: str
    output: str | None = None
    extra: tuple[str, ...] = ()
    sha256: str = ""
    error: Mapping[str, str] | None = None
    seconds: float = 0.0
    finished: float = 0.0
    version: str = ""
    report: Mapping[str, Any] = field(default_factory=dict)
    substitutes: tuple[str, ...] | None = ()
    networks: tuple[str, ...] | None = None
    older: tuple[str, ...] = ()
    older_key: str = ""

    def to_line(self) -> bytes:
        """Return the row as one line of JSON."""
        facts = asdict(self)
        if not self.older:
            del facts["older"], facts["older_key"]
        return (json.dumps(facts, separators=(",", ":")) + "\n").encode()


@dataclass(frozen=True, slots=True)
class Known:
    """The part of a row that is held in memory.

    Attributes:
        key: as of `key_of`.
        status: 'done' or 'failed'.
        files: paths of the result and of its further files; if the photo has failed, those of an
            earlier result that are still there.
        files_key: key of the row that made the files.
        finished: seconds since 1970.
        substitutes, networks: as in Row.
    """

    key: str
    status: str
    files: tuple[str, ...]
    files_key: str
    finished: float
    substitutes: tuple[str, ...] | None = ()
    networks: tuple[str, ...] | None = None


def key_of(size: int, state: str, settings: str) -> str:
    """Return a text that differs if the photo or the settings differ."""
    return f"{photo_key(size, state)}{settings}"


def photo_key(size: int, state: str) -> str:
    """Return the start of a key, which differs if the photo differs."""
    return f"{size} {state} "


class Manifest:
    """The rows of a batch.

    Args:
        folder: the output folder.
        shard: name of the shard, part of the file's name.
        read_only: write nothing.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE if the manifest cannot be read or written.
    """

    def __init__(self, folder: Folder, shard: str = "", *, read_only: bool = False) -> None:
        self.folder = folder
        self.known: dict[str, Known] = {}
        self._texts: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._pending: list[bytes] = []
        self._flushed_s = time.monotonic()
        self._run = f"{time.time_ns():020d}-{secrets.token_hex(4)}"
        self._segments = 0
        self._name = f"{FOLDER}/{NAME}{f'-{shard}' if shard else ''}"
        self._file: FileIO | None = None
        if isinstance(folder, LocalFolder) and not read_only:
            # Before the rows are read, so that a run which is just ending has written all of them.
            self._file = open_for_append(folder, f"{self._name}{SUFFIX}")
        try:
            self.read_again()
        except BaseException:
            self.close()
            raise

    def add(self, row: Row) -> None:
        """Add a row; in a local folder it is on the disk when this returns.

        Raises:
            OSError: it cannot be written.
        """
        if self._file:
            append(self._file, row.to_line())
        else:
            self._pending.append(row.to_line())
            due = time.monotonic() - self._flushed_s > SEGMENT_S
            if due or len(self._pending) >= SEGMENT_ROWS:
                self.flush()
        self._remember(asdict(row))

    def read_again(self) -> None:
        """Learn of the rows that runs of other shards have written meanwhile."""
        for row in read_rows(self.folder):
            self._remember(row)

    def flush(self) -> None:
        """Write the rows that wait for their segment."""
        if self._pending:
            self._segments += 1
            name = f"{self._name}-{self._run}-{self._segments:06d}{SUFFIX}"
            self.folder.write(name, b"".join(self._pending))
            self._pending.clear()
        self._flushed_s = time.monotonic()

    def close(self) -> None:
        """Write what is left, and close the file. Further calls do nothing."""
        self.flush()
        if self._file and not self._file.closed:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def is_current(
        self, photo: BatchPhoto, settings: str, manifest_settings: str | None = None
    ) -> Known | None:
        """Return what is known of a photo, if neither it nor the settings have changed.

        Args:
            settings: fingerprint of the job.
            manifest_settings: the same with the manifest of the weights, for rows without networks;
                None means that it does not matter.
        """
        known = self.known.get(photo.name)
        if known is None:
            return None
        expected = settings if known.networks is not None else manifest_settings or settings
        key = key_of(photo.entry.size, photo.entry.state, expected)
        return known if known.key == key else None

    def _remember(self, row: Mapping[str, Any]) -> None:
        name, finished = row["input"], row["finished"]
        if name in self.known and self.known[name].finished > finished:
            return
        key = key_of(row["size"], row["state"], row["settings"])
        # The name of the result is mostly that of the photo: one text for both saves memory.
        output = name if row["output"] == name else row["output"]
        files = (output, *row["extra"]) if output else tuple(row.get("older", ()))
        files_key = key if output else row.get("older_key", "")
        substitutes, networks = self._shared(row.get("substitutes")), row.get("networks")
        self.known[name] = Known(
            key, row["status"], files, files_key, finished, substitutes, self._shared(networks)
        )

    def _shared(self, texts: Sequence[str] | None) -> tuple[str, ...] | None:
        """Return one object for the many rows with the same texts."""
        return None if texts is None else self._texts.setdefault(tuple(texts), tuple(texts))


def read_rows(folder: Folder) -> Iterator[dict[str, Any]]:
    """Yield the rows of all files of a manifest, in no particular order.

    The last line of a file may be incomplete, because its process was killed: it is left out.

    Raises:
        RestoreError: OUTPUT_UNWRITABLE for a line that is not a row.
    """
    own = folder.subfolder(FOLDER)
    if own is None:
        return
    for entry in own.entries():
        if not entry.name.endswith(SUFFIX):
            continue
        for number, line in enumerate(own.lines(entry.name), start=1):
            if line.endswith(b"\n"):
                yield _parse(line, f"{own.place}/{entry.name}", number)


def _parse(line: bytes, place: str, number: int) -> dict[str, Any]:
    try:
        row: dict[str, Any] = json.loads(line)
        row["finished"], row["input"], row["size"], row["state"], row["settings"]
        for text in row.get("substitutes") or ():
            Substitute.from_text(text)
        for text in row.get("networks") or ():
            UsedNetwork.from_text(text)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise RestoreError(
            Code.OUTPUT_UNWRITABLE,
            f"line {number} of the manifest '{place}' is not a row of a batch",
            "Delete this line, or choose another output folder.",
        ) from error
    return row
