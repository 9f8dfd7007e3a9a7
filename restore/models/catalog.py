"""What is true of every checkpoint, as rows: reads and checks weights/manifest.toml, computes nothing and touches no checkpoint.

A row is one file. Rows of one task and variant belong together: the network (`role = "net"`) and its partners. A file that
several variants share is one row that names the others in `also_serves`.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from restore.errors import Code, RestoreError

MANIFEST = Path(__file__).resolve().parents[2] / "weights" / "manifest.toml"
LITE = "lite"
NET = "net"

CatalogTask = Literal[
    "upscale", "restore", "face_restore", "face_detect", "colorize", "old_photo_restore", "inpaint"
]
Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
# A first download is trusted, so nothing but this machine itself may be asked over plain HTTP.
Url = Annotated[
    str, StringConstraints(pattern=r"^(https://[^/\s]+|http://127\.0\.0\.1:[0-9]+)/\S*$")
]
Sha256 = Annotated[str, StringConstraints(pattern=r"^([0-9a-f]{64})?$")]
Md5 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
Natural = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]
# TOML knows lists only; a frozen row holds tuples.
Names = Annotated[tuple[Name, ...], Field(strict=False)]
Urls = Annotated[tuple[Url, ...], Field(strict=False)]
Dtypes = Annotated[tuple[Literal["float32", "float16", "bfloat16"], ...], Field(strict=False)]
Range = Annotated[tuple[float, float], Field(strict=False)]


class Checkpoint(BaseModel):
    """One row of the manifest. A fact that nobody published or measured is None or absent, never guessed.

    Attributes:
        also_serves: other variants of the task for which this same file plays the same role.
        stands_in_for: the variants that this embedded network answers for where the variant `lite` would do something else.
        urls: where the file itself lies, canonical first, then mirrors.
        archive, member: URL of a zip and the file's path in it; tried before `urls`.
        bytes: exact size; `bytes_about` where only an approximate one is known.
        sha256: of the file (of the member, not of the zip). None: the first download's sum is recorded and holds from then on.
        embedded: the file is part of the project, in `lite/` beside the manifest.
        architecture: spandrel's id, or the name its own library gives it.
        scale: output side over input side.
        size_multiple: the caller pads sides to a multiple of this (1: the network takes or pads any size itself).
        input_px: the one square input side the official pipeline uses.
        channels_in, channels_out, input_range, output_range: what the network takes and gives, RGB where it is a photo.
        dtypes: module precisions measured to be safe.
        tiles: whether tiles give the result of the whole photo (not so where a network averages over all it sees);
            `tile_margin_px` is the context that a tile needs at each side.
        working_bytes_per_px: peak memory of a float32 forward beyond its weights, for each input pixel, measured on a CPU.
        local_pooling_px: global averages become box means of this size (NAFNet's official test configuration for GoPro).
        face_convention: which official helper's order of operations surrounds a face network, see faces/convention.py.
        difference: what the network changed is added to the photo, in place of the network's output.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: Name
    task: CatalogTask
    variant: Name
    also_serves: Names = ()
    stands_in_for: Names = ()
    role: Name = NET
    file: Name
    urls: Urls = ()
    archive: Url | None = None
    member: str | None = None
    bytes: Natural | None = None
    bytes_about: Positive | None = None
    sha256: Sha256 | None = None
    md5: Md5 | None = None
    licence: str
    commercial_use: bool
    embedded: bool = False
    architecture: str
    scale: Positive = 1
    size_multiple: Positive = 1
    input_px: Positive | None = None
    channels_in: Positive | None = None
    channels_out: Positive | None = None
    input_range: Range | None = None
    output_range: Range | None = None
    dtypes: Dtypes = ()
    tiles: bool = False
    tile_margin_px: Natural = 0
    working_bytes_per_px: Positive | None = None
    local_pooling_px: Positive | None = None
    face_convention: Literal["codeformer", "facexlib"] | None = None
    difference: bool = False

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.embedded and (self.urls or self.archive):
            raise ValueError("an embedded row has no urls and no archive")
        if self.embedded and (self.bytes is None or self.sha256 is None):
            raise ValueError("an embedded row carries bytes and sha256")
        if self.stands_in_for and not self.embedded:
            raise ValueError("stands_in_for is of embedded rows")
        if not self.embedded and not (self.urls or self.archive):
            raise ValueError("urls: at least one is needed, or an archive")
        if not self.embedded and (self.bytes == 0 or self.sha256 == ""):
            raise ValueError("bytes and sha256 are left out where they are not known")
        if (self.archive is None) != (self.member is None):
            raise ValueError("archive and member go together")
        return self

    @property
    def variants(self) -> tuple[str, ...]:
        """All variants this file serves."""
        return (self.variant, *self.also_serves)


class Catalog:
    """All rows, in the manifest's order."""

    def __init__(self, rows: tuple[Checkpoint, ...], folder: Path) -> None:
        """Args: the rows, and the folder whose `lite/` holds the embedded files. Raises RestoreError: WEIGHTS_MANIFEST on duplicates."""
        self.rows = rows
        self.folder = folder
        _refuse_duplicates(rows)

    @classmethod
    def load(cls, path: Path = MANIFEST) -> Catalog:
        """Reads a manifest.

        Raises:
            RestoreError: WEIGHTS_MANIFEST, naming the row and the field.
        """
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise _manifest_error(f"{path} cannot be read ({error})") from error
        unknown = sorted(document.keys() - {"checkpoint"})
        if unknown:
            raise _manifest_error(f"{path.name} has unknown tables: {', '.join(unknown)}")
        return cls(
            tuple(_parsed(row, index) for index, row in enumerate(document.get("checkpoint", []))),
            path.parent,
        )

    def for_task(self, task: str) -> tuple[Checkpoint, ...]:
        """The task's rows, in the manifest's order."""
        return tuple(row for row in self.rows if row.task == task)

    def variants(self, task: str) -> tuple[str, ...]:
        """The task's variants: every one that has a network."""
        return tuple(
            dict.fromkeys(
                name for row in self.for_task(task) if row.role == NET for name in row.variants
            )
        )

    def group(self, task: str, variant: str) -> tuple[Checkpoint, ...]:
        """The network of a variant first, then its partners.

        Raises:
            RestoreError: OPTION_INVALID when the task has no such variant.
        """
        net = self.find(task, variant)
        return net, *(
            row for row in self.for_task(task) if variant in row.variants and row.role != NET
        )

    def find(self, task: str, variant: str, role: str = NET) -> Checkpoint:
        """The row that plays `role` for a variant of a task.

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
        """The variant whose embedded network answers for another where lite weights do; an embedded one answers for itself."""
        for row in self.for_task(task):
            if row.embedded and row.role == NET and variant in (*row.variants, *row.stands_in_for):
                return row.variant
        return LITE

    def get(self, row_id: str) -> Checkpoint:
        """The row of that id.

        Raises:
            RestoreError: OPTION_INVALID when there is none.
        """
        for row in self.rows:
            if row.id == row_id:
                return row
        raise RestoreError(
            Code.OPTION_INVALID,
            f"the manifest has no row '{row_id}'",
            "See `python -m restore weights list`.",
        )


def refresh_embedded(path: Path = MANIFEST) -> tuple[str, ...]:
    """Writes the bytes and sha256 of the embedded files into their rows of the manifest; returns the ids of the rows written.

    To be run after training: `python -c "from restore.models.catalog import refresh_embedded; print(refresh_embedded())"`.
    """
    text = path.read_text(encoding="utf-8")
    written = []
    for row in Catalog.load(path).rows:
        file = path.parent / LITE / row.file
        if not row.embedded or not file.is_file():
            continue
        content = file.read_bytes()
        facts = {"bytes": str(len(content)), "sha256": f'"{hashlib.sha256(content).hexdigest()}"'}
        for field, value in facts.items():
            block = rf'(^id = "{re.escape(row.id)}"$(?:(?!^\[\[).)*?^{field} = )[^\n]*'
            text, count = re.subn(block, rf"\g<1>{value}", text, flags=re.MULTILINE | re.DOTALL)
            if count != 1:
                raise _manifest_error(f"row '{row.id}': no line '{field} = ...' to write to")
        written.append(row.id)
    path.write_text(text, encoding="utf-8")
    return tuple(written)


def _parsed(row: object, index: int) -> Checkpoint:
    name = row.get("id", f"number {index + 1}") if isinstance(row, dict) else f"number {index + 1}"
    try:
        return Checkpoint.model_validate(row)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"]) or "the row as a whole"
        raise _manifest_error(f"row '{name}', field '{field}': {first['msg']}") from error


def _refuse_duplicates(rows: tuple[Checkpoint, ...]) -> None:
    seen: dict[tuple[str, ...], str] = {}
    for row in rows:
        for key in _keys(row):
            if key in seen:
                raise _manifest_error(
                    f"row '{row.id}': {' '.join(key)} is already row '{seen[key]}'"
                )
            seen[key] = row.id


def _keys(row: Checkpoint) -> Iterator[tuple[str, ...]]:
    yield "id", row.id
    yield "file", row.task, row.file
    for variant in row.variants:
        yield "task/variant/role", row.task, variant, row.role


def _manifest_error(reason: str) -> RestoreError:
    return RestoreError(Code.WEIGHTS_MANIFEST, reason, "Correct weights/manifest.toml.")
