"""The HTTP client of the benchmarks: retries, failures, connections and inputs."""

import base64
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Self

import pytest
from fakecog import FakeCog

from benchmarks.client import Client, Prediction, PredictionResult, prediction
from benchmarks.inputs import data_uri, read_inputs, require_known
from benchmarks.server import Setting, served
from restore.errors import Code, RestoreError

BUSY = (409, {"error": "At capacity - all prediction slots busy", "status": "failed"})
REQUEST = Prediction(("a.jpg", "b.jpg"), b'{"input": {"images": ["1", "2"]}}')


@pytest.fixture
def cog() -> Iterator[FakeCog]:
    server = FakeCog()
    yield server
    server.close()


def predict(cog: FakeCog, **options: Any) -> PredictionResult:
    with Client(cog.url, **options) as client:
        return client.predict(REQUEST)


def test_result_contains_times_and_reports(cog: FakeCog) -> None:
    cog.delay_s = 0.03
    result = predict(cog)
    assert (result.status, result.error, result.names) == ("succeeded", "", ("a.jpg", "b.jpg"))
    assert (result.outputs, result.retries_409, result.predict_time_s) == (2, 0, 0.05)
    assert result.wall_s >= 0.03
    assert result.waited_s < 0.02
    assert [report["photo"] for report in result.reports] == ["images[0]", "images[1]"]


def test_busy_server_is_retried_and_waiting_counts(cog: FakeCog) -> None:
    cog.responses = [BUSY] * 4
    result = predict(cog)
    assert (result.status, result.retries_409, len(cog.bodies)) == ("succeeded", 4, 5)
    assert result.wall_s > result.waited_s > 0.005


def test_pauses_grow_to_a_limit_with_jitter(cog: FakeCog, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("benchmarks.client.time.sleep", pauses.append)
    cog.responses = [BUSY] * 40
    assert predict(cog).status == "succeeded"
    assert len(pauses) == 40
    assert pauses[0] < 0.0035
    assert max(pauses) <= 0.075
    assert sum(pauses[-20:]) / 20 > 0.03
    assert len(set(pauses[-20:])) > 10


def test_server_with_a_crashed_worker_loses_the_request(cog: FakeCog) -> None:
    cog.responses, cog.health = [BUSY] * 1000, "UNHEALTHY"
    result = predict(cog, health_check_interval_s=0.02)
    assert result.status == "lost"
    assert "UNHEALTHY" in result.error
    assert result.retries_409 < 1000


@pytest.mark.parametrize(
    ("response", "status", "error"),
    [
        (
            (200, {"status": "failed", "error": "[E206] photo 'images[1]': damaged"}),
            "failed",
            "[E206] photo 'images[1]'",
        ),
        (
            (200, {"status": "succeeded", "output": ["data:image/jpeg;base64,AA"]}),
            "failed",
            "1 pictures came back for 2 photos",
        ),
        ((200, {"status": "succeeded", "output": None}), "failed", "0 pictures"),
        (
            (
                422,
                {
                    "detail": [
                        {
                            "loc": ["body"],
                            "msg": "data:image/jpeg;base64," + "A" * 9999 + " is not a string",
                        }
                    ]
                },
            ),
            "failed",
            "is not a",
        ),
        ((503, {"error": "Setup has not finished yet."}), "failed", "HTTP 503: Setup has not"),
        ((500, "no JSON"), "failed", "HTTP 500: no JSON"),
        ((200, "no JSON"), "failed", "HTTP 200: no JSON"),
        (None, "lost", "ConnectionError"),
    ],
)
def test_every_failure_is_a_result(
    cog: FakeCog, response: tuple[int, object] | None, status: str, error: str
) -> None:
    cog.responses = [response]
    result = predict(cog)
    assert result.status == status
    assert error in result.error
    assert len(result.error) <= 300
    assert len(cog.bodies) == 1, "only 409 is retried"


def test_timeout_loses_the_request(cog: FakeCog) -> None:
    cog.delay_s = 0.4
    result = predict(cog, timeout_s=0.05)
    assert result.status == "lost"
    assert "Timeout" in result.error


def test_connections_are_reused(cog: FakeCog) -> None:
    with Client(cog.url) as client:
        client.predict_all([REQUEST] * 5)
    assert len(cog.bodies) == 5
    assert len(cog.ports) == 1


def test_results_keep_the_order_of_concurrent_requests(cog: FakeCog) -> None:
    cog.delay_s = 0.03
    requests = [
        Prediction((f"{n}.jpg",), f'{{"input": {{"images": ["{n}"]}}}}'.encode()) for n in range(9)
    ]
    reported: list[PredictionResult] = []
    with Client(cog.url, concurrency=3) as client:
        results = client.predict_all(requests, reported.append)
    names = [request.names for request in requests]
    assert [result.names for result in results] == names
    assert sorted(result.names for result in reported) == names
    assert cog.max_concurrent == 3


def test_photos_are_sent_as_data_uris(photo_file: Callable[..., Path]) -> None:
    photo = photo_file("a.png")
    request = prediction([photo], {"scale": 2})
    assert request.names == ("a.png",)
    assert request.body == f'{{"input": {{"scale": 2, "images": ["{data_uri(photo)}"]}}}}'.encode()
    head, _, body = data_uri(photo).partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(body) == photo.read_bytes()


def test_missing_photo_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match="E201"):
        prediction([tmp_path / "none.jpg"], {})


