"""The benchmarks' client: busy servers are asked again, and whatever else goes wrong is counted."""

import base64
import itertools
import signal
import threading

import pytest
from fakecog import FakeCog

from benchmarks.client import (
    Client,
    Prediction,
    Setting,
    data_uri,
    prediction,
    read_inputs,
    require_known,
    served,
)
from restore.errors import RestoreError

BUSY = (409, {"error": "At capacity - all prediction slots busy", "status": "failed"})
ASKED = Prediction(("a.jpg", "b.jpg"), b'{"input": {"images": ["1", "2"]}}')


@pytest.fixture
def cog():
    server = FakeCog()
    yield server
    server.close()


def answer_of(cog: FakeCog, **options):
    with Client(cog.url, **options) as client:
        return client.predict(ASKED)


def test_an_answer_holds_what_the_server_says_of_time_and_photos(cog):
    cog.delay_s = 0.03
    answer = answer_of(cog)
    assert (answer.status, answer.error, answer.names) == ("succeeded", "", ("a.jpg", "b.jpg"))
    assert (answer.outputs, answer.retries_409, answer.predict_time_s) == (2, 0, 0.05)
    assert answer.wall_s >= 0.03
    assert answer.waited_s < 0.02
    assert [report["photo"] for report in answer.reports] == ["images[0]", "images[1]"]


def test_a_busy_server_is_asked_again_and_the_waiting_is_in_the_time(cog):
    cog.answers = [BUSY] * 4
    answer = answer_of(cog)
    assert (answer.status, answer.retries_409, len(cog.bodies)) == ("succeeded", 4, 5)
    assert answer.wall_s > answer.waited_s > 0.005


def test_pauses_grow_up_to_a_limit_and_are_jittered(cog, monkeypatch):
    pauses = []
    monkeypatch.setattr("benchmarks.client.time.sleep", pauses.append)
    cog.answers = [BUSY] * 40
    assert answer_of(cog).status == "succeeded"
    assert len(pauses) == 40
    assert pauses[0] < 0.0035
    assert max(pauses) <= 0.075
    assert sum(pauses[-20:]) / 20 > 0.03
    assert len(set(pauses[-20:])) > 10


def test_a_server_that_is_busy_for_ever_because_its_worker_crashed_loses_the_request(cog):
    cog.answers, cog.health = [BUSY] * 1000, "UNHEALTHY"
    answer = answer_of(cog, health_every_s=0.02)
    assert answer.status == "lost"
    assert "UNHEALTHY" in answer.error
    assert answer.retries_409 < 1000


@pytest.mark.parametrize(
    ("answered", "status", "error"),
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
def test_whatever_goes_wrong_is_an_answer(cog, answered, status, error):
    cog.answers = [answered]
    answer = answer_of(cog)
    assert answer.status == status
    assert error in answer.error
    assert len(answer.error) <= 300
    assert len(cog.bodies) == 1, "only 409 is asked again"


def test_an_answer_that_does_not_come_is_lost(cog):
    cog.delay_s = 0.4
    answer = answer_of(cog, timeout_s=0.05)
    assert answer.status == "lost"
    assert "Timeout" in answer.error


def test_connections_are_kept(cog):
    with Client(cog.url) as client:
        client.predict_all([ASKED] * 5)
    assert len(cog.bodies) == 5
    assert len(cog.ports) == 1


def test_answers_come_in_the_order_of_the_requests_as_many_at_once_as_asked_for(cog):
    cog.delay_s = 0.03
    asked = [
        Prediction((f"{n}.jpg",), f'{{"input": {{"images": ["{n}"]}}}}'.encode()) for n in range(9)
    ]
    seen = []
    with Client(cog.url, concurrency=3) as client:
        answers = client.predict_all(asked, seen.append)
    assert [answer.names for answer in answers] == [one.names for one in asked]
    assert sorted(answer.names for answer in seen) == [one.names for one in asked]
    assert cog.most_at_once == 3


def test_photos_travel_as_data_uris_with_the_inputs(photo_file):
    photo = photo_file("a.png")
    asked = prediction([photo], {"scale": 2})
    assert asked.names == ("a.png",)
    assert asked.body == f'{{"input": {{"scale": 2, "images": ["{data_uri(photo)}"]}}}}'.encode()
    head, _, body = data_uri(photo).partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(body) == photo.read_bytes()


def test_a_photo_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(RestoreError, match="E201"):
        prediction([tmp_path / "none.jpg"], {})


def test_modes_and_backends_are_sent_only_where_they_differ_from_none(monkeypatch):
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
def test_a_chain_loads_its_steps(monkeypatch, extra, preload):
    monkeypatch.delenv("RESTORE_PRELOAD", raising=False)
    assert Setting("pipeline", extra=extra).environment()["RESTORE_PRELOAD"] == preload
    monkeypatch.setenv("RESTORE_PRELOAD", "none")
    assert Setting("pipeline", extra=extra).environment()["RESTORE_PRELOAD"] == "none"


def test_inputs_get_the_types_of_the_schema(photo_file):
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
        ("scale", "name=value"),
        ("scale=big", "type number"),
        ("scale=true", "type number"),
        ("tile_size=1.5", "type integer"),
        ("keep_gps=1", "type boolean"),
        ("task=upscale", "an option of its own"),
        ("image=@a.jpg", "an option of its own"),
        ("scael=2", "Did you mean 'scale'"),
    ],
)
def test_inputs_that_cannot_be_are_refused(pair, message):
    with pytest.raises(RestoreError, match=message):
        read_inputs([pair])


def test_an_input_that_the_server_would_drop_is_refused():
    with pytest.raises(RestoreError, match="E101"):
        require_known({"task": "upscale", "no_such_input": 1})


def test_the_end_of_the_servers_log_is_shown_when_it_does_not_become_ready(monkeypatch, capsys):
    def running(port, environment, timeout_s, log):
        log.write(b"x" * 9000 + b"the reason")
        raise RestoreError("E504", "setup failed", "Read the log.")

    monkeypatch.setattr("benchmarks.client.running", running)
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(RestoreError, match="setup failed"), served(1, {}):
        pass
    assert capsys.readouterr().err.endswith("x" * 1990 + "the reason")
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_signal_ends_the_block_so_that_the_server_is_stopped(monkeypatch):
    ended = threading.Event()

    class Running:
        def __init__(self, *_):
            pass

        def __enter__(self):
            return "url"

        def __exit__(self, *_):
            ended.set()

    monkeypatch.setattr("benchmarks.client.running", Running)
    with pytest.raises(SystemExit) as stopped, served(1, {}):
        signal.raise_signal(signal.SIGTERM)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert ended.is_set()


def test_an_interrupt_does_not_wait_for_what_was_never_sent(cog):
    cog.delay_s = 0.05

    def interrupt(_):
        raise KeyboardInterrupt

    with Client(cog.url) as client, pytest.raises(KeyboardInterrupt):
        client.predict_all([ASKED] * 50, interrupt)
    assert len(cog.bodies) < 5
    assert not list(
        itertools.islice(
            (thread for thread in threading.enumerate() if "ThreadPool" in thread.name), 1
        )
    )
