"""Requests leave no state, and results depend on nothing but bytes, options and machine."""

import functools
import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from facefakes import ASTRONAUT
from places import PROJECT

from restore import RestoreError, Restorer
from restore.errors import Code
from restore.faces.detector_cache import DetectorCache
from restore.imaging.photo import Photo
from restore.models.cache import ModelCache
from restore.models.catalog import LITE, Catalog
from restore.models.locations import manifest_path
from restore.models.policy import Policy
from restore.models.store import WeightStore
from restore.optimize.compiler import Compiler
from restore.optimize.copies import Copies
from restore.optimize.cpu_probe import CpuProbe
from restore.options import TASKS, Request
from restore.results import Results
from restore.runtime.progress import no_progress

FACE, SMALL = Photo("face.png", ASTRONAUT), Photo("small.png", ASTRONAUT[80:132, 84:148])
POLYGON = "[[20, 20], [40, 20], [40, 40]]"
REQUESTS: dict[str, tuple[Photo, dict[str, Any]]] = {
    "face_restore": (FACE, {}),
    "enhance": (FACE, {"scale": 1}),
    "upscale": (SMALL, {"scale": 2}),
    "restore": (SMALL, {}),
    "colorize": (SMALL, {}),
    "old_photo_restore": (SMALL, {"with_scratch": True, "with_face": False, "return_mask": True}),
    "inpaint": (SMALL, {"points": POLYGON}),
    "colors": (SMALL, {}),
    "pipeline": (SMALL, {"steps": "restore,colorize,upscale", "scale": 1}),
    "inspect": (FACE, {}),
}
STABILITY_MODES = ("safe", "optimized")
RUN_OPTIONS = [
    {"runtime_profile": profile, "stability_mode": mode}
    for profile in ("baseline", "fast", "max_speed")
    for mode in STABILITY_MODES
]


def run(restorer: Restorer, task: str, **options: Any) -> Results:
    photo, task_options = REQUESTS[task]
    return restorer.run(task, [photo], **{**task_options, **options})


def digest_of(results: Results) -> str:
    """Return the SHA-256 of all results of a request, masks and inspections included."""
    digest = hashlib.sha256()
    for photo in (*results.photos, *results.masks.values()):
        digest.update(photo.pixels.tobytes())
    digest.update(repr([each.faces for each in results.inspections]).encode())
    return digest.hexdigest()


