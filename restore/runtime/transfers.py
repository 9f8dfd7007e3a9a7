"""Copies of arrays between host and device memory, and a record of them.

Code that keeps pixels on the device makes all its copies here, so that tests and benchmarks can
count them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor


@dataclass
class Transfers:
    """The copies of a process while they are recorded.

    Attributes:
        uploads: bytes of each copy to the device.
        downloads: bytes of each copy to the host.
    """

    uploads: list[int] = field(default_factory=list)
    downloads: list[int] = field(default_factory=list)


_recorders: list[Transfers] = []


@contextmanager
def recorded_transfers() -> Iterator[Transfers]:
    """Record the copies that are made in the block, by any thread and on any device."""
    transfers = Transfers()
    _recorders.append(transfers)
    try:
        yield transfers
    finally:
        # By identity, because records are equal if they contain the same numbers.
        _recorders[:] = [each for each in _recorders if each is not transfers]


def upload(array: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to a device; 16-bit integers become int32, because torch hardly supports them.

    Args:
        array: of any shape; may be read-only.
        device: where the tensor is placed.

    Returns:
        A tensor of the same shape and values.
    """
    for each in _recorders:
        each.uploads.append(array.nbytes)
    is_deep = array.dtype == np.uint16
    plain = np.ascontiguousarray(array)
    # A view, so that 2 bytes per sample are copied and not 4.
    plain = plain.view(np.int16) if is_deep else plain
    # torch warns about read-only arrays; a device that is the host must not share the memory.
    tensor = torch.from_numpy(plain if plain.flags.writeable else plain.copy())
    tensor = tensor.to(device, copy=True)
    return tensor.to(torch.int32).bitwise_and_(0xFFFF) if is_deep else tensor


def download(tensor: Tensor) -> np.ndarray:
    """Copy a tensor to the host; int32, which holds 16-bit integers, becomes uint16."""
    is_deep = tensor.dtype == torch.int32
    source = (tensor.to(torch.int16) if is_deep else tensor).contiguous()
    for each in _recorders:
        each.downloads.append(source.nbytes)
    # Pinned memory is copied three times as fast, and torch keeps it for the next download.
    target = torch.empty(source.shape, dtype=source.dtype, pin_memory=source.is_cuda)
    array: np.ndarray = target.copy_(source).numpy()
    return array.view(np.uint16) if is_deep else array
