"""A random photo with noise, for tests of film grain."""

import torch
import torch.nn.functional as F


def noisy_photo(height: int, width: int, seed: int = 0) -> torch.Tensor:
    """Return a smooth photo with noise, rounded to 8 bits: 1x3xHxW in [0, 1]."""
    generator = torch.Generator().manual_seed(seed)
    smooth = F.interpolate(
        torch.rand(1, 3, 6, 6, generator=generator), size=(height, width), mode="bilinear"
    )
    noise = 0.01 * torch.randn(1, 3, height, width, generator=generator)
    return ((smooth + noise).clamp(0, 1) * 255).round() / 255
