"""The autoencoder of Bringing Old Photos Back to Life: photo to features at a quarter of its size.

The method uses two of these networks: VAE A encodes old photos, VAE B decodes clean ones. A
mapping network translates the features of the first to those of the second (Wan et al., "Bringing
Old Photos Back to Life", CVPR 2020). The names of the modules are those of the published
checkpoints, which load strictly.
"""

from __future__ import annotations

from torch import Tensor, nn

CHANNELS = 64  # at every scale, and of the features
FEATURE_STRIDE = 4  # photo pixels per feature position along each side
MIN_PHOTO_PX = 8  # features of smaller photos are too small for reflection padding


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions with instance norm and a skip connection; needs 2x2 positions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.conv_block(x)
        return residual.add_(x)  # in place: one feature map of a large photo has half a gigabyte


def conv_norm_relu(convolution: nn.Module, channels: int) -> list[nn.Module]:
    """Return a convolution, its instance norm and a ReLU: three positions of a sequence."""
    return [convolution, nn.InstanceNorm2d(channels), nn.ReLU(inplace=True)]


class OldPhotoVae(nn.Module):
    """Encode Nx3xHxW RGB in [-1, 1] to Nx64x(H/4)x(W/4) features, and decode them.

    As in the published code, the encoder returns the mean and does not sample.
    """

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            nn.ReflectionPad2d(3),
            *conv_norm_relu(nn.Conv2d(3, CHANNELS, 7), CHANNELS),
            *conv_norm_relu(nn.Conv2d(CHANNELS, CHANNELS, 4, stride=2, padding=1), CHANNELS),
            *conv_norm_relu(nn.Conv2d(CHANNELS, CHANNELS, 4, stride=2, padding=1), CHANNELS),
            *(ResidualBlock(CHANNELS) for _ in range(4)),
        )
        self.decoder = nn.Sequential(
            *(ResidualBlock(CHANNELS) for _ in range(4)),
            *conv_norm_relu(_upsampling_conv(), CHANNELS),
            *conv_norm_relu(_upsampling_conv(), CHANNELS),
            nn.ReflectionPad2d(3),
            nn.Conv2d(CHANNELS, 3, 7),
            nn.Tanh(),
        )

    def encode(self, photos: Tensor) -> Tensor:
        """Encode photos.

        Args:
            photos: Nx3xHxW RGB in [-1, 1].

        Returns:
            Nx64x(H/4)x(W/4) features.

        Raises:
            ValueError: a side is not a multiple of 4 px or is below 8 px. The decoded photo would
                have another size.
        """
        height, width = photos.shape[-2:]
        if height % FEATURE_STRIDE or width % FEATURE_STRIDE or min(height, width) < MIN_PHOTO_PX:
            raise ValueError(
                f"the sides of a photo must be multiples of {FEATURE_STRIDE} px and at least "
                f"{MIN_PHOTO_PX} px, not {width} x {height} px"
            )
        features: Tensor = self.encoder(photos)
        return features

    def decode(self, features: Tensor) -> Tensor:
        """Decode Nx64xhxw features to Nx3x(4h)x(4w) RGB in [-1, 1]."""
        photos: Tensor = self.decoder(features)
        return photos

    def forward(self, photos: Tensor) -> Tensor:
        """Encode and decode with the same network, as in its training.

        Restoration encodes with one network and decodes with another.
        """
        return self.decode(self.encode(photos))


def _upsampling_conv() -> nn.Module:
    return nn.ConvTranspose2d(CHANNELS, CHANNELS, 4, stride=2, padding=1)
