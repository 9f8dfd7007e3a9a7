"""Tests of the networks of a result: what is recorded, and when they count as changed."""

from pathlib import Path

import numpy as np
import pytest
from weightrows import OTHER, lite_row, row

from restore import Restorer
from restore.imaging.photo import Photo
from restore.models.catalog import Catalog, Checkpoint
from restore.models.used_networks import KnownNetworks, UsedNetwork

URL = "https://example.org/x4.pth"
NET = row("x4", URL)
PARTNER = row("partner", URL, variant="x4", role="denoise_partner")
OFFICIAL, FALLBACK = UsedNetwork("upscale", "x4", "x4"), UsedNetwork("upscale", "x4", "lite")


def catalog(*rows: Checkpoint) -> Catalog:
    return Catalog(rows or (NET, PARTNER, lite_row()), Path())


def changed(used: UsedNetwork, *rows: Checkpoint) -> str:
    """The network that counts as changed after the manifest was replaced by these rows."""
    return KnownNetworks(catalog(*rows)).changed([used.to_text(catalog())])


@pytest.mark.parametrize("used", [OFFICIAL, FALLBACK])
def test_changes_of_other_rows_and_of_addresses_do_not_count(used: UsedNetwork) -> None:
    assert changed(used, NET, PARTNER, lite_row()) == ""
    moved = NET.model_copy(update={"urls": (f"{URL}2",), "licence": "BSD", "older_paths": ("a",)})
    assert changed(used, moved, PARTNER, lite_row(), row("other", URL), lite_row("colors")) == ""


def test_changes_of_a_used_network_or_its_partner_count() -> None:
    retrained = row("x4", URL, body=OTHER)
    other_partner = PARTNER.model_copy(update={"sha256": retrained.sha256})
    for rows in ((retrained, PARTNER), (NET, other_partner), (NET,)):
        assert changed(OFFICIAL, *rows, lite_row()) == "upscale x4"
        assert changed(FALLBACK, *rows, lite_row()) == ""
    other_tiles = lite_row().model_copy(update={"tile_margin_px": 9})
    assert changed(OFFICIAL, NET, PARTNER, other_tiles) == ""
    assert changed(FALLBACK, NET, PARTNER, other_tiles) == "upscale x4"


def test_missing_variants_and_another_fallback_count() -> None:
    other = row("lite_x4", variant="lite_x4", fallback_for=("x4",), embedded=True)
    assert changed(OFFICIAL, lite_row()) == "upscale x4"
    assert changed(FALLBACK, NET, PARTNER) == "upscale x4"
    assert changed(FALLBACK, NET, PARTNER, lite_row(), other) == "upscale x4"
    assert changed(OFFICIAL, NET, PARTNER, lite_row(), other) == ""


@pytest.mark.parametrize("text", ["", "upscale x4 x4", "upscale x4 x4 abc def"])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="unpack"):
        KnownNetworks(catalog()).changed([text])


def test_request_tells_its_networks(lite: Restorer) -> None:
    photo = Photo("a", np.full((24, 24, 3), 128, np.uint8))
    lite.run("restore", [photo])  # those of an earlier request do not count
    for _ in range(2):  # networks that are loaded already count, too
        used = lite.run("upscale", [photo], scale=2).networks
        assert any(text.startswith("upscale x4plus lite ") for text in used)
        assert {text.split(" ")[0] for text in used} == {"upscale"}
    assert KnownNetworks(lite.store.catalog).changed(used) == ""
    tasks = {each.split(" ")[0] for each in lite.run("face_restore", [photo]).networks}
    assert tasks >= {"face_restore", "face_detect"}
