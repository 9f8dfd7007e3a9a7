"""Tasks, their options and their limits: validated once, here, whoever calls.

Every field is named like the input of predict.py, so that one flat mapping (a Cog request, `-i` pairs, keyword arguments)
serves all tasks: each takes its own fields and leaves the others. A test holds predict.py's literal choices and bounds to
the ones below.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from restore.errors import Code, RestoreError

Step = Literal[
    "face_restore", "enhance", "upscale", "restore", "colorize", "old_photo_restore", "inpaint"
]
Task = Literal[
    "face_restore",
    "enhance",
    "upscale",
    "restore",
    "colorize",
    "old_photo_restore",
    "inpaint",
    "pipeline",
]
UpscaleVariant = Literal[
    "auto", "x4plus", "x4anime", "x2plus", "general_x4v3", "animevideov3", "lite", "lite_fidelity"
]
RestoreVariant = Literal["auto", "denoise", "deblur", "lite", "lite_deblur"]
FaceModel = Literal["auto", "codeformer", "gfpgan_v1.3", "gfpgan_v1.4", "restoreformer", "lite"]
FaceDetector = Literal["auto", "retinaface_resnet50", "retinaface_mobile0.25", "dlib"]
ColorizeVariant = Literal["auto", "modelscope", "artistic", "paper_tiny", "lite"]
OldPhotoVariant = Literal["auto", "v1", "lite"]
InpaintVariant = Literal["auto", "big", "lite"]
RuntimeProfile = Literal["baseline", "fast", "max_speed"]
StabilityMode = Literal["safe", "optimized"]
CompileBackend = Literal["auto", "none", "eager", "aot_eager", "inductor", "cudagraphs"]
OutputFormat = Literal["jpg", "png", "webp"]

TASKS: tuple[Task, ...] = get_args(Task)
COMPILE_BACKENDS: tuple[str, ...] = get_args(CompileBackend)[1:]
STEPS: tuple[Step, ...] = get_args(Step)
CHAIN: Task = "pipeline"
DEFAULT_TASK: Task = "face_restore"
MAX_STEPS = 8
MAX_PHOTOS = 4
MIN_TILE_PX = 64


def _usable_tile(tile_px: int) -> int:
    if 0 < tile_px < MIN_TILE_PX:
        raise ValueError("too small for a tile")
    return tile_px


def _no_truth(value: object) -> object:
    """HTTP's schema refuses true for a number; pydantic would take it for 1."""
    if isinstance(value, bool):
        raise ValueError("true and false are no numbers")  # noqa: TRY004 - pydantic reports ValueErrors
    return value


def _as_json(value: object) -> object:
    """What a JSON request or a Python caller gives as lists is what the command line gives as text."""
    return json.dumps(value) if isinstance(value, list) else value


Number = Annotated[float, BeforeValidator(_no_truth)]
WholeNumber = Annotated[int, BeforeValidator(_no_truth)]
Share = Annotated[Number, Field(ge=0, le=1, allow_inf_nan=False)]


