"""What the tasks with faces share: find, align, restore and put back; the photo behind the faces is the task's own affair.

Follows the official face helpers where they decide pixels: CodeFormer's (Zhou et al., NeurIPS 2022) or the one of facexlib that
GFPGAN (Wang et al., CVPR 2021) and RestoreFormer (Wang et al., CVPR 2022) share, as the network's row in the catalog says.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
import torch
from torch import Tensor

from restore.errors import RestoreError
from restore.faces.align import CROP_PX, crop, eye_distance_px, is_outside, similarity, smooth_crop
from restore.faces.colour import Tone, keep_colour, match_grey, tone
from restore.faces.convention import CONVENTIONS, Convention, enlarged
from restore.faces.face import Face
from restore.faces.masks import geometric_mask, labels_of, parse_mask
from restore.faces.network_calls import restored
from restore.faces.paste import Frame, background
from restore.imaging.photo import Photo
from restore.models.catalog import Checkpoint
from restore.options import FaceOptions
from restore.pipelines.job import Job, eight_bits, in_colour
from restore.pipelines.upscale import mixed, output_size
from restore.runtime.device import USABLE_SHARE, free_memory_bytes, is_out_of_memory
from restore.runtime.output_checks import sound

PARSER = "parser"
MOST_FACES_AT_ONCE = 8
COARSEST = (
    2.0  # pixels of a photo, along each side, for one pixel of a network whose change is added
)
NOTABLY_LARGER = (
    1.5  # a face this many times larger than the network's crop visibly loses detail by it
)

Levels: TypeAlias = np.ndarray  # 512x512x3 RGB, 0 to 255, uint8 or float32


@dataclass(frozen=True)
class Aligned:
    """A face of a photo, ready for the network.

    Attributes:
        face: where it is in the photo.
        matrix: 2x3, photo to crop.
        crop: 512x512x3 levels.
    """

    face: Face
    matrix: np.ndarray
    crop: Levels


Behind: TypeAlias = Callable[[Photo, Job], Photo] | None


def with_faces_restored(
    photos: Sequence[Photo], options: FaceOptions, jobs: Sequence[Job], scale: float, behind: Behind
) -> list[Photo]:
    """Every photo `scale` times larger with its faces restored; all faces of the request go through the network together.

    Args:
        behind: makes what stands behind the faces, at the result's size; the photo is resized where it is None.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS, each about its photo.
    """
    originals = photos
    if jobs[0].official_quirks:
        photos = [
            photo.with_pixels(enlarged(photo.pixels, convention_of(jobs[0])), None)
            for photo in photos
        ]
    found = []
    for index, (photo, job) in enumerate(zip(photos, jobs, strict=True)):
        job.progress("looking for faces", index, len(photos))
        with job.guarded(), job.report.stage("detect"):
            found.append(aligned_faces(photo, options, job))
    crops = [[aligned.crop for aligned in faces] for faces in found]
    tones: list[Tone] = [
        tone(photo.pixels) if faces else "colour"
        for photo, faces in zip(originals, found, strict=True)
    ]
    faces = restored_crops(crops, tones, options, jobs)
    results = []
    for photo, aligned, restored_faces, job in zip(photos, found, faces, jobs, strict=True):
        with job.guarded():
            base = resized_photo(photo, scale, job) if behind is None else behind(photo, job)
            results.append(
                mixed(
                    with_faces(base, photo, aligned, restored_faces, scale, job),
                    photo,
                    options.strength,
                )
            )
    return results


def convention_of(job: Job) -> Convention:
    """The official helper whose order of operations surrounds the job's face network."""
    name = job.models["face_restore"].row.face_convention
    assert name is not None, "a face network's row names its convention"
    return CONVENTIONS[name]


def aligned_faces(photo: Photo, options: FaceOptions, job: Job) -> list[Aligned]:
    """The faces to restore, best first; all that were found go to the report, with the reason where one is left alone."""
    convention, row = convention_of(job), job.models["face_restore"].row
    detector, report = job.detector, job.report
    assert detector is not None, "a task with faces is given a detector"
    report.face_detector = detector.name
    # Converted before grey becomes three channels, and by OpenCV, which needs no floats in between.
    found = detector.find(
        in_colour(eight_bits(photo.pixels)),
        short_side_px=convention.detect_short_side_px,
        threshold=convention.score_threshold,
    )
    faces = [face for face in found if np.isfinite((*face.box, face.score)).all()]
    matrices = [similarity(face.landmarks) for face in faces]
    reasons = [
        why_not(face, matrix, photo, options, job)
        for face, matrix in zip(faces, matrices, strict=True)
    ]
    left = [index for index, reason in enumerate(reasons) if not reason]
    if options.only_center_face and len(left) > 1:
        middle = np.array([photo.width / 2, photo.height / 2])
        centre = min(
            left, key=lambda index: float(np.linalg.norm(centre_of(faces[index]) - middle))
        )
        for index in left:
            reasons[index] = (
                "" if index == centre else "only_center_face: another face is nearer to the centre"
            )
    pixels, cut, aligned = in_colour(photo.pixels), smooth_crop if row.difference else crop, []
    for face, matrix, reason in zip(faces, matrices, reasons, strict=True):
        report.faces.append(described(face, reason))
        if not reason and matrix is not None:
            aligned.append(Aligned(face, matrix, cut(pixels, matrix)))
    if not faces:
        report.warn(f"no face was found by {detector.name}: none was restored")
    elif not aligned:
        report.warn(f"none of {len(faces)} faces was restored: {reasons[0]}")
    report.face_restoration_applied = bool(aligned)
    return aligned


