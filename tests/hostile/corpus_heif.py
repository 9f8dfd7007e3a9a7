"""Hostile HEIC and AVIF files: containers that disagree with their samples, loops and floods."""

import struct
from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np
from heiffiles import avif_file, heic_file, with_size
from originals import VALID
from specimens import ACCEPTED, DAMAGED, EITHER, FORMAT, PIXELS, Specimen, specimen_of


def heif_specimens() -> Iterator[Specimen]:
    """Yield valid files that were changed in one way."""
    yield from _lies()
    yield from _references()
    yield from _brands()
    for name in ("heic", "heic-phone", "avif"):
        yield from _boxes(name)


def _hidden_avif(side_px: int) -> bytes:
    """Return an AVIF of a large black picture whose container says 64 x 64."""
    black = np.zeros((side_px, side_px), np.uint8)
    written, data = cv2.imencode(".avif", black, [cv2.IMWRITE_AVIF_SPEED, 10])
    assert written
    return with_size(bytes(data.tobytes()), 64, 64)


def _lies() -> Iterator[Specimen]:
    """Samples of another size than the container states."""
    large = np.zeros((256, 256), np.uint8)
    files = {"heic": heic_file(large), "avif": avif_file(large)}
    for suffix, data in files.items():
        for width, height in ((64, 64), (255, 256), (2048, 2048), (7000, 7000)):
            name = f"heif-lie-{width}x{height}.{suffix}"
            yield specimen_of(name, "heif", with_size(data, width, height), EITHER)
    hidden = partial(_hidden_avif, 5000)
    yield Specimen("heif-hidden-25-mp.avif", "heif", hidden, DAMAGED, is_expensive=True)
    phone = VALID["heic-phone"]
    tile = struct.pack(">II", 64, 64)
    for side in (512, 8000, 65_535):
        data = phone.replace(tile, struct.pack(">II", side, side))
        expected = PIXELS if side > 5000 else ("E206",)
        yield specimen_of(f"heif-tiles-{side}.heic", "heif", data, expected)


def _references() -> Iterator[Specimen]:
    """Pictures that contain themselves or others many times, and metadata for all of them."""
    phone = VALID["heic-phone"]
    at = phone.index(b"dimg") + 4
    own, tiles = phone[at : at + 2], phone[at + 4 : at + 28]
    for name, numbers in (
        ("itself", own * 12),
        ("one-tile", tiles[:2] * 12),
        ("missing", b"\x7f\xff" * 12),
        ("metadata", b"\0\x0e" * 12),
    ):
        data = phone[: at + 4] + numbers + phone[at + 28 :]
        yield specimen_of(f"heif-grid-of-{name}.heic", "heif", data, EITHER)
    for kind in (b"auxl", b"thmb", b"prem", b"cdsc", b"base"):
        data = phone.replace(b"dimg", kind)
        yield specimen_of(f"heif-dimg-as-{kind.decode()}.heic", "heif", data, EITHER)


def _brands() -> Iterator[Specimen]:
    for name, brand in (("heic", b"avif"), ("avif", b"heic")):
        data = VALID[name].replace(VALID[name][8:12], brand)
        yield specimen_of(f"heif-{name}-as-{brand.decode()}", "heif", data, FORMAT)
    for brand in (b"mif1", b"msf1", b"hevc"):
        data = VALID["heic"][:8] + brand + VALID["heic"][12:]
        yield specimen_of(f"heif-brand-{brand.decode()}.heic", "heif", data, ACCEPTED)


def _boxes(name: str) -> Iterator[Specimen]:
    """Each box renamed, or with another size."""
    data = VALID[name]
    kinds = (b"meta", b"hdlr", b"pitm", b"iloc", b"iinf", b"infe", b"iprp", b"ipco", b"ispe")
    for kind in (*kinds, b"ipma", b"iref", b"colr", b"pixi", b"hvcC", b"av1C", b"irot", b"mdat"):
        at = data.find(kind)
        if at < 0:
            continue
        suffix = name.split("-", maxsplit=1)[0]
        label = f"heif-{name}-{kind.decode()}"
        renamed = data[:at] + b"free" + data[at + 4 :]
        yield specimen_of(f"{label}-free.{suffix}", "heif", renamed, EITHER)
        for size in (0, 1, 7, 8, 9, 2**31, 2**32 - 1):
            sized = data[: at - 4] + struct.pack(">I", size) + data[at:]
            yield specimen_of(f"{label}-{size}.{suffix}", "heif", sized, EITHER)
