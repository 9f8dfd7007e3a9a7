"""Reads and validates the manifest, which contains all facts about every checkpoint.

A row describes one file. The rows of one task and variant belong together: the network
(`role = "net"`) and its partners. A file that serves several variants is one row that names the
others in `also_serves`. A row may have a copy of its weights in a package of the Python package
index. This module touches no checkpoint file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from restore.errors import Code, RestoreError, system_reason
from restore.models.fields import Name, Names, Natural, Paths, Positive, Range, Sha256, Url, Urls
from restore.models.index_copy import IndexCopy, IndexPackage
from restore.models.locations import manifest_path
from restore.models.precision import FLOAT32, DevicePrecision, DeviceType, PrecisionName

LITE = "lite"
NET = "net"
DENOISE_PARTNER = "denoise_partner"
"""Role of a network whose weights are interpolated with those of the main one."""
X2_PARTNER = "x2_partner"
"""Role of a network with scale 2 that replaces a main one with scale 4 when 2 is enough."""

CatalogTask = Literal[
    "upscale",
    "restore",
    "face_restore",
    "face_detect",
    "colorize",
    "old_photo_restore",
    "inpaint",
    "colors",
]
TableT = TypeVar("TableT", bound=BaseModel)


class Checkpoint(BaseModel):
    """One row of the manifest. Unpublished and unmeasured facts are None or absent.

    Attributes:
        id: unique name of the row.
        task: the catalog task that uses the network.
        variant: the variant of the task.
        also_serves: other variants for which this file has the same role.
        fallback_for: variants for which this embedded network is the fallback, instead of the
            network of the variant `lite`.
        role: `net`, or the role of a partner network.
        file: name of the file.
        urls: addresses of the file, the official one first.
        archive: address of a zip that contains the file; tried before `urls`.
        member: path of the file in the zip.
        bytes: exact size of the file.
        bytes_about: approximate size, where the exact one is unknown.
        sha256: of the file (not of the zip). None: that of the first download is recorded, and
            later files must match it.
        index_copy: the copy of the weights in a package of the index.
        older_paths: paths of the file in older layouts of a weights folder.
        licence: SPDX identifier or name.
        commercial_use: whether the licence allows it.
        embedded: the file is part of the project, in `lite/` beside the manifest.
        architecture: name of the adapter, see restore.models.adapters.
        scale: output side / input side.
        size_multiple: the caller pads sides to a multiple of this. 1 means any size works.
        input_px: side of the square input, if the network has a fixed input size.
        channels_in: number of input channels.
        input_range: lowest and highest input value.
        output_range: lowest and highest output value.
        precision: the measured precisions by device type; on other devices, and where a profile has
            no entry, the network computes in float32.
        tiles: whether tiles give the same result as the whole photo. False for networks that
            average over the whole photo.
        tile_margin_px: context that a tile needs on each side.
        working_bytes_per_px: peak memory of a float32 forward pass per input pixel, without
            weights, measured on a CPU.
        local_pooling_px: size of the box means that replace global averages (NAFNet's official
            test configuration for GoPro).
        face_convention: which official code's order of operations is followed around a face
            network, see restore.faces.convention.
        difference: the change made by the network is added to the photo, instead of using the
            network's output.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Name
    task: CatalogTask
    variant: Name
    also_serves: Names = ()
    fallback_for: Names = ()
    role: Name = NET
    file: Name
    urls: Urls = ()
    archive: Url | None = None
    member: str | None = None
    bytes: Natural | None = None
    bytes_about: Positive | None = None
    sha256: Sha256 | None = None
    index_copy: IndexCopy | None = None
    older_paths: Paths = ()
    licence: str
    commercial_use: bool
    embedded: bool = False
    architecture: str
    scale: Positive = 1
    size_multiple: Positive = 1
    input_px: Positive | None = None
    channels_in: Positive | None = None
    input_range: Range | None = None
    output_range: Range | None = None
    precision: Mapping[DeviceType, DevicePrecision] = Field(default_factory=dict)
    tiles: bool = False
    tile_margin_px: Natural = 0
    working_bytes_per_px: Positive | None = None
    local_pooling_px: Positive | None = None
    face_convention: Literal["codeformer", "facexlib"] | None = None
    difference: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.embedded and (self.urls or self.archive):
            raise ValueError("an embedded row must not have urls or an archive")
        if self.embedded and self.index_copy:
            raise ValueError("an embedded row must not have an index_copy")
        if self.embedded and (self.bytes is None or self.sha256 is None):
            raise ValueError("an embedded row needs bytes and sha256")
        if self.fallback_for and not self.embedded:
            raise ValueError("fallback_for is only allowed in embedded rows")
        if not self.embedded and not (self.urls or self.archive):
            raise ValueError("a row needs urls or an archive")
        if not self.embedded and (self.bytes == 0 or self.sha256 == ""):
            raise ValueError("leave bytes and sha256 out if they are unknown")
        if (self.archive is None) != (self.member is None):
            raise ValueError("archive and member must be given together")
        return self

    @property
    def variants(self) -> tuple[str, ...]:
        """All variants that use this file."""
        return (self.variant, *self.also_serves)

    def as_index_copy(self) -> Checkpoint | None:
        """Return this row for the converted file of the copy in the index; None without a copy."""
        if self.index_copy is None:
            return None
        copy = self.index_copy
        facts = {"file": copy.file, "bytes": copy.bytes, "sha256": copy.sha256}
        sources = {"urls": (), "archive": None, "member": None, "older_paths": ()}
        return self.model_copy(update=facts | sources)

    def precision_for(self, profile: str, device_type: str) -> PrecisionName:
        """Return the precision of a profile on a device type; float32 if none was measured."""
        measured = self.precision.get(cast(DeviceType, device_type))
        return measured.of(profile) if measured else FLOAT32


