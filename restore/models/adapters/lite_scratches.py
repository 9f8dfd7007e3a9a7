"""LiteScratches, the embedded network that finds scratches."""

from __future__ import annotations

from restore.models.adapters.base import ModuleAdapter
from restore.nets.lite.scratches import LiteScratches

LITE_SCRATCHES = ModuleAdapter(LiteScratches)
"""Nx1xHxW luminance in [0, 1] to Nx1xHxW logits."""
