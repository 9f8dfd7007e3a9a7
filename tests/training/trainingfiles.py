"""Small folders of training photos and damage maps, and the size limits of weights files."""

from pathlib import Path

import numpy as np
from PIL import Image

PHOTOS = 10
MAX_FILE_BYTES = {
    "lite_upscale_x4.safetensors": 2e6,
    "lite_upscale_x2.safetensors": 2e6,
    "lite_upscale_real_x4.safetensors": 2e6,
    "lite_denoise.safetensors": 2e6,
    "lite_deblur.safetensors": 3e6,
    "lite_faces.safetensors": 4e6,
    "lite_scratches.safetensors": 2e6,
    "lite_inpaint.safetensors": 4e6,
    "lite_colorize.safetensors": 4e6,
    "lite_colors.safetensors": 1e6,
    "centerface.safetensors": 4e6,
}


def make_training_photos(folder: Path) -> Path:
    """Write natural/, natural2/, faces/ and damage/ with ten files each; return the folder.

    congress_005 is one of the held-back people.
    """
    for name in ("natural", "natural2", "faces", "damage"):
        (folder / name).mkdir(parents=True)
    y, x = np.mgrid[0:272, 0:272]
    for index in range(PHOTOS):
        waves = 128 + 100 * np.sin(x / (5 + index)) * np.cos(y / 7)
        photo = Image.fromarray(np.stack([waves, waves.T, waves], -1).astype(np.uint8))
        for name in ("natural", "natural2", "faces"):
            photo.save(folder / name / f"congress_{index:03d}.png")
        damage = Image.fromarray(np.where(waves > 220, 255, 0).astype(np.uint8))
        damage.save(folder / "damage" / f"hair_{index:03d}.png")
    return folder
