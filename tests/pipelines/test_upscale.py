"""The task upscale."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from benchmarks.quality import psnr_db
from restore import RestoreError, Restorer, open_photo
from restore.errors import Code
from restore.imaging.photo import Photo
from restore.imaging.resize import resize_lanczos
from restore.models.catalog import Catalog
from restore.models.loader import load_model
from restore.models.policy import Resolved
from restore.models.verified_file import VerifiedFile
from restore.options import UpscaleOptions
from restore.pipelines.context import StepContext
from restore.pipelines.upscale import default_tile_px, network_for_scale, run_upscale
from restore.report import Report
from restore.runtime.device import runtime_for

CPU = torch.device("cpu")
PhotoFile = Callable[..., Path]


@pytest.mark.parametrize(
    ("scale", "size"),
    [
        (1, (60, 48)),
        (1.37, (82, 66)),
        (2, (120, 96)),
        (2.3, (138, 110)),
        (4, (240, 192)),
        (8, (480, 384)),
    ],
)
def test_result_has_exactly_the_requested_factor(
    lite: Restorer, photo_file: PhotoFile, scale: float, size: tuple[int, int]
) -> None:
    results = lite.run("upscale", [photo_file()], scale=scale)
    photo, report = results.photos[0], results.reports[0]
    assert (photo.width, photo.height) == size
    assert report.variant == "lite"
    # The report lists only the network that ran.
    file = "lite_upscale_x2.safetensors" if scale <= 2 else "lite_upscale_real_x4.safetensors"
    assert [facts["file"] for facts in report.weights] == [file]


def test_reduced_result_equals_the_input(lite: Restorer, photo_file: PhotoFile) -> None:
    path = photo_file(height=64, width=64)
    result = lite.run("upscale", [path], scale=4).photos[0].pixels
    reduced = np.asarray(Image.fromarray(result).resize((64, 64), Image.Resampling.BOX))
    assert psnr_db(reduced, open_photo(path).pixels) > 32


@pytest.mark.parametrize(("scale", "factor"), [(1, 2), (1.5, 2), (2, 2), (2.1, 4), (4, 4)])
def test_network_with_factor_2_runs_if_that_is_enough(
    lite: Restorer, scale: float, factor: int
) -> None:
    model = network_for_scale(lite.cache.get("upscale", "lite")[0], scale)
    assert model.row.scale == factor
    photo = Photo("a", np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8))
    with torch.inference_mode():
        output = model.net(torch.from_numpy(photo.pixels).permute(2, 0, 1)[None] / 255.0)
    assert output.shape == (1, 3, 24 * factor, 20 * factor)
    if scale == factor:
        expected = np.rint(output[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255.0)
        result = lite.run("upscale", [photo], scale=scale, grain=True).photos[0].pixels
        assert np.abs(result - expected).max() <= 1


def test_opaque_alpha_stays_opaque(lite: Restorer, photo_file: PhotoFile) -> None:
    photo = lite.run("upscale", [photo_file("a.png", mode="RGBA")], scale=3).photos[0]
    assert photo.alpha is not None
    assert (photo.alpha == 255).all()


def test_grain_is_optional_and_not_in_alpha(lite: Restorer, photo_file: PhotoFile) -> None:
    path = photo_file("clear.png", mode="RGBA", height=64, width=64)
    image = Image.open(path)
    alpha = np.random.default_rng(5).integers(90, 160, (64, 64)).astype(np.uint8)
    image.putalpha(Image.fromarray(alpha))
    image.save(path)

    def run(task: str, **options: Any) -> Photo:
        return lite.run(task, [path], **options).photos[0]

    grainy, smooth = (run("upscale", grain=grain) for grain in (True, False))
    grain = grainy.pixels.astype(float) - smooth.pixels
    assert 0.1 < grain.std() < 8.0
    assert np.abs(grain.mean()) < 0.2
    np.testing.assert_array_equal(grainy.alpha, smooth.alpha)
    np.testing.assert_array_equal(run("enhance", grain=False).pixels, smooth.pixels)
    optimized = run("upscale", grain=False, stability_mode="optimized")
    assert np.abs(optimized.pixels.astype(int) - smooth.pixels).max() <= 1


def test_strength_blends_with_the_lanczos_enlargement(
    lite: Restorer, photo_file: PhotoFile
) -> None:
    path = photo_file()
    full, none, half = (
        lite.run("upscale", [path], scale=2, strength=strength).photos[0].pixels.astype(float)
        for strength in (1, 0, 0.5)
    )
    np.testing.assert_array_equal(none, resize_lanczos(open_photo(path).pixels, (120, 96)))
    assert np.abs(half - (full + none) / 2).max() <= 1
    assert (full != none).any()


def test_default_tile_is_larger_for_small_networks_unless_they_are_compiled(
    lite: Restorer,
) -> None:
    row, report = lite.cache.get("upscale", "lite")[0].row, Report("a", "upscale")
    safe, compiled = (
        StepContext({}, runtime_for("baseline", CPU, backend), report)
        for backend in (None, "eager")
    )
    assert default_tile_px(row, safe) == 825
    assert default_tile_px(row, compiled) == 512
    assert default_tile_px(lite.catalog.find("upscale", "x4plus"), safe) == 512
    photo = Photo("a", np.zeros((24, 540, 3), np.uint8))
    assert lite.run("upscale", [photo], scale=1).reports[0].tiles[0]["count"] == 1
    assert lite.run("upscale", [photo], scale=1, tile_size=512).reports[0].tiles[0]["count"] == 2


@pytest.mark.shared
def test_official_animevideov3_is_verified_and_sharper_than_lanczos(
    shared: Path, tmp_path: Path
) -> None:
    path = tmp_path / "upscale" / "realesr-animevideov3.pth"
    path.parent.mkdir()
    official = (shared / "weights" / path.name).read_bytes()
    path.write_bytes(official)
    original = open_photo(shared / "photos" / "test" / "kodak" / "19.png").pixels[100:292, 100:292]
    small = np.asarray(Image.fromarray(original).resize((48, 48), Image.Resampling.BICUBIC))
    photo = Photo("small", small)
    restorer = Restorer(weights="official", weights_dir=tmp_path, device="cpu")
    results = restorer.run("upscale", [photo], upscale_variant="animevideov3", scale=4)
    sha256 = "b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d"
    assert results.reports[0].weights[0]["sha256"] == sha256

    def mean_gradient(pixels: np.ndarray) -> float:
        return float(np.abs(np.diff(pixels.astype(float), axis=1)).mean())

    lanczos = resize_lanczos(small, (192, 192))
    assert mean_gradient(results.photos[0].pixels) > 1.15 * mean_gradient(lanczos)

    flipped = bytearray(official)
    flipped[1000] ^= 1
    path.write_bytes(flipped)
    for policy in ("official", "auto"):
        restorer = Restorer(weights=policy, weights_dir=tmp_path)
        with pytest.raises(RestoreError, match=r"realesr-animevideov3\.pth") as caught:
            restorer.run("upscale", [photo], upscale_variant="animevideov3")
        assert caught.value.code is Code.WEIGHTS_CORRUPT


@pytest.mark.shared
def test_denoise_strength_interpolates_between_the_official_networks(
    shared: Path, tmp_path: Path
) -> None:
    """With 0 the weak-denoise partner of general_x4v3 keeps grain; with 1 the main net runs."""
    catalog = Catalog.load()
    files = {}
    for role, name in (
        ("net", "realesr-general-x4v3"),
        ("denoise_partner", "realesr-general-wdn-x4v3"),
    ):
        path = tmp_path / f"{name}.pth"
        weights = load_file(shared / "weights" / f"{name}.fp16.safetensors")
        torch.save({"params": weights}, path)
        row = catalog.find("upscale", "general_x4v3", role)
        files[role] = VerifiedFile(row, path, "0" * 64, path.stat().st_size)
    partners = {"denoise_partner": files["denoise_partner"]}
    model = load_model(Resolved(files["net"], partners, "general_x4v3"), CPU)
    noise = np.random.default_rng(4).normal(128, 20, (48, 48, 3))
    photo = Photo("noise", np.clip(noise, 0, 255).astype(np.uint8))

    def grain(strength: float) -> float:
        context = StepContext(
            {"upscale": model}, runtime_for("baseline", CPU), Report("noise", "upscale")
        )
        options = UpscaleOptions(denoise_strength=strength)
        return float(run_upscale(photo, options, context).pixels.std())

    assert grain(0.0) > grain(0.5) > grain(1.0)
