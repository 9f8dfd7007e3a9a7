"""The Cog predictor: the schema of a request, one call into `restore`, and errors mapped. No torch at import, no logic.

Cog's build reads this file without running it: choices are literal lists, bounds literal numbers, descriptions one literal
line. A test holds them equal to restore/options.py.
"""

import logging
import os
from typing import Optional

from cog import BasePredictor, Input, Path

from restore.errors import RestoreError, unexpected
from restore.imaging.outputs import served_folder
from restore.serving.launcher import end_with_parent
from restore.serving.uploads import leave_reading_to_us, uploads

log = logging.getLogger("restore.predict")


class Predictor(BasePredictor):
    """Restores one to four photos a request."""

    def setup(self) -> None:
        """Loads the networks named by RESTORE_PRELOAD (all of them unless set)."""
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
        end_with_parent()
        from restore import Restorer  # noqa: PLC0415 - imports torch

        try:
            leave_reading_to_us()
            self.restorer = Restorer(preload=os.environ.get("RESTORE_PRELOAD", "").strip() or "all")
        except Exception:
            log.exception("setup failed")  # Cog keeps the message only
            raise

    def predict(
        self,
        task: str = Input(
            description="What to do with the photos.",
            choices=[
                "face_restore",
                "enhance",
                "upscale",
                "restore",
                "colorize",
                "old_photo_restore",
                "inpaint",
                "pipeline",
            ],
            default="face_restore",
        ),
        image: Optional[Path] = Input(
            description="One photo: JPEG, PNG, WebP, TIFF, BMP or GIF, up to 32 MiB and 50 megapixels.",
            default=None,
        ),
        images: Optional[list[Path]] = Input(
            description="One to four photos; image and images together may hold at most four.",
            default=None,
        ),
        face_model: str = Input(
            description="Faces: which network; auto is MODEL_FACE from the environment, else codeformer; lite needs no download.",
            choices=["auto", "codeformer", "gfpgan_v1.3", "gfpgan_v1.4", "restoreformer", "lite"],
            default="auto",
        ),
        codeformer_fidelity: float = Input(
            description="Faces with codeformer: 0 for the most quality, 1 for the most likeness to the photo.",
            ge=0,
            le=1,
            default=0.5,
        ),
        face_upscale: float = Input(
            description="face_restore: the result is exactly this many times larger.",
            ge=1,
            le=4,
            default=1,
        ),
        face_detector: str = Input(
            description="Faces: what finds them; auto is retinaface_resnet50, or dlib (no download) beside lite weights.",
            choices=["auto", "retinaface_resnet50", "retinaface_mobile0.25", "dlib"],
            default="auto",
        ),
        only_center_face: bool = Input(
            description="Faces: restore only the face nearest to the centre.", default=False
        ),
        min_face_px: int = Input(
            description="Faces: leave those alone whose box has a shorter side than this.",
            ge=0,
            default=0,
        ),
        keep_color: Optional[bool] = Input(
            description="Faces: keep the photo's own colours and restore the luminance alone; unset does so for grey and one-tone photos.",
            default=None,
        ),
        has_aligned: bool = Input(
            description="face_restore: the photo is one face, aligned as in FFHQ; nothing is searched.",
            default=False,
        ),
        background_enhance: bool = Input(
            description="face_restore: enhance what is behind the faces with Real-ESRGAN.",
            default=False,
        ),
        face_enhance: bool = Input(
            description="upscale: restore faces too, as the task enhance does.", default=False
        ),
        upscale_variant: str = Input(
            description="Which Real-ESRGAN network; auto is MODEL_UPSCALE from the environment, else x4plus (behind faces x2plus); lite and, for clean photos, lite_fidelity need no download.",
            choices=[
                "auto",
                "x4plus",
                "x4anime",
                "x2plus",
                "general_x4v3",
                "animevideov3",
                "lite",
                "lite_fidelity",
            ],
            default="auto",
        ),
        scale: float = Input(
            description="upscale, enhance: the result is exactly this many times larger.",
            ge=1,
            le=8,
            default=4,
        ),
        denoise_strength: float = Input(
            description="general_x4v3: 0 keeps grain, 1 removes noise.", ge=0, le=1, default=0.5
        ),
        grain: bool = Input(
            description="lite upscaler: draw fine grain where a worn photo has lost its texture.",
            default=True,
        ),
        restore_variant: str = Input(
            description="restore: which NAFNet network; auto is MODEL_RESTORE from the environment, else denoise; lite denoises and lite_deblur undoes camera shake without a download.",
            choices=["auto", "denoise", "deblur", "lite", "lite_deblur"],
            default="auto",
        ),
        colorize_variant: str = Input(
            description="colorize: which DDColor network; auto is MODEL_COLORIZE from the environment, else modelscope; lite needs no download.",
            choices=["auto", "modelscope", "artistic", "paper_tiny", "lite"],
            default="auto",
        ),
        render_factor: int = Input(
            description="colorize: the side at which the network sees the photo; 35 is its own (512 pixels), others in proportion (256 to 1472).",
            ge=1,
            le=100,
            default=35,
        ),
        old_photo_variant: str = Input(
            description="old_photo_restore: auto is MODEL_OLD_PHOTO from the environment, else v1.",
            choices=["auto", "v1", "lite"],
            default="auto",
        ),
        with_scratch: bool = Input(
            description="old_photo_restore: find scratches and fill them.", default=False
        ),
        with_face: bool = Input(description="old_photo_restore: restore faces too.", default=True),
        scratch_threshold: float = Input(
            description="old_photo_restore: how sure a scratch must be, 0 to 1.",
            ge=0,
            le=1,
            default=0.4,
        ),
        old_photo_hr: bool = Input(
            description="old_photo_restore: fill scratches patch by patch, for large photos; faces of 512 pixels.",
            default=False,
        ),
        return_mask: bool = Input(
            description="old_photo_restore: the scratches that were found, as further results.",
            default=False,
        ),
        inpaint_variant: str = Input(
            description="inpaint: which network; auto is MODEL_INPAINT from the environment, else big (LaMa); lite needs no download.",
            choices=["auto", "big", "lite"],
            default="auto",
        ),
        points: Optional[str] = Input(
            description="inpaint: what to fill, as JSON: a polygon [[x, y], ...] in pixels of the upright photo, or a list of polygons.",
            default=None,
        ),
        mask: Optional[Path] = Input(
            description="inpaint: a picture of the photo's size, white where it is to be filled.",
            default=None,
        ),
        masks: Optional[list[Path]] = Input(
            description="inpaint: one mask for all photos, or one for each, in their order.",
            default=None,
        ),
        steps: str = Input(
            description="pipeline: tasks separated by commas, such as colorize,face_restore,upscale; auto proposes them for each photo.",
            default="auto",
        ),
        tile_size: Optional[int] = Input(
            description="Side of a tile in pixels, 64 or more; 0 for the whole photo at once; unset is 512 or more for Real-ESRGAN and 0 for NAFNet.",
            ge=0,
            default=None,
        ),
        strength: float = Input(
            description="Share of the result in a blend with the original at the same size.",
            ge=0,
            le=1,
            default=1,
        ),
        runtime_profile: str = Input(
            description="baseline computes as the official implementations do; fast restores up to eight faces at once; max_speed also parses none.",
            choices=["baseline", "fast", "max_speed"],
            default="baseline",
        ),
        stability_mode: str = Input(
            description="safe runs networks as they were loaded; optimized runs copies in a faster layout, compiled where compile_backend says so.",
            choices=["safe", "optimized"],
            default="safe",
        ),
        compile_backend: str = Input(
            description="optimized: what compiles, one for the life of the server; auto is RESTORE_COMPILE_BACKEND from the environment, else none.",
            choices=["auto", "none", "eager", "aot_eager", "inductor", "cudagraphs"],
            default="auto",
        ),
        output_format: str = Input(
            description="File format of the results; png keeps 16 bits, png and webp keep transparency.",
            choices=["jpg", "png", "webp"],
            default="jpg",
        ),
        output_quality: int = Input(
            description="Quality of jpg and webp.", ge=1, le=100, default=95
        ),
        keep_gps: bool = Input(
            description="Keep the place where the photo was taken in the result's EXIF.",
            default=False,
        ),
    ) -> list[Path]:
        """Restores the photos and returns one file each, in order."""
        try:
            with uploads(image, images) as photos, uploads(mask, masks, "mask") as marks:
                results = self.restorer.run(
                    task,
                    photos,
                    face_model=face_model,
                    codeformer_fidelity=codeformer_fidelity,
                    face_upscale=face_upscale,
                    face_detector=face_detector,
                    only_center_face=only_center_face,
                    min_face_px=min_face_px,
                    keep_color=keep_color,
                    has_aligned=has_aligned,
                    background_enhance=background_enhance,
                    face_enhance=face_enhance,
                    upscale_variant=upscale_variant,
                    scale=scale,
                    denoise_strength=denoise_strength,
                    grain=grain,
                    restore_variant=restore_variant,
                    colorize_variant=colorize_variant,
                    render_factor=render_factor,
                    old_photo_variant=old_photo_variant,
                    with_scratch=with_scratch,
                    with_face=with_face,
                    scratch_threshold=scratch_threshold,
                    old_photo_hr=old_photo_hr,
                    return_mask=return_mask,
                    inpaint_variant=inpaint_variant,
                    points=points,
                    masks=marks,
                    steps=steps,
                    tile_size=tile_size,
                    strength=strength,
                    runtime_profile=runtime_profile,
                    stability_mode=stability_mode,
                    compile_backend=compile_backend,
                    output_format=output_format,
                    output_quality=output_quality,
                    keep_gps=keep_gps,
                )
            with served_folder() as folder:
                paths = results.save(folder, prefix=f"{folder.name[:8]}-")
        except RestoreError as error:
            log.error("%s", error)  # noqa: TRY400 - a refusal is its message, it has no use for a traceback
            raise
        except Exception as error:
            log.exception("prediction failed")  # Cog answers with the message only and logs nothing
            raise unexpected(error) from error
        self.record_metric("photos", [report.to_dict() for report in results.reports])
        return [Path(path) for path in paths]
