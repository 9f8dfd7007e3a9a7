"""A network as the GPU benchmark measures it: its inputs, its float32 output, its copies."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.floors import full_precision, tensors_in
from benchmarks.gpu_cases import DTYPES, Case
from benchmarks.networks import by_recipe, from_file, inputs_of, networks, with_adapter
from restore.models.adapters import adapter_for
from restore.models.adapters.base import FaceAdapter
from restore.models.catalog import Checkpoint
from restore.optimize.cuda_graphs import to_channels_last
from restore.optimize.triton_copies import triton_copy

MAX_PSNR_DB = 200.0


class Subject:
    """A network on a device with its inputs and its float32 output.

    Args:
        name: name as in `networks`.
        device: where it is measured.
    """

    def __init__(self, name: str, device: torch.device) -> None:
        self.device = device
        [self.network] = networks([name])
        self.row = self.network.row
        self.adapter = adapter_for(self.row.architecture)
        net, self.weights = library_net(self.row)
        self.net = net.to(device)
        is_face_net = isinstance(self.adapter, FaceAdapter)
        self.reference = with_adapter(self.net, self.row) if is_face_net else self.net.eval()
        self.inputs = tuple(each.to(device) for each in inputs_of(self.network))
        if self.row.architecture == "LiteInpaint":  # its adapter joins photo and hole
            photo, hole = self.inputs
            self.inputs = (torch.cat([photo * (1.0 - hole), hole], dim=1),)
        full_precision()
        with torch.inference_mode():
            self.output = [each.clone() for each in tensors_in(self.reference(*self.inputs))]
            self.codes = selected_codes(self.net, self.row.architecture, self.inputs)

    def copy_for(self, case: Case) -> nn.Module:
        """Return the module of a case, before compilation; set TF32 as the case requires."""
        full_precision()
        if case.engine == "library":
            return self.reference
        if case.precision != "float32" and self.device.type == "cuda":
            allow_tf32(True)
        if case.engine.startswith("kernels"):
            copied = triton_copy(self.net, self.row.architecture, DTYPES[case.precision])
        else:
            encoder, _, rest = case.precision.rpartition("+")
            encoder_dtype = DTYPES[encoder] if encoder else None
            copied = self.adapter.low_precision_copy(self.net, DTYPES[rest], encoder_dtype)
        return to_channels_last(copied)

    def quality(self, output: Sequence[Tensor], same_codes: Tensor | None = None) -> dict[str, Any]:
        """Compare an output with that of float32; the worst of several tensors counts.

        Args:
            output: the tensors of the output.
            same_codes: faces that were computed with the codes of float32.
        """
        facts: dict[str, Any] = {}
        if self.codes is not None and len(output) == 2:
            codes = output[1].argmax(dim=2) if output[1].is_floating_point() else output[1]
            agree = (codes.flatten() == self.codes.flatten()).float().mean()
            if same_codes is not None:
                facts["psnr_same_codes_db"] = round(psnr_db(same_codes, self.output[0]), 1)
            facts["codes_agree"] = round(float(agree), 4)
            output = output[:1]
        pairs = list(zip(output, self.output, strict=True))
        if self.row.architecture == "LaMa":  # outside the hole it returns the photo
            hole = self.inputs[1].expand_as(self.output[0]) > 0
            pairs = [(each[hole], expected[hole]) for each, expected in pairs]
        errors = [float((each.float() - other).norm() / other.norm()) for each, other in pairs]
        return facts | {
            "finite": all(bool(torch.isfinite(each).all()) for each, _ in pairs),
            "relative_error": float(f"{max(errors):.2g}"),
            "psnr_db": round(min(psnr_db(each.float(), other) for each, other in pairs), 1),
        }

    def codes_as_input(self) -> Tensor:
        """Return the codes of float32 in the shape that the copy takes."""
        assert self.codes is not None, "only for networks that select codes"
        return self.codes if self.row.architecture == "CodeFormer" else self.codes.flatten()


def psnr_db(output: Tensor, reference: Tensor) -> float:
    """Return the PSNR with the reference's value range as peak; 200 if both are equal."""
    span = float(reference.max() - reference.min())
    error = float((output - reference).square().mean())
    if error == 0:
        return MAX_PSNR_DB
    return min(MAX_PSNR_DB, 10.0 * math.log10(span**2 / error)) if error > 0 else -math.inf


def library_net(row: Checkpoint) -> tuple[nn.Module, str]:
    """Return the library's network and its weights: `official`, `embedded` or `recipe`.

    The official file of LaMa is a TorchScript program, which cannot be built: spandrel's LaMa with
    random weights is measured.
    """
    if row.architecture == "LaMa":
        from spandrel.architectures.LaMa import LaMa  # noqa: PLC0415 - only for this row

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            lama: nn.Module = LaMa(in_nc=4, out_nc=3)
        return lama.eval().requires_grad_(requires_grad=False), "recipe"
    net = from_file(row)
    if net is None:
        return by_recipe(row), "recipe"
    return net, "embedded" if row.embedded else "official"


def selected_codes(net: Any, architecture: str, inputs: Sequence[Tensor]) -> Tensor | None:  # noqa: ANN401
    """Return the indices of the codes that a library's network selects; None without codes."""
    if architecture == "CodeFormer":
        codes: Tensor = net(inputs[0], weight=0.5)[1].argmax(dim=2)
        return codes
    if architecture == "RestoreFormer":
        indices: Tensor = net.encode(inputs[0])[2][2]
        return indices
    return None


def allow_tf32(allowed: bool) -> None:
    """Allow or forbid TF32 in matrix products and convolutions on CUDA."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
