"""What the measurements of a photo mean: for each the value, and the step that it leads to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from restore.options import WORKS_OF_RESTORE, Step
from restore.pipelines.assessment.limits import LIMITS, Limits
from restore.pipelines.assessment.measurements import FaceCondition, Measurements
from restore.words import counted

Value = float | int | str | None

DENOISE, DEBLUR = WORKS_OF_RESTORE
"""What the step `restore` does."""

REDUCED_STRENGTH = 0.75
"""Of denoising where noise is visible, but not strong, so that some grain remains."""

OLD_PHOTO_OPTIONS: Mapping[str, object] = {"with_scratch": True, "with_face": False}
"""Old photos only get their scratches filled and are denoised; faces are another step."""

_TONE_NAMES = {"grey": "grey", "toned": "of one tone", "colour": "in colour"}
_COLORIZE_EFFECTS = {
    "grey": "; steps=auto,colorize adds colours",
    "toned": "; steps=auto,colorize replaces the tone by natural colours",
    "colour": "",
}


@dataclass(frozen=True)
class Finding:
    """A measured value and what it means.

    Attributes:
        name: what was measured.
        value: the value; None if it could not be measured.
        unit: its unit, or an empty string.
        reason: what the value means, as a part of a sentence about the photo.
        step: the step that it leads to; None if the photo does not need it.
        work: what the step does, if it can do several things.
        options: the options of the step.
    """

    name: str
    value: Value
    unit: str
    reason: str
    step: Step | None = None
    work: str = ""
    options: Mapping[str, object] = field(default_factory=dict)

    def facts(self) -> dict[str, object]:
        """Return the finding as JSON types."""
        value = round(self.value, 3) if isinstance(self.value, float) else self.value
        return {
            "name": self.name,
            "value": value,
            "unit": self.unit,
            "step": self.step,
            "options": dict(self.options),
            "reason": self.reason,
        }


def judge_measurements(measured: Measurements, limits: Limits = LIMITS) -> list[Finding]:
    """Return a finding for everything that was measured, whether it leads to a step or not."""
    detail = [
        _scratches(measured, limits),
        *_noise(measured, limits),
        *_jpeg(measured, limits),
        _blur(measured, limits),
    ]
    is_worn = any(finding.step for finding in detail)
    colours = [*_fading(measured, limits), _tone(measured)]
    faces = _faces(measured, limits, is_worn=is_worn)
    repairs = any(finding.step for finding in (*detail, *colours, faces))
    return [*detail, *colours, faces, _size(measured, limits, repairs=repairs)]


def _scratches(measured: Measurements, limits: Limits) -> Finding:
    length = measured.scratch_length
    in_colour = measured.tone == "colour"
    limit = limits.scratch_length_colour if in_colour else limits.scratch_length
    share = f"{100 * measured.scratched_share:.1f}%"
    if length >= limit:
        extent = f"{length:.1f} times its diagonal"
        reason = f"scratches and tears of {extent} cover at least {share} of it"
        return Finding(
            "scratches", length, "diagonals", reason, "old_photo_restore", "", OLD_PHOTO_OPTIONS
        )
    return Finding("scratches", length, "diagonals", "it has no long scratches or tears")


def _noise(measured: Measurements, limits: Limits) -> Iterator[Finding]:
    noise = measured.noise
    luminance_limit = limits.white_noise_levels if noise.is_white else limits.noise_levels
    kinds = (
        ("noise", "noise or grain", noise.luminance_levels, luminance_limit),
        ("colour_noise", "colour noise", noise.colour_levels, limits.colour_noise_levels),
    )
    for name, words, level, limit in kinds:
        if level < limit:
            yield Finding(name, level, "levels", f"it has no visible {words}")
            continue
        if name == "noise" and _is_texture(measured, limits):
            reason = "what looks like noise has no colour, so it is probably texture"
            yield Finding(name, level, "levels", reason)
            continue
        strength = 1.0 if level >= limits.strong_noise_levels else REDUCED_STRENGTH
        reason = f"its smooth areas have {words} of {level:.1f} levels of 255"
        yield Finding(name, level, "levels", reason, "restore", DENOISE, {"strength": strength})


def _is_texture(measured: Measurements, limits: Limits) -> bool:
    """Tell whether luminance noise of a photo in colour is too strong for grain, and colourless."""
    noise = measured.noise
    return (
        measured.tone == "colour"
        and noise.luminance_levels >= limits.texture_levels
        and noise.colour_levels < limits.colour_noise_levels
    )


def _jpeg(measured: Measurements, limits: Limits) -> Iterator[Finding]:
    quality, blocks = measured.jpeg_quality, measured.blocks
    shows_blocks = blocks.smooth_share >= limits.smooth_share
    if quality is None:
        yield Finding("jpeg_quality", None, "", "its file is no JPEG")
    elif quality <= limits.jpeg_quality and shows_blocks:
        reason = f"its JPEG quality is {quality} of 100"
        yield Finding(
            "jpeg_quality", quality, "of 100", reason, "restore", DENOISE, {"strength": 1.0}
        )
    else:
        yield Finding("jpeg_quality", quality, "of 100", f"its JPEG quality is {quality} of 100")
    is_weak = quality is not None and quality <= limits.weak_jpeg_quality
    step, limit = blocks.step_levels, limits.weak_block_levels if is_weak else limits.block_levels
    if step >= limit and shows_blocks:
        strength = 1.0 if step >= limits.block_levels else REDUCED_STRENGTH
        reason = f"blocks of a JPEG show in its smooth areas, with steps of {step:.1f} levels"
        options = {"strength": strength}
        yield Finding("jpeg_blocks", step, "levels", reason, "restore", DENOISE, options)
    else:
        yield Finding("jpeg_blocks", step, "levels", "it has no visible blocks of a JPEG")


def _blur(measured: Measurements, limits: Limits) -> Finding:
    edges = measured.edges
    if edges is None:
        return Finding("edge_width", None, "px", "it has too few edges to tell whether it is sharp")
    width = edges.widest_px
    if width < limits.edge_width_px:
        return Finding("edge_width", width, "px", "its edges are sharp")
    reason = f"its sharpest edges are {edges.narrowest_px:.1f} to {width:.1f} pixels wide"
    return Finding("edge_width", width, "px", reason, "restore", DEBLUR)


def _fading(measured: Measurements, limits: Limits) -> Iterator[Finding]:
    fading, change = measured.fading, measured.colour_change.change
    words = f"its black has a lightness of {fading.black_lightness:.0f} of 100"
    yield Finding("black_lightness", fading.black_lightness, "of 100", words)
    words = f"its black and white have a tint of {fading.cast:.0f} CIE units"
    yield Finding("cast", fading.cast, "CIE units", words)
    words = f"correcting its colours would change them by {change:.0f} CIE units on average"
    is_faded = (
        measured.colour_change.tone == "colour"
        and change >= limits.colour_change
        and measured.colour_change.darkening >= limits.darkening
        and fading.density_range >= limits.density_range
    )
    if is_faded:
        yield Finding("fading", change, "CIE units", f"its colours have faded: {words}", "colors")
    else:
        yield Finding("fading", change, "CIE units", words)


def _tone(measured: Measurements) -> Finding:
    words = f"it is {_TONE_NAMES[measured.tone]}"
    if measured.edges is not None:  # a plain picture shows nothing that has colours
        words += _COLORIZE_EFFECTS[measured.tone]
    return Finding("tone", measured.tone, "", words)


def _faces(measured: Measurements, limits: Limits, *, is_worn: bool) -> Finding:
    count = len(measured.faces)
    if not count:
        return Finding("faces", 0, "faces", "no face was found that can be restored")
    blurred = [face for face in measured.faces if _is_blurred(face, limits)]
    small = [face for face in measured.faces if face.size_px < limits.sharp_face_px]
    if is_worn:
        reason = f"it has {_face_words('', measured.faces)} in a worn photo"
    elif blurred:
        reason = f"it has {_face_words('blurred ', blurred)}"
    elif measured.tone != "colour" and small:
        reason = f"it has {_face_words('small ', small)} in a photo without colour"
    else:
        reason = f"it has {_face_words('', measured.faces)}, sharp enough"
        return Finding("faces", count, "faces", reason)
    return Finding("faces", count, "faces", reason, "face_restore")


def _face_words(adjective: str, faces: Sequence[FaceCondition]) -> str:
    """Return such as '2 small faces of 40 to 52 pixels'."""
    sizes = sorted(round(face.size_px) for face in faces)
    size_words = f"{sizes[0]} to {sizes[-1]}" if sizes[0] < sizes[-1] else f"{sizes[0]}"
    return f"{counted(len(faces), f'{adjective}face')} of {size_words} pixels"


def _is_blurred(face: FaceCondition, limits: Limits) -> bool:
    return (face.edge_width_px or 0.0) >= limits.face_edge_width_px


def _size(measured: Measurements, limits: Limits, *, repairs: bool) -> Finding:
    long_side_px = measured.long_side_px
    limit = limits.small_worn_px if repairs else limits.small_px
    if long_side_px >= limit:
        return Finding("long_side", long_side_px, "px", f"its long side has {long_side_px} pixels")
    scale = 2 if 2 * long_side_px >= limits.target_px else 4
    reason = f"its long side has {long_side_px} pixels, less than {limit}"
    return Finding("long_side", long_side_px, "px", reason, "upscale", "", {"scale": scale})
