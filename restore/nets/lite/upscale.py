"""The embedded upscaler of photos as they are found: a Compact, and the grain that its answer lacks.

Trained here (training/). What is blurred or noisy beyond recognition a regression answers smoothly. Beside its answer the network
therefore tells how strong the texture is that is lost around each pixel, at three finenesses; a share of it is drawn as noise of that
fineness, as film grain is synthesised for video (Norkin & Birkbeck, DCC 2018).
"""

from __future__ import annotations

import itertools
import math

import torch
from spandrel.architectures.Compact import Compact
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.transforms.functional import gaussian_blur

FEATURES, CONVOLUTIONS, SCALE = 48, 18, 4
GRAIN_WIDTH = 16
MOST_LOST = 0.2  # of 1, as the deviation of one band
SIGMAS_PX = (0.8, 1.6, 3.2)  # what is finer than each, and coarser than the one before, is one band
SHARES = (
    0.04,
    0.14,
    0.4,
)  # of the texture that is lost, by band: the finest are seen most, and look like it least
REACH_PX = 3  # of the input, around a pixel, whose noise makes its grain
WINDOW_PX = 5  # of the input, that decides the noise of its middle
BITS = 2**31 - 1  # that a hash keeps: its products with the factors below fit into 64
PLACES = (1 << 16, 1 << 8, 1)  # of red, green and blue in a colour's number
ALONG, DOWN, APART = 1_597_334_677, 747_796_405, 277_803_737  # odd, without pattern


class LiteUpscale(nn.Module):
    """Nx3xHxW RGB in [0, 1] -> Nx3x(4H)x(4W), grain included; a grey photo stays grey.

    While it trains, Nx6x(4H)x(4W): the picture without grain, then how strong the grain of each band is, of 1.

    Attributes:
        picture: the same without grain, as a network of its own.
    """

    def __init__(self) -> None:
        super().__init__()
        self.picture = Compact(
            num_feat=FEATURES, num_conv=CONVOLUTIONS, upscale=SCALE, act_type="prelu"
        )
        self.grain = nn.Sequential(
            nn.Conv2d(FEATURES, GRAIN_WIDTH, 3, padding=1),
            nn.PReLU(GRAIN_WIDTH),
            nn.Conv2d(GRAIN_WIDTH, GRAIN_WIDTH, 3, padding=2, dilation=2),
            nn.PReLU(GRAIN_WIDTH),
            nn.Conv2d(GRAIN_WIDTH, len(SIGMAS_PX), 3, padding=1),
        )
        self.filters = nn.Buffer(grain_filters(), persistent=False)

    def forward(self, photo: Tensor) -> Tensor:
        features = photo
        *before, last = self.picture.body
        for layer in before:
            features = layer(features)
        # The picture is not to change for the grain's sake.
        lost = MOST_LOST * self.grain(features.detach()).sigmoid()
        picture = F.pixel_shuffle(last(features), SCALE)
        del features  # a large photo's take as much memory as the picture
        picture = picture.add_(F.interpolate(photo, scale_factor=SCALE, mode="nearest"))
        if self.training:
            return torch.cat([picture, _enlarged(lost)], 1)
        return picture.add_(self.drawn(photo, lost))

    def drawn(self, photo: Tensor, lost: Tensor) -> Tensor:
        """The grain, Nx1x(4H)x(4W), where Nx3xHxW of texture are lost."""
        noise = F.pad(noise_of(photo), (REACH_PX,) * 4, mode="replicate")
        grain = F.pixel_shuffle(F.conv2d(noise, self.filters), SCALE)
        return grain.mul_(_enlarged(lost)).sum(dim=1, keepdim=True)


def _enlarged(lost: Tensor) -> Tensor:
    return F.interpolate(lost, scale_factor=SCALE, mode="bilinear", align_corners=False)


