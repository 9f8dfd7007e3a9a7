"""deploy/modal_app.py: its objects are built, and the functions run here."""

import asyncio
import importlib.util
import io
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import httpx
import pytest
from PIL import Image
from places import PROJECT


@pytest.fixture(scope="module")
def modal_app() -> ModuleType:
    pytest.importorskip("modal", reason="modal is not installed")
    path = PROJECT / "deploy" / "modal_app.py"
    spec = importlib.util.spec_from_file_location("modal_app", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def jpeg() -> bytes:
    buffer = io.BytesIO()
    Image.effect_noise((64, 48), 40).convert("RGB").save(buffer, "JPEG")
    return buffer.getvalue()


def test_objects_are_built(modal_app: ModuleType) -> None:
    modal = pytest.importorskip("modal")
    assert isinstance(modal_app.app, modal.App)
    assert isinstance(modal_app.weights, modal.Volume)
    assert isinstance(modal_app.Photos, modal.Cls)
    assert isinstance(modal_app.web, modal.Function)
    spec = modal_app.Photos._get_class_service_function()._spec_  # there is no public way
    assert spec.gpus == "L4"
    assert list(spec.volumes) == [modal_app.WEIGHTS]
    assert modal_app.web._spec_.gpus is None


@pytest.fixture
def photos(modal_app: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("RESTORE_WEIGHTS", "lite")
    monkeypatch.setenv("RESTORE_PRELOAD", "none")
    monkeypatch.setenv("RESTORE_DEVICE", "cpu")
    return modal_app.Photos()


@pytest.mark.filterwarnings("ignore:The Photos.run function is executing locally")
def test_function_restores_a_photo(photos: Any) -> None:
    name, result = photos.run.local("upscale", "Oma 1958.jpg", jpeg(), {"scale": 2})
    assert name == "Oma 1958.jpg"
    assert Image.open(io.BytesIO(result)).size == (128, 96)
    with pytest.raises(ValueError, match=r"^\[E102\] "):
        photos.run.local("upscale", "a.jpg", jpeg(), {"scale": 99})


@pytest.mark.filterwarnings("ignore:The Photos.run function is executing locally")
@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Oma 1958.jpg", "Oma 1958.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\a.jpg", "a.jpg"),
        ("..", "photo"),
        ("", "photo"),
        (f"a.{'x' * 5000}", "x" * 200),
    ],
)
def test_errors_name_the_file_of_the_user(photos: Any, name: str, shown: str) -> None:
    with pytest.raises(ValueError, match=r"^\[E205\] ") as caught:
        photos.run.local("upscale", name, b"no photo", {})
    assert f"photo '{shown}': " in str(caught.value)


def test_web_app_passes_photos_on(modal_app: ModuleType) -> None:
    calls: list[tuple[str, str, bytes, dict[str, Any]]] = []

    async def run(task: str, name: str, photo: bytes, options: dict[str, Any]) -> tuple[str, bytes]:
        calls.append((task, name, photo, options))
        if "scale" not in options:
            raise ValueError(f"[{options['code']}] it failed")
        return "a.webp", b"restored"

    async def send(**form: Any) -> httpx.Response:
        transport = httpx.ASGITransport(modal_app.web_app(run))
        async with httpx.AsyncClient(transport=transport, base_url="http://web") as client:
            return await client.post("/face-restore", **form)

    photo = {"image": ("a.jpg", b"photo")}
    answer = asyncio.run(send(files=photo, data={"options": '{"scale": 2}'}))
    assert (answer.status_code, answer.content) == (200, b"restored")
    assert answer.headers["content-type"] == "image/webp"
    assert calls == [("face_restore", "a.jpg", b"photo", {"scale": 2})]
    for data, status in (
        ({"options": '{"code": "E102"}'}, 422),
        ({"options": '{"code": "E401"}'}, 500),
        ({"options": "[1]"}, 422),
        ({"options": "{"}, 422),
    ):
        answer = asyncio.run(send(files=photo, data=data))
        assert answer.status_code == status, data
        assert answer.json()["detail"]
    assert asyncio.run(send(data={"image": "text"})).status_code == 422
