"""Tests of how many workers there are, and of what the main process loads for that."""

import subprocess
import sys
from pathlib import Path

import pytest
from places import PROJECT

from restore.batch import workers
from restore.batch.pool import WorkerPlan
from restore.batch.workers import MEMORY_PER_WORKER_BYTES, plan_workers


@pytest.mark.parametrize(
    ("cores", "free_workers", "wanted", "expected"),
    [
        (2, 9.0, None, (2, 1)),
        (8, 2.5, None, (2, 4)),
        (8, 0.1, None, (1, 8)),
        (4, 9.0, 3, (3, 1)),
        (2, 9.0, 5, (5, 1)),
    ],
)
def test_workers_share_the_cores_as_far_as_the_memory_suffices(
    cores: int,
    free_workers: float,
    wanted: int | None,
    expected: tuple[int, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    free_bytes = int(free_workers * MEMORY_PER_WORKER_BYTES)
    monkeypatch.setattr(workers, "host_free_bytes", lambda: free_bytes)
    monkeypatch.setattr(workers.os, "sched_getaffinity", lambda process: set(range(cores)))
    plan = plan_workers("cpu", wanted)
    assert (len(plan.devices), plan.threads, plan.group_size) == (*expected, 1)


@pytest.mark.parametrize(
    ("device", "wanted", "environment", "devices"),
    [
        (None, None, {}, ("cuda:0", "cuda:1")),
        (None, 3, {}, ("cuda:0", "cuda:1", "cuda:0")),
        ("cuda", None, {}, ("cuda:0", "cuda:1")),
        ("cuda:1", None, {}, ("cuda:1",)),
        (None, None, {"RESTORE_DEVICE": "cuda:1"}, ("cuda:1",)),
        (None, 2, {"RESTORE_DEVICE": "cpu"}, ("cpu", "cpu")),
    ],
)
def test_each_gpu_has_a_worker(
    device: str | None,
    wanted: int | None,
    environment: dict[str, str],
    devices: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workers, "count_gpus", lambda: 2)
    plan = plan_workers(device, wanted, environment)
    assert plan.devices == devices
    assert plan.group_size == (1 if plan.devices[0] == "cpu" else 4)


def test_gpus_are_counted_by_torch_if_there_is_a_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    monkeypatch.setattr(workers, "GPU_FILES", (tmp_path / "driver",))
    assert workers.count_gpus() == 0
    (tmp_path / "driver").touch()
    assert workers.count_gpus() == 3


def test_planning_on_a_cpu_loads_neither_torch_nor_opencv() -> None:
    code = (
        "import sys, restore.batch.local_engine as engine; engine.plan_workers('cpu');"
        "assert not {'torch', 'cv2', 'numpy'} & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], cwd=PROJECT, check=True)
    assert isinstance(plan_workers("cpu"), WorkerPlan)


def test_ctrl_c_is_blocked_in_a_worker_from_its_start(tmp_path: Path) -> None:
    """A worker that gets it while it imports modules would end with a traceback."""
    script = tmp_path / "start.py"
    script.write_text("""
import signal
from restore.batch.pool import WorkerPlan, WorkerPool
from restore.batch.processing import BatchJob

def tell(connection, job, threads):
    connection.send(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))

if __name__ == "__main__":
    with WorkerPool(BatchJob("restore", {}, "lite"), WorkerPlan((None, None)), tell) as pool:
        print([worker.connection.recv() for worker in pool._workers])
    print(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, []))
""")
    command = [sys.executable, str(script)]
    said = subprocess.run(
        command, cwd=PROJECT, capture_output=True, text=True, timeout=120, check=True
    )
    assert said.stdout == "[True, True]\nFalse\n"
