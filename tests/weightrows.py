"""Manifest rows for tests, the content of their files, and weight stores."""

import os
import random
from pathlib import Path

import pytest
from fileserver import sha256_of

from restore.models.catalog import Catalog, Checkpoint
from restore.models.download import Downloader
from restore.models.store import WeightStore
from restore.models.used_networks import KnownNetworks

BODY = random.Random(7).randbytes(20_000)
OTHER = random.Random(8).randbytes(20_000)
LITE_BODY = b"lite weights"


def row(row_id: str, *urls: str, body: bytes = BODY, **facts: object) -> Checkpoint:
    """A row for a file with content `body`; task is upscale and the variant is the row's id.

    Facts that are None are left out.
    """
    given = {
        "id": row_id,
        "task": "upscale",
        "variant": row_id,
        "file": f"{row_id}.pth",
        "urls": urls,
        "licence": "MIT",
        "commercial_use": True,
        "architecture": "ESRGAN",
        "bytes": len(body),
        "sha256": sha256_of(body),
    } | facts
    return Checkpoint.model_validate({k: value for k, value in given.items() if value is not None})


def lite_row(task: str = "upscale") -> Checkpoint:
    """A row for embedded weights with content LITE_BODY."""
    return row(f"lite-{task}", task=task, variant="lite", body=LITE_BODY, embedded=True)


def manifest_row(row_id: str) -> Checkpoint:
    """The row of the shipped manifest with this id."""
    return next(row for row in Catalog.load().rows if row.id == row_id)


def store_in(folder: Path, *rows: Checkpoint, offline: bool = False) -> WeightStore:
    """A store of these rows, with the embedded files."""
    lite = folder / "manifest" / "lite"
    lite.mkdir(parents=True, exist_ok=True)
    for embedded in (row for row in rows if row.embedded):
        (lite / embedded.file).write_bytes(LITE_BODY)
    catalog = Catalog(rows, lite.parent)
    downloader = Downloader(pause=lambda _: None)
    return WeightStore(
        catalog,
        folder / "root",
        offline=offline,
        downloader=downloader,
        environment=search_environment(folder),
    )


def search_environment(folder: Path) -> dict[str, str]:
    """The variables that make a store look for existing files in `folder` only."""
    return {
        "TORCH_HOME": str(folder / "torch"),
        "HF_HOME": str(folder / "huggingface"),
        "WEIGHTS_DIR": str(folder / "older"),
    }


def put(store: WeightStore, checkpoint: Checkpoint, body: bytes = BODY) -> Path:
    """Write the file of a row; return its path."""
    path = store.path_of(checkpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def flip_a_byte(path: Path, *, keep_time: bool = False) -> None:
    """Change one byte of a file, and its modification time unless `keep_time` is set."""
    facts = path.stat()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    # The clock of a file system may not advance between two writes.
    mtime_ns = facts.st_mtime_ns if keep_time else facts.st_mtime_ns + 1_000_000
    os.utime(path, ns=(mtime_ns, mtime_ns))


def change_embedded_networks(monkeypatch: pytest.MonkeyPatch, task: str) -> None:
    """Let the manifest have other embedded networks of a task, as after an update."""
    catalog = Catalog.load()
    rows = tuple(
        one.model_copy(update={"sha256": "0" * 64}) if one.embedded and one.task == task else one
        for one in catalog.rows
    )
    changed = KnownNetworks(Catalog(rows, catalog.folder, tuple(catalog.packages.values())))
    monkeypatch.setattr(KnownNetworks, "load", lambda: changed)
