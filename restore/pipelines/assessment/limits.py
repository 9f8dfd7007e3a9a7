"""The limits from which a measured value leads to a step.

"Labelled" are the photos of ../shared/photos/labels.csv, whose steps a person chose by eye. "Clean"
are Kodak, Set5 and 72 photos of train/natural and train/natural2. docs/assessment.md has the table,
and the shares of photos for which the limits are right.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of all measured values; a comment says where each comes from."""

    # Labelled photos that need denoising have 3.7 and more (luminance), those that do not 1.2 at
    # most. Clean photos: 97 % below 0.1, at most 3.1. White noise of 8 levels gives 4.6
    # (median).
    noise_levels: float = 3.4
    # Likewise for white noise, of which clean and labelled photos without noise have 1.2 at most.
    # White noise of 5 levels gives 2.2 to 3.4. Of 490 photos of train/natural and train/natural2,
    # none gets denoising by this limit alone.
    white_noise_levels: float = 2.0
    # Photos with colour noise have 4.9 and 7.9; `head` of Set5, which is visibly noisy but labelled
    # clean, has 3.0; all other clean photos below 0.6.
    colour_noise_levels: float = 3.6
    # From here, what has no colour is texture in a photo in colour: denim, artificial turf and
    # leaves have 25 to 28; grain of 20 levels gives 16 (median). Noise of a sensor has colour.
    texture_levels: float = 20.0
    # From here, nothing of the noisy photo is blended into the result: at full strength, the lite
    # network gains 0.6 dB more than at 0.75 for noise of 8 levels, 0.1 dB less for 5 levels.
    strong_noise_levels: float = 4.5

    # Quality of the quantisation tables. Labelled files of quality 71 to 92 need no denoising, or
    # either is right.
    jpeg_quality: int = 55
    # Quality up to which also weaker blocks show: labelled files that need no denoising have 92, or
    # are not smooth.
    weak_jpeg_quality: int = 80
    # Steps at the borders of 8x8 blocks. Clean photos saved as JPEG of quality 88 to 92: 1.35 at
    # most; of quality 30: 2.2 (median); photos that need no denoising: 1.1 where they are smooth.
    block_levels: float = 1.7
    # Likewise for files of at most `weak_jpeg_quality`: 1.0 to 1.1 where denoising is wanted, or
    # either is right.
    weak_block_levels: float = 1.0
    # Street and market scenes that need no denoising in spite of blocks have 0.08 at most.
    smooth_share: float = 0.12

    # Width of the edges in the direction in which they are widest. Labelled photos that must not be
    # deblurred have 2.9 at most, 99 % of the clean ones 3.4; Gaussian blur of 1.5 px gives 4.0,
    # shake of 9 px along a line 5.4, of 11 px along a curve 4.5 (medians).
    edge_width_px: float = 3.6

    # Total length of light scratches in diagonals of the photo. Labelled: torn photos 0.28 to 1.4,
    # other photos without colour 0.17 at most.
    scratch_length: float = 0.22
    # Likewise for photos in colour, whose objects resemble scratches more often: a giraffe's coat
    # has 0.34.
    scratch_length_colour: float = 0.4

    # Mean CIE76 difference that the network of `colors` would make. Of 1,000 undamaged photos that
    # no network was trained on, 1.8 % have more; of the same photos with faded dyes, 52 %.
    colour_change: float = 13.0
    # CIE lightness by which it would darken the darkest percent: a photo that has faded has no
    # black. Both limits together: 0.8 and 51 %. Red slides that have really faded: 8 and more.
    darkening: float = 6.0
    # Smallest density range of a channel. Photos of white things on white have 0.2 to 0.35, and the
    # network takes them for faded.
    density_range: float = 0.45

    # Faces of clean photos that are large enough to be sharp have 134 px and more, faces that need
    # restoration in photos without noise 91 px at most.
    sharp_face_px: float = 125.0
    # Edges in sharp large faces are 2.4 to 2.7 px wide, in blurred ones 2.9 to 3.5.
    face_edge_width_px: float = 2.9

    # Labelled photos of up to 640 px are to be enlarged, those of 700 to 936 px may be; those of
    # 1000 px may not.
    small_px: int = 660
    small_worn_px: int = 1000
    # The long side that an enlarged photo should reach; it is about that of a screen.
    target_px: int = 1600


LIMITS = Limits()
