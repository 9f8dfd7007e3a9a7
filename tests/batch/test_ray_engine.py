"""Tests of the Ray engine on a local Ray: the same results as the local engine, and lost nodes."""

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from batchfakes import JOB, Recorder, answer, restored, write_photos
from photofiles import file_of, picture

from restore.batch.folder import LocalFolder
from restore.batch.local_engine import run_local
from restore.batch.manifest import read_rows
from restore.batch.processing import BatchJob, Outcome, Work
from restore.batch.ray_engine import RayEngine, RayProcessor
from restore.batch.run import BatchOptions, Engine, run_batch
from restore.batch.saver import Summary
from restore.errors import Code, RestoreError

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'restore[batch]'")

pytestmark = [
    pytest.mark.slow,
    # Ray leaves sockets and files of its processes to the garbage collector.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


class FakeProcessor(RayProcessor):
    """An actor without networks; a photo whose content starts with `die` kills it."""

    def __init__(self, job: BatchJob, place: str, threads: int) -> None:
        self.folder = LocalFolder(Path(place))

    def restore(self, works: list[Work]) -> list[Outcome]:
        """Take a while, so that nodes end during the work."""
        time.sleep(0.05)
        return answer(works)


@pytest.fixture
def local_ray(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    tests = str(Path(__file__).resolve().parents[1])
    monkeypatch.setenv("PYTHONPATH", f"{tests}:{tests}/batch")
    yield
    ray.shutdown()


def run(tmp_path: Path, target: str, job: BatchJob, engine: Engine) -> Summary:
    options = BatchOptions(str(tmp_path / "in"), str(tmp_path / target), job)
    return run_batch(options, engine, Recorder(), Event())


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    volatile = {"seconds", "finished", "report"}
    return {
        row["input"]: {name: value for name, value in row.items() if name not in volatile}
        for row in read_rows(LocalFolder(folder))
    }


def test_both_engines_write_the_same_bytes_and_the_same_manifest(
    tmp_path: Path, local_ray: None
) -> None:
    job = BatchJob("upscale", {"scale": 2, "output_format": "png"}, "lite", "cpu")
    for number in range(6):
        content = file_of(picture(20 + number, 32), "PNG")
        write_photos(tmp_path / "in", f"{number % 2}/{number}.png", content=content)
    write_photos(tmp_path / "in", "broken.png", content=b"no photo")
    summaries = [
        run(tmp_path, "local", job, run_local(1)),
        run(tmp_path, "ray", job, RayEngine(concurrency=1)),
    ]
    assert [(one.done, len(one.failed)) for one in summaries] == [(6, 1), (6, 1)]
    assert rows(tmp_path / "local") == rows(tmp_path / "ray")
    for name in rows(tmp_path / "local").keys() - {"broken.png"}:
        assert (tmp_path / "local" / name).read_bytes() == (tmp_path / "ray" / name).read_bytes()
    assert run(tmp_path, "ray", job, run_local(1)).plan.done == 6


def test_photo_that_kills_its_actor_has_failed_and_the_others_are_done(
    tmp_path: Path, local_ray: None
) -> None:
    write_photos(tmp_path / "in", *(f"{number:02}.jpg" for number in range(20)))
    write_photos(tmp_path / "in", "05-die.jpg", content=b"die")
    summary = run(tmp_path, "out", JOB, RayEngine(concurrency=2, actor=FakeProcessor))
    assert summary.done == 20
    [failed] = summary.failed
    assert failed.error is not None
    assert failed.error["code"] == Code.WORKER_LOST


def test_node_that_is_killed_loses_nothing(tmp_path: Path, local_ray: None) -> None:
    from ray.cluster_utils import Cluster  # noqa: PLC0415

    write_photos(tmp_path / "in", *(f"{number:03}.jpg" for number in range(200)))
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    second = cluster.add_node(num_cpus=2)
    cluster.wait_for_nodes()
    ray.init(address=cluster.address, log_to_driver=False)
    seen: list[str] = []

    class Killer(Recorder):
        def on_row(self, row: Any) -> None:
            seen.append(row.input)
            if len(seen) == 40:
                Thread(target=cluster.remove_node, args=(second, False)).start()

    try:
        options = BatchOptions(str(tmp_path / "in"), str(tmp_path / "out"), JOB)
        engine = RayEngine(concurrency=3, actor=FakeProcessor)
        summary = run_batch(options, engine, Killer(), Event())
        assert (summary.done, summary.failed) == (200, [])
        assert len(seen) == len(set(seen)) == 200
        assert len(ray.nodes()) == 2
        until_s = time.monotonic() + 60.0  # Ray marks a node as dead after missed heartbeats
        while sum(node["Alive"] for node in ray.nodes()) > 1 and time.monotonic() < until_s:
            time.sleep(0.2)
        assert sum(node["Alive"] for node in ray.nodes()) == 1
        results = {path.read_bytes() for path in (tmp_path / "out").glob("*.jpg")}
        assert results == {restored(b"photo")}
    finally:
        ray.shutdown()
        cluster.shutdown()


def test_node_that_cannot_work_ends_the_run_with_its_error(tmp_path: Path, local_ray: None) -> None:
    write_photos(tmp_path / "in", "a.jpg", "b.jpg")
    job = BatchJob("upscale", {"scale": 2}, "lite", "cuda:99")
    with pytest.raises(RestoreError, match=r"'cuda:99' .*\(on the Ray node ") as caught:
        run(tmp_path, "out", job, RayEngine(num_gpus=0, concurrency=1))
    assert caught.value.code is Code.DEVICE
    assert list(read_rows(LocalFolder(tmp_path / "out"))) == []
