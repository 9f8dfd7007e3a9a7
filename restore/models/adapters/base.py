"""Base classes of the adapters: everything that is specific to one network architecture.

An adapter knows how a network is built, loaded, called, rewritten for `optimized` requests and
compiled. The pipelines, the compiler and the benchmarks use it instead of the architecture's name.
Facts about one checkpoint (size, ranges, scale, tiles) belong to its manifest row.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

import cv2
import numpy as np
import torch
from torch import Tensor, nn

from restore.models import checkpoint_file
from restore.models.catalog import Checkpoint
from restore.models.checkpoint_file import StateDict
from restore.models.empty_nets import without_storage
from restore.nets.folding import fold_norms
from restore.nets.low_precision.layers import Float32Boundary, convert_floats

NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})


class UnknownSizesError(LookupError):
    """Only the checkpoint file contains the sizes of this network."""


class Adapter:
    """One network architecture.

    Attributes:
        purpose: the kind of network, for error messages.
        can_compile: whether torch.compile supports the network.
        batch_sizes: the batch sizes that are compiled in float32, 1 among them.
        lowered_batch_sizes: the batch sizes for which copies below float32 are recorded or
            compiled, 1 among them.
        tile_px: side of the tiles that are compiled when the row has no `input_px` and its network
            may run in tiles; None for networks that always get whole photos.
        call_options: keyword arguments of the call with which the network is compiled.
        unchanged_warning: what to report when the output equals the input; "" if that is normal.
    """

    purpose: ClassVar[str] = "any"
    can_compile: ClassVar[bool] = True
    batch_sizes: ClassVar[tuple[int, ...]] = (1,)
    lowered_batch_sizes: ClassVar[tuple[int, ...]] = (1,)
    tile_px: ClassVar[int | None] = None
    call_options: ClassVar[Mapping[str, Any]] = NO_OPTIONS
    unchanged_warning: ClassVar[str] = ""

    def create(self, row: Checkpoint) -> nn.Module:
        """Build the network of a manifest row with untrained weights.

        Raises:
            UnknownSizesError: only the checkpoint file contains the sizes of this network.
        """
        raise NotImplementedError

    def from_state(self, state: StateDict) -> nn.Module:
        """Build the network of a state dict. The tensors are assigned, not copied.

        Raises:
            RuntimeError, ValueError, KeyError: the tensors do not fit the architecture.
        """
        raise NotImplementedError

    def load(self, path: Path) -> nn.Module:
        """Load a checkpoint file onto the CPU in float32.

        Raises:
            RuntimeError, ValueError, KeyError, OSError: the file does not contain this network.
        """
        state = checkpoint_file.read_state(path)
        return without_storage(lambda: self.from_state(state)).float()

    def finish(self, net: nn.Module) -> nn.Module:
        """Compute once, after the weights are loaded, what would be computed in every call."""
        return net

    def rewrite(self, net: nn.Module) -> nn.Module:
        """Return a copy of `net` that computes the same with fewer or faster operations."""
        return fold_norms(copy.deepcopy(net))

    def low_precision_copy(
        self, net: nn.Module, dtype: torch.dtype, encoder_dtype: torch.dtype | None = None
    ) -> nn.Module:
        """Return a copy that computes below float32 where the architecture allows it.

        The copy takes and returns float32. It returns what the network itself returns; CodeFormer
        also takes a fidelity, and RestoreFormer returns the faces and the indices of their codes.
        With float32 as `dtype`, the copy differs from the network by rounding only.

        Args:
            net: float32, in eval mode, with weights loaded.
            dtype: bfloat16, float16 or float32.
            encoder_dtype: precision of an encoder that selects codes; `dtype` by default.

        Raises:
            ValueError: the network cannot be rewritten.
        """
        lowered = self.lower(net, dtype, encoder_dtype or dtype)
        return lowered.eval().requires_grad_(requires_grad=False)

    def lower(self, net: nn.Module, dtype: torch.dtype, encoder_dtype: torch.dtype) -> nn.Module:
        """Build the copy of `low_precision_copy`."""
        del encoder_dtype
        return Float32Boundary(convert_floats(self.rewrite(net), dtype), dtype)

    def run(self, net: nn.Module, *inputs: Tensor) -> Tensor:
        """Call the network with its default options.

        Args:
            net: the network of this adapter.
            inputs: what `example_inputs` describes.
        """
        output: Tensor = net(*inputs)
        return output

    def example_inputs(
        self, row: Checkpoint, side_px: int, batch: int, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        """Return random inputs for `run`, in the input range of the row (default -1 to 1)."""
        return (random_input(row, row.channels_in or 3, side_px, batch, generator),)

    def fixed_inputs(self, row: Checkpoint) -> list[tuple[Tensor, ...]]:
        """Return the inputs of a copy below float32 for each shape that is recorded or compiled."""
        side_px = row.input_px or (self.tile_px if row.tiles else None)
        if side_px is None:
            return []
        batches = self.lowered_batch_sizes if row.input_px else (1,)
        generator = torch.Generator().manual_seed(0)
        return [self.example_inputs(row, side_px, batch, generator) for batch in batches]


class ModuleAdapter(Adapter):
    """A network whose class has no parameters: all checkpoints have the same sizes.

    Args:
        new_net: builds the network with untrained weights.
    """

    def __init__(self, new_net: Callable[[], nn.Module]) -> None:
        self._new_net = new_net

    def create(self, row: Checkpoint) -> nn.Module:
        del row
        return self._new_net()

    def from_state(self, state: StateDict) -> nn.Module:
        net = self._new_net()
        net.load_state_dict(state, strict=True, assign=True)
        return self.finish(net)


class FaceAdapter(Adapter):
    """A network that restores aligned faces.

    Attributes:
        default_fidelity: the fidelity with which the network is compiled.
        uses_fidelity: whether the fidelity changes the output.
    """

    purpose = "face restoration"
    batch_sizes = (1, 4)
    lowered_batch_sizes = (1, 4, 8)
    default_fidelity: ClassVar[float] = 0.5
    uses_fidelity: ClassVar[bool] = False

    def restore_faces(self, net: nn.Module, faces: Tensor, fidelity: float) -> Tensor:
        """Call the network: NxCxSxS faces in its own range and size to the same, not clamped.

        Args:
            net: the network of this adapter.
            faces: aligned faces in the input range of the row.
            fidelity: CodeFormer's weight, 0 (best looking) to 1 (closest to the input); other
                networks ignore it.
        """
        raise NotImplementedError

    def run(self, net: nn.Module, *inputs: Tensor) -> Tensor:
        return self.restore_faces(net, inputs[0], self.default_fidelity)


class InpaintAdapter(Adapter):
    """A network that fills holes.

    Attributes:
        needs_texture: whether the fill of wide holes is too smooth, so that texture is added.
        max_hole_width_px: width above which a hole becomes a smear; None: no such limit is known.
    """

    purpose = "inpainting"
    needs_texture: ClassVar[bool] = False
    max_hole_width_px: ClassVar[int | None] = None

    def fill(self, net: nn.Module, photo: Tensor, hole: Tensor) -> Tensor:
        """Fill the holes of photos.

        Args:
            net: the network of this adapter.
            photo: Nx3xHxW RGB in [0, 1].
            hole: Nx1xHxW, 1 where the photo is to be filled, 0 elsewhere.

        Returns:
            Nx3xHxW RGB, nominally in [0, 1]; only the pixels in the hole are used.
        """
        raise NotImplementedError

    def run(self, net: nn.Module, *inputs: Tensor) -> Tensor:
        return self.fill(net, *inputs)

    def example_inputs(
        self, row: Checkpoint, side_px: int, batch: int, generator: torch.Generator
    ) -> tuple[Tensor, ...]:
        return random_input(row, 3, side_px, batch, generator), example_hole(side_px, batch)


class ColorizeAdapter(Adapter):
    """A network that predicts the colours of a grey photo."""

    purpose = "colorization"

    reduction: int = cv2.INTER_LINEAR
    """How a photo is reduced to the input of the network, as a flag of OpenCV. The official code of
    DDColor reduces bilinearly, which leaves pixels out where it reduces by more than 2."""

    max_aspect: float = math.inf
    """Ratio of the sides up to which a photo is squeezed to one square; longer ones are coloured in
    windows. The official code of DDColor squeezes every photo."""

    def to_input(self, luminance: np.ndarray) -> np.ndarray:
        """Convert SxSx1 float32 L of CIE Lab, 0 to 100, to the SxSxC input of the network."""
        raise NotImplementedError

    def to_input_on_device(self, luminance: Tensor) -> Tensor:
        """Convert Nx1xSxS float32 L of CIE Lab, 0 to 100, to the NxCxSxS input of the network."""
        raise NotImplementedError

    def predict_ab(self, net: nn.Module, inputs: Tensor) -> Tensor:
        """Predict NxCxSxS inputs' colours: Nx2xSxS ab of CIE Lab."""
        raise NotImplementedError

    def run(self, net: nn.Module, *inputs: Tensor) -> Tensor:
        return self.predict_ab(net, inputs[0])


