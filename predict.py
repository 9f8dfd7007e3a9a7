"""The Cog predictor: the inputs of a request, and one call into `restore`.

Generated from restore/options by `python -m restore.serving.generate_predict`; do not edit it.
Cog reads the inputs without running this file, so they are written as literals.
"""

from typing import Optional

from cog import BasePredictor, Input, Path

from restore.serving.worker import Worker


class Predictor(BasePredictor):
    """Restores one to four photos per request."""

    def setup(self) -> None:
        """Load the networks named by RESTORE_PRELOAD, or all of them if it is not set."""
        self.worker = Worker()

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
                "colors",
                "pipeline",
                "inspect",
            ],
            default="face_restore",
        ),
        image: Optional[Path] = Input(
            description="One photo: JPEG, PNG, WebP, HEIC, AVIF, TIFF, BMP or GIF, up to 32 MiB and 50 megapixels.",
            default=None,
        ),
        images: Optional[list[Path]] = Input(
            description="Up to 4 photos; image and images together may hold at most 4.",
            default=None,
        ),
        face_model: str = Input(
            description="face_restore, enhance, upscale: Face restoration network; auto uses the environment variable MODEL_FACE, else codeformer; lite needs no download.",
            choices=["auto", "codeformer", "gfpgan_v1.3", "gfpgan_v1.4", "restoreformer", "lite"],
            default="auto",
        ),
        codeformer_fidelity: float = Input(
            description="face_restore, enhance, upscale: Fidelity of codeformer to its input: 0 for best quality, 1 for best likeness.",
            ge=0,
            le=1,
            default=0.5,
        ),
        face_upscale: float = Input(
            description="face_restore: Enlarge the result by exactly this factor.",
            ge=1,
            le=4,
            default=1,
        ),
        face_detector: str = Input(
            description="face_restore, enhance, upscale: Face detector; auto uses retinaface_resnet50, or centerface (needs no download) with the lite face network; dlib needs no download either.",
            choices=["auto", "retinaface_resnet50", "retinaface_mobile0.25", "centerface", "dlib"],
            default="auto",
        ),
        only_center_face: bool = Input(
            description="face_restore, enhance, upscale: Restore only the face nearest to the centre of the photo.",
            default=False,
        ),
        min_face_px: int = Input(
            description="face_restore, enhance, upscale: Skip faces whose box has a shorter side than this many pixels.",
            ge=0,
            default=0,
        ),
        keep_color: Optional[bool] = Input(
            description="face_restore, enhance, upscale: Restore only the luminance of faces and keep the colours of the photo; if not set, only for grey and single-tone photos.",
            default=None,
        ),
        has_aligned: bool = Input(
            description="face_restore: The photo is one face, aligned as in FFHQ: skip face detection.",
            default=False,
        ),
        background_enhance: bool = Input(
            description="face_restore: Enhance the background behind the faces with Real-ESRGAN.",
            default=False,
        ),
        face_enhance: bool = Input(
            description="upscale: Restore faces too, as the task enhance does.",
            default=False,
        ),
        upscale_variant: str = Input(
            description="face_restore, enhance, upscale: Real-ESRGAN network; auto uses the environment variable MODEL_UPSCALE, else x4plus (x2plus behind faces); lite and lite_fidelity (for clean photos) need no download.",
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
            description="enhance, upscale: Enlarge the result by exactly this factor.",
            ge=1,
            le=8,
            default=4,
        ),
        target_px: Optional[int] = Input(
            description="enhance, upscale: Long side of the result in pixels, instead of scale; smaller than the photo, it reduces it without the network.",
            ge=16,
            le=65500,
            default=None,
        ),
        target_mp: Optional[float] = Input(
            description="enhance, upscale: Megapixels of the result, instead of scale or target_px.",
            ge=0.001,
            le=100,
            default=None,
        ),
        denoise_strength: float = Input(
            description="face_restore, enhance, upscale: Denoising by general_x4v3: 0 keeps the grain, 1 removes all noise.",
            ge=0,
            le=1,
            default=0.5,
        ),
        grain: bool = Input(
            description="face_restore, enhance, upscale: Let the lite network add fine grain where a worn photo has lost its texture.",
            default=False,
        ),
        restore_variant: str = Input(
            description="restore: NAFNet network; auto uses the environment variable MODEL_RESTORE, else denoise; lite (denoises) and lite_deblur (removes camera shake) need no download.",
            choices=["auto", "denoise", "deblur", "lite", "lite_deblur"],
            default="auto",
        ),
        colorize_variant: str = Input(
            description="colorize: DDColor network; auto uses the environment variable MODEL_COLORIZE, else modelscope; lite needs no download.",
            choices=["auto", "modelscope", "artistic", "paper_tiny", "lite"],
            default="auto",
        ),
        render_factor: int = Input(
            description="colorize: Size at which the network sees the photo: 35 is 512 pixels, other values are in proportion, from 256 to 1472 pixels.",
            ge=1,
            le=100,
            default=35,
        ),
        colors_variant: str = Input(
            description="colors: Network for faded colours; auto uses the environment variable MODEL_COLORS, else lite, which needs no download.",
            choices=["auto", "lite"],
            default="auto",
        ),
        old_photo_variant: str = Input(
            description="old_photo_restore: Networks for old photos; auto uses the environment variable MODEL_OLD_PHOTO, else v1; lite needs no download.",
            choices=["auto", "v1", "lite"],
            default="auto",
        ),
        with_scratch: bool = Input(
            description="old_photo_restore: Detect scratches and fill them.",
            default=True,
        ),
        with_face: bool = Input(
            description="old_photo_restore: Restore faces too.",
            default=True,
        ),
        scratch_threshold: float = Input(
            description="old_photo_restore: Pixels with at least this probability of a scratch are filled; 0 marks the whole photo, so that nothing is filled.",
            ge=0,
            le=1,
            default=0.4,
        ),
        old_photo_hr: bool = Input(
            description="old_photo_restore: Fill scratches patch by patch, for large photos, and restore faces at 512 pixels.",
            default=False,
        ),
        return_mask: bool = Input(
            description="old_photo_restore: Return the masks of the detected scratches after the restored photos.",
            default=False,
        ),
        inpaint_variant: str = Input(
            description="inpaint: Inpainting network; auto uses the environment variable MODEL_INPAINT, else big (LaMa); lite needs no download.",
            choices=["auto", "big", "lite"],
            default="auto",
        ),
        points: Optional[str] = Input(
            description="inpaint: Areas to fill, as JSON: a polygon [[x, y], ...] in pixels of the upright photo, or a list of polygons.",
            default=None,
        ),
        mask: Optional[Path] = Input(
            description="inpaint: Image of the size of the photo that marks the hole to fill: white on black, or paint of any colour on a transparent layer.",
            default=None,
        ),
        masks: Optional[list[Path]] = Input(
            description="inpaint: One mask for all photos, or one mask for each photo in the same order.",
            default=None,
        ),
        steps: str = Input(
            description="pipeline: Tasks to run in order, separated by commas, such as colorize,face_restore,upscale; auto proposes repairs for each photo, auto,colorize also adds colours, and auto,-upscale leaves a proposed step out.",
            default="auto",
        ),
        tile_size: Optional[int] = Input(
            description="Side of a tile in pixels, at least 64 (smaller values are raised to it), or 0 for the whole photo at once; if not set, at least 512 for Real-ESRGAN and 0 for all other networks.",
            ge=0,
            default=None,
        ),
        strength: float = Input(
            description="Weight of the result in a blend with the original photo: 1 is the result alone.",
            ge=0,
            le=1,
            default=1,
        ),
        runtime_profile: str = Input(
            description="baseline computes as the official implementations do; fast uses lower precision where measured, and batches of faces; max_speed also skips face parsing.",
            choices=["baseline", "fast", "max_speed"],
            default="baseline",
        ),
        stability_mode: str = Input(
            description="safe never compiles or records; optimized runs copies in a faster memory layout, compiled if compile_backend says so.",
            choices=["safe", "optimized"],
            default="safe",
        ),
        compile_backend: str = Input(
            description="Compiler of optimized networks, the same for all requests to a server; auto uses the environment variable RESTORE_COMPILE_BACKEND, else none.",
            choices=["auto", "none", "eager", "aot_eager", "inductor", "cudagraphs"],
            default="auto",
        ),
        output_format: str = Input(
            description="File format of the results; png keeps 16 bits, png and webp keep transparency; same is the photo's own format, or jpg for HEIC, webp for AVIF, and png for TIFF, BMP and GIF.",
            choices=["jpg", "png", "webp", "same"],
            default="jpg",
        ),
        output_quality: int = Input(
            description="Compression quality of jpg and webp files.",
            ge=1,
            le=100,
            default=95,
        ),
        keep_gps: bool = Input(
            description="Keep the GPS position of the photo in the EXIF data of the result.",
            default=False,
        ),
        harm_check: bool = Input(
            description="Reduce, skip or refuse a step whose result would damage the photo; if false, only warn of it.",
            default=True,
        ),
        face_points: Optional[str] = Input(
            description="face_restore, enhance, upscale, old_photo_restore: Restore only the faces whose box contains one of these points, as JSON: [[x, y], ...] in pixels of the upright photo; if not set or empty, all faces.",
            default=None,
        ),
        max_megapixels: Optional[float] = Input(
            description="Reduce photos with more megapixels than this before all steps; photos of up to 120 megapixels are accepted then.",
            ge=0.01,
            le=50,
            default=None,
        ),
        record_steps: bool = Input(
            description="Record in the XMP history of the result which steps and networks made it.",
            default=False,
        ),
        faces: str = Input(
            description="face_restore, enhance, upscale, old_photo_restore: Faces to restore: all, largest, center (nearest to the centre of the photo), or numbers such as 0,2, counted from left to right as by inspect and in the report.",
            default="all",
        ),
        saturation: float = Input(
            description="colorize: Factor of the predicted colours' chroma: 0 is grey, 1 as predicted, 2 twice as colourful; lightness and hue are kept.",
            ge=0,
            le=2,
            default=1,
        ),
    ) -> list[Path]:
        """Restore the photos and return one file for each, in order."""
        response = self.worker.respond(
            task=task,
            image=image,
            images=images,
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
            target_px=target_px,
            target_mp=target_mp,
            denoise_strength=denoise_strength,
            grain=grain,
            restore_variant=restore_variant,
            colorize_variant=colorize_variant,
            render_factor=render_factor,
            colors_variant=colors_variant,
            old_photo_variant=old_photo_variant,
            with_scratch=with_scratch,
            with_face=with_face,
            scratch_threshold=scratch_threshold,
            old_photo_hr=old_photo_hr,
            return_mask=return_mask,
            inpaint_variant=inpaint_variant,
            points=points,
            mask=mask,
            masks=masks,
            steps=steps,
            tile_size=tile_size,
            strength=strength,
            runtime_profile=runtime_profile,
            stability_mode=stability_mode,
            compile_backend=compile_backend,
            output_format=output_format,
            output_quality=output_quality,
            keep_gps=keep_gps,
            harm_check=harm_check,
            face_points=face_points,
            max_megapixels=max_megapixels,
            record_steps=record_steps,
            faces=faces,
            saturation=saturation,
        )
        self.record_metric("photos", response.reports)
        return [Path(path) for path in response.paths]
