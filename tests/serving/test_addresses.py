"""Tests of restore.serving.addresses: which hosts a request may name, and for how long."""

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from fileserver import FileServer

from restore.errors import Code, RestoreError
from restore.serving import addresses
from restore.serving.addresses import is_public, public_addresses, time_limited_session
from restore.serving.fetch import fetch_photo

Resolver = Callable[..., list[tuple[object, ...]]]


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.8.9.10",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.169.254",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1%eth0",
        "fc00::1",
        "fd00:ec2::254",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "2002:7f00:1::",
        "64:ff9b::7f00:1",
    ],
)
def test_loopback_private_and_multicast_addresses_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"],
)
def test_internet_addresses_are_public(address: str) -> None:
    assert is_public(address)


def resolver(*resolved: str) -> Resolver:
    """Return a replacement of getaddrinfo that resolves every name to these addresses."""
    return lambda host, port, **_: [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in resolved
    ]


def test_host_with_one_private_address_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", resolver("1.1.1.1", "10.0.0.1"))
    with pytest.raises(
        RestoreError, match=r"'example\.org' is not a host on the public internet"
    ) as caught:
        public_addresses("example.org", 80)
    assert caught.value.code is Code.PHOTO_MISSING
    assert "RESTORE_ALLOW" in caught.value.remedy
    assert "10.0.0.1" not in str(caught.value), "the message must not reveal private addresses"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1"])
def test_private_host_is_refused_in_every_notation_without_a_request(
    server: FileServer, host: str
) -> None:
    url = server.add("a.jpg", b"x").replace("127.0.0.1", host)
    with (
        time_limited_session(public=True) as session,
        pytest.raises(RestoreError, match="not a host on the public internet"),
    ):
        session.get(url, timeout=5)
    assert server.log == []


def test_redirect_to_a_private_address_is_refused(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    server.add("secret", b"x")
    port = server.url("").split(":")[2].strip("/")
    url = server.add("a.jpg", b"", location=f"http://127.0.0.2:{port}/secret")
    with (
        time_limited_session(public=True) as session,
        pytest.raises(RestoreError, match=r"'127\.0\.0\.2' is not a host"),
    ):
        session.get(url, timeout=5)
    assert [path for path, _ in server.log] == ["/a.jpg"]


def test_connection_uses_the_checked_address(
    server: FileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved_names = []
    getaddrinfo = socket.getaddrinfo

    def rebinding(host: str, port: int, *args: int, **kwargs: int) -> list[tuple[object, ...]]:
        if host != "photos.example":
            return list(getaddrinfo(host, port, *args, **kwargs))
        resolved_names.append(host)
        return resolver("127.0.0.1" if len(resolved_names) == 1 else "127.0.0.2")(host, port)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    url = server.add("a.jpg", b"bytes").replace("127.0.0.1", "photos.example")
    with time_limited_session(public=True) as session:
        session.trust_env = False
        response = session.get(url, timeout=5)
    assert response.content == b"bytes"
    assert resolved_names == ["photos.example"]
    host_header = server.hosts[-1]
    assert host_header is not None
    assert host_header.startswith("photos.example:")


@pytest.mark.parametrize("slow_part", ["head", "body"])
def test_slow_server_is_disconnected_after_the_total_timeout(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, slow_part: str
) -> None:
    # The server sends a byte every 20 ms, so that no single read times out.
    monkeypatch.setattr(addresses, "TOTAL_TIMEOUT_S", 0.5)
    header = b"X-A: " if slow_part == "head" else b"Content-Length: 99999\r\n\r\n"
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def send_slowly() -> None:
            client, _ = listener.accept()
            with client:
                try:
                    client.sendall(b"HTTP/1.1 200 OK\r\n" + header)
                    while True:
                        client.sendall(b"x")
                        time.sleep(0.02)
                except OSError:
                    return

        thread = threading.Thread(target=send_slowly)
        thread.start()
        started_s = time.monotonic()
        with pytest.raises(
            RestoreError, match=r"photo 'a\.jpg': the download took longer than"
        ) as caught:
            fetch_photo(f"http://127.0.0.1:{listener.getsockname()[1]}/a.jpg", tmp_path / "a")
        assert caught.value.code is Code.PHOTO_MISSING
        assert time.monotonic() - started_s < 5
        thread.join(10)
