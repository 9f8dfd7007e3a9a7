"""bench_single_image: which combinations there are, what one that is refused or breaks does to the others."""

import json
import socket
from contextlib import contextmanager

import pytest
from fakecog import FakeCog

from benchmarks import bench_single_image
from benchmarks.bench_single_image import combinations, main
from benchmarks.client import Setting
from restore.errors import Code, RestoreError

REFUSED = (
    200,
    {"status": "failed", "error": "Prediction failed: RestoreError: [E502] no compiler here"},
)
CRASHED = (200, {"status": "failed", "error": "Worker crashed"})


@pytest.fixture
def cog(monkeypatch, tmp_path):
    server = FakeCog()
    server.settings = []

    @contextmanager
    def served(port, environment):
        server.settings.append(environment)
        if environment["RESTORE_PRELOAD"] == "broken":
            raise RestoreError(
                Code.SERVER,
                "setup failed: RestoreError: [E102] compile_backend is broken",
                "Read the log.",
            )
        yield server.url

    monkeypatch.setattr(bench_single_image, "served", served)
    monkeypatch.setattr(bench_single_image, "require_known", lambda inputs: None)
    monkeypatch.setattr(bench_single_image, "RESULT", tmp_path / "last.json")
    yield server
    server.close()


@pytest.fixture
def run(cog, photo_file, tmp_path):
    def bench(*options):
        image = str(photo_file("a.png"))
        with socket.socket() as probe:  # bound, not listening: nobody else gets it
            probe.bind(("127.0.0.1", 0))
            code = main(
                [
                    "--image",
                    image,
                    "--task",
                    "restore",
                    "--port",
                    str(probe.getsockname()[1]),
                    *options,
                ]
            )
        return code, json.loads((tmp_path / "last.json").read_text())

    return bench


def names(rows):
    return [(row["profile"], row["stability_mode"], row["compile_backend"]) for row in rows]


def test_the_safe_mode_goes_with_no_backend():
    possible, skipped = combinations(
        Setting("restore"), ["baseline", "fast"], ["safe", "optimized"], ["none", "inductor"]
    )
    assert [(one.profile, one.stability_mode, one.compile_backend) for one in possible] == [
        (profile, *rest)
        for profile in ("baseline", "fast")
        for rest in (("safe", "none"), ("optimized", "none"), ("optimized", "inductor"))
    ]
    assert [(one.profile, one.stability_mode, one.compile_backend) for one in skipped] == [
        ("baseline", "safe", "inductor"),
        ("fast", "safe", "inductor"),
    ]


def test_every_combination_has_a_server_of_its_own_a_cold_request_and_warm_ones(cog, run, capsys):
    code, written = run("--profiles", "baseline", "--warmup", "2", "--repeats", "3")
    assert code == 0
    assert names(written["rows"]) == [
        ("baseline", "safe", "none"),
        ("baseline", "optimized", "none"),
        ("baseline", "optimized", "inductor"),
    ]
    assert [environment["RESTORE_COMPILE_BACKEND"] for environment in cog.settings] == [
        "",
        "",
        "inductor",
    ]
    assert len(cog.bodies) == 3 * (1 + 2 + 3)
    assert [body["input"].get("compile_backend") for body in cog.bodies] == [None] * 12 + [
        "inductor"
    ] * 6
    for row in written["rows"]:
        assert row["status"] == "measured"
        assert row["warm"]["count"] == 3
        assert row["cold_s"] > 0
        assert row["ready_s"] >= 0
    output = capsys.readouterr().out
    assert "left out: baseline, safe, inductor" in output
    assert "best_warm" in output
    assert "warning: lite" in output, "what was degraded is not passed off as measured"


