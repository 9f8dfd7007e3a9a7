"""bench_single_image: combinations, refused and failed ones, and what it writes."""

import json
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from fakecog import FakeCog

from benchmarks import bench_single_image
from benchmarks.bench_single_image import combinations, main
from benchmarks.server import Setting
from restore.errors import Code, RestoreError

REFUSED = (
    200,
    {"status": "failed", "error": "Prediction failed: RestoreError: [E502] no compiler here"},
)
Run = Callable[..., tuple[int, dict[str, Any]]]

CRASHED = (200, {"status": "failed", "error": "Worker crashed"})


@pytest.fixture
def cog(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[FakeCog]:
    server = FakeCog()

    @contextmanager
    def served(port: int, environment: Mapping[str, str]) -> Iterator[str]:
        server.environments.append(environment)
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
def run(cog: FakeCog, photo_file: Callable[..., Path], tmp_path: Path) -> Run:
    def bench(*options: str) -> tuple[int, dict[str, Any]]:
        image = str(photo_file("a.png"))
        with (
            socket.socket() as probe
        ):  # bound, but not listening: the port stays free for this test
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


def names(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    return [(row["profile"], row["stability_mode"], row["compile_backend"]) for row in rows]


def test_safe_mode_is_combined_with_no_backend() -> None:
    possible, skipped = combinations(
        Setting("restore"), ["baseline", "fast"], ["safe", "optimized"], ["none", "inductor"]
    )
    assert [(each.profile, each.stability_mode, each.compile_backend) for each in possible] == [
        (profile, *rest)
        for profile in ("baseline", "fast")
        for rest in (("safe", "none"), ("optimized", "none"), ("optimized", "inductor"))
    ]
    assert [(each.profile, each.stability_mode, each.compile_backend) for each in skipped] == [
        ("baseline", "safe", "inductor"),
        ("fast", "safe", "inductor"),
    ]


def test_each_combination_has_its_own_server_cold_and_warm_requests(
    cog: FakeCog, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    code, written = run("--profiles", "baseline", "--warmup", "2", "--repeats", "3")
    assert code == 0
    assert names(written["rows"]) == [
        ("baseline", "safe", "none"),
        ("baseline", "optimized", "none"),
        ("baseline", "optimized", "inductor"),
    ]
    assert [environment["RESTORE_COMPILE_BACKEND"] for environment in cog.environments] == [
        "",
        "none",
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
    assert "warning: lite" in output, "warnings are shown"


def test_best_are_the_fastest_cold_and_warm(
    cog: FakeCog, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = {"baseline": (0.5, 0.2), "fast": (0.9, 0.1)}

    def measure(setting: Setting, *_: object) -> dict[str, Any]:
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


def test_refused_combination_does_not_stop_the_others(
    cog: FakeCog, run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    cog.responses = [REFUSED]
    code, written = run("--modes", "safe", "--backends", "none", "--warmup", "0", "--repeats", "1")
    assert code == 0
    assert [row["status"] for row in written["rows"]] == ["refused", "measured"]
    assert "[E502] no compiler here" in written["rows"][0]["error"]
    assert written["best_cold"]["profile"] == "fast"
    assert "no compiler here" in capsys.readouterr().out


def test_refused_setup_is_recorded(cog: FakeCog, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTORE_PRELOAD", "broken")
    code, written = run("--modes", "safe", "--backends", "none")
    assert code == 1, "nothing was measured"
    assert [row["status"] for row in written["rows"]] == ["refused", "refused"]
    assert written["best_cold"] is None
    assert written["best_warm"] is None


def test_unknown_input_is_refused(cog: FakeCog, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def require_known(inputs: Mapping[str, object]) -> None:
        if "stability_mode" in inputs:
            raise RestoreError(
                Code.OPTION_UNKNOWN, "predict.py has no input 'stability_mode'", "See the README."
            )

    monkeypatch.setattr(bench_single_image, "require_known", require_known)
    code, written = run("--profiles", "fast", "--backends", "none", "--repeats", "1")
    assert code == 0
    assert [row["status"] for row in written["rows"]] == ["measured", "refused"]


@pytest.mark.parametrize("responses", [[CRASHED], [None], [(500, "broken")]], ids=str)
def test_failed_combination_fails_the_run_and_does_not_stop_the_others(
    cog: FakeCog, run: Run, responses: list[tuple[int, object] | None]
) -> None:
    cog.responses = responses
    code, written = run("--modes", "safe", "--backends", "none", "--warmup", "0", "--repeats", "1")
    assert code == 1
    assert [row["status"] for row in written["rows"]] == ["failed", "measured"]


def test_lost_warm_request_fails_its_combination(cog: FakeCog, run: Run) -> None:
    cog.responses = [(409, {}), (409, {})]
    ok = {
        "status": "succeeded",
        "output": ["data:image/png;base64,AA"],
        "metrics": {"predict_time": 0.1, "photos": []},
    }
    cog.responses += [(200, ok), None]
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


def test_port_in_use_is_refused(
    cog: FakeCog, photo_file: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert (
        main(["--image", str(photo_file("a.png")), "--task", "restore", "--port", str(cog.port)])
        == 2
    )
    assert f"port {cog.port}" in capsys.readouterr().err
    assert cog.environments == []


def test_missing_photo_is_refused(
    cog: FakeCog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--image", str(tmp_path / "none.jpg")]) == 2
    assert "E201" in capsys.readouterr().err
    assert cog.environments == []
