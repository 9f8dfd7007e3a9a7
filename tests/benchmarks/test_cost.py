"""cost: the arithmetic, and times of other devices marked as hypothetical."""

import json
import re
from pathlib import Path

import pytest

from benchmarks.cost import (
    PRICES,
    Price,
    Timing,
    images_per_dollar,
    main,
    read_prices,
    read_timings,
    table,
)
from restore.errors import RestoreError

T4 = Price("T4", ("T4",), 0.000225, "a page", "2025")
A100 = Price("A100", ("A100", "80GB"), 0.0014, "a page", "2025")
CPU = Price("CPU", ("cpu",), 0.0001, "a page", "2025", cpu_cores=4)


def test_images_per_dollar() -> None:
    assert images_per_dollar(0.5, 0.000225) == pytest.approx(8888.89, abs=0.01)
    assert images_per_dollar(2.0, 0.0001) == pytest.approx(5000)


@pytest.mark.parametrize(
    ("price", "device", "cpu_cores", "applies"),
    [
        (T4, "Tesla T4", 8, True),
        (T4, "NVIDIA T400", 8, False),
        (A100, "NVIDIA A100-SXM4-80GB", 8, True),
        (A100, "NVIDIA A100 80GB PCIe", 8, True),
        (A100, "NVIDIA A100-SXM4-40GB", 8, False),
        (CPU, "cpu", 4, True),
        (CPU, "cpu", 2, False),
        (CPU, "cpu", None, False),
        (CPU, "Tesla T4", 4, False),
        (T4, "cpu", 4, False),
        (T4, "", None, False),
    ],
)
def test_price_applies_to_devices_of_its_name(
    price: Price, device: str, cpu_cores: int | None, applies: bool
) -> None:
    assert price.applies_to(device, cpu_cores) is applies


def test_included_prices_have_a_date_and_a_source() -> None:
    prices = {price.name: price for price in read_prices(PRICES)}
    assert len(prices) == 6
    assert prices["AWS g5.xlarge (A10G)"].applies_to("NVIDIA A10G", None)
    assert not prices["AWS g5.xlarge (A10G)"].applies_to("NVIDIA A10", None)
    assert prices["Replicate Nvidia L40S"].dollars_per_second == 0.000975
    assert not prices["Replicate Nvidia L40S"].applies_to("NVIDIA L4", None)
    assert all("pric" in price.source and price.date == "2025" for price in prices.values())
    assert "CHECK THEM" in PRICES.read_text()


def rows_of(text: str) -> dict[str, tuple[str, str]]:
    """Return photos per dollar and the basis of the time, by hardware."""
    lines = [
        line
        for line in text.splitlines()
        if re.search("Replicate |AWS ", line) and not line.startswith("Prices")
    ]
    return {line[26:54].strip(): (line[65:80].strip(), line[80:].strip()) for line in lines}


def test_other_devices_are_marked_as_hypothetical(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--seconds-per-image", "0.5", "--device", "Tesla T4"]) == 0
    output = capsys.readouterr().out
    rows = rows_of(output)
    assert len(rows) == 5
    assert rows.pop("Replicate Nvidia T4") == ("8,889", "measured on Tesla T4")
    assert all(basis == "hypothetical: measured on Tesla T4" for _, basis in rows.values())
    assert rows["Replicate Nvidia H100"][0] == "1,311"
    assert "check them before use" in output
    assert "no idle time" in output


def test_without_a_device_every_row_is_hypothetical(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--seconds-per-image", "0.5"]) == 0
    assert all(
        basis.startswith("hypothetical: ") and "unknown device" in basis
        for _, basis in rows_of(capsys.readouterr().out).values()
    )


@pytest.mark.parametrize("device", [["--cpu-cores", "4"], ["--cpu-cores", "2"], []])
def test_time_of_a_cpu_is_priced_as_that_cpu_only(
    capsys: pytest.CaptureFixture[str], device: list[str]
) -> None:
    assert main(["--seconds-per-image", "2", "--device", "cpu", *device]) == 0
    output = capsys.readouterr().out
    rows = rows_of(output)
    if "4" in device:
        assert rows == {"Replicate CPU (4 cores)": ("5,000", "measured on cpu of 4 cores")}
    else:
        assert rows == {}
        assert "no price is known for cpu" in output


def test_time_of_a_gpu_is_not_priced_as_a_cpu() -> None:
    assert "CPU" not in table([Timing("fast", 1.0, "Tesla T4")], [CPU, T4])


def results(tmp_path: Path, **row: object) -> Path:
    path = tmp_path / "result.json"
    profile = {"profile": "fast", "photos_per_second": 4.0, "failures": [], **row}
    path.write_text(
        json.dumps({"machine": {"device_name": "cpu", "cpu_cores": 4}, "profiles": [profile]})
    )
    return path


def test_result_of_run_bench_has_one_time_per_profile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = results(tmp_path)
    assert read_timings(path) == [Timing("fast", 0.25, "cpu", 4)]
    assert main([str(path)]) == 0
    assert rows_of(capsys.readouterr().out)["Replicate CPU (4 cores)"] == (
        "40,000",
        "measured on cpu of 4 cores",
    )


@pytest.mark.parametrize("row", [{"failures": [{"error": "gone"}]}, {"photos_per_second": None}])
def test_failed_run_has_no_price(tmp_path: Path, row: dict[str, object]) -> None:
    with pytest.raises(RestoreError, match="Measure again"):
        read_timings(results(tmp_path, **row))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"machine": {}, "profiles": []}'])
def test_other_files_than_results_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(RestoreError, match="not a result of run_bench"):
        read_timings(path)


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_impossible_time_is_refused(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seconds-per-image", seconds]) == 2
    assert "E102" in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "price = 1", '[[price]]\nname = "x"', 'x = "'])
def test_other_files_than_prices_are_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(text)
    with pytest.raises(RestoreError, match="not a price file"):
        read_prices(path)


def test_price_of_zero_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prices.toml"
    path.write_text(
        '[[price]]\nname="x"\ndevice=["x"]\ndollars_per_second=0\nsource="s"\ndate=2025\n'
    )
    with pytest.raises(RestoreError, match="above 0"):
        read_prices(path)


@pytest.mark.parametrize("arguments", [[], ["a.json", "--seconds-per-image", "1"]])
def test_either_a_file_or_seconds_must_be_given(arguments: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(arguments)
