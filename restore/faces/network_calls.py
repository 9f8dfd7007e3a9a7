"""Face networks behind one face: aligned faces in [0, 1] in and out, each network called as its own authors call it."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from restore.models.loader import Model
from restore.runtime.output_checks import sound


def restored(faces: Tensor, model: Model, fidelity: float) -> Tensor:
    """Aligned faces through the network, under the caller's inference_mode.

    A network that sees less than a crop (`input_px` of its row) gets the crop reduced by averaging, and what it changed is enlarged
    and added to the crop: so nothing is lost that is finer than its own pixels.

    Args:
        faces: Nx3x512x512 RGB, float32 in [0, 1], on the model's device.
        model: a face network; its row names its architecture, its ranges and its input's side.
        fidelity: CodeFormer's weight, 0 (best looking) to 1 (closest to the input); the others have no such choice.

    Returns:
        The same shape, float32 in [0, 1].

    Raises:
        RestoreError: BAD_NUMBERS when the network's answer is none.
    """
    row = model.row
    assert row.input_range is not None, "a face network's row names its ranges"
    assert row.output_range is not None, "a face network's row names its ranges"
    side_px, own_px = faces.shape[-1], row.input_px or faces.shape[-1]
    seen = faces if own_px == side_px else F.interpolate(faces, size=(own_px, own_px), mode="area")
    low, high = row.input_range
    output = sound(
        raw_output(model.net, row.architecture, seen * (high - low) + low, fidelity).float(),
        seen,
        row.file,
    )
    low, high = row.output_range
    result = (output.clamp(low, high) - low) / (high - low)
    if own_px == side_px:
        return result
    change = F.interpolate(
        result - seen, size=(side_px, side_px), mode="bicubic", align_corners=False
    )
    return (faces + change).clamp(0.0, 1.0)


def raw_output(net: nn.Module, architecture: str, faces: Tensor, fidelity: float) -> Tensor:
    """The network's own answer to faces in its own range and size: Nx3xSxS, not clamped.

    Deterministic: GFPGAN runs with the noise of its checkpoint (randomize_noise=False), where the official inference draws it anew
    for every call. CodeFormer adjusts its code's mean and spread to the input's (adain), as the official inference asks.

    Raises:
        ValueError: for an architecture that is no face network.
    """
    match architecture:
        case "CodeFormer":
            image: Tensor = net(faces, weight=fidelity)[0]  # and the logits of its codes
        case "GFPGAN":
            image = net(faces, return_rgb=False, randomize_noise=False)[0]
        case "RestoreFormer":
            image = net(faces)[0]
        case "LiteFace":
            image = net(faces)
        case other:
            raise ValueError(f"'{other}' is no architecture of a face network")
    return image
