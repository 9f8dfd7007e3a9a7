"""Faces from the outputs of RetinaFace, decoded on their device.

facexlib decodes all of its 17,000 to 100,000 anchors on the host, and computes the anchors again
for each photo. Here the anchors of a size are kept, and only faces are copied to the host.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from restore.runtime.transfers import download

_MIN_SIZES_PX = ((16, 32), (64, 128), (256, 512))
_STEPS_PX = (8, 16, 32)
_VARIANCES = (0.1, 0.2)


def decode_faces(
    outputs: Sequence[Tensor], size: tuple[int, int], *, threshold: float, max_overlap: float
) -> np.ndarray:
    """Convert the outputs of the network to faces.

    Args:
        outputs: boxes 1xNx4, probabilities 1xNx2 and landmarks 1xNx10, as the network returns them.
        size: (width, height) of its input.
        threshold: faces with a lower or an equal probability are dropped.
        max_overlap: of two faces that overlap more, the one with the lower probability is dropped.

    Returns:
        Mx15 float32 on the host: box, probability and landmarks of each face in pixels of the
        input, the highest probability first.
    """
    from torchvision.ops import nms  # noqa: PLC0415 - slow to import; dlib does not need it

    offsets, probabilities, points = (output[0].float() for output in outputs)
    scores = probabilities[:, 1]
    kept = (scores > threshold).nonzero()[:, 0]
    anchors = _anchors(*size, offsets.device)[kept]
    centres, sides = anchors[:, :2], anchors[:, 2:]
    scale = torch.tensor(size, device=offsets.device, dtype=torch.float32)
    middle = centres + offsets[kept, :2] * _VARIANCES[0] * sides
    extent = sides * torch.exp(offsets[kept, 2:] * _VARIANCES[1])
    landmarks = centres[:, None] + points[kept].reshape(-1, 5, 2) * _VARIANCES[0] * sides[:, None]
    corners = torch.cat([middle - extent / 2, middle + extent / 2], dim=1) * scale.repeat(2)
    rows = torch.cat([corners, scores[kept, None], (landmarks * scale).flatten(1)], dim=1)
    faces = torch.from_numpy(download(rows))
    return faces[nms(faces[:, :4], faces[:, 4], max_overlap)].numpy()


@functools.lru_cache(maxsize=16)
def _anchors(width: int, height: int, device: torch.device) -> Tensor:
    """Return centre and sides of each anchor as fractions of the input: Nx4."""
    parts = []
    for step_px, sizes_px in zip(_STEPS_PX, _MIN_SIZES_PX, strict=True):
        rows, columns = (
            (np.arange(math.ceil(side / step_px)) + 0.5) * step_px / side
            for side in (height, width)
        )
        grid = np.empty((len(rows), len(columns), len(sizes_px), 4))
        grid[..., 0], grid[..., 1] = columns[None, :, None], rows[:, None, None]
        grid[..., 2], grid[..., 3] = np.array(sizes_px) / width, np.array(sizes_px) / height
        parts.append(grid.reshape(-1, 4))
    return torch.from_numpy(np.concatenate(parts).astype(np.float32)).to(device)
