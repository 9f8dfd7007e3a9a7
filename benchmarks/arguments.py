"""Types and options that the command lines of several benchmarks share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import get_args

from restore.errors import Code, RestoreError
from restore.options import DEFAULT_TASK, PIPELINE_TASK, STEPS, RuntimeProfile, StabilityMode

PROFILES: tuple[str, ...] = get_args(RuntimeProfile)
STABILITY_MODES: tuple[str, ...] = get_args(StabilityMode)
WEIGHTS = ("lite", "auto", "official")
DEFAULT_PORT = 5000


def split_pair(text: str) -> tuple[str, str]:
    """Split NAME=VALUE at its first equals sign.

    Raises:
        RestoreError: OPTION_INVALID if there is no equals sign or no name.
    """
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise RestoreError(
            Code.OPTION_INVALID,
            f"--set {text} is not of the form NAME=VALUE",
            "Write for example --set scale=2.",
        )
    return name, value


def names_from(allowed: Sequence[str]) -> Callable[[str], list[str]]:
    """Return an argparse type: names separated by commas, each one of `allowed`."""

    def read(text: str) -> list[str]:
        names = list(dict.fromkeys(name.strip() for name in text.split(",")))
        for name in names:
            if name not in allowed:
                raise argparse.ArgumentTypeError(
                    f"'{name}' is unknown: choose from {', '.join(allowed)}"
                )
        return names

    return read


def count_from(minimum: int) -> Callable[[str], int]:
    """Return an argparse type: a whole number of at least `minimum`."""

    def count(text: str) -> int:
        if int(text) < minimum:
            raise argparse.ArgumentTypeError(f"must be at least {minimum}")
        return int(text)

    return count


def comma_separated(text: str) -> tuple[str, ...]:
    """Split a text at its commas; an argparse type for names that are checked later."""
    return tuple(name for name in text.split(",") if name)


def add_server_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every benchmark that sends photos to a server."""
    parser.add_argument("--task", choices=(*STEPS, PIPELINE_TASK), default=DEFAULT_TASK)
    parser.add_argument(
        "--profiles",
        type=names_from(PROFILES),
        default=["baseline", "fast"],
        help="default: baseline,fast",
    )
    add_weights_option(parser)
    parser.add_argument(
        "--warmup",
        type=count_from(0),
        default=1,
        metavar="N",
        help="rounds that are not measured (default: 1)",
    )
    add_port_option(parser)
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="a further input of the request; may be repeated",
    )


def add_weights_option(parser: argparse.ArgumentParser) -> None:
    """Add `--weights`."""
    parser.add_argument(
        "--weights",
        choices=WEIGHTS,
        default="lite",
        help="value of RESTORE_WEIGHTS (default: lite, which needs no download)",
    )


def add_port_option(parser: argparse.ArgumentParser) -> None:
    """Add `--port`."""
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"default: {DEFAULT_PORT}")