class Options(BaseModel):
    """Base of all option groups: frozen, unknown names refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    def names(cls) -> frozenset[str]:
        """The inputs this group takes."""
        return frozenset(cls.model_fields)

    @classmethod
    def from_inputs(cls, inputs: Mapping[str, object]) -> Self:
        """Takes this group's fields from a flat mapping; a value of None means "not given".

        Raises:
            RestoreError: OPTION_INVALID, naming the input, its value and what is allowed.
        """
        given = {
            name: value
            for name, value in inputs.items()
            if name in cls.model_fields and value is not None
        }
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise _refusal(cls, error) from None


@dataclass(frozen=True)
class Choice:
    """An input that chooses among the variants of a catalog task, and what its `auto` means.

    Attributes:
        field: the input's name.
        task: the catalog's task whose variant it names.
        environment: the variable that may say what `auto` is.
        default: what `auto` is otherwise.
    """

    field: str
    task: str
    environment: str
    default: str


UPSCALER = Choice("upscale_variant", "upscale", "MODEL_UPSCALE", "x4plus")
BACKGROUND = Choice(
    "upscale_variant", "upscale", "MODEL_UPSCALE", "x2plus"
)  # as CodeFormer and GFPGAN do behind faces
NAFNET = Choice("restore_variant", "restore", "MODEL_RESTORE", "denoise")
FACE = Choice("face_model", "face_restore", "MODEL_FACE", "codeformer")
DDCOLOR = Choice("colorize_variant", "colorize", "MODEL_COLORIZE", "modelscope")
OLD_PHOTO = Choice("old_photo_variant", "old_photo_restore", "MODEL_OLD_PHOTO", "v1")
LAMA = Choice("inpaint_variant", "inpaint", "MODEL_INPAINT", "big")


class TaskOptions(Options):
    """What every task has: networks to choose, tiles and a blend.

    `choices` are all choices that the task's inputs may need; the first is the task's own network.
    """

    default_tile_px: ClassVar[int]
    choices: ClassVar[tuple[Choice, ...]]

    # A description is the remedy's words where bounds alone do not say what is allowed.
    tile_size: Annotated[WholeNumber, AfterValidator(_usable_tile)] | None = Field(
        default=None, ge=0, description=f"0 for the whole photo, or at least {MIN_TILE_PX} pixels"
    )
    strength: Share = 1.0

    @property
    def tile_px(self) -> int:
        """Side of a tile in input pixels; 0 means the whole photo."""
        return self.default_tile_px if self.tile_size is None else self.tile_size

    def variant(
        self, choice: Choice | None = None, environment: Mapping[str, str] = os.environ
    ) -> str:
        """The variant asked for (of the task's own network unless `choice` is another), `auto` resolved through the environment.

        Raises:
            RestoreError: OPTION_INVALID when the environment names a variant that does not exist.
        """
        choice = choice or self.choices[0]
        asked: str = getattr(self, choice.field)
        if asked != "auto":
            return asked
        named = environment.get(choice.environment, "").strip() or choice.default
        allowed = choices_of(type(self), choice.field)
        if named == "auto" or named not in allowed:
            known = ", ".join(choice for choice in allowed if choice != "auto")
            reason = f"the environment's {choice.environment} is '{named}', which is no variant of {choice.field}"
            raise RestoreError(
                Code.OPTION_INVALID, reason, f"Set it to one of {known}, or unset it."
            )
        return named


class UpscalerOptions(TaskOptions):
    """Options of every task that may enlarge with Real-ESRGAN."""

    default_tile_px = 512

    upscale_variant: UpscaleVariant = "auto"
    denoise_strength: Share = 0.5
    grain: bool = True


class FaceOptions(TaskOptions):
    """Options of every task that may restore faces."""

    face_model: FaceModel = "auto"
    codeformer_fidelity: Share = 0.5
    face_detector: FaceDetector = "auto"
    only_center_face: bool = False
    min_face_px: WholeNumber = Field(default=0, ge=0)
    keep_color: bool | None = Field(
        default=None, description="true, false, or nothing (true for grey and one-tone photos)"
    )


class FaceRestoreOptions(FaceOptions, UpscalerOptions):
    """Options of `face_restore`: faces found, aligned, restored and put back; Real-ESRGAN behind them where asked."""

    choices = (FACE, BACKGROUND)

    face_upscale: Annotated[Number, Field(ge=1, le=4, allow_inf_nan=False)] = 1.0
    has_aligned: bool = False
    background_enhance: bool = False


class EnhanceOptions(FaceOptions, UpscalerOptions):
    """Options of `enhance`: the photo enlarged with Real-ESRGAN, its faces restored."""

    choices = (UPSCALER, FACE)

    scale: Annotated[Number, Field(ge=1, le=8, allow_inf_nan=False)] = 4.0


class UpscaleOptions(EnhanceOptions):
    """Options of `upscale`: Real-ESRGAN, then Lanczos to the exact factor; with `face_enhance` it is `enhance`."""

    face_enhance: bool = False


class RestoreOptions(TaskOptions):
    """Options of `restore`: NAFNet at the photo's own size."""

    default_tile_px = 0
    choices = (NAFNET,)

    restore_variant: RestoreVariant = "auto"


class ColorizeOptions(TaskOptions):
    """Options of `colorize`: DDColor guesses the colours, the photo keeps its luminance."""

    default_tile_px = 0
    choices = (DDCOLOR,)

    colorize_variant: ColorizeVariant = "auto"
    render_factor: WholeNumber = Field(default=35, ge=1, le=100)


class OldPhotoOptions(TaskOptions):
    """Options of `old_photo_restore`: Bringing Old Photos Back to Life."""

    default_tile_px = 0
    choices = (OLD_PHOTO,)

    old_photo_variant: OldPhotoVariant = "auto"
    with_scratch: bool = False
    with_face: bool = True
    scratch_threshold: Share = 0.4
    old_photo_hr: bool = False
    return_mask: bool = False

    def variant(
        self, choice: Choice | None = None, environment: Mapping[str, str] = os.environ
    ) -> str:
        """As in `TaskOptions`; of `v1` it is the catalog's variant for what is to be done."""
        named = super().variant(choice, environment)
        if named != "v1":
            return named
        return (
            ("scratch_hr" if self.old_photo_hr else "scratch") if self.with_scratch else "quality"
        )


class InpaintOptions(TaskOptions):
    """Options of `inpaint`: LaMa fills the holes that masks or polygons show."""

    default_tile_px = 0
    choices = (LAMA,)

    inpaint_variant: InpaintVariant = "auto"
    points: Annotated[str, BeforeValidator(_as_json)] | None = Field(
        default=None,
        description="JSON: a polygon [[x, y], [x, y], [x, y], ...] in pixels, or a list of such polygons",
    )


class OutputOptions(Options):
    """How the result is written."""

    output_format: OutputFormat = "jpg"
    output_quality: WholeNumber = Field(default=95, ge=1, le=100)
    keep_gps: bool = False


def _known_steps(steps: str) -> str:
    names = steps_in(steps)
    if names != ("auto",) and (
        not names or len(names) > MAX_STEPS or any(name not in STEPS for name in names)
    ):
        raise ValueError("not a sequence of steps")
    return steps


class ChainOptions(Options):
    """Which tasks a request of the task `pipeline` runs, one after the other."""

    steps: Annotated[str, AfterValidator(_known_steps)] = Field(
        default="auto",
        description=f"auto, or 1 to {MAX_STEPS} of {', '.join(STEPS)}, separated by commas",
    )


def steps_in(text: str) -> tuple[str, ...]:
    """The names in a list separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


class RunOptions(Options):
    """How the request runs."""

    runtime_profile: RuntimeProfile = "baseline"
    stability_mode: StabilityMode = "safe"
    compile_backend: CompileBackend = "auto"


TASK_OPTIONS: Mapping[Step, type[TaskOptions]] = {
    "face_restore": FaceRestoreOptions,
    "enhance": EnhanceOptions,
    "upscale": UpscaleOptions,
    "restore": RestoreOptions,
    "colorize": ColorizeOptions,
    "old_photo_restore": OldPhotoOptions,
    "inpaint": InpaintOptions,
}
CATALOG_TASKS: Mapping[Step, tuple[str, ...]] = {
    "face_restore": ("face_restore", "face_detect"),
    "enhance": ("upscale", "face_restore", "face_detect"),
    "upscale": ("upscale",),
    "restore": ("restore",),
    "colorize": ("colorize",),
    "old_photo_restore": ("old_photo_restore",),
    "inpaint": ("inpaint",),
}
"""The catalog's tasks whose checkpoints a task needs, its optional inputs aside: what is loaded before it is asked for."""

GROUPS: tuple[type[Options], ...] = (
    *TASK_OPTIONS.values(),
    ChainOptions,
    OutputOptions,
    RunOptions,
)


class Request(BaseModel):
    """One validated request, photos aside.

    Attributes:
        options: of every task; a task takes its own.
        steps: the tasks to run, in order: one, but for the task `pipeline`. Empty where they are to be proposed for each photo.
    """

    model_config = ConfigDict(frozen=True)

    task: Task
    steps: tuple[Step, ...]
    options: dict[Step, Any]
    output: OutputOptions
    run: RunOptions

    @classmethod
    def from_inputs(cls, task: str, inputs: Mapping[str, object]) -> Self:
        """Validates a task name and its flat inputs.

        Raises:
            RestoreError: OPTION_INVALID (task or value), OPTION_UNKNOWN (a name that no task knows).
        """
        if task not in TASKS:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"task is '{task}', which does not exist",
                f"Use one of {', '.join(TASKS)}.",
            )
        known = frozenset[str]().union(*(group.names() for group in GROUPS))
        for name in inputs:
            if name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                remedy = (
                    f"Did you mean {close[0]}?"
                    if close
                    else f"The inputs are {', '.join(sorted(known))}."
                )
                raise RestoreError(Code.OPTION_UNKNOWN, f"there is no input named '{name}'", remedy)
        # Every group is validated, the other tasks' too: a value that is never right is not passed over for being unused.
        options = {name: group.from_inputs(inputs) for name, group in TASK_OPTIONS.items()}
        chained = steps_in(ChainOptions.from_inputs(inputs).steps)
        named = chained if task == CHAIN else (task,)
        return cls.model_validate(
            {
                "task": task,
                "steps": () if named == ("auto",) else named,
                "options": options,
                "output": OutputOptions.from_inputs(inputs),
                "run": RunOptions.from_inputs(inputs),
            }
        )


