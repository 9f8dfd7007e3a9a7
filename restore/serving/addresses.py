"""HTTP sessions for the URLs of requests: public addresses only, and a limit on the total time.

A server that fetches URLs for strangers can reach what they cannot: itself, its local network and
the metadata service of a cloud. Each host name is therefore resolved here once, and the connection
is made to the address that was checked, also after a redirect, so that a name that resolves to
another address a moment later (DNS rebinding) gains nothing. If the environment sets a proxy, the
proxy connects and its rules apply.
"""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from types import MappingProxyType
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from restore.errors import Code, RestoreError, system_reason
from restore.version import user_agent

TOTAL_TIMEOUT_S = 60.0
"""Lifetime of a connection. A read timeout alone does not stop a server that sends slowly."""

NAT64_PREFIX = ipaddress.ip_network("64:ff9b::/96")
"""IPv6 addresses that hold an IPv4 address in their last four bytes (RFC 6052)."""

MAX_SHOWN_CHARACTERS = 80


def is_public(address: str) -> bool:
    """Check whether an IP address is a unicast address of the public internet."""
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(
        address.partition("%")[0]
    )
    if isinstance(ip, ipaddress.IPv6Address):
        embedded = ip.ipv4_mapped or ip.sixtofour
        if ip in NAT64_PREFIX:
            embedded = ipaddress.IPv4Address(ip.packed[-4:])
        ip = embedded or ip
    return ip.is_global and not ip.is_multicast


def time_limited_session(*, public: bool) -> requests.Session:
    """Create a session that names this program and whose connections end after TOTAL_TIMEOUT_S.

    Args:
        public: connect to public addresses only; requests to other addresses raise
            RestoreError: PHOTO_MISSING.
    """
    session = requests.Session()
    session.headers["User-Agent"] = user_agent()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _PublicAdapter() if public else _TimeLimitedAdapter())
    return session


def public_addresses(host: str, port: int) -> list[str]:
    """Resolve a host name to its IP addresses, all of which must be public.

    Raises:
        RestoreError: PHOTO_MISSING if an address is not public.
        OSError, UnicodeError: if the name cannot be resolved.
    """
    entries = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = [str(socket_address[0]) for *_, socket_address in entries]
    if not all(is_public(address) for address in addresses):
        # The addresses are not shown: they may describe a private network.
        raise RestoreError(
            Code.PHOTO_MISSING,
            f"'{host[:MAX_SHOWN_CHARACTERS]}' is not a host on the public internet",
            "Send the photo itself as a data URI. "
            "The operator of the server can allow such hosts with RESTORE_ALLOW=addresses.",
        )
    return addresses


class _TimeLimitedConnection(HTTPConnection):
    """A connection that is shut down after TOTAL_TIMEOUT_S: reads then fail or return no data."""

    _timer: threading.Timer | None = None

    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        self._timer = threading.Timer(TOTAL_TIMEOUT_S, _shut_down, (connected,))
        self._timer.daemon = True
        self._timer.start()
        return connected

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()
        super().close()


class _PublicConnection(_TimeLimitedConnection):
    """A connection to an address that has been checked to be public."""

    def _new_conn(self) -> socket.socket:
        host = self._dns_host
        try:
            addresses = public_addresses(host.strip("[]"), self.port or 0)
        except (OSError, UnicodeError) as error:
            raise NewConnectionError(
                self, f"cannot resolve the host name ({system_reason(error)})"
            ) from error
        failure: NewConnectionError | ConnectTimeoutError | None = None
        for address in addresses:
            self._dns_host = address
            try:
                return super()._new_conn()
            except (NewConnectionError, ConnectTimeoutError) as error:
                failure = error
            finally:
                self._dns_host = host  # TLS and the Host header need the name
        raise failure or NewConnectionError(self, "the host has no address")


class _TimeLimitedTlsConnection(_TimeLimitedConnection, HTTPSConnection):
    pass


class _PublicTlsConnection(_PublicConnection, HTTPSConnection):
    pass


class _TimeLimitedPool(HTTPConnectionPool):
    ConnectionCls = _TimeLimitedConnection


class _TimeLimitedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _TimeLimitedTlsConnection


class _PublicPool(HTTPConnectionPool):
    ConnectionCls = _PublicConnection


class _PublicTlsPool(HTTPSConnectionPool):
    ConnectionCls = _PublicTlsConnection


class _TimeLimitedAdapter(HTTPAdapter):
    pools: Mapping[str, type[HTTPConnectionPool]] = MappingProxyType(
        {"http": _TimeLimitedPool, "https": _TimeLimitedTlsPool}
    )

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - passed through
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = dict(self.pools)


class _PublicAdapter(_TimeLimitedAdapter):
    pools = MappingProxyType({"http": _PublicPool, "https": _PublicTlsPool})


def _shut_down(connected: socket.socket) -> None:
    with suppress(OSError):  # it may be closed already
        connected.shutdown(socket.SHUT_RDWR)
