"""Copies between host and device."""

import numpy as np
import pytest
import torch

from restore.runtime.transfers import download, recorded_transfers, upload

CPU = torch.device("cpu")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_array_returns_unchanged(dtype: type) -> None:
    largest = 65535 if dtype == np.uint16 else 255
    array: np.ndarray = np.linspace(0, largest, 6).reshape(2, 3).astype(dtype)
    array.flags.writeable = False
    returned = download(upload(array, CPU))
    assert returned.dtype == dtype
    np.testing.assert_array_equal(returned, array)


def test_tensor_does_not_share_memory_with_its_array() -> None:
    array = np.zeros(4, np.float32)
    tensor = upload(array, CPU)
    array += 1
    assert torch.equal(tensor, torch.zeros(4))


def test_bytes_are_recorded_while_asked_for() -> None:
    with recorded_transfers() as outer:
        tensor = upload(np.zeros((2, 3), np.uint16), CPU)
        with recorded_transfers() as inner:
            download(tensor)
    upload(np.zeros(100), CPU)
    assert (outer.uploads, outer.downloads) == ([12], [12])
    assert (inner.uploads, inner.downloads) == ([], [12])


def test_end_of_a_record_does_not_end_an_equal_one() -> None:
    with recorded_transfers() as outer:
        with recorded_transfers() as inner:
            assert inner == outer
        upload(np.zeros(4, np.uint8), CPU)
    assert (outer.uploads, inner.uploads) == ([4], [])
