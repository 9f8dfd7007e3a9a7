"""Restorer with the embedded weights: what users get, end to end."""

import numpy as np
import pytest
import torch
from facefakes import ASTRONAUT
from PIL import Image
from safetensors.torch import load_file

from restore import RestoreError, Restorer, open_photo
from restore.errors import Code
from restore.imaging.photo import Photo
from restore.imaging.resize import resize_lanczos
from restore.models import cache as module
from restore.models.catalog import Catalog
from restore.models.loader import load_model
from restore.models.policy import Resolved
from restore.models.store import VerifiedFile
from restore.options import UpscaleOptions
from restore.pipelines.context import StepContext
from restore.pipelines.sizes import check_network_output_size
from restore.pipelines.upscale import default_tile_px, network_for_scale, run_upscale
from restore.report import Report
from restore.runtime import tiling
from restore.runtime.device import runtime_for
from training.motion_blur import apply_blur, random_motion_kernel


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b.astype(float)) ** 2)))


@pytest.mark.parametrize(
    ("scale", "size"),
    [
        (1, (60, 48)),
        (1.37, (82, 65)),
        (2, (120, 96)),
        (2.3, (138, 110)),
        (4, (240, 192)),
        (8, (480, 384)),
    ],
)
def test_the_result_is_exactly_the_factor(lite, photo_file, scale, size):
    results = lite.run("upscale", [photo_file()], scale=scale)
    photos, reports = results.photos, results.reports
    assert (photos[0].width, photos[0].height) == size
    assert reports[0].variant == "lite"
    # Of a network and its partner the report names the one that ran.
    ran = "lite_upscale_x2.safetensors" if scale <= 2 else "lite_upscale_real_x4.safetensors"
    assert [facts["file"] for facts in reports[0].weights] == [ran]


def test_upscaling_shows_the_same_picture(lite, photo_file):
    path = photo_file(height=64, width=64)
    result = lite.run("upscale", [path], scale=4).photos[0].pixels
    back = np.asarray(Image.fromarray(result).resize((64, 64), Image.Resampling.BOX))
    assert psnr(back, open_photo(path).pixels) > 32


def test_denoising_brings_a_noisy_photo_nearer_to_the_clean_one(lite, photo_file):
    clean = open_photo(photo_file(height=96, width=96)).pixels
    noisy = np.clip(clean + np.random.default_rng(1).normal(0, 25, clean.shape), 0, 255).astype(
        np.uint8
    )
    result = lite.run("restore", [Photo("noisy", noisy)]).photos[0].pixels
    assert result.shape == clean.shape
    assert psnr(result, clean) > psnr(noisy, clean) + 4


def test_deblurring_with_lite_weights_undoes_a_shake(lite):
    kernel = random_motion_kernel(np.random.default_rng(3), 13)
    blurred = Photo("blurred", np.clip(np.rint(apply_blur(ASTRONAUT, kernel)), 0, 255).astype(np.uint8))
    results = lite.run("restore", [blurred], restore_variant="deblur")
    assert results.reports[0].variant == "lite_deblur"
    assert any("instead of deblur" in warning for warning in results.reports[0].warnings)
    inner = (slice(12, -12),) * 2
    assert (
        psnr(results.photos[0].pixels[inner], ASTRONAUT[inner])
        > psnr(blurred.pixels[inner], ASTRONAUT[inner]) + 2.5
    )
    assert lite.run("restore", [blurred], restore_variant="lite_deblur").reports[0].warnings == []


def test_a_photo_without_a_shake_comes_back_as_it_is_and_the_report_says_so(lite):
    results = lite.run("restore", [Photo("sharp", ASTRONAUT)], restore_variant="lite_deblur")
    np.testing.assert_array_equal(results.photos[0].pixels, ASTRONAUT)
    assert results.reports[0].warnings == [
        "no shake was found that explains this photo: it comes back as it is"
    ]


