"""How a camera shook, told from the photo alone, and the photo with that undone: no weights, Fourier transforms only.

The kernel is found from coarse to fine, by turns with a photo of few edges (an L0 penalty on its gradients; Xu et al., CVPR 2013,
and Pan et al., CVPR 2014), each step in closed form by half-quadratic splitting. The photo then comes from a Wiener filter whose
noise is white and whose signal has the gradients of natural photos. One kernel is taken to hold all over the photo.

The search goes astray at its coarse end if at all: it is begun in several ways, and the way whose kernel is the most concentrated
goes on. A kernel that was not found is a cloud. At last it has to explain the photo: where it lets little through, there has to be
little. A kernel under which the photo's spectrum is not much likelier than under none (Whittle's likelihood) is not believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

KERNEL_PX = 21  # side of the largest kernel
SIDES_PX = (5, 7, 9, 13, 17, 21)  # of the kernel, from coarse to fine
DECIDED_PX = 13  # side of the kernels by which one of the ways is chosen
TURNS = 5  # of photo and kernel, at each of them
WINDOW_PX = 640  # of the photo that the kernel is looked for in: where it has most edges
LEAST_PX = 64  # side of a photo in which a kernel can be found
CONTRAST = 0.2  # standard deviation that the photo is brought to, for penalties to mean the same in a faded one
FAINT_CONTRAST = 0.02  # what has less is noise, and is not made stronger for that
MULTIPLE = 8  # of the photo's sides on each scale: lengths of which transforms are fast
LEAST_PENALTY = 1e-4  # on edges
STRICTEST = 1e3  # weight up to which the splitting grows, fourfold a step
LEAST_EVIDENCE = 0.4  # nats a frequency, that a kernel is believed for: right ones of 7 px on mostly have 0.5 to 1.5
EVIDENT_NOISE = 1e-2  # of the photo, for that: power over that of its gradients
FAINTEST = 0.05  # of a kernel's largest value: what is less is noise
BORDER_PX = 32  # that a photo is continued by, mirrored and blurred, for its transform to have no edge where it wraps around
FLAT = 0.05  # of the noise, that is taken for its share where the photo has no gradients at all


@dataclass(frozen=True)
class Way:
    """How a kernel is looked for.

    Attributes:
        penalty: on edges, at first.
        easing: what each turn divides that by.
        smooth: penalty on the kernel's squares.
    """

    penalty: float
    easing: float
    smooth: float


WAYS = (Way(4e-3, 1.1, 4.0), Way(1.6e-2, 1.15, 1.0), Way(3.2e-2, 1.18, 8.0))


class Scale:
    """A photo reduced until its kernel has a side of `side_px`, and what of it no turn changes."""

    def __init__(self, grey: Tensor, side_px: int) -> None:
        self.side_px = side_px
        height, width = (
            max(MULTIPLE, round(length * side_px / KERNEL_PX / MULTIPLE) * MULTIPLE)
            for length in grey.shape
        )
        self.size = (height, width)
        reduced = F.interpolate(
            grey[None, None], size=self.size, mode="bilinear", antialias=True, align_corners=False
        )[0, 0]
        seen, self.inner = tapered(reduced, side_px)
        self.spectrum: Tensor = torch.fft.rfft2(seen)
        self.gradients = sum_of_squares(*differences(self.size, seen))
        self.seen_across, self.seen_down = self.inner_gradients(seen)

    def inner_gradients(self, photo: Tensor) -> tuple[Tensor, Tensor]:
        """The half spectra of a photo's differences, less what lies at its border, which wraps around."""
        x, y = (torch.fft.rfft2(step(photo) * self.inner) for step in (across, down))
        return x, y

    def found(self, kernel: Tensor, way: Way, penalty: float) -> tuple[Tensor, float]:
        """(the kernel after as many turns, from one of another scale; the penalty that is left)."""
        if kernel.shape[-1] != self.side_px:
            wanted = (self.side_px, self.side_px)
            kernel = F.interpolate(
                kernel[None, None], size=wanted, mode="bicubic", align_corners=False
            )[0, 0].clamp_min(0.0)
            kernel = centred(normalised(kernel))
        for _ in range(TURNS):
            kernel = self.kernel_of(
                self.with_few_edges(transfer(kernel, self.size), penalty), way.smooth
            )
            penalty = max(penalty / way.easing, LEAST_PENALTY)
        return kernel, penalty

    def with_few_edges(self, blur: Tensor, penalty: float) -> Tensor:
        """The photo that looks like this one under `blur`, with as few gradients as the penalty makes worth it; HxW."""
        blurred, power, weight = blur.conj() * self.spectrum, blur.abs().square(), 2.0 * penalty
        photo: Tensor = torch.fft.irfft2(self.spectrum, s=self.size)
        while weight < STRICTEST:
            x, y = across(photo), down(photo)
            none = x.square() + y.square() < penalty / weight
            x, y = x.masked_fill(none, 0.0), y.masked_fill(none, 0.0)
            # The differences' adjoint.
            wanted = torch.roll(x, 1, 1) - x + torch.roll(y, 1, 0) - y
            photo = torch.fft.irfft2(
                (blurred + weight * torch.fft.rfft2(wanted)) / (power + weight * self.gradients),
                s=self.size,
            )
            weight *= 4.0
        return photo

    def kernel_of(self, sharp: Tensor, smooth: float) -> Tensor:
        """The kernel that makes the gradients of `sharp` (HxW) those of this photo."""
        x, y = self.inner_gradients(sharp)
        both = x.conj() * self.seen_across + y.conj() * self.seen_down
        found = torch.fft.irfft2(both / (sum_of_squares(x, y) + smooth), s=self.size)
        reach = self.side_px // 2
        kernel = torch.roll(found, (reach, reach), (0, 1))[
            : self.side_px, : self.side_px
        ].clamp_min(0.0)
        return normalised(
            torch.where(kernel < FAINTEST * kernel.max(), torch.zeros_like(kernel), kernel)
        )

    def evidence(self, kernel: Tensor) -> float:
        """How much likelier the photo is under the kernel than under none, in nats a frequency; gradients are taken for white."""
        seen = sum_of_squares(self.seen_across, self.seen_down)
        noise = EVIDENT_NOISE * self.gradients
        powers = (transfer(kernel, self.size).abs().square() + noise, 1.0 + noise)
        # Minus the logarithm of the likelihood at the strength that makes it greatest.
        blurred, still = (
            float((seen / power).mean().log() + power.log().mean()) for power in powers
        )
        return still - blurred