def choices_of(group: type[Options], name: str) -> tuple[str, ...]:
    """The literal choices of a field, or () for a field without choices."""
    annotation = group.model_fields[name].annotation
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def bounds_of(group: type[Options], name: str) -> tuple[float | None, float | None]:
    """Lowest and highest allowed value of a field; None where it is open."""
    low: float | None = None
    high: float | None = None
    for rule in group.model_fields[name].metadata:
        low = getattr(rule, "ge", low)
        high = getattr(rule, "le", high)
    return low, high


def _refusal(group: type[Options], error: ValidationError) -> RestoreError:
    """The first complaint of pydantic in our words."""
    first = error.errors()[0]
    name = str(first["loc"][0])
    reason = f"{name} is {_shown(first['input'])}, which is not allowed"
    return RestoreError(Code.OPTION_INVALID, reason, f"Use {_allowed(group, name)}.")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _allowed(group: type[Options], name: str) -> str:
    if description := group.model_fields[name].description:
        return description
    if choices := choices_of(group, name):
        return f"one of {', '.join(choices)}"
    low, high = bounds_of(group, name)
    annotation = str(group.model_fields[name].annotation)
    kind = (
        "a whole number"
        if "int" in annotation
        else "true or false"
        if "bool" in annotation
        else "a finite number"
    )
    if low is not None and high is not None:
        return f"{kind} from {low:g} to {high:g}"
    return kind if low is None else f"{kind} of at least {low:g}"