def why_not(
    face: Face, matrix: np.ndarray | None, photo: Photo, options: FaceOptions, job: Job
) -> str:
    """Why a face is left as it is; nothing where it is to be restored."""
    convention, row = convention_of(job), job.models["face_restore"].row
    if face.size_px < options.min_face_px:
        return f"its {face.size_px:.0f} pixels are less than min_face_px {options.min_face_px}"
    if (
        eye_distance_px(face, quirks=job.official_quirks and convention.eye_distance_bug)
        < convention.min_eye_distance_px
    ):
        return f"its eyes are less than {convention.min_eye_distance_px:g} pixels apart"
    if matrix is None:
        return "its landmarks give no transform to the template"
    if is_outside(matrix, photo.width, photo.height):
        return "it lies outside of the photo"
    return too_fine_for(row, CROP_PX / float(np.hypot(matrix[0, 0], matrix[1, 0])))


def too_fine_for(row: Checkpoint, side_px: float) -> str:
    """Why a face whose crop covers so many pixels is left alone; nothing where it may gain.

    A network whose change is added cannot see what is finer than its own pixels, and has nothing to add to a face that is sharp at
    these: it would only smooth it.
    """
    if row.difference and row.input_px and side_px > COARSEST * row.input_px:
        return f"its crop covers {side_px:.0f} pixels, and this network sees {row.input_px}: it is finer than what could be added"
    return ""


def restored_crops(
    crops: Sequence[Sequence[Levels]],
    tones: Sequence[Tone],
    options: FaceOptions,
    jobs: Sequence[Job],
) -> list[list[Levels]]:
    """All crops of all photos, restored, in the same order; together in batches unless the profile is `baseline`.

    Args:
        crops: the crops of each photo.
        tones: the tone of each photo.
    """
    queue = [(photo, place) for photo, faces in enumerate(crops) for place in range(len(faces))]
    results: list[list[Levels]] = [[] for _ in crops]
    at_once = MOST_FACES_AT_ONCE
    while queue:
        job = jobs[queue[0][0]]
        job.progress("faces", sum(map(len, results)), sum(map(len, results)) + len(queue))
        with job.guarded(), job.report.stage("faces"):
            model = job.models["face_restore"]
            forward = functools.partial(restored, model=model, fidelity=options.codeformer_fidelity)
            waiting = [crops[photo][place] for photo, place in queue[:at_once]]
            faces = (
                next_batch(waiting, forward, model.row, job)
                .permute(0, 2, 3, 1)
                .mul(255.0)
                .cpu()
                .numpy()
            )
        if len(faces) < len(waiting) and job.runtime.batches_faces:
            at_once = len(faces)  # memory will not suffice for more next time either
        for (photo, place), face in zip(queue, faces, strict=False):
            results[photo].append(
                coloured(face, crops[photo][place], tones[photo], options, jobs[photo])
            )
        queue = queue[len(faces) :]
    return results


