"""What one request leaves for the next: nothing. And what decides a result: the bytes, the options and the machine, nothing else."""

import functools
import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import PROJECT
from facefakes import ASTRONAUT

from restore import RestoreError, Restorer
from restore.errors import Code
from restore.imaging.photo import Photo
from restore.models.cache import ModelCache
from restore.models.catalog import LITE, Catalog
from restore.models.locations import manifest_path
from restore.models.policy import Policy
from restore.models.store import WeightStore
from restore.optimize.compiler import Compiler
from restore.options import TASKS
from restore.results import Results
from restore.runtime.progress import no_progress

FACE, SMALL = Photo("face.png", ASTRONAUT), Photo("small.png", ASTRONAUT[80:132, 84:148])
HOLE = "[[20, 20], [40, 20], [40, 40]]"
REQUESTS = {
    "face_restore": (FACE, {}),
    "enhance": (FACE, {"scale": 1}),
    "upscale": (SMALL, {"scale": 2}),
    "restore": (SMALL, {}),
    "colorize": (SMALL, {}),
    "old_photo_restore": (SMALL, {"with_scratch": True, "with_face": False, "return_mask": True}),
    "inpaint": (SMALL, {"points": HOLE}),
    "pipeline": (SMALL, {"steps": "restore,colorize,upscale", "scale": 1}),
}
MODES = ("safe", "optimized")
WAYS = [(profile, mode) for profile in ("baseline", "fast", "max_speed") for mode in MODES]
TWO_WAYS = [WAYS[0], WAYS[-1]]


def asked(restorer: Restorer, task: str, **more: object) -> Results:
    photo, options = REQUESTS[task]
    return restorer.run(task, [photo], **{**options, **more})


def sum_of(results: Results) -> str:
    """A sum over all pixels that came of a request, its masks too."""
    digest = hashlib.sha256()
    for photo in (*results.photos, *results.masks.values()):
        digest.update(photo.pixels.tobytes())
    return digest.hexdigest()


