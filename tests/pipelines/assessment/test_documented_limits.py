"""The documentation of the limits."""

import re
from dataclasses import asdict

from places import PROJECT

from restore.pipelines.assessment.limits import LIMITS

ROWS = {
    "noise, grain": (
        "noise_levels",
        "white_noise_levels",
        "strong_noise_levels",
        "texture_levels",
    ),
    "colour noise": ("colour_noise_levels",),
    "JPEG quality": ("jpeg_quality",),
    "JPEG blocks": ("block_levels", "weak_block_levels", "weak_jpeg_quality", "smooth_share"),
    "blur, shake": ("edge_width_px",),
    "scratches, tears": ("scratch_length", "scratch_length_colour"),
    "fading": ("colour_change", "darkening", "density_range"),
    "faces": ("sharp_face_px", "face_edge_width_px"),
    "size": ("small_px", "small_worn_px", "target_px"),
}
"""The limits in each row of the first table of docs/assessment.md."""


def test_every_limit_is_documented_in_its_row() -> None:
    values = asdict(LIMITS)
    assert sorted(name for names in ROWS.values() for name in names) == sorted(values)
    lines = (PROJECT / "docs" / "assessment.md").read_text().splitlines()
    for row, names in ROWS.items():
        line = next(each for each in lines if each.startswith(f"| {row} |"))
        shares = {float(number) / 100 for number in re.findall(r"([\d.]+) %", line)}
        numbers = {float(number) for number in re.findall(r"\d+(?:\.\d+)?", line)}
        missing = [name for name in names if values[name] not in numbers | shares]
        assert not missing, row
