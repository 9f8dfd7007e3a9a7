"""The options of every task but `pipeline`."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from restore.options.base import Fraction, Number, WholeNumber
from restore.options.json_text import JsonText
from restore.options.names import (
    MAX_TARGET_MP,
    MAX_TARGET_PX,
    MIN_TARGET_MP,
    MIN_TARGET_PX,
    ColorizeVariant,
    ColorsVariant,
    InpaintVariant,
    OldPhotoVariant,
    RestoreVariant,
    Step,
)
from restore.options.shared import (
    FaceOptions,
    FaceSelectionOptions,
    TaskOptions,
    UpscalerOptions,
)
from restore.options.variants import (
    BACKGROUND,
    COLORS,
    DDCOLOR,
    FACE,
    LAMA,
    NAFNET,
    OLD_PHOTO,
    UPSCALER,
    VariantChoice,
)

_UPSCALER_NAMES = (*UpscalerOptions.own_names(), "tile_size")
_FACE_NAMES = (*FaceSelectionOptions.own_names(), *FaceOptions.own_names())
_DETECTION_NAMES = ("face_detector", "only_center_face", "min_face_px", "face_points", "faces")


class FaceRestoreOptions(FaceOptions, UpscalerOptions):
    """Options of `face_restore`: restore the faces, and optionally enhance the background."""

    variant_choices = (FACE, BACKGROUND)

    face_upscale: Annotated[Number, Field(ge=1, le=4, allow_inf_nan=False)] = Field(
        default=1.0, description="Enlarge the result by exactly this factor."
    )
    has_aligned: bool = Field(
        default=False,
        description="The photo is one face, aligned as in FFHQ: skip face detection.",
    )
    background_enhance: bool = Field(
        default=False, description="Enhance the background behind the faces with Real-ESRGAN."
    )

    def without_effect(self) -> Mapping[str, str]:
        """Without an enhanced background, Real-ESRGAN does not run; aligned faces have none."""
        if self.has_aligned:
            names = {*_UPSCALER_NAMES, "background_enhance", *_DETECTION_NAMES}
            return dict.fromkeys(names, "has_aligned is set")
        if not self.background_enhance:
            return dict.fromkeys(_UPSCALER_NAMES, "background_enhance is not set")
        return {}


class EnhanceOptions(FaceOptions, UpscalerOptions):
    """Options of `enhance`: enlarge the photo with Real-ESRGAN and restore its faces."""

    variant_choices = (UPSCALER, FACE)

    scale: Annotated[Number, Field(ge=1, le=8, allow_inf_nan=False)] = Field(
        default=4.0, description="Enlarge the result by exactly this factor."
    )
    target_px: WholeNumber | None = Field(
        default=None,
        ge=MIN_TARGET_PX,
        le=MAX_TARGET_PX,
        description=(
            "Long side of the result in pixels, instead of scale; smaller than the photo, it "
            "reduces it without the network."
        ),
    )
    target_mp: Number | None = Field(
        default=None,
        ge=MIN_TARGET_MP,
        le=MAX_TARGET_MP,
        description="Megapixels of the result, instead of scale or target_px.",
    )

    @property
    def has_target(self) -> bool:
        """Whether the request states the size of the result instead of a factor."""
        return self.target_px is not None or self.target_mp is not None

    def scale_for(self, width: int, height: int) -> float:
        """Return the factor from a photo of this size to the result; below 1 it is reduced."""
        if self.target_px is not None:
            return self.target_px / max(width, height)
        if self.target_mp is not None:
            scale = float((self.target_mp * 1e6 / (width * height)) ** 0.5)
            if round(width * scale) * round(height * scale) > MAX_TARGET_MP * 1e6:
                scale -= 0.5 / min(width, height)  # both sides would be rounded up
            return scale
        return self.scale


class UpscaleOptions(EnhanceOptions):
    """Options of `upscale`: enlarge with Real-ESRGAN, then resize to the exact factor."""

    face_enhance: bool = Field(
        default=False, description="Restore faces too, as the task enhance does."
    )

    def without_effect(self) -> Mapping[str, str]:
        """Without `face_enhance`, no face is restored."""
        return {} if self.face_enhance else dict.fromkeys(_FACE_NAMES, "face_enhance is not set")


class RestoreOptions(TaskOptions):
    """Options of `restore`: denoise or deblur with NAFNet, without changing the size."""

    default_tile_px = 0
    variant_choices = (NAFNET,)

    restore_variant: RestoreVariant = Field(
        default="auto",
        description=(
            "NAFNet network; auto uses the environment variable MODEL_RESTORE, else denoise; "
            "lite (denoises) and lite_deblur (removes camera shake) need no download."
        ),
    )


class ColorizeOptions(TaskOptions):
    """Options of `colorize`: add colours with DDColor and keep the luminance of the photo."""

    default_tile_px = 0
    variant_choices = (DDCOLOR,)

    colorize_variant: ColorizeVariant = Field(
        default="auto",
        description=(
            "DDColor network; auto uses the environment variable MODEL_COLORIZE, else modelscope; "
            "lite needs no download."
        ),
    )
    render_factor: WholeNumber = Field(
        default=35,
        ge=1,
        le=100,
        description=(
            "Size at which the network sees the photo: 35 is 512 pixels, "
            "other values are in proportion, from 256 to 1472 pixels."
        ),
    )
    saturation: Annotated[Number, Field(ge=0, le=2, allow_inf_nan=False)] = Field(
        default=1.0,
        description=(
            "Factor of the predicted colours' chroma: 0 is grey, 1 as predicted, 2 twice as "
            "colourful; lightness and hue are kept."
        ),
    )

    def without_effect(self) -> Mapping[str, str]:
        """The network sees the whole photo, reduced to a square."""
        return {"tile_size": "colorize does not use tiles"}


class OldPhotoOptions(FaceSelectionOptions):
    """Options of `old_photo_restore`: Bringing Old Photos Back to Life."""

    default_tile_px = 0
    variant_choices = (OLD_PHOTO,)

    old_photo_variant: OldPhotoVariant = Field(
        default="auto",
        description=(
            "Networks for old photos; auto uses the environment variable MODEL_OLD_PHOTO, else v1; "
            "lite needs no download."
        ),
    )
    with_scratch: bool = Field(default=True, description="Detect scratches and fill them.")
    with_face: bool = Field(default=True, description="Restore faces too.")
    scratch_threshold: Fraction = Field(
        default=0.4,
        description=(
            "Pixels with at least this probability of a scratch are filled; 0 marks the whole "
            "photo, so that nothing is filled."
        ),
    )
    old_photo_hr: bool = Field(
        default=False,
        description=(
            "Fill scratches patch by patch, for large photos, and restore faces at 512 pixels."
        ),
    )
    return_mask: bool = Field(
        default=False,
        description="Return the masks of the detected scratches after the restored photos.",
    )

    def without_effect(self) -> Mapping[str, str]:
        """Without `with_scratch`, no scratches are detected; without `with_face`, no faces."""
        face_names = () if self.with_face else FaceSelectionOptions.own_names()
        reasons = dict.fromkeys(face_names, "with_face is false")
        names = ("scratch_threshold", "old_photo_hr", "return_mask")
        if not self.with_scratch:
            reasons |= dict.fromkeys(names, "with_scratch is false")
        return reasons

    def variant(
        self, choice: VariantChoice | None = None, environment: Mapping[str, str] = os.environ
    ) -> str:
        """As in `TaskOptions`; `v1` becomes the catalog's variant for the requested work."""
        variant = super().variant(choice, environment)
        if variant != "v1":
            return variant
        if not self.with_scratch:
            return "quality"
        return "scratch_hr" if self.old_photo_hr else "scratch"


