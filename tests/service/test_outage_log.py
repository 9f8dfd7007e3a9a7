"""Log lines about a database that is away."""

import logging

import pytest
from sqlalchemy.exc import DBAPIError

from restore.service.outage_log import PERIOD_S, OutageLog

ERROR = DBAPIError("SELECT 1", None, Exception("connection refused\n\tIs the server running?"))


def test_an_outage_is_logged_at_its_start_every_minute_and_at_its_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    now_s = 1000.0
    monkeypatch.setattr("restore.service.outage_log.time.monotonic", lambda: now_s)
    outages = OutageLog("webhooks")
    with caplog.at_level(logging.WARNING, "restore.service.outage_log"):
        outages.worked()
        for _ in range(5):
            outages.failed(ERROR)
        now_s += PERIOD_S
        outages.failed(ERROR)
        outages.worked()
        outages.worked()
        outages.failed(ERROR)
    away = "webhooks: the database does not answer: connection refused Is the server running?"
    back = "webhooks: the database answers again"
    assert [record.message for record in caplog.records] == [away, away, back, away]
