"""Photos out of a Cog request and off a command line."""

import base64
from pathlib import Path

import cog
import pytest
from fileserver import closed_port_url

from restore import uploads as module
from restore.errors import Code, RestoreError
from restore.uploads import NamedFile, fetched, uploads


def test_image_comes_first_then_images_each_under_its_own_name(tmp_path):
    files = [cog.Path(tmp_path / name) for name in ("x", "y", "z")]
    assert uploads(files[0], files[1:]) == [
        NamedFile("image", tmp_path / "x"),
        NamedFile("images[0]", tmp_path / "y"),
        NamedFile("images[1]", tmp_path / "z"),
    ]
    assert uploads(None, None) == []


@pytest.mark.parametrize("item", ["/etc/hostname", "data:image/png;base64,xx", object(), 3])
def test_what_is_no_uploaded_file_is_refused_by_position_without_an_echo(tmp_path, item):
    with pytest.raises(RestoreError, match=r"photo 'images\[1\]'") as caught:
        uploads(None, [cog.Path(tmp_path / "x"), item])
    assert caught.value.code is Code.PHOTO_MISSING
    assert "hostname" not in str(caught.value)


def test_files_on_the_command_line_keep_their_name(tmp_path):
    assert fetched("@some/a b.jpg", tmp_path / "0") == NamedFile("a b.jpg", Path("some/a b.jpg"))
    assert fetched("a.jpg", tmp_path / "0") == NamedFile("a.jpg", Path("a.jpg"))


def test_a_data_uri_becomes_a_file(tmp_path):
    body = base64.b64encode(b"bytes").decode()
    named = fetched(f"data:image/png;base64,{body}", tmp_path / "0")
    assert named.path.read_bytes() == b"bytes"
    assert fetched("data:,a%20b", tmp_path / "1").path.read_bytes() == b"a b"


@pytest.mark.parametrize("uri", ["data:image/png;base64", "data:image/png;base64,###"])
def test_a_broken_data_uri_is_refused(tmp_path, uri):
    with pytest.raises(RestoreError) as caught:
        fetched(uri, tmp_path / "0")
    assert caught.value.code is Code.PHOTO_MISSING


def test_a_url_is_downloaded(server, tmp_path):
    named = fetched(server.add("a.jpg", b"x" * 5000) + "?size=big", tmp_path / "0")
    assert named == NamedFile("a.jpg", tmp_path / "0")
    assert named.path.read_bytes() == b"x" * 5000


def test_a_url_that_gives_too_much_is_cut_off(server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LIMITS", type(module.LIMITS)(max_bytes=4000))
    with pytest.raises(RestoreError) as caught:
        fetched(server.add("a.jpg", b"x" * 5000), tmp_path / "0")
    assert caught.value.code is Code.PHOTO_TOO_LARGE
    assert not (tmp_path / "0").exists()


@pytest.mark.parametrize("listening", [True, False])
def test_a_url_that_gives_nothing_is_named(server, tmp_path, listening):
    url = server.url("missing.jpg") if listening else closed_port_url("missing.jpg")
    with pytest.raises(RestoreError, match=r"photo 'missing\.jpg'") as caught:
        fetched(url, tmp_path / "0")
    assert caught.value.code is Code.PHOTO_MISSING