class Catalog:
    """All rows of a manifest, in its order.

    Args:
        rows: the rows.
        folder: folder of the manifest; the embedded files are in its subfolder `lite`.
        packages: the packages of the index that contain copies.

    Raises:
        RestoreError: WEIGHTS_MANIFEST when two rows have the same id, file or role, or a row names
            an unknown package.
    """

    def __init__(
        self, rows: tuple[Checkpoint, ...], folder: Path, packages: tuple[IndexPackage, ...] = ()
    ) -> None:
        self.rows = rows
        self.folder = folder
        self.packages = {package.name: package for package in packages}
        _refuse_duplicates(rows)
        for row in rows:
            if row.index_copy and row.index_copy.package not in self.packages:
                raise manifest_error(
                    f"row '{row.id}': there is no package '{row.index_copy.package}'"
                )

    @classmethod
    def load(cls, path: Path | None = None) -> Catalog:
        """Read a manifest; by default that of this installation.

        Raises:
            RestoreError: WEIGHTS_MANIFEST with the row and the field.
        """
        path = path or manifest_path()
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise manifest_error(f"{path} cannot be read ({system_reason(error)})") from error
        unknown = sorted(document.keys() - {"checkpoint", "package"})
        if unknown:
            raise manifest_error(f"{path.name} has unknown tables: {', '.join(unknown)}")
        rows = _parse_all(Checkpoint, document.get("checkpoint", []))
        return cls(rows, path.parent, _parse_all(IndexPackage, document.get("package", [])))

    def for_task(self, task: str) -> tuple[Checkpoint, ...]:
        """Return the rows of a task."""
        return tuple(row for row in self.rows if row.task == task)

    def variants(self, task: str) -> tuple[str, ...]:
        """Return the variants of a task that have a network."""
        nets = (row for row in self.for_task(task) if row.role == NET)
        return tuple(dict.fromkeys(name for row in nets for name in row.variants))

    def group(self, task: str, variant: str) -> tuple[Checkpoint, ...]:
        """Return the row of a variant's network, then the rows of its partners.

        Raises:
            RestoreError: OPTION_INVALID when the task has no such variant.
        """
        net = self.find(task, variant)
        return net, *(
            row for row in self.for_task(task) if variant in row.variants and row.role != NET
        )

    def find(self, task: str, variant: str, role: str = NET) -> Checkpoint:
        """Return the row with a role for a variant.

        Raises:
            RestoreError: OPTION_INVALID when there is none.
        """
        for row in self.for_task(task):
            if variant in row.variants and row.role == role:
                return row
        known = ", ".join(self.variants(task)) or "none"
        reason = f"the manifest has no '{role}' for variant '{variant}' of task '{task}'"
        raise RestoreError(Code.OPTION_INVALID, reason, f"Variants of this task: {known}.")

    def lite_variant(self, task: str, variant: str) -> str:
        """Return the embedded variant that is the fallback for a variant.

        An embedded variant is its own fallback.
        """
        for row in self.for_task(task):
            if row.embedded and row.role == NET and variant in (*row.variants, *row.fallback_for):
                return row.variant
        return LITE


def _parse_all(kind: type[TableT], tables: list[object]) -> tuple[TableT, ...]:
    return tuple(_parse(kind, table, index) for index, table in enumerate(tables))


def _parse(kind: type[TableT], table: object, index: int) -> TableT:
    """Validate one table of the manifest, a row or a package."""
    named: dict[str, Any] = table if isinstance(table, dict) else {}
    name = named.get("id", named.get("name", f"number {index + 1}"))
    try:
        return kind.model_validate(table)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the whole row"
        raise manifest_error(f"row '{name}', field '{field}': {first['msg']}") from error


def _refuse_duplicates(rows: tuple[Checkpoint, ...]) -> None:
    row_ids: dict[tuple[str, ...], str] = {}
    for row in rows:
        for key in _keys(row):
            if key in row_ids:
                raise manifest_error(
                    f"row '{row.id}': {' '.join(key)} is already row '{row_ids[key]}'"
                )
            row_ids[key] = row.id


def _keys(row: Checkpoint) -> Iterator[tuple[str, ...]]:
    yield "id", row.id
    yield "file", row.task, row.file
    for variant in row.variants:
        yield "task/variant/role", row.task, variant, row.role


def manifest_error(reason: str) -> RestoreError:
    """Return the error for an invalid manifest."""
    return RestoreError(Code.WEIGHTS_MANIFEST, reason, "Correct weights/manifest.toml.")
