"""The figures of evaluate: PSNR, SSIM, NIQE and LPIPS."""

from pathlib import Path

import numpy as np
import pytest
import torch
from evaluatefiles import astronaut_photo, folder_of, hide_lpips, lpips_files, needs_packages, noisy
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from benchmarks.evaluate import main
from benchmarks.perceptual import MIN_SSIMULACRA2_SIDE_PX
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


@pytest.fixture(autouse=True)
def no_lpips_weights(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hide_lpips(monkeypatch, tmp_path)


@pytest.fixture
def astronaut() -> np.ndarray:
    return astronaut_photo()


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
    rows = [
        Figures(20.0, 22.0, 0.5, 60.0, None, 0.1, 4.0, None),
        Figures(30.0, 32.0, 0.7, None, None, 0.3, None, None),
    ]
    mean = mean_of(rows)
    assert mean == Figures(25.0, 27.0, mean.ssim, 60.0, None, 0.2, 4.0, None)
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


@needs_packages
def test_lpips_is_measured_if_its_files_are_present(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    astronaut = astronaut_photo(MIN_SSIMULACRA2_SIDE_PX)  # so that only LPIPS may be missing
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
