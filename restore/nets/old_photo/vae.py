"""The autoencoder of Bringing Old Photos Back to Life: a photo to features at a quarter of its size, and back.

Two such networks, trained apart, make the method: VAE A encodes old photos, VAE B decodes clean ones, and a mapping network takes
the features of the one to those of the other (Wan et al., "Bringing Old Photos Back to Life", CVPR 2020). The names of parts are
those of the published checkpoints, which load strictly: `encoder`, `decoder`, and a number for each layer.
"""

from __future__ import annotations

from torch import Tensor, nn

WIDTH = 64  # channels at every scale, and of the features
FEATURE_STRIDE = 4  # pixels of the photo for one of the features, along each side
SMALLEST_PX = 8  # below, the features are too small to be padded by reflection


class ResidualBlock(nn.Module):
    """Two convolutions with instance norms beside an identity; padded by reflection, so that a side needs two pixels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(width, width, 3),
            nn.InstanceNorm2d(width),
        )

    def forward(self, x: Tensor) -> Tensor:
        inner: Tensor = self.conv_block(x)
        return inner.add_(x)  # in place: a map of a large photo takes half a gigabyte


def normalised(convolution: nn.Module, width: int) -> list[nn.Module]:
    """A convolution, its instance norm and a ReLU: three numbers in the sequence that takes them, of which one has weights."""
    return [convolution, nn.InstanceNorm2d(width), nn.ReLU(inplace=True)]


class OldPhotoVae(nn.Module):
    """N,3,H,W RGB in [-1, 1] <-> N,64,H/4,W/4 features.

    What is published computes the mean only: nothing is sampled, and the same photo gives the same features.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.ReflectionPad2d(3),
            *normalised(nn.Conv2d(3, WIDTH, 7), WIDTH),
            *normalised(nn.Conv2d(WIDTH, WIDTH, 4, stride=2, padding=1), WIDTH),
            *normalised(nn.Conv2d(WIDTH, WIDTH, 4, stride=2, padding=1), WIDTH),
            *(ResidualBlock(WIDTH) for _ in range(4)),
        )
        self.decoder = nn.Sequential(
            *(ResidualBlock(WIDTH) for _ in range(4)),
            *normalised(nn.ConvTranspose2d(WIDTH, WIDTH, 4, stride=2, padding=1), WIDTH),
            *normalised(nn.ConvTranspose2d(WIDTH, WIDTH, 4, stride=2, padding=1), WIDTH),
            nn.ReflectionPad2d(3),
            nn.Conv2d(WIDTH, 3, 7),
            nn.Tanh(),
        )

    def encode(self, photos: Tensor) -> Tensor:
        """N,3,H,W RGB in [-1, 1] -> N,64,H/4,W/4 features.

        Raises:
            ValueError: a side that is no multiple of 4 or is below 8 px; the decoded photo would have another size.
        """
        height, width = photos.shape[-2:]
        if height % FEATURE_STRIDE or width % FEATURE_STRIDE or min(height, width) < SMALLEST_PX:
            raise ValueError(
                f"sides must be multiples of {FEATURE_STRIDE} and {SMALLEST_PX} px at least, not {width} x {height} px"
            )
        features: Tensor = self.encoder(photos)
        return features

    def decode(self, features: Tensor) -> Tensor:
        """N,64,h,w features -> N,3,4h,4w RGB in [-1, 1]."""
        photos: Tensor = self.decoder(features)
        return photos

    def forward(self, photos: Tensor) -> Tensor:
        """The round trip of one network, for which it was trained; restoration encodes with one and decodes with another."""
        return self.decode(self.encode(photos))
