"""Tests of what would be downloaded, and of the total that the documentation states."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from places import PROJECT
from weightrows import lite_row, put, row

from restore.models.catalog import Catalog
from restore.models.download_plan import download_plan, official_weights
from restore.models.policy import Policy
from restore.models.store import WeightStore

URL = "https://x.org/a"


def test_missing_official_files_with_sizes_and_licences(
    store_of: Callable[..., WeightStore],
) -> None:
    present = row("present", URL)
    exact = row("exact", URL, bytes=2_000_000_000, licence="S-Lab-1.0", commercial_use=False)
    about = row("about", URL, task="inpaint", bytes=None, sha256=None, bytes_about=1_500_000_000)
    store = store_of(present, exact, about, lite_row())
    put(store, present)
    plan = download_plan(store)
    assert (plan.rows, plan.bytes) == ((exact, about), 3_500_000_000)
    assert plan.describe() == (
        "2 files, 3.5 GB; 1 S-Lab-1.0, 1 MIT; not for commercial use: exact.pth (S-Lab-1.0)"
    )
    assert download_plan(store, ["inpaint"]).rows == (about,)
    assert download_plan(store, ["inpaint"]).describe() == "1 file, 1.5 GB; 1 MIT"
    assert official_weights(store).rows == (present, exact, about)
    assert download_plan(store, policy=Policy.LITE).describe() == "no files"


@pytest.mark.parametrize("page", ["README.md", "docs/weights.md"])
def test_documentation_states_the_total(page: str, tmp_path: Path) -> None:
    total = official_weights(WeightStore(Catalog.load(), tmp_path)).bytes / 1e9
    stated = re.findall(r"(\d\.\d) GB", (PROJECT / page).read_text())
    assert f"{total:.1f}" in stated
