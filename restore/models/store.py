"""Manifest row -> verified file: finds, fetches, verifies and remembers checkpoints, and decides which ones answer a request.

A file lies at `<root>/<task>/<file>` and is hashed once: size, time and sum of a verified file stand in `<file>.verified.json`
beside it. Where nobody published a sum, the one of the first download stands there and holds from then on. Nothing that
fails to verify is ever returned, and a damaged file is never silently replaced.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from restore.errors import Code, RestoreError
from restore.models.catalog import LITE, Catalog, Checkpoint
from restore.models.download import Downloader, NoRangesError, Progress
from restore.models.partial_download import Received, UnusableSourceError, Wanted, file_sha256

STANDS_IN_FOR = (Code.WEIGHTS_MISSING, Code.WEIGHTS_UNREACHABLE, Code.WEIGHTS_NO_SPACE)
"""What the policy `auto` answers with lite weights. A corrupt file is not among it: somebody has to look at that."""

log = logging.getLogger(__name__)


class Policy(StrEnum):
    """Which weights answer a request."""

    OFFICIAL = "official"
    LITE = "lite"
    AUTO = "auto"


class State(StrEnum):
    """What is known of a file without hashing it."""

    MISSING = "missing"
    PRESENT = "present"  # not hashed yet, or changed since
    VERIFIED = "verified"
    CORRUPT = "corrupt"
    EMBEDDED = "embedded"  # part of the project, and verified


@dataclass(frozen=True)
class VerifiedFile:
    """A file that is what its row says."""

    row: Checkpoint
    path: Path
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Resolved:
    """The files that answer a request.

    Attributes:
        net: the network's file.
        partners: the files of the variant's other roles, by role.
        variant: the variant they belong to: an embedded one where that stands in for the one asked for.
        warnings: why that is so.
    """

    net: VerifiedFile
    partners: Mapping[str, VerifiedFile] = field(default_factory=dict)
    variant: str = LITE
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Record:
    """What was verified, and when: `<file>.verified.json`."""

    bytes: int
    mtime_ns: int
    sha256: str

    @classmethod
    def read(cls, path: Path) -> _Record | None:
        try:
            return cls(**json.loads(_record_path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """A root that cannot be written to costs a hash at each start, nothing else."""
        record = _record_path(path)
        scratch = record.with_name(f"{record.name}.{os.getpid()}")
        try:
            scratch.write_text(json.dumps(asdict(self)), encoding="utf-8")
            scratch.replace(record)
        except OSError as error:
            log.info("the sum of %s cannot be recorded (%s)", path, error)

    def describes(self, facts: os.stat_result) -> bool:
        return (self.bytes, self.mtime_ns) == (facts.st_size, facts.st_mtime_ns)


class WeightStore:
    """The checkpoints of a catalog in one folder."""

    def __init__(
        self,
        catalog: Catalog,
        root: Path | None = None,
        *,
        offline: bool = False,
        progress: Progress | None = None,
        downloader: Downloader | None = None,
    ) -> None:
        """Opens a store; touches neither disk nor network.

        Args:
            catalog: the rows.
            root: folder of the downloads; RESTORE_WEIGHTS_DIR where not given, else the manifest's folder.
            offline: never download.
            progress: hears of every chunk that arrives.
            downloader: what fetches; one that reports to `progress` where not given.
        """
        self.catalog = catalog
        self.root = root or Path(os.environ.get("RESTORE_WEIGHTS_DIR") or catalog.folder)
        self.offline = offline
        self._downloader = downloader or Downloader(progress)

    def path_of(self, row: Checkpoint) -> Path:
        """Where the row's file lies, or would lie."""
        return (
            self.catalog.folder / LITE / row.file
            if row.embedded
            else self.root / row.task / row.file
        )

    def status(self, row: Checkpoint) -> State:
        """What is known without hashing (embedded files are small: those are hashed)."""
        path = self.path_of(row)
        if not path.is_file():
            return State.MISSING
        if row.embedded:
            return State.EMBEDDED if file_sha256(path) == row.sha256 else State.CORRUPT
        facts, record = path.stat(), _Record.read(path)
        if row.bytes not in (None, facts.st_size):
            return State.CORRUPT
        known = (
            record is not None and record.describes(facts) and row.sha256 in (None, record.sha256)
        )
        return State.VERIFIED if known else State.PRESENT

    def locate(self, row: Checkpoint) -> VerifiedFile:
        """The row's file, hashed if it is new or has changed.

        Raises:
            RestoreError: WEIGHTS_MISSING, or WEIGHTS_CORRUPT naming the file and the sums or sizes; WEIGHTS_MANIFEST when the
                row of an embedded file has no sum yet.
        """
        return self._checked(row, trusting=True)

    def verify(self, row: Checkpoint) -> VerifiedFile:
        """The row's file, hashed again in any case. Raises RestoreError as `locate` does."""
        return self._checked(row, trusting=False)

    def ensure(self, row: Checkpoint) -> VerifiedFile:
        """The row's file, downloaded if it is missing; of several processes one downloads and the others wait.

        Raises:
            RestoreError: as `locate` does; WEIGHTS_UNREACHABLE with each address and its reason; WEIGHTS_NO_SPACE.
        """
        try:
            if self.offline or row.embedded or self.path_of(row).exists():
                return self.locate(row)
            with self._locked(row):
                if not self.path_of(row).exists():
                    self._download(row)
        except OSError as error:
            reason = f"'{row.file}' is missing and cannot be stored in {self.root} ({error})"
            raise RestoreError(
                Code.WEIGHTS_MISSING,
                reason,
                "Set RESTORE_WEIGHTS_DIR to a folder that can be written to.",
            ) from error
        return self.locate(row)

    def resolve(self, task: str, variant: str, policy: Policy = Policy.AUTO) -> Resolved:
        """The files that answer a request for a variant under a policy.

        `official`: the variant's own files, downloaded if missing. `lite`: the task's embedded files. `auto`: the variant's own
        files if they can be had, else the embedded ones, with a warning. An embedded variant is itself under every policy.

        Raises:
            RestoreError: OPTION_INVALID for an unknown variant; WEIGHTS_CORRUPT under every policy; else what `ensure` raises,
                or WEIGHTS_MISSING when an embedded file is needed and the task has none.
        """
        if variant == LITE:
            return self._lite(task, variant)
        net, *partners = self.catalog.group(task, variant)
        if policy is Policy.LITE or net.embedded:
            return self._lite(task, variant)
        try:
            return Resolved(
                self.ensure(net), {row.role: self.ensure(row) for row in partners}, variant
            )
        except RestoreError as error:
            if policy is Policy.OFFICIAL or error.code not in STANDS_IN_FOR:
                raise
            lite = self._lite(task, variant, f"; {error.reason}")
            warning = f"lite weights ({lite.net.row.file}) stand in for the official ones of '{variant}': {error.reason}"
            log.warning("%s", warning)
            return replace(lite, warnings=(warning,))

    def _lite(self, task: str, variant: str, why: str = "") -> Resolved:
        """The embedded files that answer for a variant; `why` they have to."""
        if LITE not in self.catalog.variants(task):
            # Without a reason it was the policy that asked for them: then fetching others helps nobody.
            remedy = _fetch_remedy(task) if why else "Set RESTORE_WEIGHTS to auto or official."
            raise RestoreError(
                Code.WEIGHTS_MISSING, f"task '{task}' has no embedded lite weights{why}", remedy
            )
        served = self.catalog.lite_variant(task, variant)
        net, *partners = (self.locate(row) for row in self.catalog.group(task, served))
        return Resolved(net, {file.row.role: file for file in partners}, served)

    def _checked(self, row: Checkpoint, *, trusting: bool) -> VerifiedFile:
        path = self.path_of(row)
        if not path.is_file():
            raise RestoreError(
                Code.WEIGHTS_MISSING, f"'{row.file}' is missing ({path})", _fetch_remedy(row.task)
            )
        if row.sha256 == "":
            remedy = "Run restore.catalog.refresh_embedded() after training."
            raise RestoreError(
                Code.WEIGHTS_MANIFEST, f"row '{row.id}' has no sum for its embedded file", remedy
            )
        facts = path.stat()
        if row.bytes not in (None, facts.st_size):
            raise _corrupt(row, path, f"{facts.st_size} bytes", f"{row.bytes} bytes")
        record = None if row.embedded else _Record.read(path)
        expected = row.sha256 or (record.sha256 if record else None)
        if (
            trusting
            and record is not None
            and record.describes(facts)
            and record.sha256 == expected
        ):
            return VerifiedFile(row, path, record.sha256, facts.st_size)
        digest = file_sha256(path)
        if expected not in (None, digest):
            raise _corrupt(row, path, f"sha256 {digest}", f"sha256 {expected}")
        if expected is None:
            log.warning(
                "nobody published a sum for %s: %s is recorded and holds from now on",
                row.file,
                digest,
            )
        if not row.embedded:
            _Record(facts.st_size, facts.st_mtime_ns, digest).write(path)
        return VerifiedFile(row, path, digest, facts.st_size)

    def _download(self, row: Checkpoint) -> None:
        reasons = []
        for url, attempt in self._sources(row):
            try:
                self._remember(row, attempt())
            except UnusableSourceError as error:
                parts = urlsplit(url)
                reasons.append(f"{parts.netloc}{parts.path}: {error}")
                log.warning("%s: %s", row.file, reasons[-1])
            else:
                return
        reason = f"'{row.file}' could not be fetched ({'; '.join(reasons)})"
        remedy = f"Restore the connection and run `python -m restore weights fetch {row.task}`, or put the file at {self.path_of(row)}."
        raise RestoreError(Code.WEIGHTS_UNREACHABLE, reason, remedy)

    def _sources(self, row: Checkpoint) -> Iterator[tuple[str, Callable[[], Received]]]:
        wanted = self._wanted(row)
        if row.archive is not None:
            yield row.archive, partial(self._from_archive, row, wanted)
        for url in row.urls:
            yield url, partial(self._downloader.fetch, wanted, url)

    def _wanted(self, row: Checkpoint) -> Wanted:
        path = self.path_of(row)
        record = _Record.read(path)
        return Wanted(path, row.bytes, row.sha256 or (record.sha256 if record else None))

    def _from_archive(self, row: Checkpoint, wanted: Wanted) -> Received:
        """The row's member alone where the server can send ranges; else the whole zip, once, for all rows that name it."""
        archive, member = str(row.archive), str(row.member)
        try:
            return self._downloader.fetch_member(wanted, archive, member)
        except NoRangesError:
            zip_path = wanted.target.with_name(_last_part(archive))
        if not zip_path.exists():
            self._downloader.fetch(Wanted(zip_path), archive)
        try:
            with zip_path.open("rb") as whole:
                received = self._downloader.extract(wanted, whole, member)
                self._extract_others(row, whole)
        finally:
            zip_path.unlink()
        return received

    def _extract_others(self, row: Checkpoint, whole: BinaryIO) -> None:
        for other in self.catalog.rows:
            if other.archive == row.archive and not self.path_of(other).exists():
                try:
                    self._remember(
                        other,
                        self._downloader.extract(self._wanted(other), whole, str(other.member)),
                    )
                except UnusableSourceError as error:
                    log.warning("%s: %s", other.file, error)

    def _remember(self, row: Checkpoint, received: Received) -> None:
        path = self.path_of(row)
        _Record(received.bytes, path.stat().st_mtime_ns, received.sha256).write(path)

    @contextmanager
    def _locked(self, row: Checkpoint) -> Iterator[None]:
        """One process at a time for a file; for a zip, since it brings several files, one for all of these."""
        folder = self.path_of(row).parent
        folder.mkdir(parents=True, exist_ok=True)
        name = _last_part(row.archive) if row.archive else row.file
        with (folder / f"{name}.lock").open("ab") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


