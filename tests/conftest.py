"""What the tests share: where things lie, small photos, and a Restorer on embedded weights."""

import dataclasses
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import hypothesis
import numpy as np
import pytest
from fileserver import FileServer
from PIL import Image
from torch import nn
from weightrows import store_in

from restore import Restorer
from restore.models.loader import Model

# A busy machine is no failure, and the same commit is to give the same verdict.
hypothesis.settings.register_profile("steady", deadline=None, derandomize=True)
hypothesis.settings.load_profile("steady")

PROJECT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("RESTORE_SHARED", PROJECT.parent / "shared"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="run the tests marked slow too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--slow"):
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow: --slow runs it"))
    if not SHARED.is_dir():
        absent = pytest.mark.skip(
            reason="the folder of shared photos and weights is not here (RESTORE_SHARED)"
        )
        for item in items:
            if "shared" in item.keywords:
                item.add_marker(absent)


@pytest.fixture
def shared() -> Path:
    return SHARED


@pytest.fixture
def photo_file(tmp_path: Path):
    """Writes a small photo-like picture (waves and a disc) and gives its path."""

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
def server(monkeypatch):
    """A web server on 127.0.0.1 that serves what a test adds, as badly as it asks."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served = FileServer()
    yield served
    served.close()


@pytest.fixture
def store_of(tmp_path: Path):
    """Makes a weight store of the rows it is given; embedded files are there."""
    return partial(store_in, tmp_path)


@pytest.fixture(scope="session")
def lite() -> Restorer:
    """The embedded networks, loaded once for all tests that do not need their own."""
    return Restorer(weights="lite", device="cpu")


@pytest.fixture(scope="session")
def face_net(lite: Restorer) -> Model:
    """The embedded face network."""
    return lite.shelf.model("face_restore", "lite")[0]


@contextmanager
def lite_with(
    restorer: Restorer, task: str, change: Callable[[nn.Module], nn.Module]
) -> Iterator[None]:
    """For the length of a block, a catalog task's embedded networks are what `change` makes of them, their faster copies too."""
    shelf, key = restorer.shelf, (task, "lite")
    before, _ = shelf.model(*key)
    faster = shelf._optimized.pop(key, None)
    partners = {role: change(net) for role, net in before.partners.items()}
    shelf._models[key] = dataclasses.replace(before, net=change(before.net), partners=partners)
    try:
        yield
    finally:
        shelf._models[key] = before
        shelf._optimized.pop(key, None)
        if faster:
            shelf._optimized[key] = faster
