"""The degradations of data/, the script that applies them, and the sample photos."""

import random
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from places import PROJECT

from data.degradation import PRESETS, Degradation, degrade
from data.degrade import main
from restore.errors import Code, RestoreError

MakePhoto = Callable[..., Path]

STEPS = {
    "blur": Degradation(blur=1.5),
    "anisotropic blur": Degradation(blur=3, blur_ratio=0.3),
    "poisson": Degradation(poisson=1),
    "noise": Degradation(noise=12),
    "fade": Degradation(fade=0.6),
    "scratches": Degradation(scratches=3),
    "jpeg": Degradation(jpeg=15),
}


@pytest.fixture
def photo() -> np.ndarray:
    y, x = np.mgrid[0:96, 0:120]
    waves = [128 + 70 * np.sin(x / (2 + c) + y / (4 - c)) for c in range(3)]
    return np.stack(waves, axis=-1).astype(np.uint8)


def read(path: Path) -> tuple[str, np.ndarray]:
    """Return the mode of an image file and its pixels as RGB."""
    with Image.open(path) as image:
        return image.mode, np.array(image.convert("RGB"))


class TestDegrade:
    @pytest.mark.parametrize("recipe", [*STEPS.values(), *PRESETS.values()], ids=str)
    def test_output_depends_on_the_seed_only(self, photo: np.ndarray, recipe: Degradation) -> None:
        np.random.seed(5)
        first = degrade(photo, recipe, 1)
        np.random.seed(7)
        second = degrade(photo, recipe, 1)
        np.testing.assert_array_equal(first, second)
        assert not np.array_equal(first, photo)

    @pytest.mark.parametrize("recipe", [*STEPS.values(), *PRESETS.values()], ids=str)
    def test_global_generators_are_not_changed(
        self, photo: np.ndarray, recipe: Degradation
    ) -> None:
        values = []
        for call in (lambda: None, lambda: degrade(photo, recipe, 1)):
            np.random.seed(5)
            random.seed(5)
            call()
            values.append((np.random.random(), random.random()))
        assert values[0] == values[1]

    @pytest.mark.parametrize("name", ["anisotropic blur", "poisson", "noise", "fade", "scratches"])
    def test_another_seed_gives_other_pixels(self, photo: np.ndarray, name: str) -> None:
        assert not np.array_equal(degrade(photo, STEPS[name], 1), degrade(photo, STEPS[name], 2))

    def test_empty_recipe_changes_nothing(self, photo: np.ndarray) -> None:
        np.testing.assert_array_equal(degrade(photo, Degradation(), 1), photo)

    def test_noise_has_the_given_strength(self, photo: np.ndarray) -> None:
        difference = degrade(photo, Degradation(noise=12), 3).astype(float) - photo
        assert difference.std() == pytest.approx(12, rel=0.05)

    def test_blur_removes_detail(self, photo: np.ndarray) -> None:
        before, after = (
            np.abs(np.diff(image.astype(int), axis=1)).mean()
            for image in (photo, degrade(photo, STEPS["blur"], 1))
        )
        assert after < 0.8 * before

    def test_fading_reduces_contrast_and_yellows(self, photo: np.ndarray) -> None:
        faded = degrade(photo, STEPS["fade"], 1).astype(float)
        assert faded.std() < 0.8 * photo.std()
        assert faded[..., 0].mean() > faded[..., 2].mean() + 10

    def test_jpeg_treats_the_photo_as_rgb(self) -> None:
        # JPEG keeps the luma of stripes of one pixel, in which red has the weight 0.299 and blue
        # 0.114, and averages their chroma.
        stripes = np.zeros((32, 32, 3), np.uint8)
        stripes[:, ::2, 0] = 255
        red = degrade(stripes, Degradation(jpeg=95), 1)[..., 0].astype(float)
        assert (red[:, ::2] - red[:, 1::2]).mean() == pytest.approx(0.299 * 255, abs=8)

    def test_scratches_change_few_pixels_strongly(self, photo: np.ndarray) -> None:
        scratched = degrade(photo, Degradation(scratches=2), 4)
        change = np.abs(scratched.astype(int) - photo).max(axis=-1)
        assert 0 < (change > 0).mean() < 0.2
        assert change.max() > 60

    @pytest.mark.parametrize("resampling", ["area", "bilinear", "bicubic"])
    def test_downscaling_reduces_the_size(self, photo: np.ndarray, resampling: str) -> None:
        recipe = Degradation(downscale=3.2, resampling=resampling)  # type: ignore[arg-type]
        small = degrade(photo, recipe, 1)
        assert small.shape == (30, 38, 3)
        assert small.mean() == pytest.approx(photo.mean(), rel=0.05)

    @pytest.mark.parametrize("name", ["blur", "poisson", "noise", "jpeg", "scratches"])
    def test_photo_without_colour_stays_without_colour(self, photo: np.ndarray, name: str) -> None:
        grey = np.repeat(photo[..., :1], 3, axis=2)
        degraded = degrade(grey, STEPS[name], 1)
        assert (degraded == degraded[..., :1]).all()


