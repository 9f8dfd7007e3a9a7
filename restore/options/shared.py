"""Options that several tasks share."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import ClassVar

from pydantic import Field

from restore.errors import Code, RestoreError
from restore.options.base import Fraction, Options, WholeNumber, choices_of
from restore.options.face_choice import ALL, WORDS, FacesText
from restore.options.json_text import MAX_FACE_POINTS, FacePointsText
from restore.options.names import MIN_TILE_PX, FaceDetector, FaceModel, UpscaleVariant
from restore.options.variants import VariantChoice


class TaskOptions(Options):
    """Options of every task.

    Class attributes:
        default_tile_px: tile side if `tile_size` is not given; 0 means the whole photo.
        variant_choices: the options that select networks; the first selects the task's own network.
    """

    default_tile_px: ClassVar[int]
    variant_choices: ClassVar[tuple[VariantChoice, ...]]

    tile_size: WholeNumber | None = Field(
        default=None,
        ge=0,
        description=(
            f"Side of a tile in pixels, at least {MIN_TILE_PX} (smaller values are raised to it), "
            "or 0 for the whole photo at once; "
            "if not set, at least 512 for Real-ESRGAN and 0 for all other networks."
        ),
        json_schema_extra={"allowed": f"0 for the whole photo, or at least {MIN_TILE_PX} pixels"},
    )
    strength: Fraction = Field(
        default=1.0,
        description=(
            "Weight of the result in a blend with the original photo: 1 is the result alone."
        ),
    )

    @property
    def tile_px(self) -> int:
        """Side of a tile in input pixels; 0 means the whole photo."""
        tile_px = self.default_tile_px if self.tile_size is None else self.tile_size
        return max(tile_px, MIN_TILE_PX) if tile_px else 0

    def without_effect(self) -> Mapping[str, str]:
        """Return the options that have no effect beside the values of the others.

        Returns:
            The reason for each of them, such as "face_enhance is not set".
        """
        return {}

    def variant(
        self, choice: VariantChoice | None = None, environment: Mapping[str, str] = os.environ
    ) -> str:
        """Return the selected variant, with `auto` resolved through the environment.

        Args:
            choice: the option to read; None means the one of the task's own network.

        Raises:
            RestoreError: OPTION_INVALID if the environment names a variant that does not exist.
        """
        choice = choice or self.variant_choices[0]
        selected: str = getattr(self, choice.field)
        if selected != "auto":
            return selected
        name = environment.get(choice.environment, "").strip() or choice.default
        variant = choice.older_names.get(name, name)
        allowed = [name for name in choices_of(type(self), choice.field) if name != "auto"]
        if variant not in allowed:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"the environment variable {choice.environment} is '{variant}', "
                f"which is not a variant of {choice.field}",
                f"Set it to one of {', '.join(allowed)}, or unset it.",
            )
        return variant


class UpscalerOptions(TaskOptions):
    """Options of every task that may enlarge with Real-ESRGAN."""

    default_tile_px = 512

    upscale_variant: UpscaleVariant = Field(
        default="auto",
        description=(
            "Real-ESRGAN network; auto uses the environment variable MODEL_UPSCALE, else x4plus "
            "(x2plus behind faces); lite and lite_fidelity (for clean photos) need no download."
        ),
    )
    denoise_strength: Fraction = Field(
        default=0.5,
        description="Denoising by general_x4v3: 0 keeps the grain, 1 removes all noise.",
    )
    grain: bool = Field(
        default=False,
        description="Let the lite network add fine grain where a worn photo has lost its texture.",
    )


class FaceSelectionOptions(TaskOptions):
    """Options of every task that may restore faces, those of old photos included."""

    faces: FacesText = Field(
        default=ALL,
        description=(
            "Faces to restore: all, largest, center (nearest to the centre of the photo), or "
            "numbers such as 0,2, counted from left to right as by inspect and in the report."
        ),
        json_schema_extra={
            "allowed": f"{', '.join(WORDS)}, or numbers of faces from 0, such as 0,2"
        },
    )
    face_points: FacePointsText | None = Field(
        default=None,
        description=(
            "Restore only the faces whose box contains one of these points, as JSON: [[x, y], ...] "
            "in pixels of the upright photo; if not set or empty, all faces."
        ),
        json_schema_extra={
            "allowed": f"JSON: up to {MAX_FACE_POINTS} points [[x, y], [x, y], ...] in pixels of "
            "the upright photo"
        },
    )


class FaceOptions(FaceSelectionOptions):
    """Options of every task that may restore faces with a face network."""

    face_model: FaceModel = Field(
        default="auto",
        description=(
            "Face restoration network; auto uses the environment variable MODEL_FACE, "
            "else codeformer; lite needs no download."
        ),
    )
    codeformer_fidelity: Fraction = Field(
        default=0.5,
        description="Fidelity of codeformer to its input: 0 for best quality, 1 for best likeness.",
    )
    face_detector: FaceDetector = Field(
        default="auto",
        description=(
            "Face detector; auto uses retinaface_resnet50, or centerface (needs no download) "
            "with the lite face network; dlib needs no download either."
        ),
    )
    only_center_face: bool = Field(
        default=False, description="Restore only the face nearest to the centre of the photo."
    )
    min_face_px: WholeNumber = Field(
        default=0,
        ge=0,
        description="Skip faces whose box has a shorter side than this many pixels.",
    )
    keep_color: bool | None = Field(
        default=None,
        description=(
            "Restore only the luminance of faces and keep the colours of the photo; "
            "if not set, only for grey and single-tone photos."
        ),
        json_schema_extra={
            "allowed": "true or false, or leave it out (true for grey and single-tone photos)"
        },
    )