def run_failing_requests(
    restorer: Restorer, task: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> list[Code]:
    """Run requests that fail while decoding, in validation and in a network; return the codes."""
    corrupt = folder / "corrupt.png"
    corrupt.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 100)
    photo, options = REQUESTS[task]

    def fail(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    codes = []
    requests: list[tuple[list[Photo | Path], dict[str, Any]]] = [
        ([photo, corrupt], {}),
        ([photo], {"strength": 2}),
    ]
    for photos, more in requests:
        with pytest.raises(RestoreError) as caught:
            restorer.run(task, photos, **{**options, **more})
        codes.append(caught.value.code)
    copies = restorer.cache._copies.values()
    optimized = (model for plans in copies for model, _ in plans.values())
    with monkeypatch.context() as patched:
        for model in (*restorer.cache._models.values(), *optimized):
            for net in (model.net, *model.partners.values()):
                patched.setattr(net, "forward", fail)
        with pytest.raises(RestoreError) as caught:
            restorer.run(task, [photo], **options)
    return [*codes, caught.value.code]


@pytest.mark.parametrize(
    "run_options",
    [
        pytest.param([RUN_OPTIONS[0], RUN_OPTIONS[-1]], id="two run options"),
        pytest.param(RUN_OPTIONS, id="all run options", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("task", TASKS)
def test_failed_requests_do_not_change_later_results(
    lite: Restorer,
    task: str,
    run_options: list[dict[str, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Promise 9."""
    before = [digest_of(run(lite, task, **options)) for options in run_options]
    codes = run_failing_requests(lite, task, tmp_path, monkeypatch)
    assert codes == [Code.PHOTO_DAMAGED, Code.OPTION_INVALID, Code.OUT_OF_MEMORY]
    after = [digest_of(run(lite, task, **options)) for options in reversed(run_options)]
    assert after == before[::-1]


PRINT_DIGESTS = """
import json, sys
sys.path[:0] = ["tests"]
import test_state
from restore import Restorer
lite = Restorer(weights="lite", device="cpu")
print(json.dumps({
    task: [
        test_state.digest_of(test_state.run(lite, task, stability_mode=mode))
        for mode in test_state.STABILITY_MODES
    ]
    for task in sys.argv[1:]
}))
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "tasks",
    [
        pytest.param(["colorize", "inpaint"], id="some tasks"),
        pytest.param(list(TASKS), id="all tasks"),
    ],
)
def test_new_processes_give_the_same_results_in_any_order(tasks: list[str]) -> None:
    """Promise 8."""
    digests = []
    for order in (tasks, tasks[::-1]):
        process = subprocess.run(
            [sys.executable, "-c", PRINT_DIGESTS, *order],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert process.returncode == 0, process.stderr
        digests.append(json.loads(process.stdout))
    assert digests[0] == digests[1]
    assert len({safe for safe, _ in digests[0].values()}) == len(tasks)


@pytest.mark.parametrize("jump_s", [-1e6, 1e6])
def test_changes_of_the_system_time_change_neither_stage_times_nor_result(
    lite: Restorer, monkeypatch: pytest.MonkeyPatch, jump_s: float
) -> None:
    before = run(lite, "upscale")
    now_s = [1.8e9]

    def jumping_time() -> float:
        now_s[0] += jump_s
        return now_s[0]

    monkeypatch.setattr(time, "time", jumping_time)
    started_s = time.perf_counter()
    after = run(lite, "upscale")
    elapsed_ms = 1000 * (time.perf_counter() - started_s)
    assert digest_of(after) == digest_of(before)
    stages_ms = after.reports[0].stages_ms
    assert set(stages_ms) >= {"decode", "net", "resize"}
    assert all(0 <= ms <= elapsed_ms for ms in stages_ms.values())


class TestChangedWeightsFiles:
    """Weights on a CPU are mapped from their file. Reading a truncated one would kill the process.

    So a file that was overwritten since it was loaded must not be read again.
    """

    @pytest.fixture
    def restorer(self, tmp_path: Path) -> Restorer:
        """A Restorer with its own copy of the embedded weights."""
        manifest = manifest_path()
        ignored = shutil.ignore_patterns("*.py", "*.json*", "__pycache__")
        shutil.copytree(manifest.parent / LITE, tmp_path / LITE, ignore=ignored)
        shutil.copy(manifest, tmp_path)
        restorer = Restorer(weights=LITE, device="cpu")
        restorer.catalog = Catalog.load(tmp_path / manifest.name)
        restorer.store = WeightStore(restorer.catalog)
        copies = Copies(Compiler(torch.device("cpu")), CpuProbe())
        restorer.cache = ModelCache(restorer.store, Policy.LITE, copies, no_progress)
        restorer.detectors = DetectorCache(restorer.cache)
        return restorer

    @staticmethod
    def path_of(restorer: Restorer) -> Path:
        return restorer.store.path_of(restorer.catalog.find("upscale", LITE))

    @pytest.mark.parametrize("mode", STABILITY_MODES)
    @pytest.mark.parametrize("change", ["truncated", "byte flipped", "zeros"])
    def test_overwritten_file_is_refused_until_it_is_restored(
        self, restorer: Restorer, change: str, mode: str
    ) -> None:
        upscale = functools.partial(run, restorer, "upscale", stability_mode=mode)
        before, path = digest_of(upscale()), self.path_of(restorer)
        original = path.read_bytes()
        flipped = bytearray(original)
        flipped[len(original) // 2] ^= 1
        content = {
            "truncated": b"",
            "byte flipped": bytes(flipped),
            "zeros": bytes(len(original)),
        }[change]
        # In place, because a new file of the same name would not change the mapped one.
        with path.open("r+b") as file:
            file.write(content)
            file.truncate()
        for _ in range(2):
            with pytest.raises(RestoreError, match=path.name) as caught:
                upscale()
            assert caught.value.code is Code.WEIGHTS_CORRUPT
        with path.open("r+b") as file:
            file.write(original)
        assert digest_of(upscale()) == before

    def test_other_tasks_still_work(self, restorer: Restorer) -> None:
        before = digest_of(run(restorer, "restore"))
        run(restorer, "upscale")
        with self.path_of(restorer).open("r+b") as file:
            file.truncate()
        assert digest_of(run(restorer, "restore")) == before

    @pytest.mark.parametrize("change", ["replaced", "deleted"])
    def test_replaced_or_deleted_file_changes_nothing(
        self, restorer: Restorer, change: str
    ) -> None:
        before, path = digest_of(run(restorer, "upscale")), self.path_of(restorer)
        path.unlink()
        if change == "replaced":
            path.write_bytes(b"other weights")
        assert digest_of(run(restorer, "upscale")) == before

    def test_file_with_a_new_time_is_loaded_again(self, restorer: Restorer) -> None:
        before, path = digest_of(run(restorer, "upscale")), self.path_of(restorer)
        first = restorer.cache.get("upscale", LITE)[0]
        assert restorer.cache.get("upscale", LITE)[0] is first
        path.touch()
        assert restorer.cache.get("upscale", LITE)[0] is not first
        assert digest_of(run(restorer, "upscale")) == before


def test_different_photos_have_different_digests() -> None:
    request = Request.from_inputs("upscale", {})
    first, second = (
        Results((Photo("a", np.full((8, 8), level, np.uint8)),), (), request) for level in (1, 2)
    )
    assert digest_of(first) != digest_of(second)
