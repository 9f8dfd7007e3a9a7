"""LiteFace, the embedded network for faces."""

from __future__ import annotations

from torch import Tensor, nn

from restore.models.adapters.base import FaceAdapter, ModuleAdapter
from restore.nets.lite.face import LiteFace


class LiteFaceAdapter(ModuleAdapter, FaceAdapter):
    """The network returns the faces only."""

    def restore_faces(self, net: nn.Module, faces: Tensor, fidelity: float) -> Tensor:
        del fidelity
        image: Tensor = net(faces)
        return image


LITE_FACE = LiteFaceAdapter(LiteFace)
