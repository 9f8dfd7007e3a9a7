"""Tests of what a request may reach on a real Cog server, and of what the server logs."""

import io
import time
from collections.abc import Iterator

import pytest
from coghttp import data_uri, decode_image, free_port
from facefakes import ASTRONAUT
from faultserver import EYE, FAULTY_PREDICTOR, FaultServer, environment_of
from fileserver import FileServer
from PIL import ExifTags, Image

from restore.serving.launcher import running

pytestmark = pytest.mark.timeout(300)

MAX_ERROR_CHARACTERS = 400
GPS_LATITUDE = (48.0, 51.0, 29.53125)
GPS_LONGITUDE = (2.0, 17.0, 40.21875)
GPS_TEXTS = ("29.53125", "945/32", "40.21875", "1287/32")
"""The seconds of latitude and longitude, as decimal numbers and as fractions."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultServer]:
    folder = tmp_path_factory.mktemp("security") / "tmp"
    environment = environment_of(folder)
    with (
        (folder.parent / "log").open("wb") as log,
        running(free_port(), environment, output=log, predictor=FAULTY_PREDICTOR) as url,
    ):
        yield FaultServer(url, folder)


@pytest.fixture
def loopback_server() -> Iterator[FileServer]:
    files = FileServer()
    yield files
    files.close()


SECRET_URL = "SECRET_URL"
"""Replaced by the URL of a file on a server of this machine."""


@pytest.mark.parametrize(
    "inputs",
    [
        pytest.param({"image": "/etc/hostname"}, id="path"),
        pytest.param({"image": "~/.ssh/id_rsa"}, id="home path"),
        pytest.param({"image": "../../../../etc/hostname"}, id="parent path"),
        pytest.param({"image": "file:///etc/hostname"}, id="file URL"),
        pytest.param({"images": ["/etc/hostname"]}, id="path in a list"),
        pytest.param({"images": [EYE, "/etc/hostname"]}, id="path after an upload"),
        pytest.param({"images": ["/etc/hostname", EYE]}, id="path before an upload"),
        pytest.param({"task": "inpaint", "image": EYE, "mask": "/etc/hostname"}, id="mask path"),
        pytest.param({"image": SECRET_URL}, id="loopback URL"),
        pytest.param({"image": f"localhost {SECRET_URL}"}, id="loopback name"),
        pytest.param({"task": "inpaint", "image": EYE, "masks": [SECRET_URL]}, id="mask URL"),
        pytest.param({"image": "http://169.254.169.254/latest/meta-data/"}, id="cloud metadata"),
        pytest.param({"image": "ftp://127.0.0.1/a.jpg"}, id="other scheme"),
    ],
)
def test_request_cannot_read_the_disk_or_network_of_the_server(
    server: FaultServer, loopback_server: FileServer, inputs: dict[str, object]
) -> None:
    url = loopback_server.add("secret", b"\x89PNG\r\n\x1a\n" + b"x" * 99)
    files_before = server.temporary_files()
    started_s = time.monotonic()
    body = server.post({name: _with_url(value, url) for name, value in inputs.items()}).json()
    assert body["status"] == "failed", body
    assert "[E201]" in body["error"]
    assert len(body["error"]) < MAX_ERROR_CHARACTERS, "the error must not quote a photo"
    assert loopback_server.log == [], "a request was sent"
    assert time.monotonic() - started_s < 4
    assert server.temporary_files() == files_before


def _with_url(value: object, url: str) -> object:
    if isinstance(value, list):
        return [_with_url(item, url) for item in value]
    if value == f"localhost {SECRET_URL}":
        return url.replace("127.0.0.1", "localhost")
    return url if value == SECRET_URL else value


def test_log_contains_no_photos_and_no_positions(server: FaultServer) -> None:
    photo = _photo_with_gps_position()
    inputs = {"task": "restore", "image": photo, "keep_gps": True, "output_format": "jpg"}
    [output] = server.output(inputs)
    gps = decode_image(output).getexif().get_ifd(ExifTags.IFD.GPSInfo)
    assert gps[ExifTags.GPS.GPSLatitude] == GPS_LATITUDE, "the photo must have a position"
    for more in (
        {"task": "restore"},
        {"task": "sharpen"},
        {"scale": photo},
        {"images": photo},
        {"task": "inpaint", "mask": photo},
    ):
        server.post({"image": photo, **more})
    server.post({"image": photo[: len(photo) // 2]})
    server.post({"image": photo}, "bug")
    log = server.log_file.read_text(errors="replace")
    assert "E505" in log or "prediction failed" in log, "the log must be of these requests"
    for text in (photo[40:100], photo[-60:], *GPS_TEXTS):
        assert text not in log, text


def _photo_with_gps_position() -> str:
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.GPSInfo).update({1: "N", 2: GPS_LATITUDE, 3: "E", 4: GPS_LONGITUDE})
    buffer = io.BytesIO()
    Image.fromarray(ASTRONAUT[:64, :64]).save(buffer, "JPEG", exif=exif)
    return data_uri(buffer.getvalue())
