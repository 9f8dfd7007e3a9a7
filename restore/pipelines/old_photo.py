"""old_photo_restore: Bringing Old Photos Back to Life (Wan et al., CVPR 2020): scratches, then the photo as a whole, then its faces.

Follows the official four stages where they decide pixels. Two faults are mended: the result is not stretched to the full range
between its darkest and its lightest sample, and it comes back at the photo's own size, not at a multiple of 4 or 16. With lite
weights it is another sequence of networks: old_photo_lite.py.
"""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from restore.errors import Code, RestoreError
from restore.imaging.photo import Photo, check_output
from restore.models.catalog import LITE
from restore.models.loader import Model
from restore.nets.old_photo.vae import OldPhotoVae
from restore.options import OldPhotoOptions
from restore.pipelines.job import Job, eight_bits, in_colour
from restore.pipelines.old_photo_face_stage import as_pixels, as_tensor, device_of, with_old_faces
from restore.pipelines.old_photo_lite import NOTHING_LEFT, NOTHING_LEFT_REMEDY, with_lite_networks
from restore.pipelines.upscale import mixed
from restore.runtime.output_checks import sound

LONGEST_PX = {False: 3072, True: 2048}
"""Long side that the networks work at, without and with scratches: there every feature is compared with every other."""

PATCHED_MULTIPLE = (
    32  # the official 16 leaves a strip without content where the largest patches end
)
DETECTED_AT_PX = 256  # the scratch network sees the photo with this short side; a narrow strip, which would become endless, smaller
PLAIN_MULTIPLE, SCRATCHED_MULTIPLE = 4, 16


def old_photo(photo: Photo, options: OldPhotoOptions, job: Job) -> Photo:
    """Restores an old photo at its own size; alpha is carried over untouched.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS, MASK where scratches leave nothing of a photo.
    """
    model = job.models["old_photo_restore"]
    if options.old_photo_hr and not options.with_scratch:
        job.report.warn(
            "old_photo_hr is a way to fill scratches: without with_scratch it changes nothing"
        )
    if options.return_mask and not options.with_scratch:
        job.report.warn(
            "return_mask returns the scratches that were found: without with_scratch none are looked for"
        )
    if model.variant == LITE:
        result, mask = with_lite_networks(photo, options, job)
        if mask is not None:
            noted(photo, mask, options, job)
        return mixed(result, photo, options.strength)
    pixels = at_working_size(in_colour(eight_bits(photo.pixels)), options, job)
    mask = None
    if options.with_scratch:
        with job.report.stage("scratches"), torch.inference_mode():
            mask = scratches(pixels, model, options.scratch_threshold)
        if bool(mask.all()):
            raise RestoreError(
                Code.MASK,
                "all of it looks like a scratch",
                "Raise scratch_threshold, or leave with_scratch out.",
            )
    with job.report.stage("net"), torch.inference_mode():
        restored = globally_restored(
            pixels, mask, model, stretched=job.official_quirks, hr=options.old_photo_hr
        )
    if options.with_face and job.detector is not None:
        restored = with_old_faces(restored, (photo.width, photo.height), model, job)
    if mask is not None:
        noted(photo, mask, options, job)
    return mixed(finished(restored, photo, job), photo, options.strength)


def check(photo: Photo, options: OldPhotoOptions, output_format: str, job: Job) -> None:
    """Refuses, before any work, a photo that the output format cannot hold.

    Raises:
        RestoreError: OUTPUT_TOO_LARGE.
    """
    check_output(photo.name, photo.width, photo.height, output_format)


def at_working_size(pixels: np.ndarray, options: OldPhotoOptions, job: Job) -> np.ndarray:
    """The photo at multiples of 4 (bilinear) or, with scratches, of 16 (bicubic), as officially; a very large one smaller."""
    height, width = pixels.shape[:2]
    multiple = SCRATCHED_MULTIPLE if options.with_scratch else PLAIN_MULTIPLE
    if options.with_scratch and options.old_photo_hr and not job.official_quirks:
        multiple = PATCHED_MULTIPLE
    longest = LONGEST_PX[options.with_scratch]
    factor = min(1.0, longest / max(height, width))
    if factor < 1.0:
        job.report.warn(
            f"{width}x{height} is much for this network: it worked at a long side of {longest} pixels, its result enlarged"
        )
    size = tuple(
        max(2 * multiple, round(side * factor / multiple) * multiple) for side in (width, height)
    )
    how = Image.Resampling.BICUBIC if options.with_scratch else Image.Resampling.BILINEAR
    return np.asarray(Image.fromarray(pixels).resize(size, how))


