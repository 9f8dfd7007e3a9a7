"""CenterFace, the embedded face detector."""

from __future__ import annotations

from restore.models.adapters.base import ModuleAdapter
from restore.nets.centerface import CenterFace

CENTERFACE = ModuleAdapter(CenterFace)
"""Nx3xHxW RGB levels, sides multiples of 32, to Nx15x(H/4)x(W/4)."""
