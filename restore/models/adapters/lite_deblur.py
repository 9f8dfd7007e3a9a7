"""LiteDeblur, the embedded network against camera shake."""

from __future__ import annotations

from restore.models.adapters.base import ModuleAdapter
from restore.nets.lite.deblur import LiteDeblur


class LiteDeblurAdapter(ModuleAdapter):
    """The network returns its input when it finds no blur kernel that explains the photo."""

    unchanged_warning = "no shake was found that explains this photo: it comes back as it is"


LITE_DEBLUR = LiteDeblurAdapter(LiteDeblur)