def test_default_mode_and_backend_are_not_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RESTORE_PRELOAD", raising=False)
    plain = Setting("upscale", "fast", extra={"scale": 2})
    assert plain.inputs() == {"scale": 2, "task": "upscale", "runtime_profile": "fast"}
    assert plain.environment() == {
        "RESTORE_WEIGHTS": "lite",
        "RESTORE_PRELOAD": "upscale",
        "RESTORE_COMPILE_BACKEND": "",
    }
    compiled = Setting(
        "upscale", stability_mode="optimized", compile_backend="inductor", weights="official"
    )
    assert (
        compiled.inputs().items()
        >= {"stability_mode": "optimized", "compile_backend": "inductor"}.items()
    )
    assert (
        compiled.environment().items()
        >= {"RESTORE_COMPILE_BACKEND": "inductor", "RESTORE_WEIGHTS": "official"}.items()
    )


@pytest.mark.parametrize(
    ("extra", "preload"), [({}, "all"), ({"steps": "restore,upscale"}, "restore,upscale")]
)
def test_pipeline_preloads_its_steps(
    monkeypatch: pytest.MonkeyPatch, extra: dict[str, object], preload: str
) -> None:
    monkeypatch.delenv("RESTORE_PRELOAD", raising=False)
    assert Setting("pipeline", extra=extra).environment()["RESTORE_PRELOAD"] == preload
    monkeypatch.setenv("RESTORE_PRELOAD", "none")
    assert Setting("pipeline", extra=extra).environment()["RESTORE_PRELOAD"] == "none"


def test_inputs_get_the_types_of_the_schema(photo_file: Callable[..., Path]) -> None:
    mask = photo_file("m.png")
    pairs = [
        "scale=2.5",
        "tile_size=128",
        "face_enhance=true",
        "upscale_variant=lite",
        "points=[[1, 2]]",
        f"mask=@{mask}",
    ]
    assert read_inputs(pairs) == {
        "scale": 2.5,
        "tile_size": 128,
        "face_enhance": True,
        "upscale_variant": "lite",
        "points": "[[1, 2]]",
        "mask": data_uri(mask),
    }


@pytest.mark.parametrize(
    ("pair", "message"),
    [
        ("scale", "NAME=VALUE"),
        ("=2", "NAME=VALUE"),
        ("scale=big", "type number"),
        ("scale=true", "type number"),
        ("tile_size=1.5", "type integer"),
        ("keep_gps=1", "type boolean"),
        ("task=upscale", "an option of its own"),
        ("image=@a.jpg", "an option of its own"),
        ("scael=2", "Did you mean 'scale'"),
    ],
)
def test_wrong_inputs_are_refused(pair: str, message: str) -> None:
    with pytest.raises(RestoreError, match=message):
        read_inputs([pair])


def test_unknown_input_is_refused() -> None:
    with pytest.raises(RestoreError, match="E101"):
        require_known({"task": "upscale", "no_such_input": 1})


def test_log_of_a_failed_server_is_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def running(
        port: int, environment: Mapping[str, str], timeout_s: float, log: IO[bytes]
    ) -> None:
        log.write(b"x" * 9000 + b"the reason")
        raise RestoreError(Code.SERVER, "setup failed", "Read the log.")

    monkeypatch.setattr("benchmarks.server.running", running)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RestoreError, match="setup failed"), served(1, {}):
        pass
    assert capsys.readouterr().err.endswith("x" * 1990 + "the reason")
    assert signal.getsignal(signal.SIGTERM) is before


def test_signal_stops_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    ended = threading.Event()

    class Running:
        def __init__(self, *_: object) -> None:
            pass

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            ended.set()

    monkeypatch.setattr("benchmarks.server.running", Running)
    with pytest.raises(SystemExit) as stopped, served(1, {}):
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert ended.is_set()


def test_interrupt_drops_unsent_requests(cog: FakeCog) -> None:
    cog.delay_s = 0.05

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with Client(cog.url) as client, pytest.raises(KeyboardInterrupt):
        client.predict_all([REQUEST] * 50, interrupt)
    assert len(cog.bodies) < 5
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]
