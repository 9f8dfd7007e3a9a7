"""Tests of restore.options.flags: the names of options as flags of the command line."""

import pytest

from restore.options.flags import with_flags


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("tile_size was raised from 5 to 64", "--tile-size was raised from 5 to 64"),
        ("use codeformer_fidelity.", "use --codeformer-fidelity."),
        ("scale has no effect", "--scale has no effect"),
        ("upscale: scale has no effect: x", "upscale: --scale has no effect: x"),
        ("Send masks (images)", "Send --mask (images)"),
        ("masks and points are only used", "--mask and --points are only used"),
        ("scale and target_px both state", "--scale and --target-px both state"),
        ("Use one of scale, target_px.", "Use one of --scale, --target-px."),
        ("Use faces=largest or faces=center.", "Use --faces largest or --faces center."),
        ("it is grey; steps=auto,colorize adds", "it is grey; --steps auto,colorize adds"),
        ("photo 'tile_size.jpg': the scale of it", "photo 'tile_size.jpg': the scale of it"),
        ("out/with_face is not a folder", "out/with_face is not a folder"),
        ("photo 'x': points has 900 polygons", "photo 'x': --points has 900 polygons"),
        ("polygon 2 of points needs three", "polygon 2 of --points needs three"),
        ("Give points as JSON: [[x, y]]", "Give --points as JSON: [[x, y]]"),
        (
            "Mark the area to fill: white on black in a mask, or a polygon as points.",
            "Mark the area to fill: white on black in a --mask, or a polygon as --points.",
        ),
        ("or set harm_check to false to get it.", "or use --no-harm-check to get it."),
        ("or set max_megapixels to have it", "or set --max-megapixels to have it"),
    ],
)
def test_options_are_named_as_flags(text: str, shown: str) -> None:
    assert with_flags(text) == shown
