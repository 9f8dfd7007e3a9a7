"""The official implementations' order of work, step by step over the whole frame, for benchmarks/against_official.py to be timed against.

What a warm official predictor does for a photo: float32, networks in their default layout, nothing cut to a region. Written from
what their code does (sczhou/CodeFormer, TencentARC/GFPGAN, xinntao/Real-ESRGAN, piddnad/DDColor, advimman/lama, megvii-research/NAFNet).
Photos are HxWx3 uint8 RGB here; theirs are BGR, which changes no arithmetic.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.face_paste import official_steps
from restore.faces.align import similarity
from restore.faces.colour import is_grey
from restore.faces.convention import CONVENTIONS, Convention
from restore.faces.detect import Detector
from restore.faces.network_calls import raw_output
from restore.models.loader import Model
from restore.runtime.device import Runtime
from restore.runtime.tiling import run_official_tiles

Array = np.ndarray

CROP_PX = 512
BORDER = (132, 133, 135)  # of a crop that reaches beyond the photo
OUTSIDE = (0, 14, 16, 17, 18)  # the parser's classes that are no face
DDCOLOR_PX = 512


def faces(photo: Array, model: Model, detector: Detector, fidelity: float = 0.5) -> Array:
    """CodeFormer, GFPGAN or RestoreFormer, as the row's helper has it, at the photo's own size and without an upscaler behind."""
    name = model.row.face_convention
    assert name is not None, "a face network's row names its convention"
    convention = CONVENTIONS[name]
    if convention.matches_grey:
        is_grey(photo)
    result = np.asarray(photo)
    for face in detector.find(
        photo, short_side_px=convention.detect_short_side_px, threshold=convention.score_threshold
    ):
        matrix = similarity(face.landmarks)
        assert matrix is not None, "the benchmark's face has landmarks"
        crop = cv2.warpAffine(
            photo, matrix, (CROP_PX, CROP_PX), borderMode=cv2.BORDER_CONSTANT, borderValue=BORDER
        )
        restored = levels(
            raw_output(model.net, model.row.architecture, signed(crop), fidelity), -1.0, 1.0
        )
        result = np.asarray(pasted(result, restored, matrix, model, convention))
    return result


def pasted(photo: Array, face: Array, matrix: Array, model: Model, convention: Convention) -> Array:
    """The restored face parsed, and laid over the whole frame."""
    answer: Any = model.partners["parser"](signed(face))
    labels = answer[0].argmax(dim=1)[0].numpy()
    mask: Any = np.where(np.isin(labels, OUTSIDE), 0.0, 255.0).astype(np.float32)
    for _ in range(2):
        mask = cv2.GaussianBlur(mask, (101, 101), 11)
    for edge in (np.s_[:10], np.s_[-10:], np.s_[:, :10], np.s_[:, -10:]):
        mask[edge] = 0.0
    return official_steps(photo, face, matrix, mask / 255.0, convention)


def upscaled(photo: Array, net: Any, model: Model, runtime: Runtime) -> Array:  # noqa: ANN401 - a network, or two mixed
    """RealESRGANer.enhance, untiled, as its command line has it by default."""
    return run_official_tiles(
        photo, net, scale=model.row.scale, multiple=model.row.size_multiple, runtime=runtime
    )


def coloured(photo: Array, model: Model) -> Array:
    """DDColor's pipeline."""
    image = (photo / 255.0).astype(np.float32)
    luminance = cv2.cvtColor(image, cv2.COLOR_RGB2Lab)[..., :1]
    seen = cv2.cvtColor(cv2.resize(image, (DDCOLOR_PX, DDCOLOR_PX)), cv2.COLOR_RGB2Lab)[..., :1]
    grey = cv2.cvtColor(
        np.concatenate([seen, np.zeros_like(seen), np.zeros_like(seen)], axis=-1), cv2.COLOR_LAB2RGB
    )
    colours = model.net(torch.from_numpy(grey.transpose(2, 0, 1)).float()[None])
    ab = F.interpolate(colours, size=photo.shape[:2])[0].float().numpy().transpose(1, 2, 0)
    result = np.asarray(cv2.cvtColor(np.concatenate([luminance, ab], axis=-1), cv2.COLOR_LAB2RGB))
    return (
        (np.clip(result, 0.0, 1.0) * 255.0).round().astype(np.uint8)
    )  # theirs wraps around where ours is clipped


def filled(photo: Array, mask: Array, model: Model) -> Array:
    """LaMa's predict.py: the whole photo, padded by its mirror image to a multiple of eight; the fraction is cut off."""
    height, width = mask.shape
    edges = ((0, -height % 8), (0, -width % 8))
    image = np.pad(photo.astype(np.float32) / 255.0, (*edges, (0, 0)), mode="symmetric").transpose(
        2, 0, 1
    )
    hole = np.pad(mask.astype(np.float32), edges, mode="symmetric")[None]
    with torch.jit.optimized_execution(False):  # type: ignore[attr-defined]  # once warm, which takes six seconds otherwise
        answer = model.net(
            torch.from_numpy(np.ascontiguousarray(image))[None], torch.from_numpy(hole)[None]
        )
    result = np.asarray(answer[0].permute(1, 2, 0).numpy()[:height, :width])
    return np.clip(result * 255.0, 0, 255).astype(np.uint8)


def cleaned(photo: Array, model: Model) -> Array:
    """NAFNet's demo: the whole photo at once."""
    image = torch.from_numpy(photo.astype(np.float32) / 255.0).permute(2, 0, 1)[None]
    return levels(model.net(image), 0.0, 1.0)


def signed(crop: Array) -> Tensor:
    """HxWx3 uint8 -> 1x3xHxW in [-1, 1]."""
    image = (crop / 255.0).astype(np.float32).transpose(2, 0, 1)
    return torch.from_numpy((image - np.float32(0.5)) / np.float32(0.5))[None]


def levels(answer: Tensor, low: float, high: float) -> Array:
    """1x3xHxW -> HxWx3 uint8, rounded."""
    image = (answer[0].float().clamp(low, high) - low) / (high - low)
    return (image.permute(1, 2, 0).numpy() * 255.0).round().astype(np.uint8)
