"""Tests of restore.serving.fetch: file names, URLs and data URIs on the command line."""

import base64
from pathlib import Path

import pytest
from fileserver import FileServer, closed_port_url

from restore.errors import Code, RestoreError
from restore.imaging.limits import Limits
from restore.imaging.named_file import NamedFile
from restore.serving import url_download
from restore.serving.fetch import fetch_photo
from restore.version import CONTACT, PROJECT_URL, __version__


def test_file_keeps_its_name(tmp_path: Path) -> None:
    assert fetch_photo("@some/a b.jpg", tmp_path / "0") == NamedFile(
        "a b.jpg", Path("some/a b.jpg")
    )
    assert fetch_photo("a.jpg", tmp_path / "0") == NamedFile("a.jpg", Path("a.jpg"))


def test_failed_download_is_described_without_names_of_classes(tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match=r"\(Failed to establish a new connection") as refused:
        fetch_photo(closed_port_url("a.jpg"), tmp_path / "0")
    assert "Pool" not in str(refused.value)
    assert "Connection(" not in str(refused.value)
    assert "Errno" not in str(refused.value)


def test_content_that_cannot_be_written_is_an_error_of_its_photo(tmp_path: Path) -> None:
    with pytest.raises(RestoreError, match=r"temporary folder \(is a directory\)") as refused:
        fetch_photo("data:,x", tmp_path)
    assert (refused.value.code, refused.value.photo) == (Code.SERVER, "data URI")


def test_data_uri_is_decoded(tmp_path: Path) -> None:
    body = base64.b64encode(b"bytes").decode()
    named = fetch_photo(f"data:image/png;base64,{body}", tmp_path / "0")
    assert named.path.read_bytes() == b"bytes"
    assert fetch_photo("data:,a%20b", tmp_path / "1").path.read_bytes() == b"a b"
    with_line_breaks = f"data:;base64,{body[:4]}\n{body[4:]}%0A"
    assert fetch_photo(with_line_breaks, tmp_path / "2").path.read_bytes() == b"bytes"


@pytest.mark.parametrize(
    "uri",
    [
        "data:image/png;BASE64,{}",
        "DATA:image/png;Base64,{}",
        "Data:;base64 ,{}",
        "data:image/png;name=a.png;BASE64,{}",
    ],
)
def test_data_uri_may_have_capital_letters(tmp_path: Path, uri: str) -> None:
    body = base64.b64encode(b"bytes").decode()
    assert fetch_photo(uri.format(body), tmp_path / "0").path.read_bytes() == b"bytes"


@pytest.mark.parametrize("scheme", ["HTTP", "Http", "hTTp"])
def test_url_may_have_capital_letters(server: FileServer, tmp_path: Path, scheme: str) -> None:
    url = scheme + server.add("A.jpg", b"x").removeprefix("http")
    assert fetch_photo(url, tmp_path / "0") == NamedFile("A.jpg", tmp_path / "0")


def test_file_url_may_have_capital_letters(tmp_path: Path) -> None:
    assert fetch_photo("FILE:///A/b%20c.jpg", tmp_path).path == Path("/A/b c.jpg")


@pytest.mark.parametrize(
    ("contact", "expected"),
    [
        (None, f"Restore/{__version__} ({PROJECT_URL})"),
        ("mailto:me@example.org", f"Restore/{__version__} (mailto:me@example.org)"),
        ("a\r\nX: y", f"Restore/{__version__} ({PROJECT_URL})"),
        ("é", f"Restore/{__version__} ({PROJECT_URL})"),
    ],
)
def test_download_names_the_program_and_a_contact(
    server: FileServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    contact: str | None,
    expected: str,
) -> None:
    # Wikimedia refuses `python-requests/...`.
    monkeypatch.delenv(CONTACT, raising=False)
    if contact is not None:
        monkeypatch.setenv(CONTACT, contact)
    fetch_photo(server.add("a.jpg", b"x"), tmp_path / "0")
    assert server.agents == {expected}


@pytest.mark.parametrize(
    ("uri", "cause"),
    [("data:image/png;base64", "it has no comma"), ("data:image/png;base64,###", "base64")],
)
def test_invalid_data_uri_is_refused(tmp_path: Path, uri: str, cause: str) -> None:
    with pytest.raises(RestoreError, match=f"the data URI is not valid .*{cause}") as caught:
        fetch_photo(uri, tmp_path / "0")
    assert caught.value.code is Code.PHOTO_MISSING


def test_url_is_downloaded(server: FileServer, tmp_path: Path) -> None:
    named = fetch_photo(server.add("a.jpg", b"x" * 5000) + "?size=big", tmp_path / "0")
    assert named == NamedFile("a.jpg", tmp_path / "0")
    assert named.path.read_bytes() == b"x" * 5000


def test_download_over_the_size_limit_is_refused(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(url_download, "LIMITS", Limits(max_bytes=4000))
    with pytest.raises(RestoreError) as caught:
        fetch_photo(server.add("a.jpg", b"x" * 5000), tmp_path / "0")
    assert caught.value.code is Code.PHOTO_TOO_LARGE
    assert not (tmp_path / "0").exists()


@pytest.mark.parametrize("listening", [True, False])
def test_failed_download_names_the_file(
    server: FileServer, tmp_path: Path, listening: bool
) -> None:
    url = server.url("missing.jpg") if listening else closed_port_url("missing.jpg")
    with pytest.raises(RestoreError, match=r"photo 'missing\.jpg'") as caught:
        fetch_photo(url, tmp_path / "0")
    assert caught.value.code is Code.PHOTO_MISSING
