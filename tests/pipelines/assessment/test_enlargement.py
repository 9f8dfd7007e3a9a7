"""Network and strength of the lite upscaler."""

from collections.abc import Set
from typing import Any

import pytest

from restore.options import Step
from restore.pipelines.assessment.enlargement import GENTLE_STRENGTH, gentle_options
from restore.pipelines.assessment.findings import DEBLUR, DENOISE

FIDELITY = {"upscale_variant": "lite_fidelity"}
GENTLE = {"strength": GENTLE_STRENGTH}


@pytest.mark.parametrize(
    ("works", "is_clean", "expected"),
    [
        (set(), True, {}),
        (set(), False, GENTLE),
        ({("face_restore", "")}, False, GENTLE),
        ({("restore", DENOISE)}, False, FIDELITY),
        ({("old_photo_restore", "")}, False, FIDELITY),
        ({("restore", DEBLUR)}, False, {}),
        ({("restore", DENOISE), ("restore", DEBLUR)}, False, {}),
    ],
)
def test_photo_is_enlarged_by_what_was_repaired_before(
    works: Set[tuple[Step, str]], is_clean: bool, expected: dict[str, Any]
) -> None:
    assert gentle_options(works, is_clean=is_clean) == expected
