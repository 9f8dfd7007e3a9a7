"""basicsr beside today's libraries: it imports, it computes, and it leaves nothing behind."""

import subprocess
import sys

import numpy as np
import pytest
from conftest import PROJECT

from training.basicsr_import import import_basicsr

IMPORT = """
import sys
import numpy
from training.basicsr_import import import_basicsr
before = numpy.geterr()
for name in ("data.degradations", "metrics.niqe", "metrics.psnr_ssim"):
    import_basicsr(name)
assert numpy.geterr() == before, "numpy's error state changed"
assert "torchvision.transforms.functional_tensor" not in sys.modules, "the stub stayed"
"""


@pytest.fixture
def photo() -> np.ndarray:
    y, x = np.mgrid[0:112, 0:208]
    waves = np.stack([np.sin(x / (5 + c)) * np.cos(y / (7 - c)) for c in range(3)], axis=-1)
    noise = np.random.default_rng(0).normal(0, 6, waves.shape)
    return np.clip(128 + 60 * waves + noise, 0, 255).astype(np.uint8)


def test_the_first_import_warns_of_nothing_and_leaves_nothing_behind():
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")


def test_degradations_run(photo):
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


def test_metrics_run(photo):
    metrics = import_basicsr("metrics.psnr_ssim")
    off_by_five = np.clip(photo, 5, 250) + np.uint8(5)
    assert metrics.calculate_psnr(np.clip(photo, 5, 250), off_by_five, 4) == pytest.approx(
        20 * np.log10(255 / 5)
    )
    assert metrics.calculate_ssim(photo, photo, 4, test_y_channel=True) == pytest.approx(1)
    assert np.isfinite(import_basicsr("metrics.niqe").calculate_niqe(photo, 0))


def test_a_module_that_basicsr_lacks_is_an_error():
    with pytest.raises(ModuleNotFoundError, match="basicsr"):
        import_basicsr("no_such_module")
