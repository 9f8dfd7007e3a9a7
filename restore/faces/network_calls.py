"""Runs face networks on aligned faces in [0, 1], whatever their own input size and range."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from restore.models.adapters.base import FaceAdapter
from restore.models.loader import Model
from restore.runtime.output_checks import checked_output


def restore_faces(faces: Tensor, model: Model, fidelity: float) -> Tensor:
    """Restore aligned faces; call it under inference_mode.

    A network with a smaller input (`input_px` of its row) gets the faces reduced by averaging. Its
    change is enlarged and added to the faces, so that finer details are kept.

    Args:
        faces: Nx3x512x512 RGB, float32 in [0, 1], on the model's device.
        model: a face network; its row has input and output ranges.
        fidelity: CodeFormer's weight, 0 (best looking) to 1 (closest to the input); other
            networks ignore it.

    Returns:
        Nx3x512x512 RGB, float32 in [0, 1].

    Raises:
        RestoreError: BAD_NUMBERS when the output contains NaN or infinity.
        ValueError: the model is not a face network.
    """
    row, adapter = model.row, model.adapter_of_kind(FaceAdapter)
    assert row.input_range is not None, "manifest rows of face networks have an input_range"
    assert row.output_range is not None, "manifest rows of face networks have an output_range"
    side_px, input_px = faces.shape[-1], row.input_px or faces.shape[-1]
    inputs = faces
    if input_px != side_px:
        inputs = F.interpolate(faces, size=(input_px, input_px), mode="area")
    low, high = row.input_range
    output = adapter.restore_faces(model.net, inputs * (high - low) + low, fidelity).float()
    output = checked_output(output, inputs, row.file)
    low, high = row.output_range
    result = (output.clamp(low, high) - low) / (high - low)
    if input_px == side_px:
        return result
    change = F.interpolate(
        result - inputs, size=(side_px, side_px), mode="bicubic", align_corners=False
    )
    return (faces + change).clamp(0.0, 1.0)
