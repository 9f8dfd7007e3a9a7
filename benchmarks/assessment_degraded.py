"""Which degradation of a clean photo leads to a step: shares of degraded photos, by strength.

Photos of train/ are degraded with fixed seeds; the limits were first chosen on others. Faded photos
and those with a cast are made from the photos that the network of `colors` was never trained on.
The photos without a degradation are measured too: for them no step may be proposed.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from benchmarks.assessment_damages import (
    Damage,
    Pixels,
    by_recipe,
    cracks,
    film_damage,
    hairs,
    shake_along_curve,
    shake_along_line,
    tear,
    unchanged,
)
from data.degradation import Degradation
from restore.faces.colour import classify_tone
from restore.imaging.convert import to_grey, to_rgb
from restore.imaging.fading import estimate_fading
from restore.imaging.photo import Photo, decode, open_photo
from restore.pipelines.assessment.blur import EdgeWidths, measure_edges
from restore.pipelines.assessment.colours import ColourChange
from restore.pipelines.assessment.jpeg import Blocks, measure_blocks, table_quality
from restore.pipelines.assessment.measurements import Measurements, PredictChange
from restore.pipelines.assessment.noise import Noise, measure_noise
from restore.pipelines.assessment.scratches import measure_scratches
from training.dataset import read_damage_maps
from training.evaluation import EVALUATION_SEED, EvaluationPaths
from training.fading import cast, fade
from training.measure_colors import read_test_sets
from training.paths import list_photos
from training.recipe import DamageMaps

FOLDERS: Mapping[str, tuple[int, int]] = {"train/natural": (2, 10), "train/natural2": (3, 16)}
"""First photo and distance: every second one of the clean photos of benchmarks.assessment."""

SCRATCHED_STRIDE = 3
"""Each damage by scratches is drawn into every third photo, because it takes longest to find."""

CLEAN = Measurements(
    width_px=1600,
    height_px=1200,
    tone="colour",
    noise=Noise(0.0, 0.0),
    jpeg_quality=None,
    blocks=Blocks(0.0, 1.0),
    edges=EdgeWidths(2.0, 2.0),
    scratch_length=0.0,
    scratched_share=0.0,
    fading=estimate_fading(Photo("ramp", np.arange(256, dtype=np.uint8).reshape(16, 16))),
    colour_change=ColourChange(change=0.0, darkening=0.0, tone="colour"),
    faces=(),
)
"""Measurements of a clean photo; what a degradation does not concern is taken from them."""

Proposed = Callable[[Measurements], frozenset[str]]


@dataclass(frozen=True)
class Case:
    """A degradation, and the column of the labels whose step it should lead to."""

    name: str
    column: str
    damage: Damage


@dataclass(frozen=True)
class Networks:
    """The networks that measure scratches and colours."""

    scratch_net: nn.Module
    predict_change: PredictChange


def detail_cases() -> list[Case]:
    """Return the degradations of photos in colour."""
    return [
        Case("none", "denoise", unchanged),
        *(
            Case(f"white noise of {levels} levels", "denoise", by_recipe(Degradation(noise=levels)))
            for levels in (3, 5, 8, 12, 20)
        ),
        *(
            Case(
                f"JPEG of {quality}, as PNG",
                "denoise",
                by_recipe(Degradation(jpeg=quality)),
            )
            for quality in (10, 20, 30, 50)
        ),
        Case("none", "deblur", unchanged),
        *(
            Case(f"Gaussian blur of {sigma} px", "deblur", by_recipe(Degradation(blur=sigma)))
            for sigma in (1.5, 2.0, 3.0)
        ),
        *(
            Case(f"shake along a line of {length} px", "deblur", shake_along_line(length))
            for length in (9, 13, 19)
        ),
        *(
            Case(f"shake along a curve in {side} px", "deblur", shake_along_curve(side))
            for side in (11, 15, 21)
        ),
    ]


def scratch_cases(maps: DamageMaps) -> list[Case]:
    """Return the damages of grey photos."""
    damages = {
        "none": unchanged,
        "tear of 3 px": tear(3),
        "tear of 1 px": tear(1),
        "cracks": cracks,
        "film damage of three maps": film_damage(maps, 3),
        "film damage of one map": film_damage(maps, 1),
        "four hairs of 25 to 50 px": hairs,
    }
    return [Case(name, "scratches", damage) for name, damage in damages.items()]


def measure_shares(
    photos: Path, networks: Networks, proposed: Proposed
) -> Iterator[dict[str, object]]:
    """Measure all degradations; yield a row for each, with the share that gets its step.

    Args:
        photos: the folder of shared photos.
        networks: the networks that measure scratches and colours.
        proposed: returns the columns of the labels that the proposed steps fill.
    """
    originals = read_originals(photos)

    def share(case: Case, measured: Sequence[Measurements]) -> dict[str, object]:
        count = sum(case.column in proposed(each) for each in measured)
        percent = round(100 * count / len(measured))
        return {"degradation": case.name, "step": case.column, "photos": len(measured),
                "proposed": count, "proposed_percent": percent}  # fmt: skip

    for case in detail_cases():
        measure = measure_noisiness if case.column == "denoise" else measure_sharpness
        yield share(case, [measure(each) for each in degraded(originals, case)])
    files = {name: _as_jpeg(pixels, 30) for name, pixels in originals.items()}
    case = Case("JPEG of 30 as it is", "denoise", unchanged)
    yield share(case, [measure_noisiness(each) for each in files.values()])
    greys = {name: _without_colour(pixels) for name, pixels in originals.items()}
    maps = read_damage_maps(photos / "train", is_held_back=True)
    for number, case in enumerate(scratch_cases(maps)):
        chosen = dict(list(greys.items())[number % SCRATCHED_STRIDE :: SCRATCHED_STRIDE])
        found = [measure_damage(each, networks) for each in degraded(chosen, case)]
        yield share(case, found)
    for name, seen in read_test_sets(EvaluationPaths(photos)).items():
        for damage in (unchanged, fade, cast):
            words = {unchanged: "none", fade: "faded dyes", cast: "wrong white balance"}[damage]
            case = Case(f"{words}: {name}", "colors", damage)
            yield share(case, [measure_colour(x, networks) for x in degraded(seen, case)])


def read_originals(photos: Path) -> dict[str, Pixels]:
    """Read the photos that are degraded: HxWx3 uint8 by path inside `photos`."""
    found = {}
    for folder, (first, distance) in FOLDERS.items():
        for path in list_photos(photos / folder)[first::distance]:
            found[path.relative_to(photos).as_posix()] = to_rgb(open_photo(path).pixels)
    return found


def degraded(originals: Mapping[str, Pixels], case: Case) -> Iterator[Photo]:
    """Degrade each photo, with random values that depend on its name and the degradation only."""
    for name, pixels in originals.items():
        seed = zlib.crc32(f"{name}:{case.name}".encode())
        yield Photo(name, case.damage(pixels, np.random.default_rng((EVALUATION_SEED, seed))))


def measure_noisiness(photo: Photo) -> Measurements:
    """Measure noise and blocks."""
    return replace(
        CLEAN,
        noise=measure_noise(to_rgb(photo.pixels)),
        blocks=measure_blocks(to_grey(photo.pixels)),
        jpeg_quality=table_quality(photo),
    )


def measure_sharpness(photo: Photo) -> Measurements:
    """Measure edges."""
    return replace(CLEAN, edges=measure_edges(to_grey(photo.pixels)))


def measure_damage(photo: Photo, networks: Networks) -> Measurements:
    """Measure scratches in a photo without colour."""
    length, share = measure_scratches(photo, networks.scratch_net, "grey")
    return replace(CLEAN, tone="grey", scratch_length=length, scratched_share=share)


def measure_colour(photo: Photo, networks: Networks) -> Measurements:
    """Measure tone and fading."""
    return replace(
        CLEAN,
        tone=classify_tone(photo.pixels),
        fading=estimate_fading(photo),
        colour_change=networks.predict_change(photo),
    )


def print_shares(rows: Sequence[Mapping[str, object]]) -> None:
    """Print a table of the shares."""
    print("| step | degradation | photos | proposed |\n|---|---|--:|--:|")
    for row in rows:
        words = (row["step"], row["degradation"], row["photos"], f"{row['proposed_percent']} %")
        print("| " + " | ".join(map(str, words)) + " |")


def _without_colour(pixels: Pixels) -> Pixels:
    return np.repeat(to_grey(pixels)[..., None], 3, axis=2)


def _as_jpeg(pixels: Pixels, quality: int) -> Photo:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return decode(file.getvalue(), "photo")
