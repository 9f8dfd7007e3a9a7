"""Tests of restore.serving.uploads: the photos of a Cog request."""

import errno
import tempfile
from pathlib import Path

import cog
import pytest
from fileserver import FileServer

from restore.errors import Code, RestoreError
from restore.imaging.limits import Limits
from restore.imaging.named_file import NamedFile
from restore.serving import uploads, url_download
from restore.serving.uploads import allowed_sources, open_uploads


class Unread:
    """What Cog passes on for a URL or data URI, as patched by restore.serving.cog_patch."""

    def __init__(self, source: str) -> None:
        self.source = source


def uploaded(single: object, several: list[object] | None = None) -> list[NamedFile]:
    with open_uploads(single, several) as files:
        return files


@pytest.fixture
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_image_comes_first_then_images_with_their_index(tmp_path: Path) -> None:
    files = [cog.Path(tmp_path / name) for name in ("x", "y", "z")]
    assert uploaded(files[0], files[1:]) == [
        NamedFile("image", tmp_path / "x"),
        NamedFile("images[0]", tmp_path / "y"),
        NamedFile("images[1]", tmp_path / "z"),
    ]
    assert uploaded(None, None) == []


@pytest.mark.parametrize("value", ["/etc/hostname", "data:image/png;base64,xx", object(), 3])
def test_value_that_is_not_an_upload_is_refused_without_quoting_it(
    tmp_path: Path, value: object
) -> None:
    with pytest.raises(RestoreError, match=r"photo 'images\[1\]'") as caught:
        uploaded(None, [cog.Path(tmp_path / "x"), value])
    assert caught.value.code is Code.PHOTO_MISSING
    assert "hostname" not in str(caught.value)


def test_files_exist_inside_the_block_only(
    temporary_folder: Path, monkeypatch: pytest.MonkeyPatch, server: FileServer
) -> None:
    monkeypatch.setenv("RESTORE_ALLOW", "addresses")
    values = [Unread("data:,a%20b"), Unread(server.add("c.jpg", b"c d"))]
    with open_uploads(None, values) as files:
        assert [(name, path.read_bytes()) for name, path in files] == [
            ("images[0]", b"a b"),
            ("images[1]", b"c d"),
        ]
    assert list(temporary_folder.iterdir()) == []


@pytest.mark.parametrize("outside", ["/etc/hostname", "link", "../{}"])
def test_path_outside_the_temporary_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outside: str
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    (tmp_path / "secret").write_bytes(b"x")
    (temporary / "link").symlink_to(tmp_path / "secret")
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    with pytest.raises(RestoreError, match="is not an uploaded file"):
        uploaded(cog.Path(temporary / outside.format("secret")))


def test_paths_on_the_server_are_accepted_if_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RESTORE_ALLOW", "paths")
    assert uploaded("/photos/a.jpg") == [NamedFile("image", Path("/photos/a.jpg"))]
    for url in ("file:///photos/a%20b.jpg", "FILE://localhost/photos/a%20b.jpg"):
        assert uploaded(url) == [NamedFile("image", Path("/photos/a b.jpg"))]
    for value in ("a\0b", 3, "file://other/photos/a.jpg", "file:///\0"):
        with pytest.raises(RestoreError, match="is not an uploaded file"):
            uploaded(value)


def test_project_files_are_accepted_in_the_container_of_cog_predict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project"
    (project / "data").mkdir(parents=True)
    (project / "data/1.jpg").write_bytes(b"x")
    (project / ".env").write_bytes(b"x")
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (project / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    monkeypatch.chdir(project)
    with pytest.raises(RestoreError, match="RESTORE_ALLOW=paths"):
        uploaded("data/1.jpg")
    monkeypatch.setattr(uploads, "serves_cog_cli", lambda: True)
    photo = project / "data/1.jpg"
    assert uploaded(None, ["data/1.jpg", "@data/1.jpg", "./data/../data/1.jpg"]) == [
        NamedFile(f"images[{index}]", photo) for index in range(3)
    ]
    for refused in (
        str(photo),
        "../secret.jpg",
        "link.jpg",
        ".env",
        "data",
        "missing.jpg",
        "a\0b",
        "file:data/1.jpg",
        f"file://{photo}",
        "~/secret.jpg",
    ):
        with pytest.raises(RestoreError, match="is not an uploaded file"):
            uploaded(refused)


def test_full_disk_is_reported_and_leaves_no_files(
    temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bytes = Path.write_bytes
    written: list[Path] = []

    def write_until_full(path: Path, data: bytes) -> int:
        if written:
            write_bytes(path, b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        return write_bytes(path, data)

    monkeypatch.setattr(Path, "write_bytes", write_until_full)
    with pytest.raises(RestoreError, match="no space left") as caught:
        uploaded(None, [Unread("data:,x"), Unread("data:,y")])
    assert caught.value.code is Code.SERVER
    assert caught.value.photo is not None
    assert list(temporary_folder.iterdir()) == []


def test_download_over_the_size_limit_is_refused_and_leaves_no_files(
    server: FileServer, temporary_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(url_download, "LIMITS", Limits(max_bytes=4000))
    monkeypatch.setenv("RESTORE_ALLOW", "addresses")
    with pytest.raises(RestoreError, match=r"\[E202\] photo 'images\[1\]'"):
        uploaded(None, [Unread("data:,x"), Unread(server.add("a.jpg", b"x" * 5000))])
    assert list(temporary_folder.iterdir()) == []
    with open_uploads(Unread(server.add("b.jpg", b"x" * 4000)), None) as [(_, path)]:
        assert path.read_bytes() == b"x" * 4000


@pytest.mark.parametrize(
    "url",
    ["http://", "http://[::1/a", "http://no-such-host.invalid/a.jpg", "http://a b/", "HTTP://\0/"],
)
def test_invalid_url_is_refused(url: str, temporary_folder: Path) -> None:
    with pytest.raises(RestoreError, match=r"\[E201\] photo 'image'"):
        uploaded(Unread(url))
    assert list(temporary_folder.iterdir()) == []


def test_url_of_this_machine_is_refused_without_a_request(server: FileServer) -> None:
    with pytest.raises(RestoreError, match="not a host on the public internet"):
        uploaded(Unread(server.add("a.jpg", b"x")))
    assert server.log == []


def test_environment_variable_allows_sources() -> None:
    assert allowed_sources({}) == frozenset()
    assert allowed_sources({"RESTORE_ALLOW": " paths , addresses "}) == {"paths", "addresses"}
    with pytest.raises(RestoreError, match="RESTORE_ALLOW names 'all'"):
        allowed_sources({"RESTORE_ALLOW": "all"})


def test_only_files_in_the_input_folders_may_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uploads_folder, results = tmp_path / "uploads", tmp_path / "results"
    for folder in (uploads_folder, results):
        folder.mkdir()
        (folder / "a").write_bytes(b"a")
    (tmp_path / "secret").write_bytes(b"x")
    (uploads_folder / "link").symlink_to(tmp_path / "secret")
    named = [str(uploads_folder / "a"), str(results / "a")]
    with pytest.raises(RestoreError, match="is not an uploaded file"):
        uploaded(None, list(named))
    monkeypatch.setenv("RESTORE_INPUT_FOLDERS", f"{uploads_folder}:{results}")
    assert [str(path) for _, path in uploaded(None, list(named))] == named
    refused = ["link", "missing", "", "../secret", "a\0", "../uploads"]
    for name in [*(f"{uploads_folder}/{each}" for each in refused), "a", f"file://{named[0]}"]:
        with pytest.raises(RestoreError, match="is not an uploaded file"):
            uploaded(name)