def spoil(
    restorer: Restorer, task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> list[Code]:
    """Requests of a task that fail early, in the middle, and late; the codes they fail with."""
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"\x89PNG\r\n\x1a\n" + b"x" * 100)
    photo, options = REQUESTS[task]

    def breaks(*_: object, **__: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    codes = []
    for photos, more in (([photo, bad], {}), ([photo], {"strength": 2})):
        with pytest.raises(RestoreError) as caught:
            restorer.run(task, photos, **{**options, **more})
        codes.append(caught.value.code)
    with monkeypatch.context() as patched:
        for model in (
            *restorer.cache._models.values(),
            *(faster for faster, _ in restorer.cache._optimized.values()),
        ):
            for net in (model.net, *model.partners.values()):
                patched.setattr(net, "forward", breaks)
        with pytest.raises(RestoreError) as caught:
            restorer.run(task, [photo], **options)
    return [*codes, caught.value.code]


@pytest.mark.parametrize(
    "ways",
    [
        pytest.param(TWO_WAYS, id="two ways"),
        pytest.param(WAYS, id="all ways", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("task", TASKS)
def test_a_request_that_fails_leaves_the_next_bit_for_bit_as_before(
    lite, task, ways, tmp_path, monkeypatch
):
    """Promise 9: A, then requests that fail, then A again."""
    before = [
        sum_of(asked(lite, task, runtime_profile=profile, stability_mode=mode))
        for profile, mode in ways
    ]
    codes = spoil(lite, task, tmp_path, monkeypatch)
    assert codes == [Code.PHOTO_DAMAGED, Code.OPTION_INVALID, Code.OUT_OF_MEMORY]
    after = [
        sum_of(asked(lite, task, runtime_profile=profile, stability_mode=mode))
        for profile, mode in reversed(ways)
    ]
    assert after == before[::-1]


FRESH = """
import json, sys
sys.path[:0] = ["tests"]
import test_state
from restore import Restorer
lite = Restorer(weights="lite", device="cpu")
sums = {}
for task in sys.argv[1:]:
    sums[task] = [test_state.sum_of(test_state.asked(lite, task, stability_mode=mode)) for mode in test_state.MODES]
print(json.dumps(sums))
"""


SOME = ["colorize", "upscale", "inpaint"]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "tasks",
    [
        pytest.param(SOME, id="some tasks"),
        pytest.param(list(TASKS), id="all tasks", marks=pytest.mark.slow),
    ],
)
def test_two_fresh_processes_give_the_same_bits_whatever_they_did_before(tasks):
    """Promise 8. In each the tasks come in another order."""
    sums = []
    for order in (tasks, tasks[::-1]):
        done = subprocess.run(
            [sys.executable, "-c", FRESH, *order],
            cwd=PROJECT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        sums.append(json.loads(done.stdout))
    assert sums[0] == sums[1]
    assert len({safe for safe, _ in sums[0].values()}) == len(tasks), (
        "other tasks give other pictures"
    )


@pytest.mark.parametrize("jump_s", [-1e6, 1e6])
def test_a_clock_that_is_set_while_a_request_runs_changes_neither_times_nor_result(
    lite, monkeypatch, jump_s
):
    before = asked(lite, "upscale")
    now_s = [1.8e9]

    def jumping() -> float:
        now_s[0] += jump_s
        return now_s[0]

    monkeypatch.setattr(time, "time", jumping)
    started_s = time.perf_counter()
    after = asked(lite, "upscale")
    most_ms = 1000 * (time.perf_counter() - started_s)
    assert sum_of(after) == sum_of(before)
    stages = after.reports[0].stages_ms
    assert set(stages) >= {"decode", "net", "resize"}
    assert all(0 <= ms <= most_ms for ms in stages.values())


class TestWeightsBelowARunningProcess:
    """Weights on a CPU are pages of their file: cut off, they end the process. So a file that was written into is not read again."""

    @pytest.fixture
    def restorer(self, tmp_path) -> Restorer:
        shutil.copytree(
            manifest_path().parent / LITE,
            tmp_path / LITE,
            ignore=shutil.ignore_patterns("*.py", "*.json*", "__pycache__"),
        )
        shutil.copy(manifest_path(), tmp_path)
        restorer = Restorer(weights=LITE, device="cpu")
        restorer.catalog = Catalog.load(tmp_path / manifest_path().name)
        restorer.store = WeightStore(restorer.catalog)
        restorer.cache = ModelCache(
            restorer.store, Policy.LITE, Compiler(torch.device("cpu")), no_progress
        )
        return restorer

    @staticmethod
    def file_of(restorer: Restorer) -> Path:
        return restorer.store.path_of(restorer.catalog.find("upscale", LITE))

    @pytest.mark.parametrize("mode", MODES)
    @pytest.mark.parametrize("how", ["cut", "a byte flipped", "zeros"])
    def test_what_is_written_into_is_found_out_and_right_again_once_it_is_whole(
        self, restorer, how, mode
    ):
        ask = functools.partial(asked, restorer, "upscale", stability_mode=mode)
        before, path = sum_of(ask()), self.file_of(restorer)
        whole = path.read_bytes()
        flipped = bytearray(whole)
        flipped[len(whole) // 2] ^= 1
        with path.open(
            "r+b"
        ) as file:  # in place: another file of the name would leave the mapped one alone
            file.write({"cut": b"", "a byte flipped": flipped, "zeros": bytes(len(whole))}[how])
            file.truncate()
        for _ in range(2):
            with pytest.raises(RestoreError, match=path.name) as caught:
                ask()
            assert caught.value.code is Code.WEIGHTS_CORRUPT
        with path.open("r+b") as file:
            file.write(whole)
        assert sum_of(ask()) == before

    def test_other_tasks_go_on(self, restorer):
        before = sum_of(asked(restorer, "restore"))
        asked(restorer, "upscale")
        with self.file_of(restorer).open("r+b") as file:
            file.truncate()
        assert sum_of(asked(restorer, "restore")) == before

    @pytest.mark.parametrize("how", ["replaced", "removed"])
    def test_a_file_that_is_replaced_or_removed_changes_nothing(self, restorer, how):
        before, path = sum_of(asked(restorer, "upscale")), self.file_of(restorer)
        path.unlink()
        if how == "replaced":
            path.write_bytes(b"other weights")
        assert sum_of(asked(restorer, "upscale")) == before

    def test_a_file_that_is_touched_is_loaded_anew_and_the_same(self, restorer):
        before, path = sum_of(asked(restorer, "upscale")), self.file_of(restorer)
        first = restorer.cache.get("upscale", LITE)[0]
        assert restorer.cache.get("upscale", LITE)[0] is first
        path.touch()
        assert restorer.cache.get("upscale", LITE)[0] is not first
        assert sum_of(asked(restorer, "upscale")) == before


def test_the_sum_tells_pictures_apart():
    results = [
        Results((Photo("a", np.full((8, 8), level, np.uint8)),), (), None) for level in (1, 2)
    ]
    assert sum_of(results[0]) != sum_of(results[1])
