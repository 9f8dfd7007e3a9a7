"""ParseNet, the face parser of facexlib."""

from __future__ import annotations

from torch import Tensor, nn

from restore.models.adapters.base import ModuleAdapter
from restore.nets.folding import fuse_padded_layers

_SIDE_PX = 512
_CLASSES = 19  # of CelebAMask-HQ


class ParsenetAdapter(ModuleAdapter):
    """The network returns the logits and the faces."""

    purpose = "face parsing"

    def rewrite(self, net: nn.Module) -> nn.Module:
        return fuse_padded_layers(super().rewrite(net))

    def parse(self, net: nn.Module, faces: Tensor) -> Tensor:
        """Nx3x512x512 RGB faces in [0, 1] to Nx19x512x512 logits."""
        return self.run(net, faces * 2.0 - 1.0)

    def run(self, net: nn.Module, *inputs: Tensor) -> Tensor:
        logits: Tensor = net(*inputs)[0]
        return logits


def new_parsenet() -> nn.Module:
    """Build the parser as facexlib does."""
    from facexlib.parsing.parsenet import ParseNet  # noqa: PLC0415 - only rows that need it

    net: nn.Module = ParseNet(in_size=_SIDE_PX, out_size=_SIDE_PX, parsing_ch=_CLASSES)
    return net


PARSENET = ParsenetAdapter(new_parsenet)
