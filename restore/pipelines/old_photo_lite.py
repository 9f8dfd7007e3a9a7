"""Old photos without a download: small networks in place of the official stages, which find and fill scratches, denoise, restore faces.

Its own network only finds scratches (weights/lite); the others are those of `inpaint`, `restore` and `face_restore`.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import torch
from torch import nn

from restore.errors import Code, RestoreError
from restore.imaging.photo import Photo
from restore.options import FaceRestoreOptions, InpaintOptions, OldPhotoOptions, RestoreOptions
from restore.pipelines.face_stage import with_faces_restored
from restore.pipelines.inpaint import inpaint
from restore.pipelines.job import Job, eight_bits, in_colour
from restore.pipelines.old_photo_face_stage import device_of
from restore.pipelines.restore import restore
from restore.runtime.output_checks import sound

COMPANIONS = ("inpaint", "restore", "face_restore")
"""The catalog tasks whose lite networks the job has beside its own."""

NOTHING_LEFT = "scratches lie everywhere: nothing is left to fill them from"
NOTHING_LEFT_REMEDY = "Raise scratch_threshold, or leave with_scratch out."

LONGEST_PX = 1280  # that scratches are looked for at: they were learnt at widths of 1 to 10 pixels
TURNS = 4  # by right angles
MARGIN_PX = 2  # what surrounds a found scratch is filled too: its edge is half scratch
DENOISE_STRENGTH = 0.6  # film keeps some of its grain


def with_lite_networks(
    photo: Photo, options: OldPhotoOptions, job: Job
) -> tuple[Photo, np.ndarray | None]:
    """The photo restored, its alpha as it was, and the scratches (HxW bool) that were filled, where they were to be looked for.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS, MASK where scratches leave nothing of a photo.
    """
    result, mask = photo, None
    if options.with_scratch:
        with job.report.stage("scratches"):
            mask = scratches(photo, job.models["old_photo_restore"].net, options.scratch_threshold)
        if mask.all():
            raise RestoreError(Code.MASK, NOTHING_LEFT, NOTHING_LEFT_REMEDY)
        if mask.any():
            result = inpaint(result, InpaintOptions(), replace(job, mask=mask))
    if options.old_photo_hr:
        job.report.warn(
            "old_photo_hr is of the official networks: lite weights work alike at every size"
        )
    result = restore(
        result, RestoreOptions(strength=DENOISE_STRENGTH, tile_size=options.tile_size), job
    )
    if options.with_face:
        [result] = with_faces_restored([result], FaceRestoreOptions(), [job], 1.0, None)
    return result, mask


def scratches(photo: Photo, net: nn.Module, threshold: float) -> np.ndarray:
    """HxW bool: where the lite network's probability of a scratch reaches the threshold, and MARGIN_PX around.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    luminance = cv2.cvtColor(in_colour(eight_bits(photo.pixels)), cv2.COLOR_RGB2GRAY)
    factor = LONGEST_PX / max(luminance.shape)
    if factor < 1.0:
        size = (max(1, round(photo.width * factor)), max(1, round(photo.height * factor)))
        luminance = cv2.resize(luminance, size, interpolation=cv2.INTER_AREA)
    found = (probability_of(luminance, net) >= threshold).astype(np.uint8)
    grown = cv2.dilate(found, np.ones((2 * MARGIN_PX + 1,) * 2, np.uint8))
    return cv2.resize(grown, (photo.width, photo.height), interpolation=cv2.INTER_NEAREST) > 0


def probability_of(luminance: np.ndarray, net: nn.Module) -> np.ndarray:
    """HxW uint8 -> HxW float32, the probability of a scratch: the network's mean answer to four turns of the photo.

    Turned, it errs elsewhere: a hundredth of F1 (the self-ensemble of Timofte et al., CVPR 2016).

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    seen = torch.from_numpy(luminance.astype(np.float32) / 255.0)[None, None].to(device_of(net))
    total = torch.zeros_like(seen)
    with torch.inference_mode():
        for turns in range(TURNS):
            total += torch.rot90(net(torch.rot90(seen, turns, (2, 3)).contiguous()), -turns, (2, 3))
        return np.asarray(
            torch.sigmoid(sound(total, seen, "lite scratches") / TURNS)[0, 0].cpu().numpy()
        )