def test_photos_come_back_in_order_under_their_names(lite, photo_file):
    paths = [
        photo_file(name, height=40 + 8 * n, width=40)
        for n, name in enumerate(["b.png", "a.png", "c.png"])
    ]
    results = lite.run("upscale", paths, scale=1)
    photos, reports = results.photos, results.reports
    assert [photo.name for photo in photos] == ["b.png", "a.png", "c.png"]
    assert [report.photo for report in reports] == ["b.png", "a.png", "c.png"]
    assert [photo.height for photo in photos] == [40, 48, 56]


def test_one_photo_needs_no_list(lite, photo_file):
    path = photo_file()
    for photo in (path, str(path), open_photo(path)):
        assert [p.name for p in lite.run("upscale", photo, scale=1).photos] == ["a.png"]


@pytest.mark.parametrize("task", ["upscale", "restore"])
def test_grey_stays_grey_and_alpha_stays_beside_the_colour(lite, photo_file, task):
    grey = lite.run(task, [photo_file("grey.png", mode="L")], scale=2).photos[0]
    assert grey.is_grey
    path = photo_file("clear.png", mode="RGBA")
    image = Image.open(path)
    image.putalpha(Image.linear_gradient("L").resize(image.size))
    image.save(path)
    clear = lite.run(task, [path], scale=2).photos[0]
    assert clear.alpha is not None
    assert clear.alpha.shape == clear.pixels.shape[:2]
    assert clear.alpha[0].mean() < 20
    assert clear.alpha[-1].mean() > 230


def test_an_opaque_alpha_stays_exactly_opaque(lite, photo_file):
    clear = lite.run("upscale", [photo_file("a.png", mode="RGBA")], scale=3).photos[0]
    assert (clear.alpha == 255).all()


def test_grain_can_be_left_out_and_is_never_in_alpha(lite, photo_file):
    path = photo_file("clear.png", mode="RGBA", height=64, width=64)
    image = Image.open(path)
    rng = np.random.default_rng(5)
    image.putalpha(Image.fromarray(rng.integers(90, 160, (64, 64)).astype(np.uint8)))
    image.save(path)
    grainy, smooth = (lite.run("upscale", [path], grain=grain).photos[0] for grain in (True, False))
    apart = grainy.pixels.astype(float) - smooth.pixels
    assert 0.1 < apart.std() < 8.0
    assert np.abs(apart.mean()) < 0.2
    np.testing.assert_array_equal(grainy.alpha, smooth.alpha)
    with_faces = lite.run("enhance", [path], grain=False).photos[0]
    np.testing.assert_array_equal(with_faces.pixels, smooth.pixels)
    fast = lite.run("upscale", [path], grain=False, stability_mode="optimized").photos[0]
    assert np.abs(fast.pixels.astype(int) - smooth.pixels).max() <= 1


@pytest.mark.parametrize("task", ["upscale", "restore"])
def test_sixteen_bits_stay_sixteen_bits(lite, task):
    ramp = np.linspace(0, 65535, 64 * 48 * 3).reshape(48, 64, 3).astype(np.uint16)
    result = lite.run(task, [Photo("deep", ramp)], scale=2).photos[0]
    assert result.pixels.dtype == np.uint16
    assert len(np.unique(result.pixels)) > 1000


def test_strength_blends_with_the_resized_original(lite, photo_file):
    path = photo_file()
    full, none, half = (
        lite.run("upscale", [path], scale=2, strength=s).photos[0].pixels.astype(float)
        for s in (1, 0, 0.5)
    )
    lanczos = resize_lanczos(open_photo(path).pixels, (120, 96))
    np.testing.assert_array_equal(none, lanczos)
    assert np.abs(half - (full + none) / 2).max() <= 1
    assert (full != none).any()
    unchanged = lite.run("restore", [path], strength=0).photos[0].pixels
    np.testing.assert_array_equal(unchanged, open_photo(path).pixels)


