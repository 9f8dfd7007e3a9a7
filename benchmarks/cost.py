"""Images per dollar at a measured time: `python -m benchmarks.cost run_bench.json`, or `--seconds-per-image 0.4 --device "Tesla T4"`.

Prices are those of gpu_prices.toml. A time belongs to the device that it was measured on: for every other device the row is marked
hypothetical, and says what a dollar would buy if that device took just as long, no more. Only the seconds of work are
counted: no idle time, no setup, no cold start.
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

from restore.errors import Code, RestoreError

PRICES = Path(__file__).resolve().parent / "gpu_prices.toml"


@dataclass(frozen=True)
class Price:
    """What a second of a device costs, and who says so.

    Attributes:
        device: words of the device's name, or `cpu`.
        cpu_cores: of a CPU.
    """

    name: str
    device: tuple[str, ...]
    dollars_per_second: float
    source: str
    date: str
    cpu_cores: int | None = None

    def is_of(self, device: str, cpu_cores: int | None) -> bool:
        """Whether a device of that name is what this price is for."""
        words = set(re.findall(r"\w+", device.lower()))
        return {word.lower() for word in self.device} <= words and (
            self.cpu_cores is None or self.cpu_cores == cpu_cores
        )


@dataclass(frozen=True)
class Timing:
    """Seconds for a photo, measured on a device."""

    name: str
    seconds_per_image: float
    device: str
    cpu_cores: int | None = None

    def __post_init__(self) -> None:
        if not 0 < self.seconds_per_image < float("inf"):
            raise RestoreError(
                Code.OPTION_INVALID,
                f"{self.name}: {self.seconds_per_image} s for a photo",
                "Give a time above 0.",
            )


def images_per_dollar(seconds_per_image: float, dollars_per_second: float) -> float:
    """How many photos a dollar pays for."""
    return 1.0 / (seconds_per_image * dollars_per_second)


def read_prices(path: Path) -> list[Price]:
    """The rows of a price file.

    Raises:
        RestoreError: OPTION_INVALID for a file that is none.
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
        reason = f"'{path}' is no file of prices ({type(error).__name__}: {error})"
        raise RestoreError(
            Code.OPTION_INVALID, reason, "Write it as gpu_prices.toml is."
        ) from error
    for price in prices:
        if not price.dollars_per_second > 0:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"{price.name} costs {price.dollars_per_second}",
                "Give a price above 0.",
            )
    return prices


def read_timings(path: Path) -> list[Timing]:
    """What run_bench measured: a time for each profile, the run's seconds over the photos that came back.

    Raises:
        RestoreError: OPTION_INVALID for another file, or a profile of which nothing was measured or a request failed.
    """
    remedy = "Name what `python -m benchmarks.run_bench --output` wrote."
    try:
        results = json.loads(path.read_text())
        machine, rows = results["machine"], results["profiles"]
        measured = [
            (str(row["profile"]), row["photos_per_second"], len(row["failures"])) for row in rows
        ]
        device, cpu_cores = str(machine["device_name"]), machine.get("cpu_cores")
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = f"'{path}' is no result of run_bench ({type(error).__name__}: {error})"
        raise RestoreError(Code.OPTION_INVALID, reason, remedy) from error
    for profile, photos_per_second, failures in measured:
        if failures or not photos_per_second:
            raise RestoreError(
                Code.OPTION_INVALID,
                f"'{path}', {profile}: {failures} requests failed",
                "Measure again: that is no price.",
            )
    return [
        Timing(profile, 1.0 / photos_per_second, device, cpu_cores)
        for profile, photos_per_second, _ in measured
    ]


def table(timings: Sequence[Timing], prices: Sequence[Price]) -> str:
    """Every timing at every price as text."""
    lines = [
        f"{'measured':14}{'s a photo':>10}  {'hardware':28}{'$ a second':>11}{'photos for $1':>15}  the time is"
    ]
    for timing in timings:
        for price in prices:
            photos = images_per_dollar(timing.seconds_per_image, price.dollars_per_second)
            figures = f"{price.dollars_per_second:>11.6f}{photos:>15,.0f}"
            lines.append(
                f"{timing.name:14}{timing.seconds_per_image:>10.3f}  {price.name:28}{figures}  {basis(timing, price)}"
            )
    lines.append("Work alone: no idle time, no setup, no cold start.")
    lines += sorted(
        {f"Prices: {price.source}, {price.date}; check them before use." for price in prices}
    )
    return "\n".join(lines)


def basis(timing: Timing, price: Price) -> str:
    """Whether the time is the priced device's own, in words."""
    cores = f" of {timing.cpu_cores} cores" if timing.cpu_cores and timing.device == "cpu" else ""
    device = f"{timing.device}{cores}" if timing.device else "a device that was not named"
    return f"{'measured' if price.is_of(timing.device, timing.cpu_cores) else 'hypothetical: measured'} on {device}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line. Returns the exit code: 0, or 2 after a refusal, which it prints."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "results", type=Path, nargs="?", metavar="FILE.json", help="what run_bench --output wrote"
    )
    parser.add_argument("--seconds-per-image", type=float, metavar="S", help="instead of a file")
    parser.add_argument(
        "--device",
        default="",
        help="what the seconds were measured on: cpu, or torch's name of it, such as 'Tesla T4'",
    )
    parser.add_argument(
        "--cpu-cores", type=int, metavar="N", help="of the CPU that they were measured on"
    )
    parser.add_argument(
        "--prices", type=Path, default=PRICES, metavar="FILE.toml", help="default: gpu_prices.toml"
    )
    options = parser.parse_args(arguments)
    if (options.results is None) == (options.seconds_per_image is None):
        parser.error("name a file of run_bench, or give --seconds-per-image")
    try:
        given = options.seconds_per_image
        timings = (
            read_timings(options.results)
            if given is None
            else [Timing("as given", given, options.device.strip(), options.cpu_cores)]
        )
        print(table(timings, read_prices(options.prices)))
    except RestoreError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
