"""Remembers which hosts cannot be reached, so that their timeouts are paid once.

A route is what a connection is made to: the proxy of an address if it has one, else its host. A
route that failed before it delivered anything is not tried again, neither for other files nor for
mirrors. The weights policy `auto` waits briefly, because it has the embedded weights; `official`
and `restore weights fetch` are patient.
"""

from __future__ import annotations

import socket
import threading
import time
from urllib.parse import urlsplit

from requests.utils import get_environ_proxies, select_proxy

from restore.errors import system_reason
from restore.models.partial_download import UnusableSourceError
from restore.models.patience import PATIENT, Patience

_DEFAULT_PORTS = {"http": 80, "https": 443}


class UnreachableHostError(UnusableSourceError):
    """The host of an address, or its proxy, cannot be reached or does not answer."""


class HostStatus:
    """The routes that delivered something, and those that failed.

    Args:
        patience: how long a route is waited for.
    """

    def __init__(self, patience: Patience = PATIENT) -> None:
        self._patience = patience
        self._delivered = set[str]()
        self._probed = set[str]()
        self._failed: dict[str, str] = {}
        self._silent_s = 0.0
        self._is_answered = False
        self._lock = threading.Lock()

    @property
    def first_failure(self) -> str | None:
        """Why the first route failed, if no host has answered a request yet."""
        return None if self._is_answered else next(iter(self._failed.values()), None)

    def require_usable(self, url: str) -> None:
        """Check that the route of an address did not fail; connect to it first if that is due.

        Raises:
            UnreachableHostError: it failed, or the time for silent routes is used up.
        """
        route = _route_of(url)
        with self._lock:
            if route in self._failed:
                raise UnreachableHostError(self._failed[route])
            if route in self._delivered or route in self._probed:
                return
            left_s = self._patience.budget_s - self._silent_s
            if left_s <= 0 and not self._delivered:
                reason = self.first_failure or "no host answered in time"
                raise UnreachableHostError(f"{_host_of(route)} not tried: {reason}")
            if self._patience.probe_timeout_s is not None:
                self._probed.add(route)
                self._probe(route, min(self._patience.probe_timeout_s, max(left_s, 0.1)))

    def timeouts_s(self, url: str) -> tuple[float, float]:
        """Return the timeouts for connecting and for reading."""
        patience = PATIENT if _route_of(url) in self._delivered else self._patience
        return patience.connect_timeout_s, patience.read_timeout_s

    def max_silent_attempts(self, url: str) -> int:
        """Return how often a request is made that receives nothing."""
        return (PATIENT if _route_of(url) in self._delivered else self._patience).attempts

    def record_answer(self) -> None:
        """Record that some host answered a request, so that there is a network."""
        self._is_answered = True

    def record_delivery(self, url: str) -> None:
        """Record that a route delivered a part of a file."""
        self._delivered.add(_route_of(url))

    def record_silence(self, elapsed_s: float) -> None:
        """Record the time that a request took which received nothing."""
        self._silent_s += elapsed_s

    def record_failure(self, url: str, reason: str) -> UnreachableHostError:
        """Remember that a route failed, unless it has delivered something; return the error."""
        route = _route_of(url)
        message = f"{_host_of(route)} {reason}"
        if route not in self._delivered:
            self._failed.setdefault(route, message)
        return UnreachableHostError(message)

    def _probe(self, route: str, limit_s: float) -> None:
        began = time.monotonic()
        failure = _connection_failure(route, limit_s)
        if failure is not None:
            self.record_silence(time.monotonic() - began)
            raise self.record_failure(route, f"cannot be reached ({failure})")


def _connection_failure(route: str, limit_s: float) -> str | None:
    """Connect to a route; return why that failed.

    A thread does it, because name resolution has no timeout.
    """
    parts = urlsplit(route)
    address = (parts.hostname or "", parts.port or _DEFAULT_PORTS.get(parts.scheme, 80))
    results: list[str | None] = []

    def connect() -> None:
        try:
            socket.create_connection(address, timeout=limit_s).close()
        except OSError as error:
            results.append(system_reason(error))
        else:
            results.append(None)

    thread = threading.Thread(target=connect, name=f"connect to {parts.hostname}", daemon=True)
    thread.start()
    thread.join(limit_s)
    return results[0] if results else f"no answer within {limit_s:.1f} s"


def _route_of(url: str) -> str:
    """Return scheme and host of the proxy of an address, or of the address itself."""
    proxy = select_proxy(url, get_environ_proxies(url))
    target = urlsplit(proxy or url)
    return f"{target.scheme}://{target.netloc}"


def _host_of(route: str) -> str:
    """Return host and port of a route, without the credentials of a proxy."""
    return urlsplit(route).netloc.rpartition("@")[2]