@pytest.mark.parametrize("task", ["upscale", "restore"])
def test_tiles_of_256_equal_the_whole_photo_within_one_grey_level(lite, task):
    rng = np.random.default_rng(2)
    coarse = rng.integers(0, 256, (40, 48, 3)).astype(np.uint8)
    pixels = np.asarray(
        Image.fromarray(coarse).resize((384, 320), Image.Resampling.BICUBIC)
    ).astype(float)
    photo = Photo("p", np.clip(pixels + rng.normal(0, 12, pixels.shape), 0, 255).astype(np.uint8))
    whole = lite.run(task, [photo], tile_size=0)
    tiled = lite.run(task, [photo], tile_size=256)
    assert whole.reports[0].tiles[0]["count"] == 1
    assert tiled.reports[0].tiles[0]["count"] == 4
    assert (
        np.abs(tiled.photos[0].pixels.astype(int) - whole.photos[0].pixels.astype(int)).max() <= 1
    )


def test_equal_requests_give_equal_pixels_and_leave_no_state(lite, photo_file):
    path = photo_file()
    first = lite.run("upscale", [path], scale=2).photos[0].pixels
    with pytest.raises(RestoreError):
        lite.run("upscale", [path, path.with_name("missing.png")], scale=2)
    np.testing.assert_array_equal(lite.run("upscale", [path], scale=2).photos[0].pixels, first)


def test_out_of_memory_halves_the_tile_and_says_so(lite, photo_file, monkeypatch):
    real = tiling._forward

    def hungry(net, tile, *rest):
        if tile.shape[0] > 100:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(net, tile, *rest)

    monkeypatch.setattr(tiling, "_forward", hungry)
    results = lite.run("upscale", [photo_file(height=150, width=150)], scale=1)
    assert any("memory ran out" in warning for warning in results.reports[0].warnings)
    assert 64 <= results.reports[0].tiles[0]["height"] <= 75


def test_a_photo_that_would_not_fit_whole_is_tiled_and_says_so(lite, photo_file, monkeypatch):
    monkeypatch.setattr("restore.pipelines.tiles.free_memory_bytes", lambda device: 10_000_000)
    results = lite.run("restore", [photo_file(height=160, width=160)])
    assert any("would not fit into 0.0 GB" in warning for warning in results.reports[0].warnings)
    assert results.reports[0].tiles[0]["height"] == 80


@pytest.mark.parametrize(("count", "said"), [(0, "0 photos"), (5, "5 photos")])
def test_no_photos_or_five_are_refused(lite, photo_file, count, said):
    with pytest.raises(RestoreError, match=said) as caught:
        lite.run("upscale", [photo_file()] * count)
    assert caught.value.code is Code.PHOTO_COUNT


def test_one_bad_photo_fails_all_and_is_named(lite, photo_file, tmp_path):
    (tmp_path / "bad.jpg").write_text("not a photo")
    with pytest.raises(RestoreError, match=r"photo 'bad\.jpg'"):
        lite.run("upscale", [photo_file(), tmp_path / "bad.jpg"])


def test_a_result_that_would_be_too_large_is_refused_before_any_work(lite, monkeypatch):
    monkeypatch.setattr(module, "load_model", None)
    with pytest.raises(
        RestoreError, match=r"8 times 5000x4000 is 40000x32000.*at most 2\.23"
    ) as caught:
        lite.run("upscale", [Photo("big.png", np.zeros((4000, 5000), np.uint8))], scale=8)
    assert caught.value.code is Code.OUTPUT_TOO_LARGE
    assert caught.value.photo == "big.png"


@pytest.mark.parametrize("task", ["upscale", "restore"])
def test_a_result_that_the_format_cannot_hold_is_refused_before_any_work(lite, monkeypatch, task):
    monkeypatch.setattr("restore.pipelines.tiles.run_tiled", None)
    long = Photo("long.png", np.zeros((8, 17_000), np.uint8))
    with pytest.raises(RestoreError, match="a side of webp has at most 16383"):
        lite.run(task, [long], scale=1, output_format="webp")