@dataclass(frozen=True)
class TableRow:
    """What a person wants to know of a row."""

    task: str
    variant: str
    file: str
    size: str
    licence: str
    commercial_use: str
    state: str
    sum: str


def table(store: WeightStore, tasks: Iterable[str] = ()) -> list[TableRow]:
    """One line a checkpoint of the tasks named, or of all."""
    wanted = set(tasks) or {row.task for row in store.catalog.rows}
    return [_table_row(row, store.status(row)) for row in store.catalog.rows if row.task in wanted]


def render_table(rows: Iterable[TableRow]) -> str:
    """The table as text, in columns."""
    heading = ("TASK", "VARIANT", "FILE", "SIZE", "LICENCE", "COMMERCIAL USE", "STATE", "SUM")
    lines = [heading, *(tuple(asdict(row).values()) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heading))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def bake_commands(
    catalog: Catalog, tasks: Iterable[str], folder: str = "/opt/weights"
) -> list[str]:
    """One shell line a file for `build.run` in cog.yaml: fetched from the first mirror whose bytes are right, else the build fails.

    Members of zips are left to setup: a shell cannot read one file out of a remote zip.
    """
    wanted = set(tasks)
    rows = [row for row in catalog.rows if row.task in wanted and row.urls and row.archive is None]
    return [_bake_command(row, f"{folder}/{row.task}/{row.file}") for row in rows]


