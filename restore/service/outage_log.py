"""Log lines about a database that is away: one a minute, however often it is tried."""

from __future__ import annotations

import logging
import math
import time

from sqlalchemy.exc import DBAPIError

PERIOD_S = 60.0
"""Time between two lines about the same outage."""

log = logging.getLogger(__name__)


class OutageLog:
    """Logs when the database goes away, every PERIOD_S while it is away, and when it is back."""

    def __init__(self, who: str) -> None:
        """Create the log.

        Args:
            who: what uses the database, for the lines.
        """
        self._who, self._next_s = who, -math.inf
        self._is_away = False

    def failed(self, error: DBAPIError) -> None:
        """Record that the database did not answer."""
        self._is_away = True
        if time.monotonic() >= self._next_s:
            reason = " ".join(str(error.orig).split())
            log.warning("%s: the database does not answer: %s", self._who, reason)
            self._next_s = time.monotonic() + PERIOD_S

    def worked(self) -> None:
        """Record that the database answered."""
        if self._is_away:
            log.warning("%s: the database answers again", self._who)
        self._is_away, self._next_s = False, -math.inf
