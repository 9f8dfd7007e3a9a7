"""Rows of a catalog made up for a test, the bytes they promise, and a store of them in a folder of the test's own."""

import random
from pathlib import Path

from fileserver import sha

from restore.models.catalog import Catalog, Checkpoint
from restore.models.download import Downloader
from restore.models.store import WeightStore

BODY = random.Random(7).randbytes(20_000)
OTHER = random.Random(8).randbytes(20_000)
LITE_BODY = b"lite weights"


def row(row_id: str, *urls: str, body: bytes = BODY, **facts: object) -> Checkpoint:
    """A row for `body`, under task upscale and a variant of the row's own name."""
    known = {"bytes": len(body), "sha256": sha(body)}
    base = {
        "id": row_id,
        "task": "upscale",
        "variant": row_id,
        "file": f"{row_id}.pth",
        "urls": urls,
    }
    base |= {"licence": "MIT", "commercial_use": True, "architecture": "ESRGAN"}
    given = base | known | facts
    return Checkpoint(**{name: value for name, value in given.items() if value is not None})


def lite_row(task: str = "upscale") -> Checkpoint:
    return row(f"lite-{task}", task=task, variant="lite", body=LITE_BODY, embedded=True)


def store_in(folder: Path, *rows: Checkpoint, **how: object) -> WeightStore:
    """A store of these rows; embedded files are there."""
    lite = folder / "manifest" / "lite"
    lite.mkdir(parents=True, exist_ok=True)
    for embedded in (row for row in rows if row.embedded):
        (lite / embedded.file).write_bytes(LITE_BODY)
    return WeightStore(
        Catalog(rows, lite.parent),
        folder / "root",
        downloader=Downloader(pause=lambda _: None),
        **how,
    )


def put(store: WeightStore, checkpoint: Checkpoint, body: bytes = BODY) -> Path:
    path = store.path_of(checkpoint)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path
