"""Tests of files that are on the machine already: older layouts and caches of other programs."""

import importlib.machinery
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fileserver import FileServer, sha256_of
from weightrows import BODY, OTHER, row, search_environment

from restore.errors import Code, RestoreError
from restore.models import store as store_module
from restore.models.catalog import Catalog, Checkpoint
from restore.models.existing_files import find_existing_files
from restore.models.store import State, WeightStore

StoreOf = Callable[..., WeightStore]
HUB_URL = "https://huggingface.co/owner/nets/resolve/main/sub/a.pth"


def write(path: Path, body: bytes = BODY) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    return path


def blob_of(body: bytes) -> str:
    return f"huggingface/hub/models--owner--nets/blobs/{sha256_of(body)}"


@pytest.mark.parametrize(
    "place",
    [
        "root/a.pth",
        "root/facelib/a.pth",
        "root/face/older-name.pth",
        "older/face/older-name.pth",
        "older/upscale/a.pth",
        "torch/hub/checkpoints/a.pth",
        blob_of(BODY),
        "huggingface/hub/models--owner--nets/snapshots/0123/sub/a.pth",
    ],
)
def test_file_is_used_in_place_without_download(
    store_of: StoreOf, server: FileServer, tmp_path: Path, place: str
) -> None:
    checkpoint = row("a", server.add("a", BODY), HUB_URL, older_paths=("face/older-name.pth",))
    path = write(tmp_path / place)
    mtime_ns = path.stat().st_mtime_ns
    store = store_of(checkpoint)
    assert store.status(checkpoint) is State.PRESENT
    assert store.ensure(checkpoint).path == path
    assert store.status(checkpoint) is State.VERIFIED
    assert store_of(checkpoint, offline=True).locate(checkpoint).path == path
    assert server.log == []
    assert path.stat().st_mtime_ns == mtime_ns
    assert list(path.parent.glob(f"{path.name}*")) == [path]


def test_weights_of_installed_packages_are_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "facexlib" / "weights" / "a.pth")
    spec = importlib.machinery.ModuleSpec("facexlib", None, is_package=True)
    spec.submodule_search_locations = [str(tmp_path / "facexlib")]
    specs = {"facexlib": spec}
    monkeypatch.setattr(importlib.util, "find_spec", specs.get)
    found = find_existing_files(row("a", HUB_URL), tmp_path / "root", search_environment(tmp_path))
    assert list(found) == [path]


def test_default_caches_are_in_the_users_cache_directory(tmp_path: Path) -> None:
    places = ("torch/hub/checkpoints/a.pth", blob_of(BODY))
    paths = [write(tmp_path / place) for place in places]
    environment = {"XDG_CACHE_HOME": str(tmp_path)}
    assert list(find_existing_files(row("a", HUB_URL), tmp_path / "root", environment)) == paths


def test_file_is_hashed_once_for_all_processes(
    store_of: StoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "torch/hub/checkpoints/a.pth")
    store_of(checkpoint := row("a", HUB_URL)).locate(checkpoint)
    monkeypatch.setattr(store_module, "file_sha256", lambda _: pytest.fail("hashed again"))
    store_of(checkpoint).locate(checkpoint)


def test_other_content_is_downloaded_instead(
    store_of: StoreOf, server: FileServer, tmp_path: Path
) -> None:
    other = write(tmp_path / "torch/hub/checkpoints/a.pth", OTHER)
    short = write(tmp_path / "root/older/a.pth", BODY[:-1])
    store = store_of(checkpoint := row("a", server.add("a", BODY)))
    assert store.ensure(checkpoint).path == store.path_of(checkpoint)
    assert (other.read_bytes(), short.read_bytes()) == (OTHER, BODY[:-1])


def test_other_content_is_reported_as_missing_when_offline(
    store_of: StoreOf, tmp_path: Path
) -> None:
    write(tmp_path / "torch/hub/checkpoints/a.pth", OTHER)
    store = store_of(checkpoint := row("a", HUB_URL), offline=True)
    with pytest.raises(RestoreError) as caught:
        store.locate(checkpoint)
    assert caught.value.code is Code.WEIGHTS_MISSING


def test_stored_file_is_preferred(store_of: StoreOf, tmp_path: Path) -> None:
    write(tmp_path / "torch/hub/checkpoints/a.pth")
    store = store_of(checkpoint := row("a", HUB_URL))
    path = write(store.path_of(checkpoint))
    assert store.locate(checkpoint).path == path


@pytest.mark.parametrize(
    ("facts", "is_found"),
    [
        ({"bytes_about": len(BODY) - 300}, True),
        ({"bytes_about": len(BODY) * 2}, False),
        ({}, False),
        ({"bytes": len(BODY)}, True),
        ({"bytes": len(BODY) + 1}, False),
    ],
)
def test_without_checksum_the_size_decides(
    store_of: StoreOf, tmp_path: Path, facts: dict[str, int], is_found: bool
) -> None:
    write(tmp_path / "torch/hub/checkpoints/a.pth")
    unknown: dict[str, Any] = {"sha256": None, "bytes": None}
    checkpoint = row("a", HUB_URL, **unknown | facts)
    assert (store_of(checkpoint).find(checkpoint) is not None) == is_found


def test_without_checksum_the_first_file_is_required_from_then_on(
    store_of: StoreOf, server: FileServer, tmp_path: Path
) -> None:
    path = write(tmp_path / "torch/hub/checkpoints/a.pth")
    checkpoint = row("a", server.add("a", OTHER), sha256=None)
    assert store_of(checkpoint).ensure(checkpoint).path == path
    record = json.loads((tmp_path / "root/upscale/a.pth.verified.json").read_text())
    assert record["path"] == str(path)
    path.unlink()
    with pytest.raises(RestoreError, match=sha256_of(BODY)):
        store_of(checkpoint).ensure(checkpoint)


OLDER_FILES = {
    "face/codeformer.pth": "codeformer",
    "old_photo_restore/scratch_detection.pt": "oldphoto-scratch-detector",
    "old_photo_restore/vae_a_encoder.pth": "oldphoto-vae-a-quality",
    "old_photo_restore/vae_b_decoder.pth": "oldphoto-vae-b-scratch",
    "old_photo_restore/mapping_net.pth": "oldphoto-mapping-scratch",
    "old_photo_restore/face_enhance_gen.pth": "oldphoto-face-256",
}


@pytest.mark.parametrize(("older", "row_id"), OLDER_FILES.items())
def test_older_layout_of_the_shipped_manifest(tmp_path: Path, older: str, row_id: str) -> None:
    def small(shipped: Checkpoint) -> Checkpoint:
        facts = {"bytes": len(BODY), "sha256": sha256_of(BODY), "index_copy": None}
        return shipped.model_copy(update=facts)

    rows = tuple(small(shipped) for shipped in Catalog.load().rows if not shipped.embedded)
    path = write(tmp_path / "root" / older)
    environment = search_environment(tmp_path)
    store = WeightStore(Catalog(rows, tmp_path), tmp_path / "root", environment=environment)
    found = [checkpoint.id for checkpoint in rows if store.find(checkpoint)]
    assert found == [row_id]
    (checkpoint,) = (checkpoint for checkpoint in rows if checkpoint.id == row_id)
    assert store.ensure(checkpoint).path == path
