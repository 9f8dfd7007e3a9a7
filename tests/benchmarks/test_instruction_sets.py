"""instruction_sets: a limited run restarts the same command once, with the limits."""

import os
import sys

import pytest

from benchmarks import against_official, nets
from benchmarks.instruction_sets import AVX2, NATIVE, restart_limited


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, list[str]]]:
    """Collect the programs that would replace this process."""
    calls: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(os, "environ", os.environ.copy())
    monkeypatch.setattr(os, "execv", lambda program, words: calls.append((program, words)))
    return calls


def test_command_is_restarted_once_with_the_limits(started: list[tuple[str, list[str]]]) -> None:
    restart_limited(NATIVE)
    assert started == []
    restart_limited("avx2")
    assert started == [(sys.executable, sys.orig_argv)]
    assert os.environ.items() >= AVX2.items()
    restart_limited("avx2")
    assert len(started) == 1


@pytest.mark.parametrize("benchmark", [nets, against_official])
def test_benchmarks_have_the_option(benchmark: object) -> None:
    parse = benchmark._parser().parse_args  # type: ignore[attr-defined]
    assert parse([]).instruction_set == NATIVE
    assert parse(["--instruction-set", "avx2"]).instruction_set == "avx2"
    with pytest.raises(SystemExit):
        parse(["--instruction-set", "sse2"])
