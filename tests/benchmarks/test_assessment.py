"""The comparison of proposed steps with labels."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from benchmarks.assessment import COLUMNS, Labelled, main, refit_limits
from restore.imaging.fading import FadingEstimate
from restore.imaging.photo import Photo
from restore.pipelines.assessment.blur import EdgeWidths
from restore.pipelines.assessment.colours import ColourChange
from restore.pipelines.assessment.jpeg import Blocks
from restore.pipelines.assessment.measurements import Measurements
from restore.pipelines.assessment.noise import Noise

FADING = FadingEstimate((0.0,) * 3, (1.0,) * 3, 0.0, 2.0, 0.0, is_faded=False, reason="")
CLEAN = Measurements(
    1200, 900, "grey", Noise(0.5, 0.0), None, Blocks(0.0, 0.5), EdgeWidths(2.0, 2.0), 0.0, 0.0,
    FADING, ColourChange(change=0.0, darkening=0.0, tone="grey"), (),
)  # fmt: skip


def labelled(letters: str, noise: float = 0.5, scratches: float = 0.0) -> Labelled:
    measured = replace(CLEAN, noise=Noise(noise, 0.0), scratch_length=scratches)
    return Labelled("a", dict(zip(COLUMNS, letters, strict=True)), measured)


@pytest.mark.parametrize(
    ("letters", "noise", "scratches", "mistakes"),
    [
        ("nnnnnn", 0.5, 0.0, []),
        ("eeeeee", 9.0, 1.0, []),
        ("nynnnn", 9.0, 0.0, []),
        ("nynnnn", 0.5, 0.0, ["denoise missing"]),
        ("nnnnnn", 9.0, 0.0, ["denoise unwanted"]),
        # Filling scratches denoises too.
        ("ynnnnn", 0.5, 1.0, []),
        ("nnnnnn", 0.5, 1.0, ["scratches unwanted"]),
        ("yynnny", 0.5, 0.0, ["scratches missing", "denoise missing", "upscale missing"]),
    ],
)
def test_missing_and_unwanted_steps_are_mistakes(
    letters: str, noise: float, scratches: float, mistakes: list[str]
) -> None:
    assert labelled(letters, noise, scratches).mistakes() == mistakes


def test_limits_are_chosen_between_the_labelled_photos() -> None:
    photos = [
        labelled("nnnnnn", 1.0),
        labelled("nynnnn", 0.2),  # cannot be told from photos without noise
        labelled("nynnnn", 5.0),
        labelled("ynnnnn", 0.0, 0.5),
        labelled("nennnn", 0.0, 0.1),
    ]
    limits = refit_limits(photos)
    assert (limits.noise_levels, limits.scratch_length) == (3.0, pytest.approx(0.3))


def test_tables_and_shares_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("test/kodak", "test/set5", "train/natural", "train/natural2"):
        (tmp_path / folder).mkdir(parents=True)
    noises = {"a.png": 0.5, "b.png": 9.0, "c.png": 9.0}
    for name in noises:
        Image.fromarray(np.zeros((16, 16), np.uint8)).save(tmp_path / "test/kodak" / name)
    rows = ("test/kodak/[ac].png,n,n,n,n,n,n", "test/kodak/b.png,n,y,n,n,n,n")
    header = "# a comment\nfile," + ",".join(COLUMNS)
    (tmp_path / "labels.csv").write_text("\n".join([header, *rows]))

    def measure(photo: Photo) -> Measurements:
        return replace(CLEAN, noise=Noise(noises[Path(photo.name).name], 0.0))

    main([str(tmp_path)], measure)
    printed = capsys.readouterr().out
    assert "| kodak/b.png | n | y + | n | n | n | n |  |" in printed
    assert "| kodak/c.png | n | n + | n | n | n | n | denoise unwanted |" in printed
    assert "| test/kodak | 3 | 1 | b.png: denoise; c.png: denoise |" in printed
    assert "labelled 3, labelled_right_percent 66.7" in printed
    assert "clean 3, clean_without_repair_percent 33.3" in printed
