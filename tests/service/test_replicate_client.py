"""Tests with Replicate's client for Python and a real service with one worker."""

import asyncio
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from apicalls import MODEL, jpeg
from PIL import Image
from replicate import Client
from replicate.exceptions import ModelError, ReplicateError
from replicate.helpers import FileOutput
from replicate.pagination import paginate
from runningservice import API_KEY, RunningService

UPSCALE = {"task": "upscale", "scale": 2}
SIZE, DOUBLE_SIZE = (32, 40), (64, 80)


@contextmanager
def client_of(service: RunningService, key: str = API_KEY) -> Iterator[Client]:
    client = Client(key, base_url=service.url, trust_env=False)
    client.poll_interval = 0.02
    yield client
    client._client.close()


@pytest.fixture(scope="module")
def client(running_service: RunningService) -> Iterator[Client]:
    with client_of(running_service) as client:
        yield client


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "summer.jpg"
    path.write_bytes(jpeg())
    return path


def size_of(output: Any) -> tuple[int, int]:
    assert isinstance(output, FileOutput)
    return Image.open(io.BytesIO(output.read())).size


def test_run_uploads_files_and_returns_readable_files(client: Client, photo: Path) -> None:
    """Over plain http, too, where the client makes no FileOutput of a URL."""
    with photo.open("rb") as file:
        (output,) = client.run(MODEL, input={**UPSCALE, "image": file})
    assert size_of(output) == DOUBLE_SIZE
    (uploaded, *_) = client.files.list()
    assert (uploaded.name, uploaded.size) == ("summer.jpg", photo.stat().st_size)


def test_run_takes_a_version_several_photos_and_data_uris(client: Client, photo: Path) -> None:
    version = client.models.get(MODEL).latest_version
    assert version is not None
    assert client.models.get(MODEL).versions.list()[0].id == version.id
    images = [io.BytesIO(jpeg(level)) for level in (60, 200)]
    output = client.run(
        f"{MODEL}:{version.id}",
        input={**UPSCALE, "images": images, "output_format": "png"},
        file_encoding_strategy="base64",
    )
    pictures = [Image.open(io.BytesIO(each.read())) for each in output]
    levels = [picture.getpixel((30, 30))[0] for picture in pictures]  # type: ignore[index]
    assert [picture.size for picture in pictures] == [DOUBLE_SIZE] * 2
    assert levels[0] < 130 < levels[1]  # in the order of the input


def test_run_without_waiting_polls(client: Client, photo: Path) -> None:
    output = client.run(MODEL, input={**UPSCALE, "image": photo}, wait=False)
    assert [size_of(each) for each in output] == [DOUBLE_SIZE]


def test_urls_of_results_need_no_key(client: Client, photo: Path) -> None:
    """Without FileOutput, they are data URIs over plain http; the list has URLs."""
    (uri,) = client.run(MODEL, input={**UPSCALE, "image": photo}, use_file_output=False)
    assert uri.startswith("data:image/jpeg;base64,")
    (url,) = client.predictions.list()[0].output or []
    assert httpx.get(url, trust_env=False).content == FileOutput(uri, client).read()


def test_async_run(running_service: RunningService) -> None:
    async def run() -> bytes:
        image = io.BytesIO(jpeg())
        with client_of(running_service) as client:
            outputs: Any = await client.async_run(MODEL, input={**UPSCALE, "image": image})
            content: bytes = await outputs[0].aread()
            await client._async_client.aclose()
        return content

    assert Image.open(io.BytesIO(asyncio.run(run()))).size == DOUBLE_SIZE


def test_prediction_is_created_reloaded_and_awaited(client: Client, photo: Path) -> None:
    prediction = client.predictions.create(model=MODEL, input={**UPSCALE, "image": photo})
    assert prediction.status in {"starting", "processing"}
    assert client.predictions.get(prediction.id).id == prediction.id
    prediction.wait()
    assert prediction.status == "succeeded"
    assert prediction.progress is not None
    assert prediction.progress.percentage == 1.0
    assert prediction.metrics is not None
    assert prediction.metrics["predict_time"] <= prediction.metrics["total_time"]
    (report,) = prediction.metrics["photos"]
    assert report["task"] == "upscale"
    assert prediction.metrics["worker"] == "worker-1"


def test_wait_that_runs_out_goes_on_by_polling(client: Client) -> None:
    """The answer then says `starting`, whatever the job does. Progress is seen while it runs."""
    photo = io.BytesIO(jpeg(width_px=500))
    slow = {"task": "upscale", "scale": 4, "tile_size": 64, "image": photo}
    prediction = client.models.predictions.create(MODEL, input=slow, wait=1)
    assert prediction.status == "starting"
    assert prediction.output is None
    while prediction.progress is None or prediction.progress.total == 1:  # that of the photos
        prediction.reload()
        assert prediction.status == "processing"
    assert 0 < prediction.progress.current < prediction.progress.total
    prediction.cancel()
    prediction.wait()
    assert prediction.status == "canceled"


def test_waiting_prediction_is_cancelled_at_once(client: Client) -> None:
    slow = {"task": "upscale", "scale": 4, "tile_size": 64}
    first, second = (
        client.predictions.create(
            model=MODEL, input={**slow, "image": io.BytesIO(jpeg(width_px=500))}
        )
        for _ in range(2)
    )
    assert second.metrics is not None
    assert second.metrics["queue_position"] in {0, 1}  # the worker may not have the first one yet
    second.cancel()
    assert second.status == "canceled"
    first.cancel()
    first.wait()
    assert first.status == "canceled"


def test_failure_of_the_worker_has_its_code(client: Client) -> None:
    with pytest.raises(ModelError, match=r"^\[E205\] photo '.*': its content"):
        client.run(MODEL, input={"image": io.BytesIO(b"no photo at all")})


def test_refusals_have_status_and_code(client: Client, running_service: RunningService) -> None:
    image = io.BytesIO(jpeg())
    for model, inputs, status, code in (
        (MODEL, {"image": image, "scale": 99}, 422, "E102"),
        (MODEL, {}, 422, "E103"),
        ("other/model", {"image": image}, 404, "E607"),
    ):
        with pytest.raises(ReplicateError) as raised:
            client.run(model, input=inputs)
        assert (raised.value.status, (raised.value.detail or "")[1:5]) == (status, code)
    with client_of(running_service, "wrong key") as stranger:
        with pytest.raises(ReplicateError) as raised:
            stranger.predictions.list()
        assert raised.value.status == 401


def test_predictions_are_listed_by_pages(client: Client, photo: Path) -> None:
    created = client.predictions.create(model=MODEL, input={**UPSCALE, "image": photo})
    pages = list(paginate(client.predictions.list))
    assert pages[0][0].id == created.id
    created.wait()


def test_files_and_account(client: Client, photo: Path) -> None:
    uploaded = client.files.create(photo, metadata={"album": "1958"})
    assert client.files.get(uploaded.id) == uploaded
    assert uploaded.content_type == "image/jpeg"
    (output,) = client.run(MODEL, input={**UPSCALE, "image": uploaded.urls["get"]})
    assert size_of(output) == DOUBLE_SIZE
    assert client.files.delete(uploaded.id)
    with pytest.raises(ReplicateError, match="status: 404"):
        client.files.get(uploaded.id)
    assert client.accounts.current().type == "user"
    assert client.webhooks.default.secret().key.startswith("whsec_")
