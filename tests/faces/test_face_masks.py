"""Masks of a face in its crop."""

import numpy as np
import pytest
import torch

from restore.faces.align import TEMPLATE
from restore.faces.masks import PARTS, geometric_mask, labels_of, parse_mask


def test_the_parse_mask_is_soft_and_without_a_rim():
    labels = np.ones((512, 512), np.uint8)
    labels[:, 256:] = 0
    mask = parse_mask(labels)
    assert (mask.shape, mask.dtype) == ((512, 512), np.float32)
    assert mask[256, 100] == pytest.approx(1)
    assert mask[256, 400] == 0
    assert mask[256, 256] == pytest.approx(0.5, abs=0.03)
    # Two blurs of sigma 11 are one of 15.6: at that distance 16 % are left.
    assert mask[256, 255 + 16] == pytest.approx(0.16, abs=0.02)
    rim = np.ones((512, 512), bool)
    rim[10:-10, 10:-10] = False
    assert (mask[rim] == 0).all()
    assert mask[10, 100] > 0.9


@pytest.mark.parametrize("label", range(PARTS))
def test_only_face_and_hair_count(label):
    """Background, earring, neck, cloth and hat do not; necklaces do, as in the official list."""
    mask = parse_mask(np.full((512, 512), label, np.uint8))
    assert mask[256, 256] == pytest.approx(0 if label in (0, 14, 16, 17, 18) else 1)


def test_the_geometric_mask_covers_the_template_face_softly():
    mask = geometric_mask()
    assert (mask.shape, mask.dtype) == ((512, 512), np.float32)
    assert mask is geometric_mask()
    assert not mask.flags.writeable
    assert (mask.min(), mask.max()) == (0, 1)
    for x, y in TEMPLATE:
        assert mask[round(y), round(x)] == 1
    for x, y in ((256, 150), (256, 425), (140, 300), (372, 300)):  # forehead, chin, cheeks
        assert mask[y, x] > 0.95
    rim = np.ones((512, 512), bool)
    rim[10:-10, 10:-10] = False
    assert (mask[rim] == 0).all()
    assert np.abs(np.diff(mask, axis=0)).max() < 0.04  # nowhere an edge
    assert np.abs(np.diff(mask, axis=1)).max() < 0.04
    np.testing.assert_array_equal(mask[:, 1:], mask[:, :0:-1])  # the same for both cheeks


def test_labels_are_the_most_likely_parts():
    logits = torch.zeros(2, PARTS, 512, 512)
    logits[0, 3] = 1
    logits[1, 18, :100] = 2
    labels = labels_of(logits)
    assert (labels.shape, labels.dtype) == ((2, 512, 512), np.uint8)
    assert (labels[0] == 3).all()
    assert (labels[1, :100] == 18).all()
    assert (labels[1, 100:] == 0).all()
