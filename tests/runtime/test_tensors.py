"""Conversions between pixels and tensors."""

import numpy as np
import pytest
import torch

from restore.runtime.tensors import quantise, to_batch, to_planes

CPU = torch.device("cpu")


def test_quantise_clamps_and_rounds_half_to_even() -> None:
    planes = torch.tensor([-1.0, 0.5 / 255, 1.5 / 255, 2.0]).repeat(3, 1, 1)
    np.testing.assert_array_equal(
        quantise(planes, np.dtype(np.uint8), grey=False)[0, :, 0], [0, 0, 2, 255]
    )


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3)])
def test_pixels_survive_the_conversion_to_planes_and_back(
    shape: tuple[int, ...], dtype: type[np.unsignedinteger]
) -> None:
    end = int(np.iinfo(dtype).max) + 1
    pixels = np.random.default_rng(1).integers(0, end, shape).astype(dtype)
    pixels.flags.writeable = False
    planes = to_planes(pixels, CPU)
    assert (planes.shape, planes.dtype) == ((3, 5, 7), torch.float32)
    assert planes.is_contiguous()
    assert 0 <= float(planes.min()) <= float(planes.max()) <= 1
    grey = len(shape) == 2
    np.testing.assert_array_equal(quantise(planes, pixels.dtype, grey=grey), pixels)


def test_batch_keeps_values_and_memory_layout() -> None:
    images = [np.full((4, 6, 3), level, np.uint8) for level in (3, 250)]
    batch = to_batch(images, CPU)
    assert (batch.shape, batch.dtype) == ((2, 3, 4, 6), torch.float32)
    assert batch.is_contiguous(memory_format=torch.channels_last)
    assert batch.amax(dim=(1, 2, 3)).tolist() == [3.0, 250.0]
