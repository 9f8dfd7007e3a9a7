"""Whole requests against the official implementations' order of work, side by side: `python -m benchmarks.against_official`.

For each request in turn, by turns in two processes: theirs (benchmarks/official.py) and ours as `stability_mode` optimized has it on a
CPU, both warm, both with the same weights and without reading or writing files. Weights are made by the conformance tests' recipe, which
cost what the official ones cost; a detector runs for its time, and one face of the photo is given in place of its answer. Ours keeps
the official faults for this (`official_quirks`), so that the results can be compared: at most one grey level apart, but for 0.1 % of
the samples, or the row is an error. Adds rows to results/against_official.jsonl with `--record`, draws them with `--plot FILE`.
"""

from __future__ import annotations

import argparse
import importlib
import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
import torch
from tqdm import tqdm

from benchmarks import networks, official
from benchmarks.rows import machine, record
from restore.faces.detect import Detector, DlibDetector, RetinaFaceDetector
from restore.faces.face import Face
from restore.imaging.photo import Photo, open_photo
from restore.models.catalog import Catalog
from restore.models.loader import Model, load_net
from restore.optimize.compiler import Compiler
from restore.options import (
    ColorizeOptions,
    FaceRestoreOptions,
    InpaintOptions,
    RestoreOptions,
    UpscaleOptions,
)
from restore.pipelines import PIPELINES
from restore.pipelines.job import Job
from restore.pipelines.upscale import prepared_net
from restore.report import Report
from restore.runtime.allocator import HEAP
from restore.runtime.device import runtime_for

Array = np.ndarray
CPU = torch.device("cpu")
PHOTO = Path(__file__).resolve().parent.parent / "data" / "1.jpg"
RECIPES = "tests.conformance.recipe"
MOST_APART = 1e-3  # of the samples, that may differ by more than a grey level


@dataclass(frozen=True)
class Case:
    """One kind of request.

    Attributes:
        recipes: the conformance recipe of the network, then of its partner.
        megapixels: of the photo.
        wanted: how many times faster ours is to be.
    """

    name: str
    task: str
    variant: str
    recipes: tuple[str, ...]
    megapixels: float
    wanted: float


CASES = (
    Case("codeformer", "face_restore", "codeformer", ("CodeFormer",), 1.0, 2.0),
    Case("gfpgan", "face_restore", "gfpgan_v1.4", ("GFPGAN",), 1.0, 1.6),
    Case("restoreformer", "face_restore", "restoreformer", ("RestoreFormer",), 1.0, 1.6),
    Case(
        "general_x4v3",
        "upscale",
        "general_x4v3",
        ("realesr_general_x4v3", "realesr_general_x4v3"),
        0.5,
        1.4,
    ),
    Case("ddcolor", "colorize", "modelscope", ("DDColor_large",), 1.0, 1.25),
    Case("lama", "inpaint", "big", ("LaMa",), 0.5, 1.25),
    Case("nafnet", "restore", "denoise", ("NAFNet_SIDD",), 0.5, 1.25),
    Case("x4plus", "upscale", "x4plus", ("RealESRGAN_x4plus",), 0.5, 1.4),
)


class Given:
    """A detector that looks, for the time that takes, and answers with a face known beforehand."""

    weights: tuple[dict[str, object], ...] = ()
    name = "given"

    def __init__(self, looks: Detector, face: Face) -> None:
        self.looks, self.face = looks, face

    def find(self, pixels: Array, *, short_side_px: int | None, threshold: float) -> list[Face]:
        """As `Detector.find`."""
        self.looks.find(pixels, short_side_px=short_side_px, threshold=1.0)
        return [self.face]


def photo_of(megapixels: float) -> Array:
    """The sample portrait at that size; HxWx3 uint8."""
    pixels = open_photo(PHOTO).pixels
    factor = (1e6 * megapixels / (pixels.shape[0] * pixels.shape[1])) ** 0.5
    return cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)


def model_of(case: Case, folder: Path) -> Model:
    """The case's networks, with weights made by recipe."""
    recipe = importlib.import_module(RECIPES)
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
        partners["parser"] = networks.by_recipe(
            Catalog.load().find("face_restore", case.variant, role="parser")
        )
    return Model(rows[0], case.variant, nets[0], partners)


def ways_of(case: Case, model: Model) -> Mapping[str, Callable[[], Array]]:
    """Theirs and ours, each a request from pixels to pixels."""
    photo, runtime = photo_of(case.megapixels), runtime_for("baseline", CPU, "none")
    compiler = Compiler(CPU, {"RESTORE_COMPILE_BACKEND": "none"})
    faster, _ = compiler.optimized(model)
    detectors: list[Detector | None] = [None, None]
    if case.task == "face_restore":
        row = Catalog.load().find("face_detect", "retinaface_resnet50")
        looking = Model(row, row.variant, networks.by_recipe(row))
        [face, *_] = DlibDetector().find(photo, short_side_px=None, threshold=0.0)
        detectors = [
            Given(RetinaFaceDetector(seen), face)
            for seen in (looking, compiler.optimized(looking)[0])
        ]
    mask = np.zeros(photo.shape[:2], np.uint8)
    cv2.fillPoly(
        mask,
        [(np.array([(0.3, 0.2), (0.6, 0.25), (0.5, 0.6)]) * photo.shape[1::-1]).astype(np.int32)],
        1,
    )
    hole = mask > 0

    def theirs() -> Array:
        match case.task:
            case "face_restore":
                assert detectors[0] is not None, "faces are looked for"
                return official.faces(photo, model, detectors[0])
            case "upscale":
                return official.upscaled(
                    photo,
                    prepared_net(UpscaleOptions(), model),
                    model,
                    runtime_for("baseline", CPU),
                )
            case "colorize":
                return official.coloured(photo, model)
            case "inpaint":
                return official.filled(photo, hole, model)
            case _:
                return official.cleaned(photo, model)

    options = {
        "face_restore": FaceRestoreOptions(),
        "upscale": UpscaleOptions(scale=model.row.scale),
        "colorize": ColorizeOptions(),
        "inpaint": InpaintOptions(),
        "restore": RestoreOptions(),
    }[case.task]

    def ours() -> Array:
        models, report = {case.task: faster}, Report("photo", case.task)
        job = Job(models, runtime, report, detector=detectors[1], mask=hole, official_quirks=True)
        with HEAP.kept():  # as a request has it; theirs runs with what glibc does by itself
            [result] = PIPELINES[case.task].run([Photo("photo", photo)], options, [job])  # type: ignore[index]  # tasks of CASES are steps
        stages.update(report.stages_ms)
        return result.pixels

    stages: dict[str, float] = {}
    ours.stages_ms = stages  # type: ignore[attr-defined]  # what the last request spent where
    return {"official": theirs, "ours": ours}


