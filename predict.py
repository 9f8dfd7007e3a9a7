"""The Cog predictor: the schema of a request, one call into `restore`, and errors mapped. No torch at import, no logic.

Cog's build reads this file without running it: choices are literal lists, bounds literal numbers, descriptions one literal
line. A test holds them equal to restore/options.py.
"""

import logging
import os
from typing import Optional

from cog import BasePredictor, Input, Path

from restore.errors import RestoreError
from restore.outputs import served_folder
from restore.uploads import uploads

log = logging.getLogger("restore.predict")


class Predictor(BasePredictor):
    """Restores one to four photos a request."""

    def setup(self) -> None:
        """Loads the networks named by RESTORE_PRELOAD (all of them unless set)."""
        logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
        from restore import Restorer  # noqa: PLC0415 - imports torch

        try:
            self.restorer = Restorer(preload=os.environ.get("RESTORE_PRELOAD", "").strip() or "all")
        except Exception:
            log.exception("setup failed")  # Cog keeps the message only
            raise

    def predict(
        self,
        task: str = Input(description="What to do with the photos.", choices=["upscale", "restore"], default="upscale"),
        image: Optional[Path] = Input(
            description="One photo: JPEG, PNG, WebP, TIFF, BMP or GIF, up to 32 MiB and 50 megapixels.", default=None
        ),
        images: Optional[list[Path]] = Input(
            description="One to four photos; image and images together may hold at most four.", default=None
        ),
        upscale_variant: str = Input(
            description="upscale: which Real-ESRGAN network; auto is MODEL_UPSCALE from the environment, else x4plus; lite needs no download.",
            choices=["auto", "x4plus", "x4anime", "x2plus", "general_x4v3", "animevideov3", "lite"],
            default="auto",
        ),
        scale: float = Input(description="upscale: the result is exactly this many times larger.", ge=1, le=8, default=4),
        denoise_strength: float = Input(description="upscale with general_x4v3: 0 keeps grain, 1 removes noise.", ge=0, le=1, default=0.5),
        restore_variant: str = Input(
            description="restore: which NAFNet network; auto is MODEL_RESTORE from the environment, else denoise; lite denoises without a download.",
            choices=["auto", "denoise", "deblur", "lite"],
            default="auto",
        ),
        tile_size: Optional[int] = Input(
            description="Side of a tile in pixels, 64 or more; 0 for the whole photo at once; unset is 512 for upscale and 0 for restore.",
            ge=0,
            default=None,
        ),
        strength: float = Input(description="Share of the result in a blend with the original at the same size.", ge=0, le=1, default=1),
        runtime_profile: str = Input(
            description="baseline computes exactly as the official implementations do.", choices=["baseline"], default="baseline"
        ),
        output_format: str = Input(
            description="File format of the results; png keeps 16 bits, png and webp keep transparency.",
            choices=["jpg", "png", "webp"],
            default="jpg",
        ),
        output_quality: int = Input(description="Quality of jpg and webp.", ge=1, le=100, default=95),
        keep_gps: bool = Input(description="Keep the place where the photo was taken in the result's EXIF.", default=False),
    ) -> list[Path]:
        """Restores the photos and returns one file each, in order."""
        try:
            results = self.restorer.run(
                task,
                uploads(image, images),
                upscale_variant=upscale_variant,
                scale=scale,
                denoise_strength=denoise_strength,
                restore_variant=restore_variant,
                tile_size=tile_size,
                strength=strength,
                runtime_profile=runtime_profile,
                output_format=output_format,
                output_quality=output_quality,
                keep_gps=keep_gps,
            )
            folder = served_folder()
            paths = results.save(folder, prefix=f"{folder.name[:8]}-")
        except RestoreError as error:
            log.error("%s", error)  # noqa: TRY400 - a refusal is its message, it has no use for a traceback
            raise
        except Exception:
            log.exception("prediction failed")  # Cog answers with the message only and logs nothing
            raise
        self.record_metric("photos", [report.to_dict() for report in results.reports])
        return [Path(path) for path in paths]