class TestErrors:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("noise", 101),
            ("noise", float("nan")),
            ("blur", -1),
            ("jpeg", 0),
            ("fade", 1.1),
            ("scratches", -1),
            ("downscale", 0.5),
            ("resampling", "x"),
        ],
    )
    def test_value_out_of_range_is_rejected(self, name: str, value: object) -> None:
        with pytest.raises(RestoreError, match=name) as error:
            Degradation(**{name: value})  # type: ignore[arg-type]
        assert error.value.code == Code.OPTION_INVALID

    @pytest.mark.parametrize(
        "array",
        [
            np.zeros((4, 4), np.uint8),
            np.zeros((4, 4, 4), np.uint8),
            np.zeros((4, 4, 3), np.float32),
        ],
    )
    def test_other_arrays_than_8_bit_rgb_are_rejected(self, array: np.ndarray) -> None:
        with pytest.raises(RestoreError, match="8-bit RGB"):
            degrade(array, Degradation(), 1)

    def test_downscaling_to_no_pixels_is_rejected(self) -> None:
        with pytest.raises(RestoreError, match="leave none"):
            degrade(np.zeros((100, 3, 3), np.uint8), Degradation(downscale=16), 1)


class TestCommandLine:
    def test_writes_what_the_function_returns_and_prints_it(
        self, photo_file: MakePhoto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        photos, out = (photo_file("a.png"), photo_file("b.png", mode="L")), tmp_path / "out"
        options = ["--out", str(out), "--preset", "noise", "--noise", "9", "--seed", "4"]
        assert main([*map(str, photos), *options]) == 0
        recipe = Degradation(poisson=0.5, noise=9)
        lines = capsys.readouterr().out.splitlines()
        for index, path in enumerate(photos):
            mode, clean = read(path)
            written_mode, written = read(out / path.name)
            assert written_mode == mode
            np.testing.assert_array_equal(written, degrade(clean, recipe, 4 + index))
            assert lines[index].endswith(f"60x48, poisson 0.5, noise 9.0, seed {4 + index}")
        assert len(lines) == len(photos)

    def test_long_side_and_jpeg(self, photo_file: MakePhoto, tmp_path: Path) -> None:
        path, out = photo_file(height=200, width=240), tmp_path / "out"
        options = ["--out", str(out), "--noise", "60", "--long-side", "120", "--format", "jpg"]
        assert main([str(path), *options]) == 0
        assert read(out / "a.jpg")[1].shape == (100, 120, 3)

    @pytest.mark.parametrize(
        ("code", "photo", "options"),
        [
            (Code.PHOTO_MISSING, "none.png", ["--out", "out"]),
            (Code.PHOTO_FORMAT, "text.png", ["--out", "out"]),
            (Code.PHOTO_FORMAT, "sixteen_bits.png", ["--out", "out"]),
            (Code.PHOTO_DAMAGED, "truncated.png", ["--out", "out"]),
            (Code.OPTION_INVALID, "a.png", ["--out", "out", "--jpeg", "0"]),
            (Code.OUTPUT_UNWRITABLE, "a.png", ["--out", "file/out"]),
        ],
    )
    def test_error_is_one_line_and_status_2(
        self,
        code: Code,
        photo: str,
        options: list[str],
        photo_file: MakePhoto,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        content = photo_file("a.png").read_bytes()
        (tmp_path / "text.png").write_text("no picture")
        (tmp_path / "truncated.png").write_bytes(content[: len(content) // 2])
        Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "sixteen_bits.png")
        (tmp_path / "file").write_text("")
        monkeypatch.chdir(tmp_path)
        assert main([photo, *options]) == 2
        message = capsys.readouterr().err
        assert message.startswith(f"[{code}]")
        assert message.count("\n") == 1
        assert photo != "sixteen_bits.png" or "8 bits" in message

    def test_photo_is_not_overwritten(
        self, photo_file: MakePhoto, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = photo_file()
        before = path.read_bytes()
        assert main([str(path), "--out", str(path.parent), "--noise", "5"]) == 2
        assert path.read_bytes() == before
        assert "overwrite" in capsys.readouterr().err

    def test_two_photos_of_one_name_are_rejected(
        self, photo_file: MakePhoto, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        path = photo_file()
        (tmp_path / "other").mkdir()
        same_name = tmp_path / "other" / path.name
        same_name.write_bytes(path.read_bytes())
        assert main([str(path), str(same_name), "--out", str(tmp_path / "out")]) == 2
        assert not (tmp_path / "out").exists()
        assert "overwrite" in capsys.readouterr().err

    @pytest.mark.parametrize("script", ["degrade.py", "make_dataset.py"])
    def test_script_runs_in_any_folder(self, script: str, tmp_path: Path) -> None:
        command = [sys.executable, str(PROJECT / "data" / script), "--help"]
        run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert (run.returncode, run.stderr) == (0, "")
        assert "--out" in run.stdout


def test_samples_are_small_and_listed() -> None:
    folder = PROJECT / "data"
    photos = sorted(folder.glob("*.jpg"), key=lambda path: int(path.stem))
    assert [path.stem for path in photos] == [str(number) for number in range(1, 13)]
    assert sum(path.stat().st_size for path in photos) < 700_000
    listed = re.findall(r"^\| (\d+\.jpg) \|", (folder / "README.md").read_text(), re.MULTILINE)
    assert listed == [path.name for path in photos]
    for path in photos:
        with Image.open(path) as image:
            image.load()
            assert 150 <= max(image.size) <= 480
            assert not image.getexif()
