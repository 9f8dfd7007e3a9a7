"""make_dataset: bytes that depend on the seed only, the manifest, and existing files."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from places import PROJECT

from data.degradation import Degradation
from data.make_dataset import MANIFEST, main, make_dataset, make_photo, plan_photo
from restore.errors import RestoreError

SAMPLES = [PROJECT / "data" / name for name in ("4.jpg", "11.jpg")]
SIZES = [("a.jpg", 400, 300), ("b.jpg", 200, 320), ("c.jpg", 100, 100)]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dataset")
    make_dataset(folder, 6, 1, SAMPLES)
    return folder


def test_bytes_depend_on_the_seed_only(dataset: Path, tmp_path: Path) -> None:
    make_dataset(tmp_path / "again", 6, 1, SAMPLES)
    assert contents(tmp_path / "again") == contents(dataset)
    make_dataset(tmp_path / "other", 6, 2, SAMPLES)
    other = contents(tmp_path / "other")
    assert all(other[name] != data for name, data in contents(dataset).items())


def test_photos_do_not_depend_on_the_count(dataset: Path, tmp_path: Path) -> None:
    make_dataset(tmp_path / "few", 3, 1, SAMPLES)
    few = contents(tmp_path / "few")
    del few[MANIFEST]
    assert sorted(few) == ["001.jpg", "002.jpg", "003.jpg"]
    assert few.items() <= contents(dataset).items()


def test_manifest_describes_each_photo(dataset: Path) -> None:
    with (dataset / MANIFEST).open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == sorted(path.name for path in dataset.glob("*.jpg"))
    assert [row["source"] for row in rows] == ["4.jpg", "11.jpg"] * 3
    for row in rows:
        with Image.open(dataset / row["file"]) as image:
            assert image.format == "JPEG"
            assert image.size == (int(row["width"]), int(row["height"]))
            assert isinstance(image, JpegImageFile)
            copy = io.BytesIO()
            image.save(copy, "JPEG", quality=int(row["jpeg_quality"]))
            copied = Image.open(copy)
            assert isinstance(copied, JpegImageFile)
            assert copied.quantization == image.quantization
        assert (row["kind"] == "clean") == (row["recipe"] == "nothing")


def test_plans_are_varied_and_within_their_bounds() -> None:
    plans = [plan_photo(number, 3, SIZES) for number in range(200)]
    sides = [max(each.width, each.height) for each in plans]
    assert 127 <= min(sides) < 160
    assert 820 < max(sides) <= 1024
    assert {each.kind for each in plans} == {"clean", "noise", "small", "blurred", "jpeg", "old"}
    assert {each.mirrored for each in plans} == {True, False}
    assert len({each.jpeg_quality for each in plans}) > 20
    assert len({str(each.recipe) for each in plans}) > 100
    for each, (_, width, height) in zip(plans, SIZES * 70, strict=False):
        assert 0 <= each.left <= each.left + each.crop_width <= width
        assert 0 <= each.top <= each.top + each.crop_height <= height
        assert max(each.width, each.height) * each.recipe.downscale <= 1024.5 * 1.01
        assert each.width / each.height == pytest.approx(
            each.crop_width / each.crop_height, rel=0.03
        )
    assert len({(each.left, each.top) for each in plans}) > 100


def test_longest_side_can_be_chosen() -> None:
    sides = [
        max(each.width, each.height)
        for each in (plan_photo(number, 3, SIZES, 200) for number in range(100))
    ]
    assert 127 <= min(sides) < 140
    assert 180 < max(sides) <= 200


def test_photo_follows_its_plan() -> None:
    sample = np.zeros((300, 400, 3), np.uint8)
    sample[100:200, 50:100] = (200, 40, 10)  # the crop's left half
    base = plan_photo(0, 1, SIZES)
    changes = {
        "left": 50,
        "top": 100,
        "crop_width": 100,
        "crop_height": 100,
        "width": 150,
        "height": 150,
        "recipe": Degradation(),
    }
    for mirrored, half in ((False, np.s_[:, 5:70]), (True, np.s_[:, 80:145])):
        picture = make_photo(sample, type(base)(**{**vars(base), **changes, "mirrored": mirrored}))
        assert picture.shape == (150, 150, 3)
        assert np.abs(picture[half].astype(int) - (200, 40, 10)).max() <= 2
        assert picture.mean() == pytest.approx(np.mean((200, 40, 10)) / 2, rel=0.05)


def test_recipe_that_reduces_ends_at_the_planned_size() -> None:
    sample = np.random.default_rng(1).integers(0, 256, (300, 400, 3)).astype(np.uint8)
    for number in range(300):
        planned = plan_photo(number, 5, [("a.jpg", 400, 300)])
        if planned.recipe.downscale > 1:
            assert make_photo(sample, planned).shape == (planned.height, planned.width, 3)


def test_grey_sample_stays_grey_unless_it_fades(dataset: Path) -> None:
    with (dataset / MANIFEST).open(newline="") as file:
        grey = [
            row for row in csv.DictReader(file) if row["source"] == "4.jpg" and row["kind"] != "old"
        ]
    assert grey
    for row in grey:
        with Image.open(dataset / row["file"]) as image:
            assert image.mode == "L"


def test_folder_that_is_not_empty_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(RestoreError, match="not empty"):
        make_dataset(tmp_path, 1, 1, SAMPLES)
    assert list(contents(tmp_path)) == ["mine.txt"]


def test_overwriting_replaces_the_files_of_the_dataset_only(tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    make_dataset(folder, 3, 1, SAMPLES)
    (folder / "mine.txt").write_text("mine")
    with (folder / MANIFEST).open("a") as manifest:
        manifest.write("../outside.txt\n")
    (tmp_path / "outside.txt").write_text("outside")
    make_dataset(folder, 2, 2, SAMPLES, overwrite=True)
    assert sorted(contents(folder)) == ["001.jpg", "002.jpg", MANIFEST, "mine.txt"]
    assert (tmp_path / "outside.txt").exists()


def test_command_writes_photos_and_shows_progress(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--out", str(tmp_path / "d"), "--count", "2", "--seed", "4"]) == 0
    output = capsys.readouterr()
    assert "2/2" in output.err
    assert "2 photos" in output.out
    assert sorted(contents(tmp_path / "d")) == ["001.jpg", "002.jpg", MANIFEST]
    assert main(["--out", str(tmp_path / "d"), "--count", "2"]) == 2
    assert "--overwrite" in capsys.readouterr().err
    assert main(["--out", str(tmp_path / "d"), "--count", "2", "--overwrite"]) == 0


def test_missing_samples_and_unusable_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match="E201"):
        make_dataset(tmp_path / "a", 1, 1, [])
    (tmp_path / "file").write_text("")
    with pytest.raises(RestoreError, match="E302"):
        make_dataset(tmp_path / "file" / "a", 1, 1, SAMPLES)


@pytest.mark.parametrize("options", [["--count", "0"], ["--seed", "-1"]])
def test_impossible_numbers_are_refused(options: list[str], tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["--out", str(tmp_path), *options])
