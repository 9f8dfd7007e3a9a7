"""Pipelines in the official order of operations, each step over the whole photo.

`against_official` times this project against them. They do what a warm official predictor does:
float32, networks in their default memory layout, no processing by region. They follow the code of
sczhou/CodeFormer, TencentARC/GFPGAN, xinntao/Real-ESRGAN, piddnad/DDColor, advimman/lama and
megvii-research/NAFNet. Photos are HxWx3 uint8 RGB here and BGR there, which does not change the
arithmetic.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.face_paste import paste_in_official_steps
from restore.faces.align import estimate_similarity
from restore.faces.colour import is_grey
from restore.faces.convention import CONVENTIONS, Convention
from restore.faces.detect import Detector
from restore.models.adapters.base import FaceAdapter
from restore.models.loader import Model
from restore.pipelines.official import run_official_tiles
from restore.runtime.device import Runtime

Array = np.ndarray

CROP_PX = 512
BORDER_COLOUR = (132, 133, 135)
"""Colour of the part of a crop that lies outside of the photo."""
PARSE_CLASSES_OUTSIDE = (0, 14, 16, 17, 18)
"""Classes of the parser that are not part of a face."""
DDCOLOR_PX = 512
LAMA_MULTIPLE_PX = 8


def restore_faces(photo: Array, model: Model, detector: Detector, fidelity: float = 0.5) -> Array:
    """Run CodeFormer, GFPGAN or RestoreFormer at the size of the photo, without a background."""
    name = model.row.face_convention
    assert name is not None, "the row of a face network names its convention"
    convention = CONVENTIONS[name]
    if convention.matches_grey:
        is_grey(photo)  # for its cost; the photo of the benchmark is not grey
    result = np.asarray(photo)
    for face in detector.find(
        photo, short_side_px=convention.detect_short_side_px, threshold=convention.score_threshold
    ):
        matrix = estimate_similarity(face.landmarks)
        assert matrix is not None, "the face of the benchmark has landmarks"
        crop = cv2.warpAffine(
            photo,
            matrix,
            (CROP_PX, CROP_PX),
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=BORDER_COLOUR,
        )
        adapter = model.adapter_of_kind(FaceAdapter)
        output = adapter.restore_faces(model.net, signed_tensor(crop), fidelity)
        restored = to_levels(output, -1.0, 1.0)
        result = np.asarray(_parse_and_paste(result, restored, matrix, model, convention))
    return result


def _parse_and_paste(
    photo: Array, face: Array, matrix: Array, model: Model, convention: Convention
) -> Array:
    output: Any = model.partners["parser"](signed_tensor(face))
    labels = output[0].argmax(dim=1)[0].numpy()
    outside = np.isin(labels, PARSE_CLASSES_OUTSIDE)
    mask: Any = np.where(outside, 0.0, 255.0).astype(np.float32)
    for _ in range(2):
        mask = cv2.GaussianBlur(mask, (101, 101), 11)
    for edge in (np.s_[:10], np.s_[-10:], np.s_[:, :10], np.s_[:, -10:]):
        mask[edge] = 0.0
    return paste_in_official_steps(photo, face, matrix, mask / 255.0, convention)


def upscale(photo: Array, net: Any, model: Model, runtime: Runtime) -> Array:  # noqa: ANN401 - any callable
    """Run RealESRGANer.enhance without tiles, which is the default of its command line."""
    return run_official_tiles(
        photo, net, scale=model.row.scale, multiple=model.row.size_multiple, runtime=runtime
    )


def colorize(photo: Array, model: Model) -> Array:
    """Run DDColor's pipeline."""
    image = (photo / 255.0).astype(np.float32)
    luminance = cv2.cvtColor(image, cv2.COLOR_RGB2Lab)[..., :1]
    small = cv2.resize(image, (DDCOLOR_PX, DDCOLOR_PX))
    small_l = cv2.cvtColor(small, cv2.COLOR_RGB2Lab)[..., :1]
    grey_lab = np.concatenate([small_l, np.zeros_like(small_l), np.zeros_like(small_l)], axis=-1)
    grey = cv2.cvtColor(grey_lab, cv2.COLOR_LAB2RGB)
    output = model.net(torch.from_numpy(grey.transpose(2, 0, 1)).float()[None])
    ab = F.interpolate(output, size=photo.shape[:2])[0].float().numpy().transpose(1, 2, 0)
    result = np.asarray(cv2.cvtColor(np.concatenate([luminance, ab], axis=-1), cv2.COLOR_LAB2RGB))
    # The official code does not clip, so that its values wrap around.
    return (np.clip(result, 0.0, 1.0) * 255.0).round().astype(np.uint8)


def inpaint(photo: Array, hole: Array, model: Model) -> Array:
    """Run LaMa's predict.py: pad by reflection to a multiple of eight, and truncate levels."""
    height, width = hole.shape
    edges = ((0, -height % LAMA_MULTIPLE_PX), (0, -width % LAMA_MULTIPLE_PX))
    padded = np.pad(photo.astype(np.float32) / 255.0, (*edges, (0, 0)), mode="symmetric")
    image = np.ascontiguousarray(padded.transpose(2, 0, 1))
    mask = np.pad(hole.astype(np.float32), edges, mode="symmetric")[None]
    # The profiling executor of TorchScript would take six seconds in the first calls.
    with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]
        output = model.net(torch.from_numpy(image)[None], torch.from_numpy(mask)[None])
    result = np.asarray(output[0].permute(1, 2, 0).numpy()[:height, :width])
    return np.clip(result * 255.0, 0, 255).astype(np.uint8)


def denoise(photo: Array, model: Model) -> Array:
    """Run NAFNet's demo over the whole photo."""
    image = torch.from_numpy(photo.astype(np.float32) / 255.0).permute(2, 0, 1)[None]
    return to_levels(model.net(image), 0.0, 1.0)


def signed_tensor(crop: Array) -> Tensor:
    """Convert HxWx3 uint8 to 1x3xHxW in [-1, 1]."""
    image = (crop / 255.0).astype(np.float32).transpose(2, 0, 1)
    return torch.from_numpy((image - np.float32(0.5)) / np.float32(0.5))[None]


def to_levels(output: Tensor, low: float, high: float) -> Array:
    """Convert 1x3xHxW in [low, high] to HxWx3 uint8 by rounding."""
    image = (output[0].float().clamp(low, high) - low) / (high - low)
    return (image.permute(1, 2, 0).numpy() * 255.0).round().astype(np.uint8)
