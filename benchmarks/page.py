"""Comparison of photos as one HTML file: pictures are embedded, there are no scripts."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MAX_PICTURE_WIDTH_PX = 480
_WEBP_QUALITY = 88
_STYLE = """
body { font: 15px/1.4 system-ui, sans-serif; background: #222; color: #eee;
       margin: 24px auto; max-width: 1520px; padding: 0 16px; }
h1 { font-size: 22px; } h2 { font-size: 16px; margin: 32px 0 8px; overflow-wrap: anywhere; }
table { border-collapse: collapse; margin: 12px 0; }
th, td { padding: 3px 12px; text-align: right; border-bottom: 1px solid #444; }
th:first-child, td:first-child { text-align: left; overflow-wrap: anywhere; }
.strip { display: flex; flex-wrap: wrap; gap: 8px; } figure { margin: 0; max-width: 100%; }
img { display: block; max-width: 100%; height: auto; }
figcaption { padding: 4px 0; color: #bbb; }
"""


@dataclass(frozen=True)
class Entry:
    """One photo of a page.

    Attributes:
        name: name of the photo.
        pictures: HTML that `figures_html` returned.
        rows: rows of the table, by title; values as text.
    """

    name: str
    pictures: str
    rows: Mapping[str, Sequence[str]]


def page(
    title: str,
    notes: Sequence[str],
    columns: Sequence[str],
    summary: Mapping[str, Sequence[str]],
    entries: Sequence[Entry],
) -> str:
    """Build the HTML file. All texts are escaped."""
    parts = [
        "<!DOCTYPE html>",
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>',
        '<meta name="viewport" content="width=device-width">',
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{escape(title)}</h1>",
        *(f"<p>{escape(note)}</p>" for note in notes),
        _table(columns, summary),
    ]
    for entry in entries:
        parts += [f"<h2>{escape(entry.name)}</h2>", entry.pictures, _table(columns, entry.rows)]
    return "\n".join([*parts, "</body></html>", ""])


def figures_html(name: str, pictures: Mapping[str, NDArray[np.uint8]]) -> str:
    """Build the row of pictures (HxWx3 uint8 RGB, by caption) of a photo."""
    figures = "\n".join(_figure(name, caption, picture) for caption, picture in pictures.items())
    return f'<div class="strip">\n{figures}\n</div>'


def data_uri(picture: NDArray[np.uint8]) -> tuple[str, tuple[int, int]]:
    """Encode a picture as a WebP data URI of at most MAX_PICTURE_WIDTH_PX; return its size too."""
    image = Image.fromarray(picture)
    if image.width > MAX_PICTURE_WIDTH_PX:
        height = max(1, round(image.height * MAX_PICTURE_WIDTH_PX / image.width))
        image = image.resize((MAX_PICTURE_WIDTH_PX, height), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=_WEBP_QUALITY)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}", image.size


def _figure(name: str, caption: str, picture: NDArray[np.uint8]) -> str:
    uri, (width, height) = data_uri(picture)
    shown = f"{caption}, {picture.shape[1]} x {picture.shape[0]}"
    alternative = f"{escape(name)}, {escape(caption)}"
    image = f'<img src="{uri}" width="{width}" height="{height}" alt="{alternative}">'
    return f"<figure>{image}<figcaption>{escape(shown)}</figcaption></figure>"


def _table(columns: Sequence[str], rows: Mapping[str, Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in ("", *columns))
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in (title, *cells))}</tr>"
        for title, cells in rows.items()
    )
    return f"<table><tr>{head}</tr>{body}</table>"
