"""How the lite networks enlarge a photo without painting over its texture."""

from __future__ import annotations

from collections.abc import Mapping, Set

from restore.options import Step
from restore.pipelines.assessment.findings import DEBLUR, DENOISE
from restore.pipelines.upscale import CLEAN_VARIANT

MAX_FAITHFUL_SCALE = 2.0
"""Up to this factor, the lite upscaler has one network, which keeps texture. Above, it has two: one
of them repairs photos, too."""

GENTLE_STRENGTH = 0.5
"""Strength of the lite upscaler for photos that nothing has denoised before. It takes texture for
noise: at full strength, fur and cloth look painted, and signs get halos. docs/assessment.md has the
measurements."""

DENOISING: Set[tuple[Step, str]] = frozenset({("restore", DENOISE), ("old_photo_restore", "")})
"""Steps after which a photo has no noise."""


def gentle_options(works: Set[tuple[Step, str]], *, is_clean: bool) -> Mapping[str, object]:
    """Return the options with which the lite networks enlarge a photo by more than two.

    A denoised photo is enlarged by the network for clean photos. Otherwise half of the plain
    enlargement is kept, except for clean photos, for which the step chooses that network itself.
    Deblurred photos need the sharpening of the network that repairs photos.

    Args:
        works: the steps before, and what they do.
        is_clean: whether the photo is sharp and clean.
    """
    if ("restore", DEBLUR) in works:
        return {}
    if works & DENOISING:
        return {"upscale_variant": CLEAN_VARIANT}
    return {} if is_clean else {"strength": GENTLE_STRENGTH}
