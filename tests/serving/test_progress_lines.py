"""Tests of restore.serving.progress_lines."""

import pytest
from replicate.prediction import Prediction

from restore.serving import progress_lines
from restore.serving.progress_lines import ProgressLines


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress_lines, "time", clock)
    return clock


def test_line_is_read_by_replicates_client(clock: Clock, capsys: pytest.CaptureFixture) -> None:
    lines = ProgressLines()
    with lines.request():
        lines("upscale: tiles", 0, 12)
        clock.now_s += 3
        lines("upscale: tiles", 5, 12)
    logs = capsys.readouterr().out
    assert logs.splitlines()[-1] == " 42%|####1     | 5/12 [00:03<00:04] upscale: tiles"
    progress = Prediction.Progress.parse(f"{logs}INFO something else\n")
    assert progress is not None
    assert (progress.percentage, progress.current, progress.total) == (0.42, 5, 12)


def test_lines_have_a_distance_except_the_end(clock: Clock, capsys: pytest.CaptureFixture) -> None:
    lines = ProgressLines()
    with lines.request():
        for done in range(101):
            lines("restore: tiles", done, 100)
            clock.now_s += 0.01
        lines("photos", 1, 1)
    printed = [line.split("|")[2].split()[0] for line in capsys.readouterr().out.splitlines()]
    assert len(printed) == 5
    assert (printed[0], printed[-1]) == ("0/100", "1/1")


def test_nothing_is_printed_outside_of_a_request_or_without_a_total(
    clock: Clock, capsys: pytest.CaptureFixture
) -> None:
    lines = ProgressLines()
    lines("loading restore", 0, 3)
    with lines.request():
        lines("a.pth", 5, 0)
    lines("photos", 1, 1)
    assert capsys.readouterr().out == ""
