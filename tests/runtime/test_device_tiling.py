"""A network in tiles gives the same result on the device as on the host."""

import numpy as np
import pytest
import torch

from restore.imaging.device_photo import download_photo, upload_photo
from restore.imaging.photo import Photo
from restore.runtime.device import runtime_for
from restore.runtime.device_tiling import run_tiled_on_device
from restore.runtime.tiling import plan_axis, run_tiled

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)


def enlarge(tiles: torch.Tensor) -> torch.Tensor:
    """Enlarge twice, beyond [0, 1] in places."""
    return torch.nn.functional.interpolate(tiles * 1.2 - 0.1, scale_factor=2.0, mode="bicubic")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(61, 83, 3), (61, 83), (9, 90, 3)])
def test_result_equals_that_of_the_host(shape: tuple[int, ...], dtype: type) -> None:
    pixels = RNG.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    rows, columns = (plan_axis(side, 48, 4, 8) for side in shape[:2])
    runtime = runtime_for("fast", CPU)
    done: list[tuple[int, int]] = []
    options = {"rows": rows, "columns": columns, "scale": 2, "runtime": runtime}
    expected = run_tiled(pixels, enlarge, on_tile=lambda *_: None, **options)  # type: ignore[arg-type]
    photo = upload_photo(Photo("a", pixels), CPU)
    levels = run_tiled_on_device(
        photo.levels,
        enlarge,
        on_tile=lambda *counts: done.append(counts),
        batch=2,
        **options,  # type: ignore[arg-type]
    )
    result = download_photo(photo.with_levels(levels, None)).pixels
    assert result.dtype == dtype
    assert result.shape == expected.shape
    assert np.abs(result.astype(int) - expected).max() <= 1
    count = len(rows.starts) * len(columns.starts)
    assert done == [(index + 1, count) for index in range(count)]
