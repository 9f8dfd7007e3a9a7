"""evaluate: matching of photos, its CSV file and its arguments."""

import csv
from pathlib import Path

import numpy as np
import pytest
from evaluatefiles import astronaut_photo, folder_of, hide_lpips, noisy
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from benchmarks.evaluate import main


@pytest.fixture(autouse=True)
def no_lpips_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hide_lpips(monkeypatch, tmp_path)


@pytest.fixture
def astronaut() -> np.ndarray:
    return astronaut_photo()


def test_photos_are_matched_by_name_without_extension(
    tmp_path: Path, astronaut: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    first = folder_of(tmp_path / "a", one=astronaut, two=noisy(astronaut, 30))
    second = folder_of(tmp_path / "b", two=noisy(astronaut, 30))
    Image.fromarray(astronaut).save(second / "one.webp", lossless=True)
    (second / "one.json").write_text("{}")
    assert main([str(first), str(second)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines[1:4]] == [
        ["one", "inf"],
        ["two", "inf"],
        ["mean", "inf"],
    ]


def test_unmatched_photos_are_refused(
    tmp_path: Path, astronaut: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    first = folder_of(tmp_path / "a", one=astronaut, extra=astronaut)
    second = folder_of(tmp_path / "b", one=astronaut, other=astronaut)
    assert main([str(first), str(second)]) == 2
    message = capsys.readouterr().err
    assert "extra.png" in message
    assert "other.png" in message
    assert "one.png" not in message


def test_ambiguous_and_empty_folders_are_refused(
    tmp_path: Path, astronaut: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    good = folder_of(tmp_path / "a", one=astronaut)
    ambiguous = folder_of(tmp_path / "b", one=astronaut)
    Image.fromarray(astronaut).save(ambiguous / "one.jpg")
    empty = folder_of(tmp_path / "c")
    for restored, named in (
        (ambiguous, "one.jpg and one.png"),
        (empty, "contains no photos"),
        (tmp_path / "none", "contains no photos"),
    ):
        assert main([str(good), str(restored)]) == 2
        assert named in capsys.readouterr().err


def test_photos_of_different_sizes_need_resize(
    tmp_path: Path, astronaut: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    first = folder_of(tmp_path / "a", one=astronaut)
    second = folder_of(
        tmp_path / "b",
        one=np.asarray(Image.fromarray(astronaut).resize((100, 100), Image.Resampling.BOX)),
    )
    assert main([str(first), str(second)]) == 2
    message = capsys.readouterr().err
    assert "200x200" in message
    assert "100x100" in message
    assert main([str(first), str(second), "--resize"]) == 0
    assert 20 < float(capsys.readouterr().out.splitlines()[1].split()[1]) < 40


def test_csv_has_one_line_per_photo_and_one_of_means(tmp_path: Path, astronaut: np.ndarray) -> None:
    first = folder_of(tmp_path / "a", one=astronaut, two=astronaut)
    second = folder_of(tmp_path / "b", one=noisy(astronaut, 5), two=noisy(astronaut, 20))
    assert main([str(first), str(second), "--csv", str(tmp_path / "new" / "f.csv")]) == 0
    rows = list(csv.DictReader((tmp_path / "new" / "f.csv").read_text().splitlines()))
    assert list(rows[0]) == [
        "photo",
        "psnr_rgb_db",
        "psnr_y_db",
        "ssim",
        "ssimulacra2",
        "flip",
        "gmsd",
        "niqe",
        "lpips",
    ]
    assert [row["photo"] for row in rows] == ["one", "two", "mean"]
    values = [float(row["psnr_rgb_db"]) for row in rows]
    assert values[0] == pytest.approx(
        peak_signal_noise_ratio(astronaut, noisy(astronaut, 5)), abs=1e-6
    )
    assert values[2] == pytest.approx((values[0] + values[1]) / 2)
    assert [row["lpips"] for row in rows] == ["", "", ""]


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ([], "--task"),
        (["b", "--task", "restore"], "--task"),
        (["b", "--preset", "noise"], "--preset"),
        (["--task", "restore", "--set", "noise"], "NAME=VALUE"),
        (["--task", "restore", "--set", "noise=much"], "much"),
        (["--task", "restore", "--set", "noise=101"], "noise is 101"),
        (["--task", "restore", "--set", "fuel=1"], "fuel"),
    ],
)
def test_wrong_arguments_are_refused(
    tmp_path: Path,
    astronaut: np.ndarray,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    named: str,
) -> None:
    assert main([str(folder_of(tmp_path / "a", one=astronaut[:32, :32])), *arguments]) == 2
    assert named in capsys.readouterr().err