def test_the_best_are_the_quickest_cold_and_warm(cog, run, monkeypatch):
    times = {"baseline": (0.5, 0.2), "fast": (0.9, 0.1)}

    def measure(setting, photo, arguments, on_answer):
        cold_s, warm_s = times[setting.profile]
        row = {
            "profile": setting.profile,
            "stability_mode": "safe",
            "compile_backend": "none",
            "status": "measured",
            "error": "",
        }
        return row | {
            "ready_s": 1.0,
            "cold_s": cold_s,
            "warm": {"p50": warm_s, "p95": warm_s},
            "device": "cpu",
        }

    monkeypatch.setattr(bench_single_image, "measure", measure)
    code, written = run("--modes", "safe", "--backends", "none")
    assert code == 0
    assert (written["best_cold"]["profile"], written["best_cold"]["seconds"]) == ("baseline", 0.5)
    assert (written["best_warm"]["profile"], written["best_warm"]["seconds"]) == ("fast", 0.1)


def test_a_combination_that_is_refused_is_recorded_and_the_others_go_on(cog, run, capsys):
    cog.answers = [REFUSED]
    code, written = run("--modes", "safe", "--backends", "none", "--warmup", "0", "--repeats", "1")
    assert code == 0
    assert [row["status"] for row in written["rows"]] == ["refused", "measured"]
    assert "[E502] no compiler here" in written["rows"][0]["error"]
    assert written["best_cold"]["profile"] == "fast"
    assert "no compiler here" in capsys.readouterr().out


def test_a_setup_that_is_refused_is_recorded(cog, run, monkeypatch):
    monkeypatch.setenv("RESTORE_PRELOAD", "broken")
    code, written = run("--modes", "safe", "--backends", "none")
    assert code == 1, "nothing was measured"
    assert [row["status"] for row in written["rows"]] == ["refused", "refused"]
    assert written["best_cold"] is None
    assert written["best_warm"] is None


def test_an_input_that_the_server_does_not_have_is_a_refusal(cog, run, monkeypatch):
    def require_known(inputs):
        if "stability_mode" in inputs:
            raise RestoreError(
                Code.OPTION_UNKNOWN, "predict.py has no input 'stability_mode'", "See the README."
            )

    monkeypatch.setattr(bench_single_image, "require_known", require_known)
    code, written = run("--profiles", "fast", "--backends", "none", "--repeats", "1")
    assert code == 0
    assert [row["status"] for row in written["rows"]] == ["measured", "refused"]


@pytest.mark.parametrize("answers", [[CRASHED], [None], [(500, "broken")]], ids=str)
def test_one_that_breaks_fails_the_run_but_stops_nothing(cog, run, answers):
    cog.answers = answers
    code, written = run("--modes", "safe", "--backends", "none", "--warmup", "0", "--repeats", "1")
    assert code == 1
    assert [row["status"] for row in written["rows"]] == ["failed", "measured"]


def test_a_warm_request_that_is_lost_fails_its_combination(cog, run):
    cog.answers = [(409, {}), (409, {})]
    ok = {
        "status": "succeeded",
        "output": ["data:image/png;base64,AA"],
        "metrics": {"predict_time": 0.1, "photos": []},
    }
    cog.answers += [(200, ok), None]
    code, written = run(
        "--modes",
        "safe",
        "--backends",
        "none",
        "--profiles",
        "fast",
        "--warmup",
        "0",
        "--repeats",
        "2",
    )
    assert code == 1
    [row] = written["rows"]
    assert row["status"] == "failed"
    assert "ConnectionError" in row["error"]
    assert written["best_warm"] is None


def test_a_port_that_is_taken_stops_the_run_at_once(cog, photo_file, capsys):
    assert (
        main(["--image", str(photo_file("a.png")), "--task", "restore", "--port", str(cog.port)])
        == 2
    )
    assert f"port {cog.port}" in capsys.readouterr().err
    assert cog.settings == []


def test_a_photo_that_is_not_there_is_refused(cog, tmp_path, capsys):
    assert main(["--image", str(tmp_path / "none.jpg")]) == 2
    assert "E201" in capsys.readouterr().err
    assert cog.settings == []
