"""Which addresses a server fetches photos from, and for how long: public ones, and not for ever.

A server that fetches what a stranger names can reach what the stranger cannot: its own machine, its network, the metadata of a cloud.
A name is therefore looked up here and the connection made to the address that was judged, redirects included, so that a name that
points elsewhere a moment later gains nothing. Where the environment names a proxy, that proxy is asked and judges.
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

from restore.errors import Code, RestoreError

TOTAL_TIMEOUT_S = 60.0
"""Of a connection, from its beginning: a timeout of each read alone lets a byte now and then hold a server for days."""


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet: neither this machine nor a network around it, nor many at once."""
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.ip_address(
        address.partition("%")[0]
    )
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        # NAT64 (RFC 6052) carries the address it means in its last four bytes.
        ip = inner or (
            ipaddress.IPv4Address(ip.packed[-4:])
            if ip in ipaddress.ip_network("64:ff9b::/96")
            else ip
        )
    return ip.is_global and not ip.is_multicast


def bounded_session(*, public: bool) -> requests.Session:
    """A session whose connections end after TOTAL_TIMEOUT_S, whatever they are at.

    Args:
        public: connect to addresses of the public internet alone; its requests then raise RestoreError: PHOTO_MISSING for others.
    """
    session = requests.Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, _PublicAdapter() if public else _BoundedAdapter())
    return session


def judged_addresses(host: str, port: int) -> list[str]:
    """The IP addresses of a host, none of which is private.

    Raises:
        RestoreError: PHOTO_MISSING for a host with an address that is none of the public internet.
        OSError, UnicodeError: it has none.
    """
    addresses = [
        str(place[0]) for *_, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    ]
    if not all(is_public(address) for address in addresses):
        remedy = "Send the photo itself as a data URI. Whoever runs the server may set RESTORE_ALLOW=addresses."
        raise RestoreError(
            Code.PHOTO_MISSING, f"'{host[:80]}' is no address of the public internet", remedy
        )
    return addresses


class _Bounded(HTTPConnection):
    """A connection that is shut when its time is up; what reads from it then fails, or finds its end."""

    _timer: threading.Timer | None = None

    def _new_conn(self) -> socket.socket:
        connected = super()._new_conn()
        self._timer = threading.Timer(TOTAL_TIMEOUT_S, _shut, (connected,))
        self._timer.daemon = True
        self._timer.start()
        return connected

    def close(self) -> None:
        if self._timer:
            self._timer.cancel()
        super().close()


class _Public(_Bounded):
    """A connection to an address that was judged, not to what its name means a moment later."""

    def _new_conn(self) -> socket.socket:
        name = self._dns_host
        try:
            addresses = judged_addresses(name.strip("[]"), self.port or 0)
        except (OSError, UnicodeError) as error:
            raise NewConnectionError(self, f"its address is not known ({error})") from error
        failure: NewConnectionError | ConnectTimeoutError | None = None
        for address in addresses:
            self._dns_host = address
            try:
                return super()._new_conn()
            except (NewConnectionError, ConnectTimeoutError) as error:
                failure = error
            finally:
                self._dns_host = name  # which TLS and the Host header are about
        raise failure or NewConnectionError(self, "it has no address")


class _BoundedTls(_Bounded, HTTPSConnection):
    pass


class _PublicTls(_Public, HTTPSConnection):
    pass


class _BoundedPool(HTTPConnectionPool):
    ConnectionCls = _Bounded


class _BoundedTlsPool(HTTPSConnectionPool):
    ConnectionCls = _BoundedTls


class _PublicPool(HTTPConnectionPool):
    ConnectionCls = _Public


class _PublicTlsPool(HTTPSConnectionPool):
    ConnectionCls = _PublicTls


class _BoundedAdapter(HTTPAdapter):
    pools: Mapping[str, type[HTTPConnectionPool]] = MappingProxyType(
        {"http": _BoundedPool, "https": _BoundedTlsPool}
    )

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - as requests hands them on
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = dict(self.pools)


class _PublicAdapter(_BoundedAdapter):
    pools = MappingProxyType({"http": _PublicPool, "https": _PublicTlsPool})


def _shut(connected: socket.socket) -> None:
    with suppress(OSError):  # it was closed in between
        connected.shutdown(socket.SHUT_RDWR)