def answer(case: Case, way: str, threads: int, requests: Connection) -> None:
    """A process's work: one way of a case, once for each message, answered with its seconds, its stages and the result."""
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        ways = ways_of(case, model_of(case, Path(folder)))
        while requests.recv():
            started_s = time.perf_counter()
            result = ways[way]()
            requests.send(
                (time.perf_counter() - started_s, ways["ours"].stages_ms, result)
            )


@contextmanager
def process_of(case: Case, way: str, threads: int) -> Iterator[Connection]:
    """A process of its own, as what one leaves in its heap makes the other faster."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=answer, args=(case, way, threads, there), daemon=True)
    process.start()
    there.close()
    try:
        yield here
        here.send(False)
        process.join()
    finally:
        process.kill()


def measured(case: Case, repeats: int, threads: int) -> dict[str, object]:
    """A row: both ways in turn, `repeats` times after one warm-up each, and how far apart the results are."""
    names = ("official", "ours")
    times: dict[str, list[float]] = {name: [] for name in names}
    results: dict[str, Array] = {}
    with ExitStack() as stack:
        ways = {name: stack.enter_context(process_of(case, name, threads)) for name in names}
        for repeat in range(repeats + 1):
            for name, way in ways.items():
                way.send(True)
                spent_s, stages, results[name] = way.recv()
                if repeat or not repeats:
                    times[name].append(spent_s)
    apart = np.abs(results["official"].astype(int) - results["ours"])
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "request": case.name,
        "megapixels": case.megapixels,
        "official_s": round(medians["official"], 2),
        "ours_s": round(medians["ours"], 2),
        "times_faster": round(medians["official"] / medians["ours"], 2),
        "wanted": case.wanted,
        "most_levels_apart": int(apart.max()),
        "share_above_one_level": float((apart > 1).mean()),
        "equal": bool((apart > 1).mean() <= MOST_APART),
        "ours_stages_ms": {name: round(spent) for name, spent in stages.items()},
        "repeats": repeats,
        "weights": "recipe",
        "precision": "float32",
    }


def plot(rows: Sequence[Mapping[str, object]], path: Path) -> None:
    """Bars of how many times faster each request is, beside what was wanted."""
    pyplot = importlib.import_module("matplotlib.pyplot")
    figure, axes = pyplot.subplots(figsize=(8, 0.5 * len(rows) + 1.2), layout="constrained")
    names = [f"{row['request']}  ({row['official_s']} s -> {row['ours_s']} s)" for row in rows]
    axes.barh(names, [row["times_faster"] for row in rows], color="#3b7dd8", label="measured")
    axes.scatter(
        [row["wanted"] for row in rows],
        names,
        marker="|",
        s=300,
        color="black",
        zorder=3,
        label="wanted",
    )
    axes.axvline(1.0, color="grey", linewidth=1)
    axes.invert_yaxis()
    axes.set_xlabel("times faster than the official order of work, same weights, same result")
    axes.legend()
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--requests",
        default=",".join(case.name for case in CASES),
        help="names separated by commas",
    )
    parser.add_argument(
        "--repeats", type=int, default=3, help="after one warm-up; 0 times the first call alone"
    )
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument(
        "--record", action="store_true", help="add the rows to results/against_official.jsonl"
    )
    parser.add_argument("--plot", type=Path, help="draw the rows into this PNG")
    args = parser.parse_args()
    names = args.requests.split(",")
    if unknown := set(names) - {case.name for case in CASES}:
        parser.error(
            f"no such request: {', '.join(sorted(unknown))}; there are {', '.join(case.name for case in CASES)}"
        )
    rows = []
    where = {"threads": args.threads, **machine()}
    for case in tqdm([case for case in CASES if case.name in names], unit="request"):
        row = measured(case, args.repeats, args.threads)
        rows.append(row)
        tqdm.write(
            f"{row['request']:14} official {row['official_s']:>7} s   ours {row['ours_s']:>7} s   {row['times_faster']:>5} times faster "
            f"(wanted {row['wanted']})   at most {row['most_levels_apart']} levels apart   {row['ours_stages_ms']}"
        )
        if args.record and row["equal"]:
            record("against_official", row | where)
    if args.plot:
        plot(rows, args.plot)
    if unequal := [str(row["request"]) for row in rows if not row["equal"]]:
        raise SystemExit(f"not the same result: {', '.join(unequal)}")


if __name__ == "__main__":
    main()
