"""evaluate: quality figures, matching of photos, and the files that it writes."""

import base64
import csv
import io
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage import data as pictures
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torchvision.models import alexnet

from benchmarks import quality
from benchmarks.evaluate import main
from benchmarks.page import MAX_PICTURE_WIDTH_PX, Entry, figures_html, page
from benchmarks.quality import (
    ALEXNET,
    LINEAR,
    Figures,
    figures_of,
    lpips_measure,
    mean_of,
    niqe_of,
    psnr_db,
)
from data.degradation import Degradation, degrade

LPIPS_WIDTHS = (64, 192, 384, 256, 256)


@pytest.fixture(autouse=True)
def no_lpips_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Hide LPIPS weights that may be installed on this machine."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(quality.importlib.util, "find_spec", lambda name: None)


@pytest.fixture
def astronaut() -> np.ndarray:
    return pictures.astronaut()[:200, 100:300]


def noisy(photo: np.ndarray, sigma: float) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, sigma, photo.shape)
    return np.clip(np.rint(photo + noise), 0, 255).astype(np.uint8)


def folder_of(path: Path, **photos: np.ndarray) -> Path:
    path.mkdir(parents=True)
    for name, pixels in photos.items():
        Image.fromarray(pixels).save(path / f"{name}.png")
    return path


def lpips_files(folder: Path) -> torch.nn.Sequential:
    """Write both files with random weights and return torchvision's features with them."""
    with torch.device("meta"):
        trunk = alexnet(weights=None).features
    assert isinstance(trunk, torch.nn.Sequential)
    trunk.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    for parameter in trunk.parameters():
        parameter.data = (
            torch.randn(parameter.shape, generator=generator)
            * (parameter.numel() / parameter.shape[0]) ** -0.5
        )
    folder.mkdir(parents=True)
    torch.save(
        {f"features.{key}": value for key, value in trunk.state_dict().items()}, folder / ALEXNET
    )
    shares = {
        f"lin{n}.model.1.weight": torch.rand(1, width, 1, 1, generator=generator)
        for n, width in enumerate(LPIPS_WIDTHS)
    }
    torch.save(shares, folder / LINEAR)
    return trunk


class Tags(HTMLParser):
    """Collects tags, attributes and texts of HTML; fails if tags are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def images(self) -> list[dict[str, str | None]]:
        return [attributes for tag, attributes in self.tags if tag == "img"]


def test_figures_equal_those_of_scikit_image(astronaut: np.ndarray) -> None:
    photo = noisy(astronaut, 12)
    figures = figures_of(astronaut, photo)
    assert figures.psnr_rgb_db == pytest.approx(peak_signal_noise_ratio(astronaut, photo), abs=1e-6)
    ssim = structural_similarity(
        astronaut,
        photo,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=255,
        channel_axis=2,
    )
    assert figures.ssim == pytest.approx(ssim, abs=1e-4)
    # The weights of BT.601 for R, G and B; the last assertion fails if red and blue are swapped.
    luma = [
        pixels @ np.array([65.481, 128.553, 24.966]) / 255
        for pixels in (astronaut.astype(float), photo.astype(float))
    ]
    assert figures.psnr_y_db == pytest.approx(
        10 * np.log10(255**2 / np.mean((luma[0] - luma[1]) ** 2)), abs=1e-3
    )
    red, blue = (astronaut.copy() for _ in range(2))
    red[..., 0], blue[..., 2] = 255 - red[..., 0], 255 - blue[..., 2]
    assert figures_of(astronaut, red).psnr_y_db < figures_of(astronaut, blue).psnr_y_db


def test_psnr_of_known_errors() -> None:
    black = np.zeros((4, 4), np.uint8)
    assert psnr_db(black, np.full((4, 4), 255, np.uint8)) == 0.0
    assert psnr_db(black, np.full((4, 4), 16, np.uint8)) == pytest.approx(24.05, abs=0.01)
    assert psnr_db(black, black) == np.inf


def test_equal_photos(astronaut: np.ndarray) -> None:
    figures = figures_of(astronaut, astronaut)
    assert (figures.psnr_rgb_db, figures.psnr_y_db) == (np.inf, np.inf)
    assert figures.ssim == pytest.approx(1.0)
    assert figures.lpips is None


def test_niqe_is_lower_for_clean_photos_and_none_without_texture(astronaut: np.ndarray) -> None:
    clean, worse = niqe_of(astronaut), niqe_of(noisy(astronaut, 40))
    assert clean is not None
    assert worse is not None
    assert 1 < clean < 10
    assert worse > clean + 2
    assert niqe_of(astronaut[:95]) is None
    assert niqe_of(np.full((200, 200, 3), 128, np.uint8)) is None


def test_means_skip_missing_figures() -> None:
    mean = mean_of([Figures(20.0, 22.0, 0.5, 4.0, None), Figures(30.0, 32.0, 0.7, None, None)])
    assert mean == Figures(25.0, 27.0, mean.ssim, 4.0, None)
    assert mean.ssim == pytest.approx(0.6)


def test_lpips_compares_the_features_after_each_relu(tmp_path: Path, astronaut: np.ndarray) -> None:
    trunk = lpips_files(tmp_path / "weights")
    measure = lpips_measure(tmp_path / "weights")
    photo = noisy(astronaut, 30)
    shares = torch.load(tmp_path / "weights" / LINEAR)
    expected, taps = 0.0, [1, 4, 7, 9, 11]
    x = torch.from_numpy(np.stack([astronaut, photo])).permute(0, 3, 1, 2) / 127.5 - 1
    x = (x - torch.tensor([-0.030, -0.088, -0.188]).view(3, 1, 1)) / torch.tensor(
        [0.458, 0.448, 0.450]
    ).view(3, 1, 1)
    with torch.no_grad():
        for index, layer in enumerate(trunk):
            x = layer(x)
            if index in taps:
                first, second = torch.nn.functional.normalize(x, dim=1)
                share = shares[f"lin{taps.index(index)}.model.1.weight"][0]
                expected += float((share * (first - second) ** 2).sum(0).mean())
    assert expected > 0.01
    assert measure(astronaut, photo) == pytest.approx(expected, rel=1e-4)
    assert measure(photo, photo) == 0


def test_lpips_is_measured_if_its_files_are_present(
    tmp_path: Path, astronaut: np.ndarray, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = folder_of(tmp_path / "a", one=astronaut, two=astronaut[::-1])
    assert main([str(photos), str(photos)]) == 0
    output = capsys.readouterr().out
    assert output.count("LPIPS is not measured: ") == 1
    assert ALEXNET in output
    assert output.count("not measured") == 1 + 2 + 1  # the reason, two photos and their mean
    assert main([str(photos), str(photos), "--lpips", str(tmp_path / "nowhere")]) == 2
    assert ALEXNET in capsys.readouterr().err
    lpips_files(tmp_path / "hub" / "checkpoints")
    assert main([str(photos), str(photos)]) == 0
    output = capsys.readouterr().out
    assert "not measured" not in output
    assert output.splitlines()[1].split()[-1] == "0.0000"


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
    assert list(rows[0]) == ["photo", "psnr_rgb_db", "psnr_y_db", "ssim", "niqe", "lpips"]
    assert [row["photo"] for row in rows] == ["one", "two", "mean"]
    values = [float(row["psnr_rgb_db"]) for row in rows]
    assert values[0] == pytest.approx(
        peak_signal_noise_ratio(astronaut, noisy(astronaut, 5)), abs=1e-6
    )
    assert values[2] == pytest.approx((values[0] + values[1]) / 2)
    assert [row["lpips"] for row in rows] == ["", "", ""]


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