def _bake_command(row: Checkpoint, path: str) -> str:
    target = shlex.quote(path)
    if row.sha256:
        check = f"echo {shlex.quote(f'{row.sha256}  {path}')} | sha256sum -c -"
    else:
        check = f'test "$(stat -c %s {target})" = {row.bytes}' if row.bytes else f"test -s {target}"
    fetches = (
        f"curl -fSL --retry 5 --retry-all-errors -C - -o {target} {shlex.quote(url)} && {check}"
        for url in row.urls
    )
    attempts = f" || {{ rm -f {target}; false; }} || ".join(f"{{ {fetch}; }}" for fetch in fetches)
    return f"mkdir -p {shlex.quote(str(Path(path).parent))} && {{ {attempts}; }}"


def _table_row(row: Checkpoint, state: State) -> TableRow:
    size = (
        f"{row.bytes / 1e6:.1f} MB"
        if row.bytes
        else f"about {row.bytes_about / 1e6:.0f} MB"
        if row.bytes_about
        else "unknown"
    )
    variants = ", ".join(row.variants)
    commercial = "yes" if row.commercial_use else "no"
    return TableRow(
        row.task,
        variants,
        row.file,
        size,
        row.licence,
        commercial,
        str(state),
        "known" if row.sha256 else "trust on first use",
    )


def _corrupt(row: Checkpoint, path: Path, found: str, expected: str) -> RestoreError:
    reason = f"'{row.file}' is not the file the manifest or its first download recorded: {found}, expected {expected} ({path})"
    return RestoreError(Code.WEIGHTS_CORRUPT, reason, f"Delete it. {_fetch_remedy(row.task)}")


def _fetch_remedy(task: str) -> str:
    return f"Run `python -m restore weights fetch {task}`."


def _last_part(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


def _record_path(path: Path) -> Path:
    return path.with_name(path.name + ".verified.json")
