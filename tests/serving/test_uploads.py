"""Photos out of a Cog request and off a command line."""

import base64
import errno
from pathlib import Path

import cog
import pytest
from fileserver import closed_port_url

from restore.errors import Code, RestoreError
from restore.serving import uploads as module
from restore.serving.uploads import NamedFile, fetched, uploads


class Unread:
    """What Cog hands over of a URL or data URI, once it leaves reading to us."""

    def __init__(self, source: str) -> None:
        self.source = source


def taken(image: object, images: list[object] | None = None) -> list[NamedFile]:
    with uploads(image, images) as files:
        return files


def test_image_comes_first_then_images_each_under_its_own_name(tmp_path):
    files = [cog.Path(tmp_path / name) for name in ("x", "y", "z")]
    assert taken(files[0], files[1:]) == [
        NamedFile("image", tmp_path / "x"),
        NamedFile("images[0]", tmp_path / "y"),
        NamedFile("images[1]", tmp_path / "z"),
    ]
    assert taken(None, None) == []


@pytest.mark.parametrize("item", ["/etc/hostname", "data:image/png;base64,xx", object(), 3])
def test_what_is_no_uploaded_file_is_refused_by_position_without_an_echo(tmp_path, item):
    with pytest.raises(RestoreError, match=r"photo 'images\[1\]'") as caught:
        taken(None, [cog.Path(tmp_path / "x"), item])
    assert caught.value.code is Code.PHOTO_MISSING
    assert "hostname" not in str(caught.value)


def test_what_a_request_holds_is_there_for_the_length_of_the_block(tmp_path, monkeypatch, server):
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("RESTORE_ALLOW", "addresses")
    items = [Unread("data:,a%20b"), Unread(server.add("c.jpg", b"c d"))]
    with uploads(None, items) as files:
        assert [(name, path.read_bytes()) for name, path in files] == [
            ("images[0]", b"a b"),
            ("images[1]", b"c d"),
        ]
    assert list(tmp_path.iterdir()) == []


def test_files_on_the_command_line_keep_their_name(tmp_path):
    assert fetched("@some/a b.jpg", tmp_path / "0") == NamedFile("a b.jpg", Path("some/a b.jpg"))
    assert fetched("a.jpg", tmp_path / "0") == NamedFile("a.jpg", Path("a.jpg"))


def test_a_data_uri_becomes_a_file(tmp_path):
    body = base64.b64encode(b"bytes").decode()
    named = fetched(f"data:image/png;base64,{body}", tmp_path / "0")
    assert named.path.read_bytes() == b"bytes"
    assert fetched("data:,a%20b", tmp_path / "1").path.read_bytes() == b"a b"
    assert (
        fetched(f"data:;base64,{body[:4]}\n{body[4:]}%0A", tmp_path / "2").path.read_bytes()
        == b"bytes"
    )


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


@pytest.mark.parametrize("outside", ["/etc/hostname", "link", "../{}"])
def test_a_path_object_outside_of_the_temporary_folder_is_no_upload(tmp_path, monkeypatch, outside):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (tmp_path / "secret").write_bytes(b"x")
    (temporary / "link").symlink_to(tmp_path / "secret")
    monkeypatch.setattr(module.tempfile, "tempdir", str(temporary))
    with pytest.raises(RestoreError, match="is not an uploaded file"):
        taken(cog.Path(temporary / outside.format("secret")))


def test_paths_of_the_servers_disk_are_taken_where_that_is_allowed(monkeypatch):
    monkeypatch.setenv("RESTORE_ALLOW", "paths")
    assert taken("/photos/a.jpg") == [NamedFile("image", Path("/photos/a.jpg"))]
    for item in ("a\0b", 3):
        with pytest.raises(RestoreError, match="is not an uploaded file"):
            taken(item)


def test_an_upload_that_the_disk_does_not_hold_is_a_coded_error_that_leaves_nothing(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    real, written = Path.write_bytes, []

    def full(path: Path, data: bytes) -> int:
        if written:
            real(path, b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        return real(path, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(RestoreError, match="No space left") as caught:
        taken(None, [Unread("data:,x"), Unread("data:,y")])
    assert caught.value.code is Code.SERVER
    assert caught.value.photo is not None
    assert list(tmp_path.iterdir()) == []


def test_a_served_url_that_gives_too_much_is_cut_off_and_leaves_nothing(
    server, tmp_path, monkeypatch
):
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(module, "LIMITS", type(module.LIMITS)(max_bytes=4000))
    monkeypatch.setenv("RESTORE_ALLOW", "addresses")
    with pytest.raises(RestoreError, match=r"\[E202\] photo 'images\[1\]'"):
        taken(None, [Unread("data:,x"), Unread(server.add("a.jpg", b"x" * 5000))])
    assert list(tmp_path.iterdir()) == []
    with uploads(Unread(server.add("b.jpg", b"x" * 4000)), None) as [(_, path)]:
        assert path.read_bytes() == b"x" * 4000


@pytest.mark.parametrize(
    "url",
    ["http://", "http://[::1/a", "http://no-such-host.invalid/a.jpg", "http://a b/", "HTTP://\0/"],
)
def test_what_is_no_address_is_no_photo(url, tmp_path, monkeypatch):
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    with pytest.raises(RestoreError, match=r"\[E201\] photo 'image'"):
        taken(Unread(url))
    assert list(tmp_path.iterdir()) == []


def test_an_address_of_this_machine_is_not_asked(server):
    with pytest.raises(RestoreError, match="no address of the public internet"):
        taken(Unread(server.add("a.jpg", b"x")))
    assert server.log == []
