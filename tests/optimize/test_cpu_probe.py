"""The probe for low precision on a CPU: when it runs, what it keeps, and how a child may fail."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from restore import RestoreError
from restore.models.catalog import Catalog, Checkpoint
from restore.optimize import cpu_probe, cpu_probe_child
from restore.optimize.cpu_probe import CpuProbe, run_child

CATALOG = Catalog.load()
FACES = CATALOG.find("face_restore", "lite")
AMX = frozenset({"avx2", "amx_bf16"})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "net.safetensors"
    path.write_bytes(b"1")
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Replace the child process: the first network is faster, others are not reached."""
    calls: list[list[str]] = []

    def answer(files: list[tuple[str, str]], limit_s: float) -> list[bool]:
        assert 0.0 < limit_s <= cpu_probe.MAX_PROBE_S
        calls.append([name for name, _ in files])
        return [True]

    monkeypatch.setattr(cpu_probe, "run_child", answer)
    return calls


def probe(folder: Path, flags: frozenset[str] = AMX, choice: str = "probe") -> CpuProbe:
    return CpuProbe({"RESTORE_CPU_PRECISION": choice}, folder / "cache" / "cpu.json", flags)


def test_verdict_is_kept_by_the_process_and_for_the_next(
    tmp_path: Path, file: Path, asked: list[list[str]]
) -> None:
    for _ in range(2):
        first = probe(tmp_path)
        for _ in range(2):
            assert first.precision(FACES, "fast", file) == "bfloat16"
    assert asked == [["lite-faces"]]
    file.write_bytes(b"other weights")
    assert probe(tmp_path).precision(FACES, "fast", file) == "bfloat16"
    assert len(asked) == 2


def test_network_that_was_not_reached_is_float32_and_tried_by_the_next_process(
    tmp_path: Path, file: Path, asked: list[list[str]]
) -> None:
    inpaint = CATALOG.find("inpaint", "lite")
    files = [(FACES, file), (inpaint, file)]
    first = probe(tmp_path)
    first.run(files)
    assert first.precision(inpaint, "fast", file) == "float32"
    assert asked == [["lite-faces", "lite-inpaint"]]
    probe(tmp_path).run(files)
    assert asked[1:] == [["lite-inpaint"]]


def test_process_waits_no_longer_than_its_time(
    tmp_path: Path, file: Path, asked: list[list[str]]
) -> None:
    spent = probe(tmp_path)
    spent.seconds_left = 0.0
    assert spent.precision(FACES, "fast", file) == "float32"
    assert asked == []


@pytest.mark.parametrize("flags", [frozenset({"avx2", "avx512f"}), frozenset[str]()])
def test_cpu_without_bfloat16_is_not_probed(
    tmp_path: Path, file: Path, asked: list[list[str]], flags: frozenset[str]
) -> None:
    assert probe(tmp_path, flags).precision(FACES, "fast", file) == "float32"
    assert asked == []


def test_baseline_is_not_probed(tmp_path: Path, file: Path, asked: list[list[str]]) -> None:
    assert probe(tmp_path).precision(FACES, "baseline", file) == "float32"
    assert asked == []


def test_environment_replaces_the_probe(tmp_path: Path, file: Path, asked: list[list[str]]) -> None:
    expected = {"float32": "float32", "manifest": "bfloat16", "cuda": "float16"}
    found = {name: probe(tmp_path, choice=name).precision(FACES, "fast", file) for name in expected}
    assert found == expected
    assert asked == []
    with pytest.raises(RestoreError, match="RESTORE_CPU_PRECISION is 'int8'"):
        probe(tmp_path, choice="int8")


def test_damaged_or_forbidden_cache_is_ignored(
    tmp_path: Path, file: Path, asked: list[list[str]]
) -> None:
    cache = tmp_path / "cache"
    cache.write_text("a file where the folder should be")
    assert probe(tmp_path).precision(FACES, "fast", file) == "bfloat16"
    cache.unlink()
    cache.mkdir()
    (cache / "cpu.json").write_text("[not json")
    assert probe(tmp_path).precision(FACES, "fast", file) == "bfloat16"
    assert list(json.loads((cache / "cpu.json").read_text()).values()) == [True]
    assert len(asked) == 2


def run_code(monkeypatch: pytest.MonkeyPatch, code: str, limit_s: float = 30.0) -> list[bool]:
    """Call run_child with another program as the child."""
    real = subprocess.run

    def run(command: list[str], **options: object) -> object:
        return real([sys.executable, "-c", code], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", run)
    return run_child([("a", "/a"), ("b", "/b"), ("c", "/c")], limit_s)


def test_network_that_kills_the_child_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import os; print(True, flush=True); os.kill(os.getpid(), 4)"  # illegal instruction
    assert run_code(monkeypatch, code) == [True, False]


def test_child_is_ended_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import time; print(True, flush=True); time.sleep(60)"
    assert run_code(monkeypatch, code, 1.0) == [True]


def test_child_compares_time_and_quality(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = CATALOG.folder / "lite" / FACES.file
    real, times = cpu_probe_child._timed, iter([1.0, 0.5, 1.0, 0.95])

    def timed(*arguments: object) -> tuple[object, float]:
        return real(*arguments)[0], next(times)  # type: ignore[arg-type]

    monkeypatch.setattr(cpu_probe_child, "_timed", timed)
    threads = str(cpu_probe.torch.get_num_threads())
    files = [[FACES.id, str(path)], [FACES.id, str(path)], [FACES.id, "/no/such/file"]]
    cpu_probe_child.main([json.dumps(files), threads])
    assert capsys.readouterr().out.split() == ["True", "False", "False"]


def test_incorrect_copy_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(net: cpu_probe_child.nn.Module, *_: object) -> cpu_probe_child.nn.Module:
        return cpu_probe_child.nn.Sequential(net, cpu_probe_child.nn.Threshold(1e9, 0.0))

    row: Checkpoint = FACES
    monkeypatch.setattr(cpu_probe_child, "lowered_copy", broken)
    monkeypatch.setattr(cpu_probe_child, "MAX_TIME_RATIO", 1e9)
    assert not cpu_probe_child.is_better(row, CATALOG.folder / "lite" / row.file)
