"""Compute how many photos a dollar pays for, at a measured time and the prices of gpu_prices.toml.

    python benchmarks/cost.py run.json
    python benchmarks/cost.py --seconds-per-image 0.4 --device "Tesla T4"

A time is valid for the device that it was measured on. The rows of other GPUs are marked
hypothetical: they show what a dollar would pay for if that GPU took the same time. The time of a
CPU is only priced as a CPU with the same number of cores. Only computing time is counted: no idle
time, no setup, no cold start.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from restore.errors import Code, RestoreError

CPU = "cpu"
PRICES = Path(__file__).resolve().parent / "gpu_prices.toml"


@dataclass(frozen=True)
class Price:
    """The price of one second of a device.

    Attributes:
        device: words of the device's name, or `cpu`.
        source: where the price was published.
        cpu_cores: number of cores of a CPU.
    """

    name: str
    device: tuple[str, ...]
    dollars_per_second: float
    source: str
    date: str
    cpu_cores: int | None = None

    def applies_to(self, device: str, cpu_cores: int | None) -> bool:
        """Return whether this is the price of a device of that name."""
        words = set(re.findall(r"\w+", device.lower()))
        return {word.lower() for word in self.device} <= words and (
            self.cpu_cores is None or self.cpu_cores == cpu_cores
        )


@dataclass(frozen=True)
class Timing:
    """Seconds per photo, measured on a device."""

    name: str
    seconds_per_image: float
    device: str
    cpu_cores: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.seconds_per_image < float("inf"):
            raise RestoreError(
                Code.OPTION_INVALID,
                f"{self.name}: the time of a photo is {self.seconds_per_image} s",
                "Give a time above 0.",
            )


def images_per_dollar(seconds_per_image: float, dollars_per_second: float) -> float:
    """Return how many photos a dollar pays for."""
    return 1.0 / (seconds_per_image * dollars_per_second)


def read_prices(path: Path) -> list[Price]:
    """Read a price file.

    Raises:
        RestoreError: OPTION_INVALID if the file is not a price file.
    """
    try:
        rows = tomllib.loads(path.read_text())["price"]
        prices = [
            Price(
                row["name"],
                tuple(row["device"]),
                float(row["dollars_per_second"]),
                row["source"],
                str(row["date"]),
                row.get("cpu_cores"),
            )
            for row in rows
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"'{path}' is not a price file ({type(error).__name__}: {error})"
        raise RestoreError(
            Code.OPTION_INVALID, reason, "Write it like benchmarks/gpu_prices.toml."
        ) from error
    for price in prices:
        if not price.dollars_per_second > 0:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"the price of {price.name} is {price.dollars_per_second}",
                "Give a price above 0.",
            )
    return prices


def read_timings(path: Path) -> list[Timing]:
    """Read a result of run_bench: one time per profile, its seconds divided by its photos.

    Raises:
        RestoreError: OPTION_INVALID if the file is not a result of run_bench, or if nothing was
            measured or a request failed in a profile.
    """
    try:
        results = json.loads(path.read_text())
        machine, rows = results["machine"], results["profiles"]
        measured = [
            (str(row["profile"]), row["photos_per_second"], len(row["failures"])) for row in rows
        ]
        device, cpu_cores = str(machine["device_name"]), machine.get("cpu_cores")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RestoreError(
            Code.OPTION_INVALID,
            f"'{path}' is not a result of run_bench ({type(error).__name__}: {error})",
            "Name a file that `python benchmarks/run_bench.py --output` wrote.",
        ) from error
    for profile, photos_per_second, failures in measured:
        if failures or not photos_per_second:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"'{path}', {profile}: {failures} requests failed",
                "Measure again: a price needs a complete run.",
            )
    return [
        Timing(profile, 1.0 / photos_per_second, device, cpu_cores)
        for profile, photos_per_second, _ in measured
    ]


def table(timings: Sequence[Timing], prices: Sequence[Price]) -> str:
    """Format every time at every price as text."""
    lines = [
        f"{'measured':14}{'s a photo':>10}  {'hardware':28}{'$ a second':>11}{'photos for $1':>15}"
        "  the time is"
    ]
    for timing in timings:
        rows = [price for price in prices if is_comparable(timing, price)]
        if not rows:
            lines.append(
                f"{timing.name:14}{timing.seconds_per_image:>10.3f}  no price is known for "
                f"{_describe_device(timing)}"
            )
        for price in rows:
            photos = images_per_dollar(timing.seconds_per_image, price.dollars_per_second)
            lines.append(
                f"{timing.name:14}{timing.seconds_per_image:>10.3f}  {price.name:28}"
                f"{price.dollars_per_second:>11.6f}{photos:>15,.0f}  {basis(timing, price)}"
            )
    lines.append("Computing time only: no idle time, no setup, no cold start.")
    lines += sorted(
        {f"Prices: {price.source}, {price.date}; check them before use." for price in prices}
    )
    return "\n".join(lines)


def is_comparable(timing: Timing, price: Price) -> bool:
    """Return whether a time may be shown at a price: that of a CPU only at its own price."""
    is_own = price.applies_to(timing.device, timing.cpu_cores)
    return is_own or (timing.device != CPU and CPU not in price.device)


def basis(timing: Timing, price: Price) -> str:
    """Describe whether the time was measured on the priced device."""
    own = price.applies_to(timing.device, timing.cpu_cores)
    return f"{'measured' if own else 'hypothetical: measured'} on {_describe_device(timing)}"


def _describe_device(timing: Timing) -> str:
    cores = f" of {timing.cpu_cores} cores" if timing.cpu_cores and timing.device == CPU else ""
    return f"{timing.device}{cores}" if timing.device else "an unknown device"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line. Returns 0, or 2 if refused."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if (options.results is None) == (options.seconds_per_image is None):
        parser.error("name a result of run_bench, or give --seconds-per-image")
    try:
        seconds = options.seconds_per_image
        timings = (
            read_timings(options.results)
            if seconds is None
            else [Timing("as given", seconds, options.device.strip(), options.cpu_cores)]
        )
        print(table(timings, read_prices(options.prices)))
    except RestoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "results", type=Path, nargs="?", metavar="FILE.json", help="result of run_bench --output"
    )
    parser.add_argument("--seconds-per-image", type=float, metavar="S", help="instead of a file")
    parser.add_argument(
        "--device",
        default="",
        help="device of the measured time: cpu, or torch's name, such as 'Tesla T4'",
    )
    parser.add_argument(
        "--cpu-cores", type=int, metavar="N", help="number of cores, for the device cpu"
    )
    parser.add_argument(
        "--prices", type=Path, default=PRICES, metavar="FILE.toml", help="default: gpu_prices.toml"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
