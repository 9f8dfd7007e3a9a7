"""run_bench: statistics, refusals before the server starts, and the files that it writes."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakecog import STAGES_MS, FakeCog
from PIL import Image

from benchmarks import rows, run_bench
from benchmarks.run_bench import main, photos_in

FAILED = (200, {"status": "failed", "error": "[E503] photo 'image': NaN"})


@pytest.fixture
def cog(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCog]:
    server = FakeCog()
    monkeypatch.setattr(run_bench, "served", server.served)
    yield server
    server.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three photos whose natural order is not alphabetical, and a file that is not a photo."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for name in ("10.jpg", "2.jpg", "1.JPG"):
        Image.new("RGB", (24, 20), (90, 90, 90)).save(photos / name, "JPEG")
    (photos / "README.md").write_text("no photo")
    return photos


def run(folder: Path, *options: str) -> int:
    return main(["--image-dir", str(folder), "--task", "restore", "--port", "1", *options])


def test_photos_are_in_natural_order(folder: Path) -> None:
    assert [photo.name for photo in photos_in(folder)] == ["1.JPG", "2.jpg", "10.jpg"]


@pytest.mark.parametrize(("name", "message"), [("empty", "has no"), ("missing", "is not a folder")])
def test_folder_without_photos_is_refused(
    cog: FakeCog, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, message: str
) -> None:
    (tmp_path / "empty").mkdir()
    assert run(tmp_path / name) == 2
    assert message in capsys.readouterr().err
    assert cog.bodies == []


def test_unreadable_photo_is_refused(
    cog: FakeCog, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "3.jpg").write_bytes(b"no picture")
    assert run(folder) == 2
    assert "'3.jpg'" in capsys.readouterr().err
    assert cog.bodies == []


def test_unknown_input_is_refused(
    cog: FakeCog, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--set", "scael=2") == 2
    assert "E101" in capsys.readouterr().err
    assert cog.bodies == []


def test_backend_in_the_mode_safe_is_refused(
    cog: FakeCog, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, "--compile-backend", "inductor") == 2
    assert "--stability-mode optimized" in capsys.readouterr().err
    assert cog.bodies == []


def test_mode_that_the_server_does_not_have_is_refused(
    cog: FakeCog,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    older: dict[str, Any] = {
        "components": {"schemas": {"Input": {"properties": {"task": {}, "runtime_profile": {}}}}}
    }
    monkeypatch.setattr("benchmarks.inputs.openapi_schema", lambda: older)
    assert run(folder, "--profiles", "fast", "--stability-mode", "optimized") == 2
    assert "no input 'stability_mode'" in capsys.readouterr().err
    assert cog.bodies == []
    assert run(folder, "--profiles", "fast") == 0


def test_concurrency(cog: FakeCog, folder: Path) -> None:
    cog.delay_s = 0.05
    assert run(folder, "--profiles", "fast", "--repeats", "1", "--concurrency", "2") == 0
    assert cog.max_concurrent == 2


def test_mode_and_backend_are_sent_with_every_request(cog: FakeCog, folder: Path) -> None:
    assert (
        run(
            folder,
            "--compile-backend",
            "eager",
            "--stability-mode",
            "optimized",
            "--profiles",
            "fast",
        )
        == 0
    )
    sent = {
        (body["input"]["stability_mode"], body["input"]["compile_backend"]) for body in cog.bodies
    }
    assert sent == {("optimized", "eager")}


def test_port_in_use_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert run(folder, "--port", str(port)) == 2
    assert f"[E504] the server cannot listen on 127.0.0.1 port {port}" in capsys.readouterr().err


def test_every_profile_gets_its_warm_up_and_its_rounds_over_all_photos_in_batches(
    cog, folder, capsys
):
    assert (
        run(
            folder,
            "--profiles",
            "baseline,max_speed",
            "--warmup",
            "1",
            "--repeats",
            "2",
            "--batch-size",
            "2",
            "--set",
            "scale=2",
        )
        == 0
    )
    assert [len(body["input"]["images"]) for body in cog.bodies] == [2, 1] * 6
    assert [body["input"]["runtime_profile"] for body in cog.bodies] == ["baseline"] * 6 + [
        "max_speed"
    ] * 6
    assert all(
        body["input"]["task"] == "restore" and body["input"]["scale"] == 2 for body in cog.bodies
    )
    assert not any(
        {"stability_mode", "compile_backend"} & set(body["input"]) for body in cog.bodies
    )
    output = capsys.readouterr()
    assert "12/12" in output.err, "progress"
    for text in (
        "baseline",
        "max_speed",
        "round_totals",
        "per_request",
        "per_image",
        "p99",
        "photos per second on cpu float32",
        "net 10.0",
        "warning, 6 times: lite",
    ):
        assert text in output.out


def test_failed_and_lost_requests_fail_the_run(
    cog: FakeCog, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cog.responses = [FAILED, (409, {}), None]
    result = tmp_path / "result.json"
    assert (
        run(
            folder, "--profiles", "fast", "--warmup", "1", "--repeats", "1", "--output", str(result)
        )
        == 1
    )
    [row] = json.loads(result.read_text())["profiles"]
    assert [failure["status"] for failure in row["failures"]] == ["failed", "lost"]
    assert row["failures"][0]["photos"] == ["1.JPG"]
    assert (row["requests"], row["retries_409"]) == (6, 1)
    assert "failed: 2" in capsys.readouterr().out


def test_json_contains_figures_machine_and_options(
    cog: FakeCog, folder: Path, tmp_path: Path
) -> None:
    result, picture = tmp_path / "result.json", tmp_path / "plot.png"
    assert (
        run(
            folder,
            "--profiles",
            "baseline,fast",
            "--repeats",
            "2",
            "--output",
            str(result),
            "--plot",
            str(picture),
        )
        == 0
    )
    written = json.loads(result.read_text())
    assert written["photos"] == ["1.JPG", "2.jpg", "10.jpg"]
    assert (
        written["options"].items()
        >= {"task": "restore", "repeats": 2, "weights": "lite", "concurrency": 1}.items()
    )
    assert {"commit", "torch", "cpu", "device_name", "cpu_cores"} <= set(written["machine"])
    assert written["machine"]["device_name"] == "cpu"
    assert written["date"].startswith("20")
    assert [row["profile"] for row in written["profiles"]] == ["baseline", "fast"]
    for row in written["profiles"]:
        assert [row[name]["count"] for name in ("round_totals", "per_request", "per_image")] == [
            2,
            6,
            6,
        ]
        assert set(row["per_image"]) == {"mean", "p50", "p95", "p99", "min", "max", "count"}
        assert (
            row["per_request"]["min"]
            <= row["per_request"]["p50"]
            <= row["per_request"]["p95"]
            <= row["per_request"]["max"]
        )
        assert row["photos_per_second"] > 0
        assert (row["device"], row["precision"], row["weights"]) == (
            "cpu",
            "float32",
            ["a.safetensors"],
        )
        assert row["stages_ms"].items() >= STAGES_MS.items()
        assert row["warnings"] == {"lite": 6}
        assert (row["pictures"], row["failures"]) == (6, [])
    with Image.open(picture) as image:
        assert image.format == "PNG"
        assert len(image.convert("RGB").getcolors(1 << 24) or ()) > 5


def test_rows_are_recorded_only_with_record(
    cog: FakeCog, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "RESULTS", tmp_path / "results")
    assert run(folder, "--repeats", "1") == 0
    assert not (tmp_path / "results").exists()
    assert run(folder, "--repeats", "1", "--record") == 0
    recorded = [
        json.loads(line) for line in (tmp_path / "results/run_bench.jsonl").read_text().splitlines()
    ]
    assert [row["profile"] for row in recorded] == ["baseline", "fast"]
    assert all(
        {"per_image", "commit", "date", "task", "batch_size"} <= set(row) for row in recorded
    )


@pytest.mark.parametrize(
    "options",
    [
        ["--profiles", "quick"],
        ["--batch-size", "5"],
        ["--repeats", "0"],
        ["--warmup", "-1"],
        ["--concurrency", "0"],
        ["--stability-mode", "reckless"],
        ["--compile-backend", "gcc"],
    ],
)
def test_options_out_of_range_are_refused(
    folder: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as refused:
        run(folder, *options)
    assert refused.value.code == 2
    assert options[0] in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_real_server_with_eight_concurrent_requests(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name in range(20, 26):
        Image.new("RGB", (24, 20), (name, 90, 90)).save(folder / f"{name}.jpg")
    result = tmp_path / "result.json"
    options = [
        "--profiles",
        "fast",
        "--repeats",
        "2",
        "--concurrency",
        "8",
        "--output",
        str(result),
    ]
    assert run(folder, "--port", str(port), *options) == 0
    output = capsys.readouterr().out
    assert "p95" in output
    assert "failed: 0" in output
    [row] = json.loads(result.read_text())["profiles"]
    assert (row["failures"], row["pictures"], row["weights"]) == (
        [],
        18,
        ["lite_denoise.safetensors"],
    )
    assert row["per_request"]["count"] == 18
    assert row["retries_409"] > 0, "the server handles one of eight requests at a time"
    assert row["predict_time"]["max"] <= row["per_request"]["max"]
    assert {"decode", "net", "encode", "server", "client"} <= set(row["stages_ms"])
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
