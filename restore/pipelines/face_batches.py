"""Run face networks and face parsers over crops, in batches that fit into memory."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import Generic

import numpy as np
import torch
from torch import Tensor

from restore.errors import RestoreError
from restore.faces.align import CROP_PX
from restore.faces.colour import Tone, keep_colour
from restore.faces.masks import class_labels, geometric_mask, parse_mask
from restore.faces.network_calls import restore_faces
from restore.models.adapters.parsenet import PARSENET
from restore.models.catalog import Checkpoint
from restore.options import FaceOptions
from restore.pipelines.context import StepContext
from restore.pipelines.face_alignment import CropT, Levels, convention_of
from restore.runtime.memory import USABLE_MEMORY_FRACTION, free_memory_bytes, is_out_of_memory
from restore.runtime.output_checks import checked_output
from restore.runtime.tensors import to_batch

PARSER = "parser"
MAX_BATCH_FACES = 8


@dataclass(frozen=True)
class CropTools(Generic[CropT]):
    """How crops enter and leave a network; HOST_CROPS, or those of a device.

    Attributes:
        stack: (crops, device) -> Nx3x512x512 float32 in [0, 1] on the device.
        unstack: the same tensor -> N faces, float levels.
        with_colours: (face, crop, tone, options, context) -> the face after the colour rules.
    """

    stack: Callable[[Sequence[CropT], torch.device], Tensor]
    unstack: Callable[[Tensor], Sequence[CropT]]
    with_colours: Callable[[CropT, CropT, Tone, FaceOptions, StepContext], CropT]


def restore_crops(
    crops: Sequence[Sequence[CropT]],
    tones: Sequence[Tone],
    options: FaceOptions,
    contexts: Sequence[StepContext],
    tools: CropTools[CropT],
) -> list[list[CropT]]:
    """Restore the crops of all photos of a request, in batches unless the profile is `baseline`.

    Args:
        crops: the crops of each photo.
        tones: the tone of each photo.
        options: the options of the step.
        contexts: the context of each photo.
        tools: what suits the crops.

    Returns:
        The restored crops of each photo, in the same order.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS, naming the photo.
    """
    queue = [(photo, index) for photo, faces in enumerate(crops) for index in range(len(faces))]
    total = len(queue)
    results: list[list[CropT]] = [[] for _ in crops]
    max_batch = MAX_BATCH_FACES
    while queue:
        context = contexts[queue[0][0]]
        context.progress("faces", total - len(queue), total)
        batch = [crops[photo][index] for photo, index in queue[:max_batch]]
        with context.name_photo_in_errors(), context.report.stage("faces"):
            faces = _restore_batch(batch, options, context, tools)
        if len(faces) < len(batch) and context.runtime.batches_faces:
            max_batch = len(faces)  # memory will not suffice for more later either
        _report_batch({photo for photo, _ in queue[: len(faces)]}, len(faces), contexts)
        for (photo, index), face in zip(queue, faces, strict=False):
            results[photo].append(
                tools.with_colours(
                    face, crops[photo][index], tones[photo], options, contexts[photo]
                )
            )
        queue = queue[len(faces) :]
    return results


def face_masks(faces: Sequence[Levels], context: StepContext) -> list[np.ndarray]:
    """Return where each restored face covers the photo, as 512x512 float32 masks.

    The face parser of the model makes them; without one, all faces get the same geometric mask.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    masks: list[np.ndarray] = []
    for logits in parse_faces(faces, context, HOST_CROPS):
        masks += [parse_mask(labels) for labels in class_labels(logits)]
    return masks or [geometric_mask()] * len(faces)


def parse_faces(
    faces: Sequence[CropT], context: StepContext, tools: CropTools[CropT]
) -> Iterator[Tensor]:
    """Run the face parser of the model.

    Yields:
        Nx19x512x512 logits for the next N faces; nothing without a parser, or if the profile does
        not use it.

    Raises:
        RestoreError: OUT_OF_MEMORY, BAD_NUMBERS.
    """
    model = context.models["face_restore"]
    parser = model.partners.get(PARSER)
    if parser is None or not context.runtime.parses_faces:
        if parser is not None and faces:
            context.report.add_profile_effect(
                "faces were pasted with a fixed mask instead of a parsed one"
            )
        return

    def parse(batch: Tensor) -> Tensor:
        return checked_output(PARSENET.parse(parser, batch), batch, PARSER)

    done = 0
    while done < len(faces):
        logits = run_batch(faces[done : done + MAX_BATCH_FACES], parse, model.row, context, tools)
        done += len(logits)
        yield logits