def scratches(pixels: np.ndarray, model: Model, threshold: float) -> np.ndarray:
    """HxWx3 uint8 -> HxW bool: where the scratch network's probability reaches the threshold."""
    probability = scratch_probability(pixels, model)
    height, width = pixels.shape[:2]
    return (
        F.interpolate(probability, size=(height, width), mode="nearest")[0, 0]
        .ge(threshold)
        .cpu()
        .numpy()
    )


def scratch_probability(pixels: np.ndarray, model: Model) -> Tensor:
    """HxWx3 uint8 -> 1x1xhxw probabilities, at a short side of 256, a long side of 2048 at most and multiples of 16.

    Raises:
        RestoreError: BAD_NUMBERS.
    """
    net = model.partners["scratch_detector"]
    grey = as_tensor(np.asarray(Image.fromarray(pixels).convert("L"))[..., None], net)
    height, width = pixels.shape[:2]
    factor = min(DETECTED_AT_PX / min(height, width), LONGEST_PX[True] / max(height, width))
    size = tuple(
        round(side * factor / SCRATCHED_MULTIPLE) * SCRATCHED_MULTIPLE for side in (height, width)
    )
    seen = F.interpolate(grey, size=size, mode="bilinear", align_corners=False)
    return torch.sigmoid(sound(net(seen), seen, f"{model.variant}: scratches"))


def globally_restored(
    pixels: np.ndarray, mask: np.ndarray | None, model: Model, *, stretched: bool, hr: bool
) -> np.ndarray:
    """HxWx3 uint8 and its scratches -> the same restored: features of an old photo mapped to those of a clean one.

    Args:
        stretched: to the full range, as the official code writes its files.
        hr: scratches are widened first.

    Raises:
        RestoreError: BAD_NUMBERS, MASK where scratches leave nothing to fill them from.
    """
    encoder, decoder = (cast(OldPhotoVae, model.partners[role]) for role in ("vae_a", "vae_b"))
    holes = torch.zeros((1, 1, *pixels.shape[:2]), device=device_of(model.net))
    if mask is not None:
        wide = (
            cv2.dilate(mask.astype(np.uint8), np.ones((3, 3), np.uint8), iterations=3)
            if hr
            else mask.astype(np.uint8)
        )
        pixels = np.where(wide[..., None] > 0, np.uint8(255), pixels)
        holes = torch.from_numpy(wide)[None, None].to(holes)
    seen = as_tensor(pixels, encoder)
    features = encoder.encode(seen)
    # As the mappings see the mask: scratches in every cell leave nothing, and one of them would make up the photo without a word.
    if mask is not None and bool(
        (F.interpolate(holes, features.shape[-2:], mode="bilinear") > 0).all()
    ):
        raise RestoreError(Code.MASK, NOTHING_LEFT, NOTHING_LEFT_REMEDY)
    try:
        mapped = model.net(features, holes)
    except ValueError as error:
        remedy = "Raise scratch_threshold, or leave old_photo_hr out."
        raise RestoreError(
            Code.MASK, f"scratches leave nothing to fill them from ({error})", remedy
        ) from error
    decoded = sound(decoder.decode(mapped), seen, model.row.file)
    return as_pixels(decoded[0], stretched=stretched)


def noted(photo: Photo, mask: np.ndarray, options: OldPhotoOptions, job: Job) -> None:
    """The scratches' share into the report, and the mask among the results where it is asked for."""
    job.report.scratched_share = round(float(mask.mean()), 5)
    if options.return_mask:
        size = (photo.width, photo.height)
        whole = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_NEAREST)
        job.masks_found.append(Photo(photo.name, whole))


def finished(restored: np.ndarray, photo: Photo, job: Job) -> Photo:
    """The networks' 8-bit colour result as the photo is: its size, its depth, grey where it was."""
    size = (photo.width, photo.height)
    if (restored.shape[1], restored.shape[0]) != size and not job.official_quirks:
        restored = cv2.resize(restored, size, interpolation=cv2.INTER_LANCZOS4)
    result = cv2.cvtColor(restored, cv2.COLOR_RGB2GRAY) if photo.is_grey else restored
    alpha = (
        None if job.official_quirks else photo.alpha
    )  # theirs has none, and is not of the photo's size
    return photo.with_pixels(result if photo.bits == 8 else result.astype(np.uint16) * 257, alpha)
