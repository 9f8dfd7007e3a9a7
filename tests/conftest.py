"""Fixtures for all tests: paths, small photos, and a Restorer with the embedded weights."""

import collections
import dataclasses
import gc
import importlib
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from fileserver import FileServer
from PIL import Image
from places import PROJECT, SHARED
from torch import nn
from weightrows import store_in

from restore import Restorer
from restore.models.loader import Model
from restore.models.store import WeightStore

# No time limits, because machines may be busy; the same commit gives the same result.
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True)
hypothesis.settings.load_profile("steady")

pytest_plugins = ["downloadfixtures", "servicefixtures"]

SLOW_IMPORTS = ("torchvision", "scipy.stats", "numba", "skimage.metrics", "fastapi", "sqlalchemy")
"""Libraries that test modules import. Tracing of coverage makes imports slower by two thirds."""

if "PYTEST_XDIST_WORKER" in os.environ:  # in workers, coverage starts after this module is imported
    for name in SLOW_IMPORTS:
        importlib.import_module(name)

NOT_MEASURED = frozenset(
    {"benchmarks", "conformance", "contract", "data", "deploy", "harm", "hostile", "training"}
)
"""Folders whose tests do not count for the coverage: each module has tests of its own elsewhere."""

MEASURED_CASES = 2
"""Cases of each parametrised test that count for the coverage.

The others mostly run the same lines, and tracing makes a test slower by up to a half.
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests marked slow")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Stop the first of two coverage measurements of a worker, so that `no_cover` has an effect.

    In a worker, pytest-cov 7.1 starts one when it is loaded and another one here, and pauses only
    the latter.
    """
    plugin = session.config.pluginmanager.get_plugin("_cov")
    if plugin and plugin.cov_controller and "PYTEST_XDIST_WORKER" in os.environ:
        plugin.cov_controller.cov.stop()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Exclude the imported modules and the tests from garbage collection.

    Looking through them again and again takes 40 % of the time of this phase, and makes each full
    garbage collection of the tests slow.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    cases = collections.Counter[str]()
    for item in items:
        test, _, _ = item.nodeid.partition("[")
        cases[test] += 1
        folder = item.path.relative_to(PROJECT / "tests").parts[0]
        if folder in NOT_MEASURED or cases[test] > MEASURED_CASES:
            item.add_marker(pytest.mark.no_cover)
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow: --slow runs it"))
    if not SHARED.is_dir():
        absent = pytest.mark.skip(
            reason="the folder of shared photos and weights is missing (RESTORE_SHARED)"
        )
        for item in items:
            if "shared" in item.keywords:
                item.add_marker(absent)


@pytest.fixture(scope="session", autouse=True)
def empty_caches_of_other_programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Let no test find weights that other programs left on this machine."""
    folder = str(tmp_path_factory.mktemp("caches"))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("HF_HOME", "HF_HUB_CACHE", "TORCH_HOME", "WEIGHTS_DIR"):
            patch.setenv(name, folder)
        patch.setenv("PIP_NO_INDEX", "1")  # no test fetches weights from the package index
        # The probe takes seconds, and its verdict depends on the machine.
        patch.setenv("RESTORE_CPU_PRECISION", "float32")
        yield


@pytest.fixture
def shared() -> Path:
    return SHARED


@pytest.fixture
def photo_file(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a small picture (waves and a disc) and returns its path."""

    def write(name: str = "a.png", height: int = 48, width: int = 60, mode: str = "RGB") -> Path:
        y, x = np.mgrid[0:height, 0:width]
        waves = [128 + 60 * np.sin(x / (5 + c) + y / (7 - c)) for c in range(3)]
        rgb = np.stack(waves, axis=-1)
        rgb[(y - height / 2) ** 2 + (x - width / 2) ** 2 < (height / 4) ** 2] += 50
        path = tmp_path / name
        Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).convert(mode).save(path)
        return path

    return write


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """A file server on 127.0.0.1 with faults that a test can switch on."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served = FileServer()
    yield served
    served.close()


@pytest.fixture
def store_of(tmp_path: Path) -> Callable[..., WeightStore]:
    """Return a function that makes a weight store of manifest rows, with their embedded files."""
    return partial(store_in, tmp_path)


@pytest.fixture(scope="session")
def lite() -> Restorer:
    """A Restorer with the embedded networks, shared by all tests."""
    return Restorer(weights="lite", device="cpu")


@pytest.fixture(scope="session")
def face_net(lite: Restorer) -> Model:
    """The embedded face network."""
    return lite.cache.get("face_restore", "lite")[0]


@contextmanager
def changed_lite_networks(
    restorer: Restorer, task: str, change: Callable[[nn.Module], nn.Module]
) -> Iterator[None]:
    """Replace a task's embedded networks by `change(network)` within a `with` block."""
    cache, key = restorer.cache, (task, "lite")
    before, _ = cache.get(*key)
    copies = cache._copies.pop(key, None)
    partners = {role: change(net) for role, net in before.partners.items()}
    cache._models[key] = dataclasses.replace(before, net=change(before.net), partners=partners)
    try:
        yield
    finally:
        cache._models[key] = before
        cache._copies.pop(key, None)
        if copies:
            cache._copies[key] = copies
