"""The headers of a request for a prediction: how long it waits, and when the job is cancelled."""

from __future__ import annotations

import re
from datetime import timedelta

from starlette.datastructures import Headers

from restore.errors import Code, RestoreError

MAX_WAIT_S = 60
MIN_CANCEL_AFTER_S = 5
MAX_CANCEL_AFTER = timedelta(days=30)

_WAIT = re.compile(r"wait(?:\s*=\s*\"?(\d{1,9})\"?)?", re.IGNORECASE)
_DURATION = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s?)?", re.IGNORECASE)


def preferred_wait_s(headers: Headers) -> int | None:
    """Return the seconds that a client wants to wait for the end of its job (RFC 7240).

    `Prefer: wait` means MAX_WAIT_S; `wait=N` is limited to 1 to MAX_WAIT_S. Other preferences are
    ignored.

    Returns:
        None without such a preference.
    """
    for preference in ",".join(headers.getlist("prefer")).split(","):
        if found := _WAIT.fullmatch(preference.partition(";")[0].strip()):
            return min(max(int(found[1] or MAX_WAIT_S), 1), MAX_WAIT_S)
    return None


def cancel_after(headers: Headers) -> timedelta | None:
    """Return the time after which a job has to be cancelled, such as `90`, `30s` or `1h30m`.

    Raises:
        RestoreError: REQUEST_INVALID for another text, and for less than MIN_CANCEL_AFTER_S.
    """
    text = headers.get("cancel-after", "").strip()
    if not text:
        return None
    found = _DURATION.fullmatch(text)
    duration = timedelta()
    if found:
        hours, minutes, seconds = (int(part or 0) for part in found.groups())
        duration = timedelta(hours=hours, minutes=minutes, seconds=seconds)
    if timedelta(seconds=MIN_CANCEL_AFTER_S) <= duration <= MAX_CANCEL_AFTER:
        return duration
    raise RestoreError(
        Code.REQUEST_INVALID,
        f"the header Cancel-After is '{text[:40]}'",
        f"Use a duration from {MIN_CANCEL_AFTER_S}s to {MAX_CANCEL_AFTER.days * 24}h, such as 90s,"
        " 5m or 1h30m.",
    )