def test_a_net_that_works_far_above_the_asked_scale_is_bounded_too(lite):
    model, photo = (
        lite.cache.get("upscale", "lite")[0],
        Photo("big.png", np.zeros((6000, 8000), np.uint8)),
    )
    with pytest.raises(RestoreError, match="works at 4 times") as caught:
        check_network_output_size(photo, model)
    assert caught.value.code is Code.OUTPUT_TOO_LARGE
    check_network_output_size(photo, network_for_scale(model, 1.0))


@pytest.mark.parametrize(("scale", "factor"), [(1, 2), (1.5, 2), (2, 2), (2.1, 4), (4, 4)])
def test_the_network_that_enlarges_twice_serves_what_needs_no_more(lite, scale, factor):
    model = lite.cache.get("upscale", "lite")[0]
    assert network_for_scale(model, scale).row.scale == factor
    photo = Photo("a", np.random.default_rng(0).integers(0, 256, (24, 20, 3), np.uint8))
    with torch.inference_mode():
        direct = network_for_scale(model, scale).net(
            torch.from_numpy(photo.pixels).permute(2, 0, 1)[None] / 255.0
        )
    assert direct.shape == (1, 3, 24 * factor, 20 * factor)
    if scale == factor:
        expected = np.rint(direct[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255.0)
        assert (
            np.abs(lite.run("upscale", [photo], scale=scale).photos[0].pixels - expected).max() <= 1
        )


def test_a_variant_that_lite_stands_in_for_is_a_warning(lite, photo_file):
    asked = lite.run("upscale", [photo_file()], scale=1, upscale_variant="x2plus").reports[0]
    assert any("instead of x2plus" in warning for warning in asked.warnings)
    assert lite.run("upscale", [photo_file()], scale=1).reports[0].warnings == []
    assert (
        lite.run("upscale", [photo_file()], scale=1, upscale_variant="lite").reports[0].warnings
        == []
    )


def test_preloading_reads_the_weights_once(monkeypatch, photo_file):
    loads = []
    real = module.load_model
    monkeypatch.setattr(
        module, "load_model", lambda *arguments: loads.append(1) or real(*arguments)
    )
    restorer = Restorer(weights="lite", device="cpu", preload="all")
    assert len(loads) == 8
    restorer.run("upscale", [photo_file()], scale=1)
    restorer.run("restore", [photo_file()])
    restorer.run("enhance", [photo_file()], scale=1)
    assert len(loads) == 8
    assert Restorer(weights="lite", device="cpu", preload="restore").cache.loaded == {
        ("restore", "lite"),
        ("restore", "lite_deblur"),
    }


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"weights": "best"}, "official, lite, auto"),
        ({"preload": "upscale,sharpen"}, "sharpen"),
        ({"device": "toaster"}, "toaster"),
    ],
)
def test_settings_that_do_not_exist_are_refused_by_name(settings, said):
    with pytest.raises(RestoreError, match=said):
        Restorer(**settings)


def test_a_variant_in_the_environment_that_does_not_exist_fails_setup(monkeypatch):
    monkeypatch.setenv("MODEL_UPSCALE", "x99")
    with pytest.raises(RestoreError, match="MODEL_UPSCALE is 'x99'"):
        Restorer(weights="lite", preload="upscale")


