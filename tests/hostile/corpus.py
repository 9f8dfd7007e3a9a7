"""The hostile corpus: some thousand generated files, each with what a sound decoder makes of it. The same seed gives the same files."""

import itertools
import random
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import bombs
from bombs import (
    BOMBS,
    HEADERS,
    LARGEST_SIDE_PX,
    floods,
    jpeg_segment,
    noise,
    png_header,
    png_with,
    tiff_directory,
)
from originals import (
    BASELINE,
    EXIF,
    VALID,
    bent,
    giants,
    layouts,
    oriented,
    profiles,
    random_edits,
    scenes,
    suffix,
)
from photofiles import adobe_profile, chunk, exif_block, file_of, png_file

ANSWERED, REFUSED, EITHER = ("answered",), ("refused",), ("answered", "refused")
FORMAT, DAMAGED, PIXELS, SMALL = ("E205",), ("E206",), ("E203",), ("E204",)


@dataclass(frozen=True)
class Specimen:
    """A hostile file, not yet built.

    Attributes:
        name: a file name, unique in the corpus.
        kind: the class that it is counted in.
        build: makes its bytes.
        expected: what may come of it: 'answered', 'refused', or codes.
        whole: the file that it was before it was damaged, where a checksum or an end tells the damage: then an answer without a
            warning must have the same pixels.
        costly: it takes much time, memory or disk, so that small samples leave it out.
    """

    name: str
    kind: str
    build: Callable[[], bytes]
    expected: tuple[str, ...] = EITHER
    whole: bytes | None = None
    costly: bool = False


