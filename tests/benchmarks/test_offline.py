"""offline: the weights policy `auto` falls back quickly and warns once."""

import pytest

from benchmarks.offline import main


def test_failing_names_give_one_warning(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["names"]) == 0
    output = capsys.readouterr().out
    assert "1 different warnings" in output
    assert "name or service not known" in output