@pytest.mark.shared
def test_the_real_animevideov3_is_verified_used_and_sharpens(shared, tmp_path, monkeypatch):
    """Issue figure: official bytes in the weights folder, checked by sha256, give a sharper picture than Lanczos does."""
    folder = tmp_path / "upscale"
    folder.mkdir()
    official = (shared / "weights" / "realesr-animevideov3.pth").read_bytes()
    (folder / "realesr-animevideov3.pth").write_bytes(official)
    sharp = open_photo(shared / "photos" / "test" / "kodak" / "19.png").pixels[100:292, 100:292]
    small = np.asarray(Image.fromarray(sharp).resize((48, 48), Image.Resampling.BICUBIC))
    restorer = Restorer(weights="official", weights_dir=tmp_path, device="cpu")
    results = restorer.run(
        "upscale", [Photo("small", small)], upscale_variant="animevideov3", scale=4
    )
    photos, reports = results.photos, results.reports
    assert (
        reports[0].weights[0]["sha256"]
        == "b8a8376811077954d82ca3fcf476f1ac3da3e8a68a4f4d71363008000a18b75d"
    )

    def edges(pixels: np.ndarray) -> float:
        return float(np.abs(np.diff(pixels.astype(float), axis=1)).mean())

    assert edges(photos[0].pixels) > 1.15 * edges(resize_lanczos(small, (192, 192)))

    flipped = bytearray(official)
    flipped[1000] ^= 1
    (folder / "realesr-animevideov3.pth").write_bytes(flipped)
    for policy in ("official", "auto"):
        with pytest.raises(RestoreError, match=r"realesr-animevideov3\.pth") as caught:
            Restorer(weights=policy, weights_dir=tmp_path).run(
                "upscale", [Photo("s", small)], upscale_variant="animevideov3"
            )
        assert caught.value.code is Code.WEIGHTS_CORRUPT


@pytest.mark.shared
def test_denoise_strength_moves_between_the_two_real_networks(shared, tmp_path):
    """general_x4v3 and its weak-denoise partner, from their float16 copies: 0 keeps the partner's grain, 1 is the main net."""
    rows = {
        row.role: row
        for row in Catalog.load().for_task("upscale")
        if "general_x4v3" in row.variants
    }
    files = {}
    for role, name in (
        ("net", "realesr-general-x4v3"),
        ("denoise_partner", "realesr-general-wdn-x4v3"),
    ):
        path = tmp_path / f"{name}.pth"
        torch.save({"params": load_file(shared / "weights" / f"{name}.fp16.safetensors")}, path)
        files[role] = VerifiedFile(rows[role], path, "0" * 64, path.stat().st_size)
    model = load_model(
        Resolved(files["net"], {"denoise_partner": files["denoise_partner"]}, "general_x4v3"),
        torch.device("cpu"),
    )
    noise = np.clip(np.random.default_rng(4).normal(128, 20, (48, 48, 3)), 0, 255).astype(np.uint8)
    grain = {}
    for strength in (0.0, 0.5, 1.0):
        context = StepContext(
            {"upscale": model},
            runtime_for("baseline", torch.device("cpu")),
            Report("noise", "upscale"),
        )
        photo = run_upscale(
            Photo("noise", noise), UpscaleOptions(denoise_strength=strength), context
        )
        grain[strength] = float(photo.pixels.std())
    assert grain[0.0] > grain[0.5] > grain[1.0]


def test_without_a_tile_size_a_small_network_takes_larger_tiles_but_a_compiled_one_its_own(lite):
    model = lite.cache.get("upscale", "lite")[0]
    report = Report("a", "upscale")
    safe, compiled = (
        runtime_for("baseline", torch.device("cpu"), backend) for backend in (None, "eager")
    )
    assert default_tile_px(model.row, StepContext({}, safe, report)) == 825
    assert default_tile_px(model.row, StepContext({}, compiled, report)) == 512
    x4plus = lite.catalog.find("upscale", "x4plus")
    assert default_tile_px(x4plus, StepContext({}, safe, report)) == 512
    big = Photo("big", np.zeros((530, 540, 3), np.uint8))
    assert lite.run("upscale", [big], scale=1).reports[0].tiles[0]["count"] == 1
    assert lite.run("upscale", [big], scale=1, tile_size=512).reports[0].tiles[0]["count"] == 4
