"""The precision of each network in the manifest, against the recorded measurements."""

from __future__ import annotations

import json
from typing import Any

import pytest
from places import PROJECT
from pydantic import ValidationError

from restore.models.catalog import DENOISE_PARTNER, Catalog, Checkpoint
from restore.models.precision import DevicePrecision, Measured

CATALOG = Catalog.load()
RESULTS = PROJECT / "benchmarks" / "results"
GOOD = {"dtype": "float16", "psnr_db": 70.0}
FACTS = {"measured": "a@64", "measured_on": "cpu", "commit": "1234567"}
WITHOUT_LOW_PRECISION = {"lite-deblur"}
"""Its blur kernels are resampled in float32 only."""


def rows_in(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RESULTS / name).read_text().splitlines()]


def record(**change: Any) -> DevicePrecision:
    return DevicePrecision.model_validate({"fast": GOOD, "max_speed": GOOD, **FACTS, **change})


@pytest.mark.parametrize(
    ("profile", "measured"),
    [
        ("fast", {"dtype": "float16", "psnr_db": 44.9}),
        ("max_speed", {"dtype": "float16", "psnr_db": 37.9}),
        ("fast", {"dtype": "float16", "psnr_db": 60.0, "equal_codes": 0.98}),
        ("max_speed", {"dtype": "float16"}),
        ("fast", {"dtype": "int8", "psnr_db": 60.0}),
    ],
)
def test_precision_without_the_quality_of_its_profile_is_refused(
    profile: str, measured: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError):
        record(**{profile: measured})


def test_profile_selects_the_precision() -> None:
    precision = record(fast={"dtype": "float32"}, max_speed={"dtype": "float16", "psnr_db": 38.0})
    assert [precision.of(name) for name in ("baseline", "fast", "max_speed")] == [
        "float32",
        "float32",
        "float16",
    ]


@pytest.mark.parametrize("row", CATALOG.rows, ids=lambda row: row.id)
def test_every_network_was_measured_for_both_devices(row: Checkpoint) -> None:
    assert row.precision_for("baseline", "cuda") == "float32"
    assert row.precision_for("fast", "mps") == "float32"
    if row.id in WITHOUT_LOW_PRECISION:
        assert row.precision == {}
        return
    assert row.precision.keys() == {"cuda", "cpu"}
    assert row.precision["cpu"].measured_on == "cpu"
    assert row.precision["cuda"].fast.dtype in {"float32", "float32+float16", "float16"}


@pytest.mark.parametrize("row", CATALOG.rows, ids=lambda row: row.id)
def test_precisions_agree_with_the_recorded_rows(row: Checkpoint) -> None:
    for precision in row.precision.values():
        rows = rows_in("precision.jsonl" if precision.measured_on == "cpu" else "gpu.jsonl")
        network = precision.measured.partition("@")[0]
        rows = [each for each in rows if each["network"].partition("@")[0] == network]
        for measured in (precision.fast, precision.max_speed, *precision.refused):
            check_against_rows(measured, rows)


def check_against_rows(measured: Measured, rows: list[dict[str, Any]]) -> None:
    """Compare a precision with the worst recorded row of that precision."""
    if measured.dtype == "float32":
        return
    if measured.same_codes:
        rest = measured.dtype.rpartition("+")[2]
        found = [
            r["psnr_same_codes_db"]
            for r in rows
            if r["precision"] == rest and "psnr_same_codes_db" in r
        ]
    else:
        found = [r["psnr_db"] for r in rows if r["precision"] == measured.dtype]
    assert measured.psnr_db == min(found)
    if measured.equal_codes is not None:
        codes = [r["codes_agree"] for r in rows if r["precision"] == measured.dtype]
        assert measured.equal_codes == min(codes)


def test_networks_whose_weights_are_interpolated_have_one_precision() -> None:
    net, *partners = CATALOG.group("upscale", "general_x4v3")
    [partner] = [row for row in partners if row.role == DENOISE_PARTNER]
    assert net.precision == partner.precision