def _report_batch(photos: Set[int], count: int, contexts: Sequence[StepContext]) -> None:
    """Record that faces were restored together, which `baseline` does not do."""
    if count < 2:
        return
    others = f", faces of {len(photos)} photos" if len(photos) > 1 else ""
    for photo in photos:
        contexts[photo].report.add_profile_effect(
            f"{count} faces were restored in one batch{others}"
        )


def run_batch(
    faces: Sequence[CropT],
    forward: Callable[[Tensor], Tensor],
    row: Checkpoint,
    context: StepContext,
    tools: CropTools[CropT],
) -> Tensor:
    """Run a network over the first faces: as many as profile and memory allow, at least one.

    Args:
        faces: at least one face.
        forward: the network, called with Nx3x512x512 tensors in [0, 1].
        row: the manifest row of the face network, for its memory use.
        context: the context of the first face's photo.
        tools: what suits the faces.

    Returns:
        The output for the first N faces.

    Raises:
        RestoreError: BAD_NUMBERS. Out-of-memory errors of a single face are not caught.
    """
    count = len(faces) if context.runtime.batches_faces else 1
    if row.working_bytes_per_px:
        face_bytes = row.working_bytes_per_px * (row.input_px or CROP_PX) ** 2
        usable_bytes = int(USABLE_MEMORY_FRACTION * free_memory_bytes(context.runtime.device))
        count = max(1, min(count, usable_bytes // face_bytes))
    while True:
        try:
            with torch.inference_mode():
                return forward(tools.stack(faces[:count], context.runtime.device))
        except Exception as error:
            if count == 1:
                raise
            if isinstance(error, RestoreError):
                # Run one by one, so that the error names the right photo.
                count = 1
                continue
            if not is_out_of_memory(error):
                raise
        if context.runtime.device.type == "cuda":
            torch.cuda.empty_cache()
        context.report.warn(
            f"memory ran out with {count} faces at once; continued with {count // 2}"
        )
        count //= 2


def _restore_batch(
    crops: Sequence[CropT], options: FaceOptions, context: StepContext, tools: CropTools[CropT]
) -> Sequence[CropT]:
    """Return the restored first N crops as float levels."""
    model = context.models["face_restore"]
    forward = functools.partial(restore_faces, model=model, fidelity=options.codeformer_fidelity)
    return tools.unstack(run_batch(crops, forward, model.row, context, tools))


def _stack(faces: Sequence[Levels], device: torch.device) -> Tensor:
    scaled = [face.astype(np.float32) / np.float32(255.0) for face in faces]
    return to_batch(scaled, device).contiguous()


def _unstack(faces: Tensor) -> Sequence[Levels]:
    return list(faces.permute(0, 2, 3, 1).mul(255.0).cpu().numpy())


def _with_colours(
    face: np.ndarray, crop: Levels, tone: Tone, options: FaceOptions, context: StepContext
) -> Levels:
    """Apply the colour rules of the options and of the convention to a restored face.

    The result has 8 bits if the crop has 8 bits and the network's output replaces it.
    """
    convention, row = convention_of(context), context.models["face_restore"].row
    rounds = crop.dtype == np.uint8 and not row.difference
    face = np.rint(face) if rounds else face
    turns_grey = convention.matches_grey and tone == "grey"
    if turns_grey:
        face = context.rules.match_grey(face, crop)
    elif rounds:
        face = face.astype(np.uint8)
    keeps_colour = options.keep_color
    if keeps_colour is None:
        keeps_colour = context.rules.keeps_colour(tone, turned_grey=turns_grey)
    return keep_colour(face, crop) if keeps_colour else face


HOST_CROPS = CropTools(_stack, _unstack, _with_colours)
"""For crops on the host."""
