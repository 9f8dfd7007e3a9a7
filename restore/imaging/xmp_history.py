"""The history of a photo in its XMP (xmpMM:History, XMP specification part 2): what was done to it.

Events have no date, so that equal requests give equal files.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from xml.sax.saxutils import escape

from restore.version import __version__

SOFTWARE = f"Restore {__version__}"
_NAMESPACES = {
    "x": "adobe:ns:meta/",
    "rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#",
    "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "stEvt": "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
}
_HISTORY_END = re.compile(rb"</rdf:Seq>\s*</(?:xmpMM|xapMM):History>")
_RDF_END = b"</rdf:RDF>"
_ABOUT = re.compile(rb"<rdf:Description\s[^<>]*?rdf:about\s*=\s*(\"[^\"<>]*\"|'[^'<>]*')")


class Event(NamedTuple):
    """A change of a photo.

    Attributes:
        action: 'edited' or 'resized', as XMP names it.
        parameters: what was done.
    """

    action: str
    parameters: str


def with_history(xmp: bytes | None, events: tuple[Event, ...], notes: list[str]) -> bytes | None:
    """Add events to the history in an XMP packet; all other bytes stay.

    Args:
        xmp: the packet; None to make one.
        events: what was done, in order.
        notes: a warning is appended here if the packet cannot be extended.
    """
    items = "".join(_item(event) for event in events).encode()
    if xmp is None:
        description = _description(items, b'""')
        head = f"<x:xmpmeta {_namespace('x')}><rdf:RDF {_namespace('rdf')}>".encode()
        return _packet(head + description + b"</rdf:RDF></x:xmpmeta>")
    if ends := list(_HISTORY_END.finditer(xmp)):
        at = ends[-1].start()
        return xmp[:at] + items + xmp[at:]
    at = xmp.rfind(_RDF_END)
    if at < 0:
        notes.append("the steps were not recorded, because its XMP has an unusual form")
        return xmp
    about = _ABOUT.search(xmp)
    return xmp[:at] + _description(items, about[1] if about else b'""') + xmp[at:]


def _item(event: Event) -> str:
    fields = (
        ("action", event.action),
        ("softwareAgent", SOFTWARE),
        ("parameters", event.parameters),
    )
    body = "".join(f"<stEvt:{name}>{escape(text)}</stEvt:{name}>" for name, text in fields)
    return f'<rdf:li rdf:parseType="Resource" {_namespace("stEvt")}>{body}</rdf:li>'


def _description(items: bytes, about: bytes) -> bytes:
    start = b"<rdf:Description rdf:about=" + about + f" {_namespace('xmpMM')}>".encode()
    history = b"<xmpMM:History><rdf:Seq>" + items + b"</rdf:Seq></xmpMM:History>"
    return start + history + b"</rdf:Description>"


def _packet(content: bytes) -> bytes:
    start = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'.encode()
    return start + content + b'<?xpacket end="w"?>'


def _namespace(prefix: str) -> str:
    return f'xmlns:{prefix}="{_NAMESPACES[prefix]}"'
