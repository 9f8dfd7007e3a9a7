"""The history in XMP: in a new packet, in an existing one, and after an existing history."""

import io
import re
from xml.etree import ElementTree as Xml

import pytest
from photofiles import FORMATS, file_of, picture
from PIL import Image

from restore.imaging.encode import encode
from restore.imaging.metadata import Metadata
from restore.imaging.photo import Photo, decode
from restore.imaging.xmp_history import SOFTWARE, Event, with_history

EVENTS = (
    Event("resized", "reduced from 90x60 to 45x30"),
    Event("edited", "upscale with <lite> & more"),
)
RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"
MM = "{http://ns.adobe.com/xap/1.0/mm/}"
EVENT = "{http://ns.adobe.com/xap/1.0/sType/ResourceEvent#}"
CAPTION = (
    b'<?xpacket begin="" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about="uuid:1" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    b' dc:format="image/jpeg"/></rdf:RDF></x:xmpmeta>     <?xpacket end="w"?>'
)


def history_of(xmp: bytes) -> list[tuple[str | None, ...]]:
    """Parse a packet; return action, software and parameters of each event."""
    text = re.sub(rb"<\?xpacket[^>]*>", b"", xmp).strip()
    root = Xml.fromstring(text)
    [sequence] = root.findall(f".//{MM}History/{RDF}Seq")
    names = ("action", "softwareAgent", "parameters")
    return [tuple(item.findtext(EVENT + name) for name in names) for item in sequence]


def test_new_packet_has_all_events() -> None:
    notes: list[str] = []
    xmp = with_history(None, EVENTS, notes)
    assert xmp is not None
    assert history_of(xmp) == [(action, SOFTWARE, text) for action, text in EVENTS]
    assert notes == []


def test_existing_packet_keeps_all_its_bytes() -> None:
    xmp = with_history(CAPTION, EVENTS, [])
    assert xmp is not None
    assert len(history_of(xmp)) == 2
    assert xmp.count(b'rdf:about="uuid:1"') == 2
    start, end = CAPTION.split(b"</rdf:RDF>")
    assert xmp.startswith(start)
    assert xmp.endswith(b"</rdf:RDF>" + end)


def test_events_follow_an_existing_history() -> None:
    once = with_history(CAPTION, EVENTS[:1], [])
    twice = with_history(once, EVENTS[1:], [])
    assert twice is not None
    assert [fields[0] for fields in history_of(twice)] == ["resized", "edited"]


def test_unusual_packet_is_not_changed() -> None:
    for xmp in (b"", b"<rdf:RDF/>", b"no xml at all"):
        notes: list[str] = []
        assert with_history(xmp, EVENTS, notes) == xmp
        assert "not recorded" in notes[0]


@pytest.mark.parametrize("target", FORMATS)
@pytest.mark.parametrize("stored", [None, CAPTION])
def test_every_format_holds_the_history(target: str, stored: bytes | None) -> None:
    photo = Photo("a", picture(), metadata=Metadata(xmp=stored, history=EVENTS))
    data, notes = encode(photo, target, 90)
    assert notes == ()
    xmp = decode(data, "a").metadata.xmp
    assert xmp is not None
    assert len(history_of(xmp)) == 2
    assert (b"dc:format" in xmp) == (stored is not None)
    assert encode(photo, target, 90)[0] == data


def test_xmp_that_fills_a_jpg_is_kept_without_the_history() -> None:
    full = CAPTION.replace(b"     ", b" " * (65_400 - len(CAPTION)))
    photo = decode(file_of(picture(), "WEBP", xmp=full), "a")
    recorded = Photo("a", picture(), metadata=Metadata(xmp=full, history=EVENTS))
    data, [note] = encode(recorded, "jpg", 90)
    assert "steps were not recorded" in note
    assert Image.open(io.BytesIO(data)).info["xmp"] == full == photo.metadata.xmp
    assert encode(recorded, "png", 90)[1] == ()
