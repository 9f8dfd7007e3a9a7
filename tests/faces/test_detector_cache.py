"""Tests of the choice of face detectors, with fakes in place of the networks."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from restore.errors import Code, RestoreError
from restore.faces import detector_cache
from restore.faces.detector_cache import DetectorCache
from restore.models.catalog import Catalog
from restore.models.loader import Model
from restore.models.policy import Policy
from restore.runtime.device import Runtime, runtime_for

CATALOG = Catalog.load()
RESNET50, MOBILE = "retinaface_resnet50", "retinaface_mobile0.25"
CENTERFACE = "centerface"


SAFE = runtime_for("baseline", torch.device("cpu"))
OPTIMIZED = runtime_for("baseline", torch.device("cpu"), "none")


class FakeDetector:
    def __init__(self, model: Model) -> None:
        self.name, self.model = model.variant, model


class FakeCenterFace(FakeDetector):
    pass


class FakeDlib:
    name = "dlib"


class FakeModels:
    """A ModelCache whose networks are empty modules.

    Attributes:
        requested: the variants that were requested.
        error: raised instead of returning a model, if set.
        serves: the variant that is served instead of the requested one, if set.
        warnings: the warnings about it.
        preloaded: the catalog tasks whose networks were loaded.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.store = self
        self.catalog = CATALOG
        self.requested: list[str] = []
        self.error: RestoreError | None = None
        self.serves: str | None = None
        self.warnings: tuple[str, ...] = ()
        self.preloaded: list[str] = []
        self.models: dict[str, Model] = {}
        self.copies: dict[str, Model] = {}

    def get(self, task: str, variant: str) -> tuple[Model, tuple[str, ...]]:
        self.requested.append(variant)
        if self.error:
            raise self.error
        served = variant if self.serves is None else self.serves
        row = CATALOG.find(task, served)
        model = self.models.setdefault(served, Model(row, served, nn.Identity()))
        return model, self.warnings

    def preload(self, task: str) -> None:
        self.preloaded.append(task)

    def prepare(self, model: Model, runtime: Runtime) -> tuple[Model, tuple[str, ...]]:
        if not runtime.optimized:
            return model, ()
        copied = Model(model.row, model.variant, nn.Flatten())
        return self.copies.setdefault(model.variant, copied), ()


@pytest.fixture
def caches(monkeypatch: pytest.MonkeyPatch) -> Callable[[Policy], tuple[DetectorCache, Any]]:
    monkeypatch.setattr(detector_cache, "RetinaFaceDetector", FakeDetector)
    monkeypatch.setattr(detector_cache, "CenterFaceDetector", FakeCenterFace)
    monkeypatch.setattr(detector_cache, "DlibDetector", FakeDlib)

    def make(policy: Policy) -> tuple[DetectorCache, Any]:
        models: Any = FakeModels(policy)
        return DetectorCache(models), models

    return make


@pytest.mark.parametrize(
    ("policy", "name", "with_lite", "expected"),
    [
        (Policy.AUTO, "auto", False, RESNET50),
        (Policy.AUTO, "auto", True, CENTERFACE),
        (Policy.AUTO, MOBILE, True, MOBILE),
        (Policy.AUTO, CENTERFACE, False, CENTERFACE),
        (Policy.OFFICIAL, "auto", False, RESNET50),
        (Policy.OFFICIAL, "dlib", False, "dlib"),
        (Policy.LITE, "auto", False, CENTERFACE),
        (Policy.LITE, "dlib", True, "dlib"),
    ],
)
def test_choice_without_warning(
    caches: Any, policy: Policy, name: str, with_lite: bool, expected: str
) -> None:
    detectors, _ = caches(policy)
    detector, warnings = detectors.get(name, with_lite=with_lite)
    assert (detector.name, warnings) == (expected, ())
    assert isinstance(detector, FakeCenterFace) == (expected == CENTERFACE)


def test_policy_lite_uses_the_embedded_network_with_a_warning(caches: Any) -> None:
    detectors, models = caches(Policy.LITE)
    models.serves = CENTERFACE
    detector, [warning] = detectors.get(RESNET50, with_lite=True)
    assert detector.name == CENTERFACE
    assert RESNET50 in warning
    assert "'lite'" in warning
    assert isinstance(detector, FakeCenterFace)


def test_warnings_of_a_fallback_are_returned(caches: Any) -> None:
    detectors, models = caches(Policy.AUTO)
    models.serves, models.warnings = CENTERFACE, ("lite weights are used: no connection",)
    detector, warnings = detectors.get("auto", with_lite=False)
    assert (detector.name, warnings) == (CENTERFACE, models.warnings)
    assert models.requested == [RESNET50]


def test_detector_is_created_once_per_loaded_network(caches: Any) -> None:
    detectors, models = caches(Policy.AUTO)
    first, _ = detectors.get(RESNET50, with_lite=False)
    assert detectors.get(RESNET50, with_lite=False)[0] is first
    models.models.clear()  # as if its file had changed
    second, _ = detectors.get(RESNET50, with_lite=False)
    assert second is not first


@pytest.mark.parametrize(
    ("policy", "code"),
    [(Policy.OFFICIAL, Code.WEIGHTS_UNREACHABLE), (Policy.AUTO, Code.WEIGHTS_CORRUPT)],
)
def test_error_without_fallback(caches: Any, policy: Policy, code: Code) -> None:
    detectors, models = caches(policy)
    models.error = RestoreError(code, "no connection", "")
    with pytest.raises(RestoreError) as caught:
        detectors.get("auto", with_lite=False)
    assert caught.value.code is code


def test_optimized_detector_uses_the_optimized_network(caches: Any) -> None:
    detectors, _ = caches(Policy.AUTO)
    detector, _ = detectors.get(RESNET50, with_lite=False)
    optimized, model = detectors.prepare(detector, OPTIMIZED)
    assert isinstance(optimized.model.net, nn.Flatten)
    assert optimized.model is model
    assert detectors.prepare(detector, OPTIMIZED)[0] is optimized
    assert detectors.prepare(detector, SAFE)[0] is detector
    dlib, _ = detectors.get("dlib", with_lite=False)
    assert detectors.prepare(dlib, OPTIMIZED) == (dlib, None)


def test_preload(caches: Any) -> None:
    detectors, models = caches(Policy.AUTO)
    detectors.preload()
    assert models.preloaded == ["face_detect"]
