"""The task enhance, and upscale with face_enhance."""

import numpy as np
from facefakes import ASTRONAUT, degrade

from restore import Restorer
from restore.imaging.photo import Photo


def test_enhance_enlarges_the_photo_and_restores_its_faces(lite: Restorer) -> None:
    photo = Photo("a", degrade(ASTRONAUT))
    enhanced = lite.run("enhance", [photo], scale=2)
    upscaled = lite.run("upscale", [photo], scale=2)
    pixels, report = enhanced.photos[0].pixels, enhanced.reports[0]
    assert pixels.shape == (512, 512, 3)
    changed = (pixels != upscaled.photos[0].pixels).any(axis=2)
    box = report.faces[0]["box"]
    assert isinstance(box, list)
    left, top, right, bottom = (2 * int(side) for side in box)
    assert changed[top:bottom, left:right].mean() > 0.5
    assert not changed[:16].any()
    files = [facts["file"] for facts in report.weights]
    assert files == [
        "lite_upscale_x2.safetensors",
        "lite_faces.safetensors",
        "centerface.safetensors",
    ]
    assert report.tiles
    assert upscaled.reports[0].faces == []


def test_upscale_with_face_enhance_equals_enhance(lite: Restorer) -> None:
    photo = Photo("a", degrade(ASTRONAUT))
    enhanced = lite.run("enhance", [photo], scale=2).photos[0].pixels
    upscaled = lite.run("upscale", [photo], scale=2, face_enhance=True).photos[0].pixels
    np.testing.assert_array_equal(enhanced, upscaled)