class InpaintOptions(TaskOptions):
    """Options of `inpaint`: fill the holes given by masks or polygons with LaMa."""

    default_tile_px = 0
    variant_choices = (LAMA,)

    inpaint_variant: InpaintVariant = Field(
        default="auto",
        description=(
            "Inpainting network; auto uses the environment variable MODEL_INPAINT, "
            "else big (LaMa); lite needs no download."
        ),
    )
    points: JsonText | None = Field(
        default=None,
        description=(
            "Areas to fill, as JSON: a polygon [[x, y], ...] in pixels of the upright photo, "
            "or a list of polygons."
        ),
        json_schema_extra={
            "allowed": "JSON: a polygon [[x, y], [x, y], [x, y], ...] in pixels, "
            "or a list of such polygons"
        },
    )

    def without_effect(self) -> Mapping[str, str]:
        """The network works in windows around the holes."""
        return {"tile_size": "inpaint does not use tiles"}


class ColorsOptions(TaskOptions):
    """Options of `colors`: correct faded colours and casts."""

    default_tile_px = 0
    variant_choices = (COLORS,)

    colors_variant: ColorsVariant = Field(
        default="auto",
        description=(
            "Network for faded colours; auto uses the environment variable MODEL_COLORS, else lite,"
            " which needs no download."
        ),
    )

    def without_effect(self) -> Mapping[str, str]:
        """The network sees the whole photo, reduced to a square."""
        return {"tile_size": "colors does not use tiles"}


TASK_OPTIONS: Mapping[Step, type[TaskOptions]] = {
    "face_restore": FaceRestoreOptions,
    "enhance": EnhanceOptions,
    "upscale": UpscaleOptions,
    "restore": RestoreOptions,
    "colorize": ColorizeOptions,
    "old_photo_restore": OldPhotoOptions,
    "inpaint": InpaintOptions,
    "colors": ColorsOptions,
}
