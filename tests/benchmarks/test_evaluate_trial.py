"""evaluate with --task: photos are degraded, restored and compared; the page of the report."""

import base64
import csv
import io
import re
from pathlib import Path

import numpy as np
import pytest
from evaluatefiles import Tags, astronaut_photo, folder_of
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from benchmarks.evaluate import main
from benchmarks.page import MAX_PICTURE_WIDTH_PX, Entry, figures_html, page
from data.degradation import Degradation, degrade


@pytest.fixture
def astronaut() -> np.ndarray:
    return astronaut_photo()


def test_trial_compares_degraded_and_restored_photos(
    tmp_path: Path, astronaut: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = folder_of(tmp_path / "a", one=astronaut, two=astronaut)
    files = {kind: tmp_path / f"f.{kind}" for kind in ("csv", "html")}
    wanted = [
        "--task",
        "restore",
        "--preset",
        "noise",
        "--set",
        "noise=30",
        "--set",
        "strength=0.9",
        "--seed",
        "5",
    ]
    assert (
        main([str(photos), *wanted, "--csv", str(files["csv"]), "--html", str(files["html"])]) == 0
    )
    output = capsys.readouterr().out
    assert "noise 30.0" in output
    assert "strength=0.9" in output
    [row, second, mean] = csv.DictReader(files["csv"].read_text().splitlines())
    assert mean["photo"] == "mean"
    for line, seed in ((row, 5), (second, 6)):
        degraded = degrade(astronaut, Degradation(poisson=0.5, noise=30.0), seed)
        assert float(line["degraded_psnr_rgb_db"]) == pytest.approx(
            peak_signal_noise_ratio(astronaut, degraded), abs=1e-6
        )
    assert float(row["psnr_rgb_db"]) > float(row["degraded_psnr_rgb_db"]) + 4
    shown = f"{float(row['degraded_psnr_rgb_db']):.2f} -> {float(row['psnr_rgb_db']):.2f}"
    assert shown in output.splitlines()[1]
    tags = Tags(files["html"].read_text())
    assert [image["alt"] for image in tags.images()][:3] == [
        "one, degraded",
        "one, restored",
        "one, original",
    ]


def test_upscaling_trial_returns_to_the_original_size(
    tmp_path: Path, astronaut: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = folder_of(tmp_path / "a", odd=astronaut[:63, :78])
    assert (
        main(
            [
                str(photos),
                "--task",
                "upscale",
                "--preset",
                "small",
                "--html",
                str(tmp_path / "r.html"),
            ]
        )
        == 0
    )
    assert "scale=4" in capsys.readouterr().out
    sizes = {
        (image["width"], image["height"])
        for image in Tags((tmp_path / "r.html").read_text()).images()
    }
    assert sizes == {("76", "60")}
    assert "degraded to 19 x 15, enlarged" in (tmp_path / "r.html").read_text()
    assert main([str(photos), "--task", "upscale", "--preset", "small", "--set", "scale=2"]) == 2
    assert "38x30" in capsys.readouterr().err


def test_page_escapes_names_and_embeds_small_pictures() -> None:
    name = 'a<b>&"c"\'<script>.png'
    red, green = (np.zeros((100, 1000, 3), np.uint8) for _ in range(2))
    red[..., 0], green[..., 1] = 200, 200
    entry = Entry(
        name, figures_html(name, {"before <1>": red, "after": green[:, :50]}), {"<i>": ["<1>"]}
    )
    html = page("<title>", ["note & more"], ["PSNR <dB>"], {"mean": ["<2>"]}, [entry])
    tags = Tags(html)
    assert {tag for tag, _ in tags.tags}.isdisjoint({"script", "link", "b", "i"})
    assert "http" not in html
    assert {
        name,
        "<title>",
        "note & more",
        "PSNR <dB>",
        "<1>",
        "<i>",
        "before <1>, 1000 x 100",
    } <= set(tags.texts)
    before, after = tags.images()
    assert before["alt"] == f"{name}, before <1>"
    sources = [
        str(image["src"]).removeprefix("data:image/webp;base64,") for image in (before, after)
    ]
    found = [Image.open(io.BytesIO(base64.b64decode(source))) for source in sources]
    assert [picture.format for picture in found] == ["WEBP", "WEBP"]
    assert [picture.size for picture in found] == [(MAX_PICTURE_WIDTH_PX, 48), (50, 100)]
    assert (before["width"], before["height"]) == (str(MAX_PICTURE_WIDTH_PX), "48")
    for picture, channel in zip(found, (0, 1), strict=True):
        assert int(np.asarray(picture.convert("RGB")).mean((0, 1)).argmax()) == channel
    assert not re.search(r"\bon\w+=", re.sub(r'"data:[^"]*"', "", html))
