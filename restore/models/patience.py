"""How long to wait for hosts that do not answer."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Patience:
    """How long to wait for a route that has not delivered anything yet.

    Attributes:
        connect_timeout_s: for name resolution and a connection.
        read_timeout_s: for the first byte of a response.
        attempts: how often a silent route is tried.
        budget_s: total time for all silent routes; further routes are not tried after that.
        probe_timeout_s: limit for a connection that is tried before the first request, with name
            resolution and all addresses of the host together; None makes no such connection.
    """

    connect_timeout_s: float
    read_timeout_s: float
    attempts: int
    budget_s: float = math.inf
    probe_timeout_s: float | None = None
    index_s: float = 600.0


PATIENT = Patience(connect_timeout_s=5.0, read_timeout_s=30.0, attempts=3)
BRIEF = Patience(
    connect_timeout_s=5.0,
    read_timeout_s=5.0,
    attempts=1,
    budget_s=3.0,
    probe_timeout_s=2.0,
    index_s=30.0,
)
