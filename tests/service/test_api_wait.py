"""Tests of the headers Prefer and Cancel-After."""

from datetime import timedelta

import pytest
from starlette.datastructures import Headers

from restore.errors import RestoreError
from restore.service.api.wait import cancel_after, preferred_wait_s


@pytest.mark.parametrize(
    ("values", "seconds"),
    [
        ([], None),
        (["wait"], 60),
        (["Wait"], 60),
        (["wait=5"], 5),
        (['wait="7"'], 7),
        (["wait = 8"], 8),
        (["wait=0"], 1),
        (["wait=600"], 60),
        (["respond-async, wait=10"], 10),
        (["respond-async", "wait=10;strict"], 10),
        (["respond-async"], None),
        (["wait=x"], None),
        (["wait="], None),
        (["wait=-5"], None),
        (["wait=1.5"], None),
        (["wait=5s"], None),
        (["waiting"], None),
        (["wait=99999999999999999999"], 60),
        (["wait=" + "9" * 5000], 60),
        (["wait=00000000000000000007"], 7),
    ],
)
def test_preferred_wait(values: list[str], seconds: int | None) -> None:
    headers = Headers(raw=[(b"prefer", value.encode()) for value in values])
    assert preferred_wait_s(headers) == seconds


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("", None),
        ("30", timedelta(seconds=30)),
        ("5s", timedelta(seconds=5)),
        ("5m", timedelta(minutes=5)),
        ("2h30m", timedelta(hours=2, minutes=30)),
        ("1h30m45s", timedelta(seconds=5445)),
        ("1H", timedelta(hours=1)),
        ("720h", timedelta(days=30)),
    ],
)
def test_cancel_after(text: str, duration: timedelta | None) -> None:
    assert cancel_after(Headers({"cancel-after": text})) == duration


@pytest.mark.parametrize("text", ["4s", "0", "-5", "1.5h", "s", "10x", "1m1h", "721h", "9" * 30])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(RestoreError, match="Cancel-After"):
        cancel_after(Headers({"cancel-after": text}))
