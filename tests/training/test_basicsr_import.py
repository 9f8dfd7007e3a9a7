"""Import of basicsr beside current libraries: it works and leaves no trace in the process."""

import subprocess
import sys

import numpy as np
import pytest
from places import PROJECT

from training.basicsr_import import import_basicsr

IMPORT = """
import sys
import numpy
from training.basicsr_import import import_basicsr
before = numpy.geterr()
for name in ("data.degradations", "metrics.niqe", "metrics.psnr_ssim"):
    import_basicsr(name)
assert numpy.geterr() == before, "numpy's error state changed"
assert "torchvision.transforms.functional_tensor" not in sys.modules, "the stub remained"
"""


@pytest.fixture
def photo() -> np.ndarray:
    y, x = np.mgrid[0:112, 0:208]
    waves = np.stack([np.sin(x / (5 + c)) * np.cos(y / (7 - c)) for c in range(3)], axis=-1)
    noise = np.random.default_rng(0).normal(0, 6, waves.shape)
    return np.clip(128 + 60 * waves + noise, 0, 255).astype(np.uint8)


@pytest.mark.slow
def test_first_import_gives_no_warnings_and_leaves_no_trace() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_degradations_run(photo: np.ndarray) -> None:
    degradations = import_basicsr("data.degradations")
    pixels = np.float32(photo / 255)
    for kind in ("iso", "aniso", "generalized_iso", "plateau_aniso"):
        kernel = degradations.random_mixed_kernels([kind], [1.0], 21)
        assert kernel.shape == (21, 21)
        assert kernel.sum() == pytest.approx(1)
    noisy = degradations.add_gaussian_noise(pixels, 10)
    assert np.std(noisy - pixels) == pytest.approx(10 / 255, rel=0.1)
    assert not np.array_equal(degradations.add_poisson_noise(pixels, 1.0), pixels)
    assert np.abs(degradations.add_jpg_compression(pixels, 95) - pixels).mean() < 0.05


def test_metrics_run(photo: np.ndarray) -> None:
    metrics = import_basicsr("metrics.psnr_ssim")
    clipped = np.clip(photo, 5, 250)
    psnr = metrics.calculate_psnr(clipped, clipped + np.uint8(5), 4)
    assert psnr == pytest.approx(20 * np.log10(255 / 5))
    assert metrics.calculate_ssim(photo, photo, 4, test_y_channel=True) == pytest.approx(1)
    assert np.isfinite(import_basicsr("metrics.niqe").calculate_niqe(photo, 0))


def test_unknown_module_is_an_error() -> None:
    with pytest.raises(ModuleNotFoundError, match="basicsr"):
        import_basicsr("no_such_module")
