"""Tests of restore.service.devices."""

import os
from pathlib import Path

import pytest

from restore.service.devices import parse_devices, visible_devices, worker_environments

TWO_GPUS = """\
GPU 0: NVIDIA H100 80GB HBM3 (UUID: GPU-8d3b7a12-0000-1111-2222-333344445555)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-5f2c9b34-0000-1111-2222-333344445555)
"""
A_DIVIDED_GPU = """\
GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-aaaaaaaa-0000-1111-2222-333344445555)
  MIG 3g.20gb     Device  0: (UUID: MIG-bbbbbbbb-0000-1111-2222-333344445555)
  MIG 3g.20gb     Device  1: (UUID: MIG-GPU-cccccccc-0000-1111-2222-333344445555/2/0)
GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-dddddddd-0000-1111-2222-333344445555)
"""


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose text a fake nvidia-smi prints; without the file it fails."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\ncat '{tmp_path}/listed'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    return tmp_path / "listed"


def test_workers_take_turns_on_the_gpus(listed: Path) -> None:
    listed.write_text(TWO_GPUS)
    first, second, third = worker_environments(3, {})
    assert first == {"CUDA_VISIBLE_DEVICES": "GPU-8d3b7a12-0000-1111-2222-333344445555"}
    assert second == {"CUDA_VISIBLE_DEVICES": "GPU-5f2c9b34-0000-1111-2222-333344445555"}
    assert third == first


def test_parts_take_the_place_of_a_divided_gpu() -> None:
    assert [device[:14] for device in parse_devices(A_DIVIDED_GPU)] == [
        "MIG-bbbbbbbb-0",
        "MIG-GPU-cccccc",
        "GPU-dddddddd-0",
    ]
    assert parse_devices("No devices found.\n") == []


def test_environment_chooses_among_the_gpus(listed: Path) -> None:
    listed.write_text(TWO_GPUS)
    assert visible_devices({"CUDA_VISIBLE_DEVICES": "1, 0"}) == ["1", "0"]
    assert visible_devices({"CUDA_VISIBLE_DEVICES": ""}) == []
    assert visible_devices({"RESTORE_DEVICE": "cpu"}) == []
    assert visible_devices({"RESTORE_DEVICE": "cuda:1"}) == []
    for device in ("auto", "cuda", ""):
        assert len(visible_devices({"RESTORE_DEVICE": device})) == 2


def test_workers_share_the_cores_of_a_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    cpu = {"RESTORE_DEVICE": "cpu"}
    assert worker_environments(3, cpu) == [{"OMP_NUM_THREADS": "2"}] * 3
    assert worker_environments(20, cpu) == [{"OMP_NUM_THREADS": "1"}] * 20
    assert worker_environments(1, cpu) == [{}]
    assert worker_environments(2, {**cpu, "OMP_NUM_THREADS": "4"}) == [{}, {}]


def test_program_that_fails_is_reported(listed: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert visible_devices({}) == []
    assert "nvidia-smi -L failed" in caplog.text
