"""Contents of files that are not supported photos, by a short name."""

import struct

WRONG_TYPES = {
    "mp4": b"\0\0\0\x18ftypisom\0\0\0\0",
    "cr3": b"\0\0\0\x18ftypcrx \0\0\0\0",
    "cr2": b"II*\0\x10\0\0\0CR\x02\0" + bytes(50),
    "pdf": b"%PDF-1.7\n1 0 obj\n"
    b"<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>>>\nendobj\n",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n"
    b"(/etc/passwd) (r) file 100 string readstring pop =\n",
    "eps-with-head": b"\xc5\xd0\xd3\xc6" + struct.pack("<LL", 32, 100) + bytes(200),
    "svg": b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg">'
    b'<image href="file:///etc/passwd"/></svg>',
    "svg-entities": b'<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>'
    b"<svg>&b;</svg>",
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
    "pickle": b"\x80\x04\x95\x1c\0\0\0\0\0\0\0\x8c\x05posix\x94\x8c\x06system\x94\x93\x94"
    b"\x8c\x04true\x94\x85\x94R\x94.",
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