def shake_of(photo: Tensor) -> Tensor:
    """3xHxW in [0, 1] -> KERNEL_PX x KERNEL_PX that sums to 1, its mean in the middle; a point where nothing can be told."""
    if min(photo.shape[-2:]) < LEAST_PX:
        return point(KERNEL_PX, photo)
    grey = window_of(photo.mean(dim=0))
    grey = grey * (CONTRAST / grey.std().clamp_min(FAINT_CONTRAST))
    scales = [Scale(grey, side) for side in SIDES_PX]
    decided = SIDES_PX.index(DECIDED_PX) + 1
    begun = [through(scales[:decided], way, point(SIDES_PX[0], grey), way.penalty) for way in WAYS]
    way, (kernel, penalty) = min(zip(WAYS, begun, strict=True), key=lambda one: entropy(one[1][0]))
    kernel = centred(through(scales[decided:], way, kernel, penalty)[0])
    return kernel if scales[-1].evidence(kernel) >= LEAST_EVIDENCE else point(KERNEL_PX, photo)


def through(scales: list[Scale], way: Way, kernel: Tensor, penalty: float) -> tuple[Tensor, float]:
    """(the kernel after these scales, from coarse to fine; the penalty that is left)."""
    for scale in scales:
        kernel, penalty = scale.found(kernel, way, penalty)
    return kernel, penalty


def unshaken(photo: Tensor, kernel: Tensor, noises: Sequence[float]) -> Tensor:
    """3xHxW under the kernel -> Nx3xHxW by Wiener's filter, for each of N noises: their power over that of the photo's gradients."""
    height, width = photo.shape[-2:]
    # Mirrored as far as there is something to mirror; the rest repeats the border.
    mirrored = [min(BORDER_PX, length - 1) for length in (height, width)]
    rest = [BORDER_PX - pixels for pixels in mirrored]
    padded = F.pad(
        photo[None], (mirrored[1], mirrored[1], mirrored[0], mirrored[0]), mode="reflect"
    )
    right, bottom = (
        -(length + 2 * BORDER_PX) % 16 for length in (width, height)
    )  # lengths of which transforms are fast
    padded = F.pad(padded, (rest[1], rest[1] + right, rest[0], rest[0] + bottom), mode="replicate")[
        0
    ]
    seen, _ = tapered(padded, BORDER_PX // 2 + 8)
    size = (seen.shape[-2], seen.shape[-1])
    blur, gradients = transfer(kernel, size), sum_of_squares(*differences(size, seen))
    blurred, power = blur.conj() * torch.fft.rfft2(seen), blur.abs().square()
    restored = torch.stack(
        [
            torch.fft.irfft2(blurred / (power + noise * (gradients + FLAT)), s=size)
            for noise in noises
        ]
    )
    return restored[..., BORDER_PX : BORDER_PX + height, BORDER_PX : BORDER_PX + width]


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


def sum_of_squares(x: Tensor, y: Tensor) -> Tensor:
    """Of the absolute values."""
    return x.abs().square() + y.abs().square()


def entropy(kernel: Tensor) -> float:
    """In nats: 0 for a point, the logarithm of how many places share it evenly."""
    return float(torch.special.entr(kernel).sum())


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
    """(HxW or CxHxW running into a blurred copy of itself towards its border, where that wraps around; the share that is itself)."""
    shares, size = [], photo.shape[-2:]
    for length in size:
        places = torch.arange(length, dtype=photo.dtype, device=photo.device) + 0.5
        inside = (torch.minimum(places, length - places) / border_px).clamp_max(1.0)
        shares.append(0.5 - 0.5 * torch.cos(torch.pi * inside))
    share = shares[0][:, None] * shares[1][None]
    reach = min(border_px, *(length - 1 for length in size))
    places = torch.arange(-reach, reach + 1, dtype=photo.dtype, device=photo.device)
    weights = torch.exp(-0.5 * (places / max(border_px / 2, 1.0)).square())
    weights = weights / weights.sum()
    around = F.pad(photo.reshape(-1, 1, *size), (reach,) * 4, mode="circular")
    smooth = F.conv2d(F.conv2d(around, weights.view(1, 1, -1, 1)), weights.view(1, 1, 1, -1)).view(
        photo.shape
    )
    return share * photo + (1.0 - share) * smooth, share


def transfer(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """The half spectrum of a kernel whose middle is the origin of a picture of (height, width) = `size`."""
    side = kernel.shape[-1]
    wide = torch.zeros(
        max(size[0], side), max(size[1], side), dtype=kernel.dtype, device=kernel.device
    )
    wide[:side, :side] = kernel
    spectrum: Tensor = torch.fft.rfft2(
        torch.roll(wide, (-(side // 2), -(side // 2)), (0, 1))[: size[0], : size[1]]
    )
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
