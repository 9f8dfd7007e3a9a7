"""How a camera shook, told from the photo alone, and the photo with that undone: no weights, Fourier transforms only.

The kernel is found from coarse to fine, by turns with a photo of few edges (an L0 penalty on its gradients; Xu et al., CVPR 2013,
and Pan et al., CVPR 2014), each step in closed form by half-quadratic splitting. The photo then comes from a Wiener filter whose
noise is white and whose signal has the gradients of natural photos. One kernel is taken to hold all over the photo.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

KERNEL_PX = 21  # side of the largest kernel
SIDES_PX = (5, 7, 9, 13, 17, 21)  # of the kernel, from coarse to fine
TURNS = 5  # of photo and kernel, at each of them
WINDOW_PX = 384  # of the photo that the kernel is looked for in: where it has most edges
LEAST_PX = 64  # side of a photo in which a kernel can be found
EDGES = (4e-3, 1.1, 1e-4)  # the penalty on edges: at first, what each turn divides it by, its least
STRICTEST = 1e5  # weight up to which the splitting grows, fourfold a step
SMOOTH = 1.0  # penalty on the kernel's squares
FAINTEST = 0.05  # of a kernel's largest value: what is less is noise
BORDER_PX = 32  # that a photo is continued by, mirrored and blurred, for its transform to have no edge where it wraps around
FLAT = 0.05  # of the noise, that is taken for its share where the photo has no gradients at all


def shake_of(photo: Tensor) -> Tensor:
    """3xHxW in [0, 1] -> KERNEL_PX x KERNEL_PX that sums to 1, its mean in the middle; a point where nothing can be told."""
    if min(photo.shape[-2:]) < LEAST_PX:
        return point(KERNEL_PX, photo)
    grey = window_of(photo.mean(dim=0))
    kernel = point(SIDES_PX[0], grey)
    penalty, less, least = EDGES
    for side in SIDES_PX:
        height, width = (max(2, round(length * side / KERNEL_PX) // 2 * 2) for length in grey.shape)
        seen = F.interpolate(grey[None, None], size=(height, width), mode="bilinear", antialias=True, align_corners=False)[0, 0]
        seen, inner = tapered(seen, side)
        spectrum = torch.fft.rfft2(seen)
        if side != kernel.shape[-1]:
            kernel = F.interpolate(kernel[None, None], size=(side, side), mode="bicubic", align_corners=False)[0, 0].clamp_min(0.0)
            kernel = centred(normalised(kernel))
        for _ in range(TURNS):
            edges = with_few_edges(spectrum, transfer(kernel, (height, width)), penalty, (height, width))
            kernel = kernel_between(edges, seen, inner, side)
            penalty = max(penalty / less, least)
    return centred(kernel)


def unshaken(photo: Tensor, kernel: Tensor, noise: float) -> Tensor:
    """3xHxW under the kernel -> 3xHxW by Wiener's filter; `noise` is its power over that of the photo's gradients."""
    height, width = photo.shape[-2:]
    # Mirrored as far as there is something to mirror; the rest repeats the border.
    mirrored = [min(BORDER_PX, length - 1) for length in (height, width)]
    rest = [BORDER_PX - pixels for pixels in mirrored]
    padded = F.pad(photo[None], (mirrored[1], mirrored[1], mirrored[0], mirrored[0]), mode="reflect")
    right, bottom = (-(length + 2 * BORDER_PX) % 16 for length in (width, height))  # lengths of which transforms are fast
    padded = F.pad(padded, (rest[1], rest[1] + right, rest[0], rest[0] + bottom), mode="replicate")[0]
    seen = torch.stack([tapered(channel, BORDER_PX // 2 + 8)[0] for channel in padded])
    size = (seen.shape[-2], seen.shape[-1])
    blur, gradients = transfer(kernel, size), sum(part.abs().square() for part in differences(size, seen))
    restored: Tensor = torch.fft.irfft2(blur.conj() * torch.fft.rfft2(seen) / (blur.abs().square() + noise * (gradients + FLAT)), s=size)
    return restored[:, BORDER_PX : BORDER_PX + height, BORDER_PX : BORDER_PX + width]


def point(side_px: int, like: Tensor) -> Tensor:
    """The kernel of a camera that does not shake."""
    kernel = torch.zeros(side_px, side_px, dtype=like.dtype, device=like.device)
    kernel[side_px // 2, side_px // 2] = 1.0
    return kernel


def window_of(grey: Tensor) -> Tensor:
    """The WINDOW_PX square of HxW with the strongest gradients, or all of what is smaller."""
    height, width = (min(length, WINDOW_PX) for length in grey.shape)
    strength = (across(grey).abs() + down(grey).abs())[None, None]
    stride = 32
    sums = F.avg_pool2d(strength, (height, width), stride=stride)[0, 0]
    place = int(sums.argmax())
    top, left = stride * (place // sums.shape[1]), stride * (place % sums.shape[1])
    return grey[top : top + height, left : left + width]


def with_few_edges(spectrum: Tensor, blur: Tensor, penalty: float, size: tuple[int, int]) -> Tensor:
    """The photo that under `blur` gives this spectrum, with as few gradients as the penalty makes worth it; HxW."""
    step_x, step_y = differences(size, blur)
    blurred, gradients = blur.conj() * spectrum, step_x.abs().square() + step_y.abs().square()
    power, weight = blur.abs().square(), 2.0 * penalty
    photo: Tensor = torch.fft.irfft2(spectrum, s=size)
    while weight < STRICTEST:
        x, y = across(photo), down(photo)
        none = x.square() + y.square() < penalty / weight
        wanted = step_x.conj() * torch.fft.rfft2(x.masked_fill(none, 0.0)) + step_y.conj() * torch.fft.rfft2(y.masked_fill(none, 0.0))
        photo = torch.fft.irfft2((blurred + weight * wanted) / (power + weight * gradients), s=size)
        weight *= 4.0
    return photo


def kernel_between(sharp: Tensor, seen: Tensor, inner: Tensor, side_px: int) -> Tensor:
    """The kernel that makes the gradients of `sharp` those of `seen` (HxW), where `inner` is not 0: its border wraps around."""
    sharp_x, sharp_y, seen_x, seen_y = (torch.fft.rfft2(step(photo) * inner) for photo in (sharp, seen) for step in (across, down))
    both = sharp_x.conj() * seen_x + sharp_y.conj() * seen_y
    found = torch.fft.irfft2(both / (sharp_x.abs().square() + sharp_y.abs().square() + SMOOTH), s=seen.shape)
    reach = side_px // 2
    kernel = torch.roll(found, (reach, reach), (0, 1))[:side_px, :side_px].clamp_min(0.0)
    return normalised(torch.where(kernel < FAINTEST * kernel.max(), torch.zeros_like(kernel), kernel))


def normalised(kernel: Tensor) -> Tensor:
    """The kernel with the sum 1; a point in place of one that is empty."""
    total = float(kernel.sum())
    return kernel / total if total > 1e-6 else point(kernel.shape[-1], kernel)


def centred(kernel: Tensor) -> Tensor:
    """The kernel moved so that its mean lies in the middle: a shift of photo and kernel against each other cannot be told."""
    side = kernel.shape[-1]
    places = torch.arange(side, dtype=kernel.dtype, device=kernel.device) - side // 2
    x, y = (kernel.sum(dim=0) * places).sum(), (kernel.sum(dim=1) * places).sum()
    move = torch.eye(2, 3, dtype=kernel.dtype, device=kernel.device)
    move[:, 2] = 2.0 * torch.stack([x, y]) / side
    grid = F.affine_grid(move[None], [1, 1, side, side], align_corners=False)
    return normalised(F.grid_sample(kernel[None, None], grid, align_corners=False)[0, 0])


def spread_of(kernel: Tensor) -> float:
    """How far a kernel reaches from its middle, in pixels: the root of the mean square, 0 for a point."""
    side = kernel.shape[-1]
    squares = (torch.arange(side, dtype=kernel.dtype, device=kernel.device) - side // 2).square()
    return float((kernel * (squares[:, None] + squares[None])).sum().sqrt())


def tapered(photo: Tensor, border_px: int) -> tuple[Tensor, Tensor]:
    """(HxW running into a blurred copy of itself towards its border, where that wraps around; the share that is itself)."""
    shares = []
    for length in photo.shape:
        places = torch.arange(length, dtype=photo.dtype, device=photo.device) + 0.5
        inside = (torch.minimum(places, length - places) / border_px).clamp_max(1.0)
        shares.append(0.5 - 0.5 * torch.cos(torch.pi * inside))
    share = shares[0][:, None] * shares[1][None]
    reach = min(border_px, *(length - 1 for length in photo.shape))
    places = torch.arange(-reach, reach + 1, dtype=photo.dtype, device=photo.device)
    weights = torch.exp(-0.5 * (places / max(border_px / 2, 1.0)).square())
    weights = weights / weights.sum()
    around = F.pad(photo[None, None], (reach,) * 4, mode="circular")
    smooth = F.conv2d(F.conv2d(around, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1))[0, 0]
    return share * photo + (1.0 - share) * smooth, share


def transfer(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """The half spectrum of a kernel whose middle is the origin of a picture of (height, width) = `size`."""
    side = kernel.shape[-1]
    wide = torch.zeros(max(size[0], side), max(size[1], side), dtype=kernel.dtype, device=kernel.device)
    wide[:side, :side] = kernel
    spectrum: Tensor = torch.fft.rfft2(torch.roll(wide, (-(side // 2), -(side // 2)), (0, 1))[: size[0], : size[1]])
    return spectrum


def differences(size: tuple[int, int], like: Tensor) -> tuple[Tensor, Tensor]:
    """The half spectra of `across` and `down`."""
    steps = torch.zeros(2, *size, dtype=torch.float32, device=like.device)
    steps[:, 0, 0] = -1.0
    steps[0, 0, -1] = steps[1, -1, 0] = 1.0
    x, y = torch.fft.rfft2(steps)
    return x, y


def across(photo: Tensor) -> Tensor:
    """Each pixel's difference to the next of its row, the last one's to the first."""
    return torch.roll(photo, -1, 1) - photo


def down(photo: Tensor) -> Tensor:
    """Each pixel's difference to the next of its column, the last one's to the first."""
    return torch.roll(photo, -1, 0) - photo