def noise_of(photo: Tensor) -> Tensor:
    """Nx3xHxW in [0, 1] -> Nx16xHxW white noise of unit variance, for 4x4 samples of each pixel.

    It is a hash of the photo's own 8-bit colours in a window, so it is the same whatever tile a pixel lies in, in every run and on every
    device. Where these do not change along one of four directions, as in plain and drawn things, it would be streaks, and is 0.
    """
    levels = (photo.float() * 255.0).round().clamp(0.0, 255.0).to(torch.int64)
    around = F.pad(levels, (WINDOW_PX // 2,) * 4, mode="replicate")
    colours = (around * around.new_tensor(PLACES).view(1, -1, 1, 1)).sum(dim=1, keepdim=True)
    above, below = colours[..., :-1, :], colours[..., 1:, :]
    pairs = [
        (above[..., 1:], above[..., :-1]),
        (below[..., :-1], above[..., :-1]),
        (below[..., 1:], above[..., :-1]),
    ]
    pairs.append((below[..., :-1], above[..., 1:]))
    changes = torch.cat([one != other for one, other in pairs], 1).to(photo.dtype)
    varied = F.max_pool2d(changes, WINDOW_PX - 1, 1).amin(dim=1, keepdim=True)
    hashed = colours
    for axis, factor in ((3, ALONG), (2, DOWN)):
        length = hashed.shape[axis] - WINDOW_PX + 1
        parts = [hashed.narrow(axis, start, length) for start in range(WINDOW_PX)]
        hashed = parts[0]
        for part in parts[1:]:
            hashed = (hashed * factor + part) & BITS
    numbers = []
    for _ in range(SCALE**2 // 2):
        hashed = (hashed ^ (hashed >> 15)) * APART & BITS
        numbers += [
            (bits + 0.5).to(photo.dtype) for bits in (hashed >> 16, hashed & 0x7FFF)
        ]  # 15 bits each
    uniform = torch.cat(numbers, 1).div_(2**15).sub_(0.5)
    return uniform.mul_(math.sqrt(12.0) * varied)


def bands(plane: Tensor) -> Tensor:
    """Nx1xHxW, sides above 9 -> Nx3xHxW: its differences of Gaussians, the finest first."""
    smooth, split = plane, []
    for before, sigma in zip((0.0, *SIGMAS_PX), SIGMAS_PX, strict=False):
        further = math.sqrt(sigma**2 - before**2)
        smoother = gaussian_blur(smooth, 2 * math.ceil(3.0 * further) + 1, further)
        split.append(smooth - smoother)
        smooth = smoother
    return torch.cat(split, 1)


def grain_filters() -> Tensor:
    """48x16x7x7: 16 samples of white noise a pixel of the input -> three bands of 16 samples, each of its share of unit variance."""
    side = 2 * SCALE * REACH_PX + 1
    impulse = torch.zeros(1, 1, side, side)
    impulse[..., SCALE * REACH_PX, SCALE * REACH_PX] = 1.0
    kernels = bands(impulse)[0]
    kernels = kernels * (torch.tensor(SHARES) / kernels.square().sum(dim=(1, 2)).sqrt()).view(
        -1, 1, 1
    )
    # A sample at `to` of its pixel is made of those at `at` of the pixels around: how far apart they are says by how much.
    width = 2 * REACH_PX + 1
    padded = F.pad(kernels, (SCALE - 1,) * 4)
    filters = torch.zeros(len(SHARES), SCALE, SCALE, SCALE, SCALE, width, width)
    for to_y, to_x, at_y, at_x in itertools.product(range(SCALE), repeat=4):
        down, across = (
            slice(SCALE - 1 + at - to, None, SCALE) for to, at in ((to_y, at_y), (to_x, at_x))
        )
        filters[:, to_y, to_x, at_y, at_x] = padded[:, down, across][:, :width, :width]
    return filters.view(len(SHARES) * SCALE**2, SCALE**2, width, width)
