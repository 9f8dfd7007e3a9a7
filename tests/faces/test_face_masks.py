"""Masks of a face in its crop."""

import numpy as np
import pytest
import torch

from restore.faces.align import TEMPLATE
from restore.faces.masks import NUM_CLASSES, class_labels, geometric_mask, parse_mask


def test_parse_mask_is_soft_and_0_at_the_border() -> None:
    labels = np.ones((512, 512), np.uint8)
    labels[:, 256:] = 0
    mask = parse_mask(labels)
    assert (mask.shape, mask.dtype) == ((512, 512), np.float32)
    assert mask[256, 100] == pytest.approx(1)
    assert mask[256, 400] == 0
    assert mask[256, 256] == pytest.approx(0.5, abs=0.03)
    # Two blurs of sigma 11 equal one of 15.6, which leaves 16 % at that distance.
    assert mask[256, 255 + 16] == pytest.approx(0.16, abs=0.02)
    border = np.ones((512, 512), bool)
    border[10:-10, 10:-10] = False
    assert (mask[border] == 0).all()
    assert mask[10, 100] > 0.9


@pytest.mark.parametrize("label", range(NUM_CLASSES))
def test_parse_mask_excludes_the_official_classes(label: int) -> None:
    mask = parse_mask(np.full((512, 512), label, np.uint8))
    assert mask[256, 256] == pytest.approx(0 if label in (0, 14, 16, 17, 18) else 1)


def test_geometric_mask_covers_the_template_softly() -> None:
    mask = geometric_mask()
    assert (mask.shape, mask.dtype) == ((512, 512), np.float32)
    assert mask is geometric_mask()
    assert not mask.flags.writeable
    assert (mask.min(), mask.max()) == (0, 1)
    for x, y in TEMPLATE:
        assert mask[round(y), round(x)] == 1
    for x, y in ((256, 150), (256, 425), (140, 300), (372, 300)):  # forehead, chin, cheeks
        assert mask[y, x] > 0.95
    border = np.ones((512, 512), bool)
    border[10:-10, 10:-10] = False
    assert (mask[border] == 0).all()
    assert np.abs(np.diff(mask, axis=0)).max() < 0.04
    assert np.abs(np.diff(mask, axis=1)).max() < 0.04
    np.testing.assert_array_equal(mask[:, 1:], mask[:, :0:-1])  # symmetric


def test_class_labels_are_the_most_likely_classes() -> None:
    logits = torch.zeros(2, NUM_CLASSES, 512, 512)
    logits[0, 3] = 1
    logits[1, 18, :100] = 2
    labels = class_labels(logits)
    assert (labels.shape, labels.dtype) == ((2, 512, 512), np.uint8)
    assert (labels[0] == 3).all()
    assert (labels[1, :100] == 18).all()
    assert (labels[1, 100:] == 0).all()