def next_batch(
    waiting: Sequence[Levels], forward: Callable[[Tensor], Tensor], row: Checkpoint, job: Job
) -> Tensor:
    """What `forward` makes of as many of the first waiting faces as the profile and the memory allow: Nx..., N at least 1."""
    count = len(waiting) if job.runtime.batches_faces else 1
    if row.working_bytes_per_px:
        face_bytes = row.working_bytes_per_px * (row.input_px or CROP_PX) ** 2
        count = max(
            1, min(count, int(USABLE_SHARE * free_memory_bytes(job.runtime.device)) // face_bytes)
        )
    while True:
        try:
            with torch.inference_mode():
                return forward(as_tensor(waiting[:count], job))
        except Exception as error:
            if count == 1:
                raise
            if isinstance(error, RestoreError):
                count = 1  # alone, the face that fails names its own photo
                continue
            if not is_out_of_memory(error):
                raise
        if job.runtime.device.type == "cuda":
            torch.cuda.empty_cache()
        job.report.warn(f"memory ran out with {count} faces at once; continued with {count // 2}")
        count //= 2


def coloured(
    face: np.ndarray, original: Levels, photo_tone: Tone, options: FaceOptions, job: Job
) -> Levels:
    """A restored face in the colours that it is to have; in 8 bits where the crop has 8 and the official code rounds.

    Colours are kept as asked, else for photos of one tone; where the official code turns grey photos' faces grey, that does.
    """
    convention, row = convention_of(job), job.models["face_restore"].row
    rounds = original.dtype == np.uint8 and not row.difference
    face = np.rint(face) if rounds else face
    turns_grey = convention.matches_grey and photo_tone == "grey"
    if turns_grey:
        face = match_grey(face, original, clip=not job.official_quirks)
    elif rounds:
        face = face.astype(np.uint8)
    usual = photo_tone != "colour" and not turns_grey and not job.official_quirks
    return (
        keep_colour(face, original)
        if (usual if options.keep_color is None else options.keep_color)
        else face
    )


def with_faces(
    base: Photo,
    photo: Photo,
    aligned: Sequence[Aligned],
    faces: Sequence[Levels],
    scale: float,
    job: Job,
) -> Photo:
    """`base`, which is `photo` enlarged, with restored faces pasted in, each on its own region."""
    if not aligned:
        return base
    with job.report.stage("parse"):
        masks = masks_of(faces, job)
    model, convention = job.models["face_restore"], convention_of(job)
    square = convention.square_mask and PARSER in model.partners and job.runtime.parses_faces
    own = (
        base.pixels.copy()
        if np.may_share_memory(base.pixels, photo.pixels) or not base.pixels.flags.writeable
        else base.pixels
    )
    with job.report.stage("paste"):
        frame = Frame(in_colour(own), quirks=job.official_quirks)
        regions = [
            frame.paste(
                face,
                one.matrix,
                scale,
                mask=mask,
                square=square,
                crop=one.crop if model.row.difference else None,
            )
            for one, face, mask in zip(aligned, faces, masks, strict=True)
        ]
        frame.settle()
        for left, top, right, bottom in regions if base.is_grey else ():
            if right > left and bottom > top:
                region = np.ascontiguousarray(frame.pixels[top:bottom, left:right])
                own[top:bottom, left:right] = cv2.cvtColor(region, cv2.COLOR_RGB2GRAY)
    if not model.row.difference:
        warn_of_large_faces(aligned, scale, job)
    return base.with_pixels(own, base.alpha)


def masks_of(faces: Sequence[Levels], job: Job) -> list[np.ndarray]:
    """Where each restored face covers the photo: what a parser sees as face, or a soft shape where none is asked."""
    parser = job.models["face_restore"].partners.get(PARSER)
    if parser is None or not job.runtime.parses_faces:
        return [geometric_mask()] * len(faces)
    masks: list[np.ndarray] = []
    while len(masks) < len(faces):
        waiting = faces[len(masks) : len(masks) + MOST_FACES_AT_ONCE]
        logits = next_batch(
            waiting,
            lambda batch: sound(parser(batch * 2.0 - 1.0)[0], batch, PARSER),
            job.models["face_restore"].row,
            job,
        )
        masks += [parse_mask(labels) for labels in labels_of(logits)]
    return masks


def resized_photo(photo: Photo, scale: float, job: Job) -> Photo:
    """The photo at the result's size, as the convention resizes what is behind the faces."""
    size = output_size(photo, scale)
    with job.report.stage("resize"):
        alpha = None if photo.alpha is None else background(photo.alpha, size, convention_of(job))
        return photo.with_pixels(background(photo.pixels, size, convention_of(job)), alpha)


def as_tensor(faces: Sequence[Levels], job: Job) -> Tensor:
    """512x512x3 levels -> Nx3x512x512 in [0, 1] on the device."""
    stacked = torch.from_numpy(
        np.stack([face.astype(np.float32) for face in faces]) / np.float32(255.0)
    )
    return stacked.permute(0, 3, 1, 2).contiguous().to(job.runtime.device)


def centre_of(face: Face) -> np.ndarray:
    """Middle of the face's box."""
    left, top, right, bottom = face.box
    return np.array([(left + right) / 2, (top + bottom) / 2])


def described(face: Face, reason: str) -> dict[str, object]:
    """A face as it stands in the report."""
    box = [round(float(side), 1) for side in face.box]
    score, size_px = round(float(face.score), 4), round(float(face.size_px), 1)
    return {
        "box": box,
        "score": score,
        "size_px": size_px,
        "restored": not reason,
        "reason": reason,
    }


def warn_of_large_faces(aligned: Sequence[Aligned], scale: float, job: Job) -> None:
    """Says where a network's crop is much coarser than the face that it replaced."""
    largest = max(scale / float(np.sqrt(abs(np.linalg.det(one.matrix[:, :2])))) for one in aligned)
    if largest > NOTABLY_LARGER:
        job.report.warn(
            f"a face covers {largest:.1f} times the {CROP_PX} pixels that this network restores: it may lose fine detail; "
            "use a smaller face_upscale or scale, or a smaller photo"
        )