def corpus(count: int, seed: int) -> list[Specimen]:
    """Give `count` specimens: all the fixed ones and as many seeded ones as are missing, or a sample with some of every kind."""
    chance = random.Random(seed)
    fixed = [*_fixed()]
    seeded = [*itertools.islice(_seeded(chance), max(count - len(fixed), count // 3))]
    if count >= len(fixed) + 1:
        return fixed + seeded[: count - len(fixed)]
    kinds: dict[str, list[Specimen]] = {}
    for specimen in fixed + seeded:
        if not specimen.costly:
            kinds.setdefault(specimen.kind, []).append(specimen)
    for group in kinds.values():
        chance.shuffle(group)
    in_turn = itertools.chain.from_iterable(itertools.zip_longest(*kinds.values()))
    return [*itertools.islice((specimen for specimen in in_turn if specimen is not None), count)]


def _fixed() -> Iterator[Specimen]:
    yield from _headers()
    yield from _cut()
    yield from _wrong_types()
    yield from _small()
    yield from _swollen()
    yield from _polyglots()
    for kind, files in (("orientation", oriented()), ("layout", layouts())):
        for name, data in files.items():
            yield Specimen(f"{kind}-{name}.{suffix(name)}", kind, partial(bytes, data), ANSWERED)
    yield from _metadata()
    yield from _unreadable_layouts()
    yield from _frames()
    yield from _structure()
    for name, build in scenes().items():
        yield Specimen(f"scene-{name}", "scene", build, ANSWERED)
    for name, (build, writable) in giants().items():
        yield Specimen(
            f"giant-{name}", "giant", build, ANSWERED if writable else ("E301",), costly=True
        )


def _headers():
    for format_name, header in HEADERS.items():
        longest = LARGEST_SIDE_PX[format_name]
        sides = {
            (1, 50_000_000),
            (50_000_000, 1),
            (50_000_001, 1),
            (2**31 - 1, 2**31 - 1),
            (10_000, 5_001),
            (65_535, 65_535),
        }
        for width, height in sorted(
            {(min(width, longest), min(height, longest)) for width, height in sides}
        ):
            expected = PIXELS if width * height > 50_000_000 else SMALL
            yield Specimen(
                f"header-{width}x{height}.{format_name}",
                "header",
                partial(header, width, height),
                expected,
            )
        for width, height in ((7, 4000), (4000, 7), (1, 1)):
            yield Specimen(
                f"header-{width}x{height}.{format_name}",
                "header",
                partial(header, width, height),
                SMALL,
            )
        if format_name != "webp":
            for width, height in ((0, 40), (40, 0), (0, 0)):
                yield Specimen(
                    f"header-{width}x{height}.{format_name}",
                    "header",
                    partial(header, width, height),
                    REFUSED,
                )
    for name, data in BOMBS.items():
        yield Specimen(f"header-{name}.{suffix(name)}", "header", partial(bytes, data), PIXELS)
    for colour_type, bits in itertools.product((0, 2, 3, 4, 6), (1, 2, 4, 8, 16)):
        build = partial(png_header, 10_000, 6_000, bits, colour_type)
        yield Specimen(f"header-colour-{colour_type}-bits-{bits}.png", "header", build, REFUSED)
    for frame in range(0xC0, 0xD0):
        expected = PIXELS if frame in (0xC0, 0xC1, 0xC2) else REFUSED
        yield Specimen(
            f"header-frame-{frame:x}.jpg",
            "header",
            partial(bombs.jpeg_bomb, 10_000, 6_000, frame=frame),
            expected,
        )


def _cut():
    for name, data in VALID.items():
        for tenth in range(1, 10):
            # Of these formats a tenth that is missing is missing from the picture.
            expected = DAMAGED if name in BASELINE else ("answered", "E206")
            build = partial(bytes, data[: len(data) * tenth // 10])
            yield Specimen(
                f"cut-{name}-{tenth}-tenths.{suffix(name)}", "cut", build, expected, data
            )
        for missing in (1, 2, 5, 13, 60, 200):
            build = partial(bytes, data[:-missing])
            yield Specimen(
                f"cut-{name}-less-{missing}.{suffix(name)}",
                "cut",
                build,
                ("answered", "E206"),
                data,
            )


WRONG_TYPES = {
    "heic": b"\0\0\0\x18ftypheic\0\0\0\0",
    "mif1": b"\0\0\0\x18ftypmif1\0\0\0\0",
    "avif": b"\0\0\0\x18ftypavif\0\0\0\0",
    "mp4": b"\0\0\0\x18ftypisom\0\0\0\0",
    "cr3": b"\0\0\0\x18ftypcrx \0\0\0\0",
    "cr2": b"II*\0\x10\0\0\0CR\x02\0" + bytes(50),
    "pdf": b"%PDF-1.7\n1 0 obj\n<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>>>\nendobj\n",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n(/etc/passwd) (r) file 100 string readstring pop =\n",
    "eps-with-head": b"\xc5\xd0\xd3\xc6" + struct.pack("<LL", 32, 100) + bytes(200),
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "svg-entities": b'<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><svg>&b;</svg>',
    "html": b"<!DOCTYPE html><html><body><script>alert(1)</script></body></html>",
    "text": b"Dear Grandma, here is the photo that you asked for.",
    "bm-text": b"BM is how this text begins, and it is no bitmap at all.",
    "psd": b"8BPS\0\1" + bytes(30),
    "zip": b"PK\x03\x04" + bytes(30),
    "jxl": b"\xff\x0a" + bytes(30),
    "jp2": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40),
    "elf": b"\x7fELF\2\1\1" + bytes(57),
    "exe": b"MZ" + bytes(62) + b"PE\0\0",
    "script": b"#!/bin/sh\nrm -rf /tmp/nothing\n",
    "python": b"import os\nos.system('true')\n",
    "pickle": b"\x80\x04\x95\x1c\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94\x8c\x04true\x94\x85\x94R\x94.",
    "ppm": b"P6\n40 24\n255\n" + bytes(2880),
    "tga": b"\0\0\2\0\0\0\0\0\0\0\0\0\x28\0\x18\0\x18\0" + bytes(2880),
    "ico": b"\0\0\1\0\1\0\x10\x10\0\0\1\0\x20\0\x68\4\0\0\x16\0\0\0" + bytes(1128),
    "dds": b"DDS |\0\0\0" + bytes(120),
    "qoi": b"qoif\0\0\0\x28\0\0\0\x18\3\0" + bytes(100),
    "xpm": b'/* XPM */\nstatic char *a[] = {"9999999 9999999 1 1", "a c #000000"};',
    "fits": b"SIMPLE  =                    T".ljust(2880),
    "wmf": b"\xd7\xcd\xc6\x9a" + bytes(60),
    "gzip": b"\x1f\x8b\x08\0" + bytes(40),
    "zeros": bytes(4096),
    "ones": b"\xff" * 4096,
    "every-byte": bytes(range(256)),
    "wave": b"RIFF\x24\0\0\0WAVEfmt " + bytes(28),
    "bom-text": b"\xef\xbb\xbf" + b"text " * 50,
    "utf-16": "a text of sixteen bits".encode("utf-16"),
}


def _wrong_types():
    for (name, data), extension in itertools.product(WRONG_TYPES.items(), ("png", "jpg")):
        yield Specimen(f"type-{name}.{extension}", "type", partial(bytes, data), FORMAT)
    for name, data in VALID.items():  # under another's name: a name is never looked at
        yield Specimen(
            f"type-{name}.{'png' if suffix(name) != 'png' else 'tif'}",
            "type",
            partial(bytes, data),
            ANSWERED,
        )


def _small():
    yield Specimen("small-empty.png", "small", bytes, DAMAGED)
    for name in ("jpeg", "png", "webp", "gif", "bmp", "tiff"):
        for size in (1, 2, 3, 4, 8, 12, 16, 20, 24, 33):
            build = partial(bytes, VALID[name][:size])
            yield Specimen(
                f"small-{name}-{size}-bytes.{suffix(name)}", "small", build, ("E205", "E206")
            )
        for width, height in ((1, 1), (7, 7), (1, 40), (40, 1)):
            build = partial(
                bytes, file_of(noise(height, width).reshape(height, width, 3), name.upper())
            )
            yield Specimen(f"small-{name}-{width}x{height}.{suffix(name)}", "small", build, SMALL)
        build = partial(bytes, file_of(noise(8, 8), name.upper()))
        yield Specimen(f"small-{name}-8x8.{suffix(name)}", "small", build, ANSWERED)


def _swollen():
    stream = bombs.zeros(32)
    texts = {
        "zTXt": b"a\0\0" + stream,
        "iTXt": b"a\0\1\0\0\0" + stream,
        "iCCP": b"a\0\0" + stream,
        "tEXt": b"a\0" + b"a" * 2**21,
    }
    for name, body in texts.items():
        yield Specimen(
            f"bomb-{name}.png", "bomb", partial(png_with, chunk(name.encode(), body)), ANSWERED
        )
        yield Specimen(
            f"bomb-{name}-14.png",
            "bomb",
            partial(png_with, *[chunk(name.encode(), body)] * 14),
            ANSWERED,
        )
    for mebibytes in (32, 1024):
        costly = mebibytes > 100
        yield Specimen(
            f"bomb-samples-{mebibytes}.png",
            "bomb",
            partial(bombs.swollen_png, mebibytes),
            costly=costly,
        )
        yield Specimen(
            f"bomb-samples-{mebibytes}.tif",
            "bomb",
            partial(bombs.swollen_tiff, mebibytes),
            costly=costly,
        )
    for name, build in floods().items():
        # Of those the sizes of a run-length coded BMP and the number of a TIFF's entries stand in the header.
        yield Specimen(
            f"bomb-parts-{name}.{suffix(name)}", "bomb", build, ("E205", "E206"), costly=True
        )
    for name, build in floods(300_000).items():
        yield Specimen(f"bomb-fewer-parts-{name}.{suffix(name)}", "bomb", build)
    for scans in (65, 100, 1000, 20_000):
        yield Specimen(
            f"bomb-scans-{scans}.jpg", "bomb", partial(bombs.scans_bomb, 7000, 7000, scans), FORMAT
        )
    yield Specimen(
        "bomb-scans-60.jpg",
        "bomb",
        partial(bombs.scans_bomb, 7000, 7000, 60),
        ANSWERED,
        costly=True,
    )
    for claimed in (9, 900_000, 2**31 - 1):
        rows = b"".join(struct.pack("<HHLL", tag, 1, claimed, 8) for tag in range(1000, 61_000))
        data = (b"II*\0\x08\0\0\0" + struct.pack("<H", 60_000) + rows + bytes(4)).ljust(
            10**6, b"\0"
        )
        yield Specimen(f"bomb-claims-{claimed}.tif", "bomb", partial(bytes, data), REFUSED)


def _polyglots():
    tails = {
        "zip": WRONG_TYPES["zip"] * 50,
        "html": b"<script>alert(1)</script>",
        "elf": WRONG_TYPES["elf"],
        "jpeg": VALID["jpeg"],
    }
    tails |= {
        "php": b"<?php system($_GET[0]); ?>",
        "scans": b"\xff\xda" * 5000,
        "zeros": bytes(10_000),
    }
    for (tail, extra), name in itertools.product(
        tails.items(), ("jpeg", "png", "gif", "webp", "bmp", "tiff")
    ):
        build = partial(bytes, VALID[name] + extra)
        yield Specimen(
            f"polyglot-{name}-and-{tail}.{suffix(name)}", "polyglot", build, ANSWERED, VALID[name]
        )
    script = VALID["gif"].replace(b";", b"", 0)
    commented = script[:-1] + b"!\xfe\x1e*/=1;alert(document.cookie);/*" + b"\0;"
    yield Specimen(
        "polyglot-gif-and-script.gif", "polyglot", partial(bytes, commented), ANSWERED, VALID["gif"]
    )
    for name in ("zip", "pdf", "html", "elf"):
        yield Specimen(
            f"polyglot-{name}-before-jpeg.jpg",
            "polyglot",
            partial(bytes, WRONG_TYPES[name] + VALID["jpeg"]),
            FORMAT,
        )


def _metadata():
    photo = noise()
    blocks = {
        "64-kB": exif_block(6, comment_bytes=64_000),
        "500-kB": exif_block(6, comment_bytes=500_000),
    }
    blocks |= {
        "2-MB": exif_block(6, comment_bytes=2 * 10**6),
        "empty": b"Exif\0\0",
        "text": b"Exif\0\0" + b"text" * 99,
        "own": EXIF,
    }
    loop = EXIF[6:14] + struct.pack("<HHHLLL", 1, 34665, 4, 1, 8, 8)
    blocks |= {
        "loop": b"Exif\0\0" + loop,
        "entries": b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(12 * 65_535),
    }
    for name, block in blocks.items():
        for kind in ("PNG", "WEBP") if len(block) > 65_000 else ("JPEG", "PNG", "WEBP"):
            build = partial(file_of, photo, kind, exif=block)
            yield Specimen(
                f"metadata-exif-{name}.{suffix(kind.lower())}", "metadata", build, ANSWERED
            )
    segments = b"".join(jpeg_segment(0xE1, exif_block(6, comment_bytes=60_000)) for _ in range(20))
    yield Specimen(
        "metadata-exif-20-segments.jpg",
        "metadata",
        partial(bytes, VALID["jpeg"][:2] + segments + VALID["jpeg"][2:]),
        ANSWERED,
    )
    for name, icc in profiles().items():
        for kind in ("JPEG", "PNG", "WEBP", "TIFF"):
            build = partial(file_of, photo, kind, icc_profile=icc)
            yield Specimen(
                f"metadata-icc-{name}.{suffix(kind.lower())}", "metadata", build, ANSWERED
            )
    for number, of in ((0, 0), (1, 0), (9, 3), (255, 255)):
        segment = jpeg_segment(0xE2, b"ICC_PROFILE\0" + bytes([number, of]) + adobe_profile())
        build = partial(bytes, VALID["jpeg"][:2] + segment * 3 + VALID["jpeg"][2:])
        yield Specimen(f"metadata-icc-segment-{number}-of-{of}.jpg", "metadata", build, ANSWERED)
    xmp = b'<x:xmpmeta><rdf:Description tiff:Orientation="9"' + b" a" * 400_000
    yield Specimen(
        "metadata-xmp.png",
        "metadata",
        partial(png_with, chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)),
        ANSWERED,
    )


def _unreadable_layouts():
    yield Specimen("layout-12-bit.jpg", "layout", partial(bombs.jpeg_bomb, 40, 40, bits=12), FORMAT)
    yield Specimen(
        "layout-float.tif",
        "layout",
        partial(file_of, noise(channels=1).astype("f4"), "TIFF"),
        FORMAT,
    )
    yield Specimen(
        "layout-raw.tif",
        "layout",
        partial(file_of, noise(), "TIFF", tiffinfo={50706: b"\1\4\0\0"}),
        FORMAT,
    )
    for frame in (0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF):
        yield Specimen(
            f"layout-frame-{frame:x}.jpg",
            "layout",
            partial(bombs.jpeg_bomb, 40, 40, frame=frame),
            REFUSED,
        )
    for colour_type, bits in itertools.product(range(8), (0, 1, 3, 8, 16, 32)):
        build = partial(bytes, png_header(40, 24, bits, colour_type) + VALID["png"][33:])
        yield Specimen(f"layout-colour-{colour_type}-bits-{bits}.png", "layout", build)


def _frames():
    gif, bomb = VALID["gif"], bombs.gif_bomb(65_535, 65_535)[13:]
    yield Specimen(
        "frames-bomb-second.gif", "frames", partial(bytes, gif[:-1] + bomb), ANSWERED, gif
    )
    yield Specimen(
        "frames-million.gif",
        "frames",
        partial(bytes, gif[:-1] + bomb[:-1] * 100_000),
        ANSWERED,
        gif,
    )
    yield Specimen("frames-none.gif", "frames", partial(bytes, gif[:13] + b";"), REFUSED)
    for name in ("apng", "webp-animated", "mpo"):
        data = VALID[name]
        for at in range(len(data) * 5 // 10, len(data), max(1, len(data) // 40)):
            build = partial(bytes, data[:at] + b"\xff\0\xff" + data[at + 3 :])
            yield Specimen(f"frames-{name}-{at}.{suffix(name)}", "frames", build)
    control = chunk(b"acTL", struct.pack(">LL", 2**31 - 1, 0))
    wide = chunk(b"fcTL", struct.pack(">LLLLLHHBB", 0, 2**31 - 1, 2**31 - 1, 0, 0, 1, 1, 0, 0))
    yield Specimen("frames-2-billion.png", "frames", partial(png_with, control), ANSWERED)
    yield Specimen("frames-wide.png", "frames", partial(png_with, control, wide), EITHER)


def _structure():
    """Parts in the wrong order, twice, or not at all; directories that point at themselves or beyond the file."""
    plain = noise()
    header, samples, end = (
        png_header(40, 24)[8:],
        chunk(b"IDAT", zlib.compress((b"\0" + bytes(120)) * 24)),
        chunk(b"IEND", b""),
    )
    key, palette = chunk(b"tRNS", b"\0\1\0\1\0\1"), chunk(b"PLTE", bytes(range(48)))
    parts = {"h": header, "s": samples, "e": end, "k": key, "p": palette}
    for order in sorted(
        {
            "".join(order)
            for size in (1, 2, 3, 4, 5)
            for order in itertools.permutations("hsekp", size)
        }
    ):
        build = partial(bytes, png_header(1, 1)[:8] + b"".join(parts[letter] for letter in order))
        yield Specimen(
            f"structure-chunks-{order}.png",
            "structure",
            build,
            REFUSED if "h" not in order or "s" not in order else EITHER,
        )
    for twice in "hskp":
        order = "h" + twice * 2 + "se"
        build = partial(bytes, png_header(1, 1)[:8] + b"".join(parts[letter] for letter in order))
        yield Specimen(f"structure-twice-{twice}.png", "structure", build)
    stored = png_file(plain)
    raw = b"".join(b"\0" + row.tobytes() for row in plain)
    stored = png_header(40, 24) + chunk(b"IDAT", zlib.compress(raw, 0)) + end
    for at in range(
        60, len(stored) - 12, 97
    ):  # samples as they are: nothing but the checksums tells
        build = partial(bytes, stored[:at] + bytes([stored[at] ^ 16]) + stored[at + 1 :])
        yield Specimen(f"structure-checksum-{at}.png", "structure", build, DAMAGED, stored)
    for following in (0, 8, 9, 2**32 - 1):
        for offset in (0, 8, 100, 299, 10**6, 2**32 - 1):
            sides = [
                (256, 4, 1, 40),
                (257, 4, 1, 24),
                (258, 3, 1, 8),
                (259, 3, 1, 1),
                (262, 3, 1, 1),
                (273, 4, 1, offset),
            ]
            head = tiff_directory(
                [*sides, (277, 3, 1, 1), (278, 4, 1, 24), (279, 4, 1, 960)], following=following
            )
            beyond = offset + 960 > 1300
            build = partial(bytes, head.ljust(1300, b"\1"))
            yield Specimen(
                f"structure-next-{following}-strip-{offset}.tif",
                "structure",
                build,
                DAMAGED if beyond else EITHER,
            )
    for tag, kind, length in itertools.product(
        (256, 258, 259, 273, 277, 278, 279, 322, 330, 34665), (0, 2, 5, 99), (0, 1, 2**32 - 1)
    ):
        sides = [
            (256, 4, 1, 40),
            (257, 4, 1, 24),
            (258, 3, 1, 8),
            (259, 3, 1, 1),
            (262, 3, 1, 1),
            (273, 4, 1, 300),
        ]
        rows = {
            entry[0]: entry for entry in [*sides, (277, 3, 1, 1), (278, 4, 1, 24), (279, 4, 1, 960)]
        } | {tag: (tag, kind, length, 8)}
        head = tiff_directory([rows[each] for each in sorted(rows)])
        yield Specimen(
            f"structure-tag-{tag}-{kind}-{length}.tif",
            "structure",
            partial(bytes, head.ljust(1300, b"\1")),
        )
    for unit in (
        b"\xff\xd8",
        b"\xff\xc0\0\2",
        b"\xff\xda\0\2",
        b"\xff\xc4\0\2",
        b"\xff\xdd\0\4\0\1",
        b"\xff\xd9",
        b"\xff\xe0\xff\xff",
    ):
        for repeats in (1, 1000):
            build = partial(bytes, VALID["jpeg"][:2] + unit * repeats + VALID["jpeg"][2:])
            yield Specimen(f"structure-marker-{unit.hex()}-{repeats}.jpg", "structure", build)
    for runs in (
        b"\0\2\xff\xff" * 99,
        b"\0\xff",
        b"\xff" * 99,
        b"\0\0" * 999,
        b"\0\1",
        b"\0\3abc\0" * 999,
        b"",
    ):
        for bits in (4, 8):
            build = partial(bombs.run_length_bmp, 40, 24, runs, bits)
            yield Specimen(
                f"structure-runs-{runs[:4].hex()}-{len(runs)}-{bits}.bmp", "structure", build
            )


def _seeded(chance: random.Random) -> Iterator[Specimen]:
    """Files by chance, without end: bent, flipped, shuffled, spliced, made up."""
    names = sorted(VALID)
    for number in itertools.count():
        name = chance.choice(names)
        data = VALID[name]
        yield Specimen(
            f"bent-{number}.{suffix(name)}", "bent", partial(bent, data, random_edits(chance))
        )
        yield Specimen(
            f"bent-{number}-again.{suffix(name)}", "bent", partial(bent, data, random_edits(chance))
        )
        name = chance.choice([each for each in names if "png" in each])
        bit = chance.randrange(8 * 8, len(VALID[name]) * 8)
        yield Specimen(
            f"flipped-{number}.png",
            "flipped",
            partial(_flipped, VALID[name], bit),
            EITHER,
            VALID[name],
        )
        head, tail = VALID[chance.choice(names)], VALID[chance.choice(names)]
        build = partial(
            bytes, head[: chance.randrange(4, len(head))] + tail[chance.randrange(len(tail)) :]
        )
        yield Specimen(f"spliced-{number}.jpg", "spliced", build)
        head = VALID[chance.choice(names)][: chance.choice((4, 12, 40, 120))]
        yield Specimen(
            f"made-up-{number}.png",
            "made up",
            partial(bytes, head + chance.randbytes(chance.randrange(3000))),
        )
        exif = b"Exif\0\0" + bent(exif_block(6)[6:], random_edits(chance))
        yield Specimen(
            f"bent-exif-{number}.png",
            "bent metadata",
            partial(file_of, noise(), "PNG", exif=exif),
            ANSWERED,
        )
        icc = bent(adobe_profile(), random_edits(chance))
        yield Specimen(
            f"bent-icc-{number}.webp",
            "bent metadata",
            partial(file_of, noise(), "WEBP", icc_profile=icc),
            ANSWERED,
        )


def _flipped(data, bit):
    at = bit // 8
    return data[:at] + bytes([data[at] ^ 1 << bit % 8]) + data[at + 1 :]