class ColorTableAdapter(Adapter):
    """A network that predicts a look-up table of colours from a thumbnail."""

    purpose = "colour correction"

    def predict_table(self, net: nn.Module, thumbnail: Tensor) -> Tensor:
        """Predict tables: Nx3xSxS RGB in [0, 1] to Nx3xTxTxT, the new RGB at old blue, green, red.

        Args:
            net: the network of this adapter.
            thumbnail: photos reduced to the input size of the row.
        """
        raise NotImplementedError

    def run(self, net: nn.Module, *inputs: Tensor) -> Tensor:
        return self.predict_table(net, inputs[0])


class UpscaleAdapter(Adapter):
    """A network that enlarges a photo by the scale of its row."""

    purpose = "upscaling"
    tile_px = 512  # the default tile of upscale requests

    def without_grain(self, net: nn.Module) -> nn.Module:
        """Return the part of the network that adds no film grain; the network if it adds none."""
        return net


def random_input(
    row: Checkpoint, channels: int, side_px: int, batch: int, generator: torch.Generator
) -> Tensor:
    """Return NxCxSxS uniform noise in the input range of a row (default -1 to 1)."""
    low, high = row.input_range or (-1.0, 1.0)
    return torch.rand(batch, channels, side_px, side_px, generator=generator) * (high - low) + low


def example_hole(side_px: int, batch: int) -> Tensor:
    """Return an Nx1xSxS mask of four vertical lines."""
    hole = torch.zeros(batch, 1, side_px, side_px)
    hole[..., side_px // 8 :: side_px // 4] = 1.0
    return hole
