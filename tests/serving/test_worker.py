"""Tests of restore.serving.worker without a server."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import cog
import pytest

import restore
from restore.errors import Code, RestoreError
from restore.imaging.named_file import NamedFile
from restore.runtime.progress import Progress
from restore.serving import cog_patch, worker
from restore.serving.worker import Worker


class FakeResults:
    reports = (SimpleNamespace(to_dict=lambda: {"photo": "image"}),)

    def save(self, folder: Path, prefix: str) -> list[Path]:
        path = folder / f"{prefix}1-image.jpg"
        path.touch()
        return [path]


class FakeRestorer:
    """Records its requests; `error` is raised instead of returning results."""

    def __init__(self, preload: str, progress: Progress) -> None:
        self.preload, self.progress = preload, progress
        self.error: Exception | None = None
        self.requests: list[tuple[str, Sequence[NamedFile], dict[str, object]]] = []

    def run(self, task: str, photos: Sequence[NamedFile], **options: object) -> FakeResults:
        self.requests.append((task, photos, options))
        if self.error:
            raise self.error
        self.progress("photos", 1, 1)
        return FakeResults()


class FakeWatched:
    """Records what the watchdog would be told."""

    def __init__(self) -> None:
        self.told: list[str] = []

    @contextmanager
    def working(self) -> Iterator[None]:
        self.told.append("working")
        try:
            yield
        finally:
            self.told.append("idle")


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> tuple[Worker, FakeRestorer]:
    monkeypatch.setattr(restore, "Restorer", FakeRestorer, raising=False)
    monkeypatch.setattr(worker, "end_with_parent", lambda clean_up: None)
    monkeypatch.setattr(worker, "update_schema", lambda: None)
    monkeypatch.setattr(worker, "Watched", FakeWatched)
    monkeypatch.setattr(cog_patch, "leave_sources_unread", lambda: None)
    monkeypatch.delenv("RESTORE_PRELOAD", raising=False)
    ready = Worker()
    assert isinstance(ready.restorer, FakeRestorer)
    return ready, ready.restorer


def respond(worker: Worker, image: object) -> worker.Response:
    return worker.respond(task="upscale", image=image, images=None, mask=None, masks=None, scale=2)


def test_all_networks_are_loaded_by_default(ready: tuple[Worker, FakeRestorer]) -> None:
    assert ready[1].preload == "all"


def test_request_is_passed_to_the_restorer(
    ready: tuple[Worker, FakeRestorer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    response = respond(ready[0], cog.Path(tmp_path / "a.jpg"))
    photos = [NamedFile("image", tmp_path / "a.jpg")]
    assert ready[1].requests == [("upscale", photos, {"masks": [], "scale": 2})]
    assert ready[0].watched.told == ["working", "idle"]  # type: ignore[attr-defined]
    assert [path.name.endswith("-1-image.jpg") for path in response.paths] == [True]
    assert response.reports == [{"photo": "image"}]


def test_refused_request_is_logged(
    ready: tuple[Worker, FakeRestorer], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(RestoreError) as caught:
        respond(ready[0], "/etc/hostname")
    assert caught.value.code is Code.PHOTO_MISSING
    assert str(caught.value) in caplog.text


def test_request_without_photos_is_refused_with_the_names_of_inputs(
    ready: tuple[Worker, FakeRestorer],
) -> None:
    with pytest.raises(RestoreError, match=r"0 photos.*as image, as images, or both") as caught:
        respond(ready[0], None)
    assert caught.value.code is Code.PHOTO_COUNT
    assert not ready[1].requests


def test_wrong_tasks_to_preload_are_refused_with_the_name_of_the_variable(
    ready: tuple[Worker, FakeRestorer], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RESTORE_PRELOAD", "sharpen")
    with pytest.raises(RestoreError, match="RESTORE_PRELOAD is 'sharpen'"):
        Worker()


def test_internal_error_gets_a_code_and_its_details_are_logged(
    ready: tuple[Worker, FakeRestorer],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    ready[1].error = ZeroDivisionError("secret")
    with pytest.raises(RestoreError, match=r"an internal error .*ZeroDivisionError") as caught:
        respond(ready[0], cog.Path(tmp_path / "a.jpg"))
    assert caught.value.code is Code.UNEXPECTED
    assert "secret" not in str(caught.value)
    assert "ZeroDivisionError: secret" in caplog.text


def test_error_in_setup_is_logged_with_its_traceback(
    ready: object, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("RESTORE_ALLOW", "all")
    with pytest.raises(RestoreError, match="RESTORE_ALLOW"):
        Worker()
    assert "Traceback" in caplog.text
