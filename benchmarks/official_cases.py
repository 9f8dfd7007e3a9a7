"""Requests that `against_official` times: the same photo and networks, official order and ours."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch

from benchmarks import networks, official
from restore.faces.detect import Detector, DlibDetector, RetinaFaceDetector
from restore.faces.face import Face
from restore.imaging.photo import Photo, open_photo
from restore.models.catalog import Catalog
from restore.models.loader import Model, load_net
from restore.optimize.compiler import Compiler
from restore.options import TASK_OPTIONS, TaskOptions, UpscaleOptions
from restore.pipelines import TASK_SPECS
from restore.pipelines.context import StepContext
from restore.pipelines.official import OfficialRules
from restore.pipelines.upscale import network_function
from restore.report import Report
from restore.runtime.allocator import ALLOCATOR
from restore.runtime.device import runtime_for

Array = np.ndarray
CPU = torch.device("cpu")
PHOTO = Path(__file__).resolve().parent.parent / "data" / "1.jpg"
RECIPES_MODULE = "tests.conformance.checkpoints"
HOLE = np.array([(0.3, 0.2), (0.6, 0.25), (0.5, 0.6)])
"""Corners of the hole that `inpaint` fills, as fractions of width and height."""


@dataclass(frozen=True)
class Case:
    """One kind of request.

    Attributes:
        recipes: conformance recipes of the weights: of the network, then of its partner.
        megapixels: size of the photo.
        target: how many times faster than the official order ours is meant to be.
    """

    name: str
    task: str
    variant: str
    recipes: tuple[str, ...]
    megapixels: float
    target: float


GENERAL = "realesr_general_x4v3"
CASES = (
    Case("codeformer", "face_restore", "codeformer", ("CodeFormer",), 1.0, 2.0),
    Case("gfpgan", "face_restore", "gfpgan_v1.4", ("GFPGAN",), 1.0, 1.6),
    Case("restoreformer", "face_restore", "restoreformer", ("RestoreFormer",), 1.0, 1.6),
    Case("general_x4v3", "upscale", "general_x4v3", (GENERAL, GENERAL), 0.5, 1.4),
    Case("ddcolor", "colorize", "modelscope", ("DDColor_large",), 1.0, 1.25),
    Case("lama", "inpaint", "big", ("LaMa",), 0.5, 1.25),
    Case("nafnet", "restore", "denoise", ("NAFNet_SIDD",), 0.5, 1.25),
    Case("x4plus", "upscale", "x4plus", ("RealESRGAN_x4plus",), 0.5, 1.4),
)


class Request(Protocol):
    """A request from pixels to pixels.

    Attributes:
        stages_ms: time of each stage of the last call; empty for the official order.
    """

    stages_ms: Mapping[str, float]

    def __call__(self) -> Array: ...


class FixedFaceDetector:
    """A detector that runs another one for its cost and returns a known face.

    Networks with recipe-made weights find no faces.
    """

    weights: tuple[dict[str, object], ...] = ()
    name = "given"

    def __init__(self, detector: Detector, face: Face) -> None:
        self.detector, self.face = detector, face

    def find(self, pixels: Array, *, short_side_px: int | None, threshold: float) -> list[Face]:
        """Run the detector and return the known face."""
        self.detector.find(pixels, short_side_px=short_side_px, threshold=1.0)
        return [self.face]


def photo_of(megapixels: float) -> Array:
    """Return the sample portrait at a size; HxWx3 uint8."""
    pixels = open_photo(PHOTO).pixels
    factor = (1e6 * megapixels / (pixels.shape[0] * pixels.shape[1])) ** 0.5
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)


def model_of(case: Case, folder: Path) -> Model:
    """Build the networks of a case with recipe-made weights."""
    recipe = importlib.import_module(RECIPES_MODULE)
    rows = Catalog.load().group(case.task, case.variant)
    if case.task == "inpaint":
        path = folder / "lama.pt"
        recipe.write_lama_program(path)
        return Model(rows[0], case.variant, load_net(path, rows[0]))
    nets = []
    for name, row in zip(case.recipes, rows, strict=False):
        path = folder / f"{row.role}-{name}.pth"
        torch.save(recipe.rebuild(name), path)
        nets.append(load_net(path, row))
    partners = {row.role: net for row, net in zip(rows[1:], nets[1:], strict=False)}
    if case.task == "face_restore":
        parser = Catalog.load().find("face_restore", case.variant, role="parser")
        partners["parser"] = networks.by_recipe(parser)
    return Model(rows[0], case.variant, nets[0], partners)


@dataclass
class OfficialRequest:
    """The request in the official order of operations."""

    case: Case
    photo: Array
    hole: Array
    model: Model
    detector: Detector | None
    stages_ms: Mapping[str, float] = field(default_factory=dict)

    def __call__(self) -> Array:
        """Restore the photo."""
        match self.case.task:
            case "face_restore":
                assert self.detector is not None, "face_restore needs a detector"
                return official.restore_faces(self.photo, self.model, self.detector)
            case "upscale":
                net = network_function(UpscaleOptions(), self.model)
                return official.upscale(self.photo, net, self.model, runtime_for("baseline", CPU))
            case "colorize":
                return official.colorize(self.photo, self.model)
            case "inpaint":
                return official.inpaint(self.photo, self.hole, self.model)
            case _:
                return official.denoise(self.photo, self.model)


@dataclass
class OurRequest:
    """The request as this project runs it, with the rules of the official pixels."""

    case: Case
    photo: Array
    hole: Array
    model: Model
    detector: Detector | None
    stages_ms: Mapping[str, float] = field(default_factory=dict)

    def __call__(self) -> Array:
        """Restore the photo."""
        report = Report("photo", self.case.task)
        context = StepContext(
            {self.case.task: self.model},
            runtime_for("baseline", CPU, "none"),
            report,
            detector=self.detector,
            mask=self.hole,
            rules=OfficialRules(),
        )
        spec: Any = TASK_SPECS[self.case.task]  # type: ignore[index]  # tasks of CASES are steps
        # The allocator keeps freed memory during a request of ours; the official order runs with
        # the defaults of the C library.
        with ALLOCATOR.keep_freed_memory():
            [result] = spec.run(
                [Photo("photo", self.photo)], options_of(self.case, self.model), [context]
            )
        self.stages_ms = dict(report.stages_ms)
        pixels: Array = result.pixels
        return pixels


def options_of(case: Case, model: Model) -> TaskOptions:
    """Return the options of a case's task."""
    if case.task == "upscale":
        return UpscaleOptions(scale=model.row.scale)
    return TASK_OPTIONS[case.task]()  # type: ignore[index]  # tasks of CASES are steps


def requests_of(case: Case, model: Model) -> Mapping[str, Request]:
    """Return the official request and ours, on the same photo with the same weights."""
    photo = photo_of(case.megapixels)
    mask = np.zeros(photo.shape[:2], np.uint8)
    cv2.fillPoly(mask, [(HOLE * photo.shape[1::-1]).astype(np.int32)], 1)
    compiler = Compiler(CPU, {"RESTORE_COMPILE_BACKEND": "none"})
    optimized, _ = compiler.optimize(model)
    detectors: list[Detector | None] = [None, None]
    if case.task == "face_restore":
        row = Catalog.load().find("face_detect", "retinaface_resnet50")
        detector = Model(row, row.variant, networks.by_recipe(row))
        [face, *_] = DlibDetector().find(photo, short_side_px=None, threshold=0.0)
        detectors = [
            FixedFaceDetector(RetinaFaceDetector(each), face)
            for each in (detector, compiler.optimize(detector)[0])
        ]
    return {
        "official": OfficialRequest(case, photo, mask > 0, model, detectors[0]),
        "ours": OurRequest(case, photo, mask > 0, optimized, detectors[1]),
    }
