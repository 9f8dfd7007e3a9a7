"""Addresses that a served request may be fetched from, and how long that may take."""

import socket
import threading
import time

import pytest
from fileserver import FileServer

from restore.errors import Code, RestoreError
from restore.serving import addresses, uploads
from restore.serving.addresses import bounded_session, is_public, judged_addresses
from restore.serving.uploads import fetched


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
def test_addresses_of_this_machine_and_its_networks_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "93.184.215.14", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"],
)
def test_others_are(address):
    assert is_public(address)


def found(*given: str):
    return lambda host, port, **_: [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in given
    ]


def test_one_private_address_among_several_is_enough_to_refuse(monkeypatch):
    monkeypatch.setattr(socket, "getaddrinfo", found("1.1.1.1", "10.0.0.1"))
    with pytest.raises(
        RestoreError, match=r"'example\.org' is no address of the public internet"
    ) as caught:
        judged_addresses("example.org", 80)
    assert caught.value.code is Code.PHOTO_MISSING
    assert "RESTORE_ALLOW" in caught.value.remedy
    assert "10.0.0.1" not in str(caught.value), "what lies behind a name is nobody's to learn"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "0x7f.1"])
def test_a_private_address_is_refused_however_it_is_written_and_never_asked(
    server: FileServer, host
):
    url = server.add("a.jpg", b"x").replace("127.0.0.1", host)
    with (
        bounded_session(public=True) as session,
        pytest.raises(RestoreError, match="no address of the public internet"),
    ):
        session.get(url, timeout=5)
    assert server.log == []


def test_a_redirect_to_a_private_address_is_refused(server: FileServer, monkeypatch):
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    server.add("secret", b"x")
    port = server.url("").split(":")[2].strip("/")
    url = server.add("a.jpg", b"", location=f"http://127.0.0.2:{port}/secret")
    with (
        bounded_session(public=True) as session,
        pytest.raises(RestoreError, match=r"'127\.0\.0\.2' is no address"),
    ):
        session.get(url, timeout=5)
    assert [path for path, _ in server.log] == ["/a.jpg"]


def test_the_connection_is_made_to_the_address_that_was_judged(server: FileServer, monkeypatch):
    """A name that means another address a moment later gains nothing: it is looked up once."""
    asked = []
    real = socket.getaddrinfo

    def rebinding(host, port, *rest, **named):
        if host != "photos.example":
            return real(host, port, *rest, **named)
        asked.append(host)
        return found("127.0.0.1" if len(asked) == 1 else "127.0.0.2")(host, port)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    url = server.add("a.jpg", b"bytes").replace("127.0.0.1", "photos.example")
    with bounded_session(public=True) as session:
        session.trust_env = False
        answer = session.get(url, timeout=5)
    assert answer.content == b"bytes"
    assert asked == ["photos.example"]
    assert server.hosts[-1].startswith("photos.example:"), "the name is what the server hears"


@pytest.mark.parametrize("slow", ["head", "body"])
def test_a_server_that_sends_a_byte_now_and_then_is_left_in_the_end(monkeypatch, tmp_path, slow):
    """Each read is answered in time; all of them together are not."""
    monkeypatch.setattr(addresses, "TOTAL_TIMEOUT_S", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            client, _ = listening.accept()
            with client:
                head = (
                    b"HTTP/1.1 200 OK\r\nX-A: "
                    if slow == "head"
                    else b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n"
                )
                try:
                    client.sendall(head)
                    while True:
                        client.sendall(b"x")
                        time.sleep(0.02)
                except OSError:
                    return

        thread = threading.Thread(target=drip)
        thread.start()
        started_s = time.monotonic()
        with pytest.raises(RestoreError, match=r"photo 'a\.jpg': did not arrive within") as caught:
            fetched(f"http://127.0.0.1:{listening.getsockname()[1]}/a.jpg", tmp_path / "a")
        assert caught.value.code is Code.PHOTO_MISSING
        assert time.monotonic() - started_s < 5
        thread.join(10)


def test_what_the_environment_allows():
    assert uploads.allowed({}) == frozenset()
    assert uploads.allowed({"RESTORE_ALLOW": " paths , addresses "}) == {"paths", "addresses"}
    with pytest.raises(RestoreError, match="RESTORE_ALLOW names 'all'"):
        uploads.allowed({"RESTORE_ALLOW": "all"})
