"""Options of a request as a whole: pipeline steps, output files and how it is computed."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from restore.options.base import Number, Options, WholeNumber
from restore.options.names import (
    MAX_MAX_MEGAPIXELS,
    MAX_STEPS,
    MIN_MAX_MEGAPIXELS,
    STEPS,
    WORKS_OF_RESTORE,
    CompileBackend,
    OutputFormat,
    RuntimeProfile,
    StabilityMode,
)
from restore.options.suggest import did_you_mean

AUTO_STEPS = "auto"
"""The first of the steps, if the others are proposed for each photo."""


def parse_steps(text: str) -> tuple[str, ...]:
    """Split a comma-separated list of steps into names; the commands' names have dashes."""
    names = (name.strip() for name in text.split(","))
    return tuple(name[0] + name[1:].replace("-", "_") for name in names if name)


def _join_steps(value: object) -> object:
    """Write a list of names, which Python and JSON requests may give, as the text of the option."""
    is_list = isinstance(value, list | tuple) and all(isinstance(name, str) for name in value)
    return ",".join(value) if is_list else value  # type: ignore[arg-type]


def _check_steps(text: str) -> str:
    names = parse_steps(text)
    if names[:1] == (AUTO_STEPS,):
        left_out = {name.removeprefix("-") for name in names if name.startswith("-")}
        names = tuple(name for name in names[1:] if not name.startswith("-"))
        if not left_out <= {*STEPS, *WORKS_OF_RESTORE} - set(names):
            raise ValueError("a step to leave out does not exist, or is also named")
        if not names:
            return text
    if not 1 <= len(names) <= MAX_STEPS or any(name not in STEPS for name in names):
        raise ValueError("not a list of steps")
    return text


def _suggest_step(name: str) -> str:
    if name in WORKS_OF_RESTORE:
        return f"To {name}, use the step restore with restore_variant={name}. "
    return did_you_mean(name, STEPS)


class PipelineOptions(Options):
    """Options of `pipeline`: the tasks that it runs, one after the other."""

    steps: Annotated[str, BeforeValidator(_join_steps), AfterValidator(_check_steps)] = Field(
        default="auto",
        description=(
            "Tasks to run in order, separated by commas, such as colorize,face_restore,upscale; "
            "auto proposes repairs for each photo, auto,colorize also adds colours, and "
            "auto,-upscale leaves a proposed step out."
        ),
        json_schema_extra={
            "allowed": f"1 to {MAX_STEPS} of {', '.join(STEPS)}, separated by commas; or auto,"
            " which such steps may follow, and steps to leave out, such as -upscale or"
            f" -{' or -'.join(WORKS_OF_RESTORE)}"
        },
    )

    @classmethod
    def suggestion(cls, name: str, value: object) -> str:
        """Suggest a step for each one that does not exist."""
        text = _join_steps(value)
        names = parse_steps(text)[:MAX_STEPS] if isinstance(text, str) else ()
        names = tuple(name.removeprefix("-") for name in names)
        return "".join(_suggest_step(step) for step in names if step not in STEPS)


class OutputOptions(Options):
    """How the results are written."""

    output_format: OutputFormat = Field(
        default="jpg",
        description=(
            "File format of the results; png keeps 16 bits, png and webp keep transparency; same "
            "is the photo's own format, or jpg for HEIC, webp for AVIF, and png for TIFF, BMP "
            "and GIF."
        ),
    )
    output_quality: WholeNumber = Field(
        default=95, ge=1, le=100, description="Compression quality of jpg and webp files."
    )
    keep_gps: bool = Field(
        default=False,
        description="Keep the GPS position of the photo in the EXIF data of the result.",
    )
    record_steps: bool = Field(
        default=False,
        description=("Record in the XMP history of the result which steps and networks made it."),
    )


class RunOptions(Options):
    """How a request is computed."""

    harm_check: bool = Field(
        default=True,
        description=(
            "Reduce, skip or refuse a step whose result would damage the photo; "
            "if false, only warn of it."
        ),
    )

    max_megapixels: Number | None = Field(
        default=None,
        ge=MIN_MAX_MEGAPIXELS,
        le=MAX_MAX_MEGAPIXELS,
        description=(
            "Reduce photos with more megapixels than this before all steps; photos of up to 120 "
            "megapixels are accepted then."
        ),
    )
    runtime_profile: RuntimeProfile = Field(
        default="baseline",
        description=(
            "baseline computes as the official implementations do; fast uses lower precision where "
            "measured, and batches of faces; max_speed also skips face parsing."
        ),
    )
    stability_mode: StabilityMode = Field(
        default="safe",
        description=(
            "safe never compiles or records; optimized runs copies in a faster memory layout, "
            "compiled if compile_backend says so."
        ),
    )
    compile_backend: CompileBackend = Field(
        default="auto",
        description=(
            "Compiler of optimized networks, the same for all requests to a server; auto uses the "
            "environment variable RESTORE_COMPILE_BACKEND, else none."
        ),
    )
