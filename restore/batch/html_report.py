"""report.html: a summary of a run with photos before and after, for people who look."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Iterable, Iterator
from html import escape
from string import Template

from PIL import Image, ImageOps

from restore.batch.figures import Statistics
from restore.batch.folder import Folder
from restore.batch.manifest import Row
from restore.batch.saver import Summary
from restore.batch.words import stage_words
from restore.imaging.decoder_errors import DECODER_ERRORS
from restore.imaging.pillow_warnings import collected_warnings
from restore.options.flags import with_flags

REPORT_STEM = "report"
THUMBNAIL_PX = 360
MAX_LISTED_FAILURES = 200

_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Batch of $source</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
td, th { padding: .25rem .75rem; text-align: left; border-bottom: 1px solid #8886; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
figure { display: inline-grid; grid-template-columns: 1fr 1fr; gap: .25rem; margin: 0 1rem 1rem 0; }
figure img { max-width: 22rem; width: 100%; }
figcaption { grid-column: 1 / 3; width: 0; min-width: 100%; font-size: .85rem;
  overflow-wrap: anywhere; }
</style>
<h1>Batch of $source</h1>
<p>Results: $target</p>
<table>$counts</table>
<h2>Sample</h2>
<p>Before on the left, after on the right.</p>
$figures
<h2>Computing time</h2>
<table>$stages</table>
<h2>Warnings</h2>
$warnings
<h2>Failures</h2>
$failures
""")


def write_report(
    source: Folder,
    target: Folder,
    summary: Summary,
    figures: Statistics,
    wall_s: float,
    shard: str = "",
) -> str:
    """Write the report into the output folder.

    Args:
        wall_s: duration of the run in seconds.
        shard: name of the shard, part of the file's name.

    Returns:
        Its path or URL.

    Raises:
        OSError: it cannot be written.
    """
    page = _PAGE.substitute(
        source=escape(source.place),
        target=escape(target.place),
        counts=_rows(_counts(summary, figures, wall_s)),
        figures="\n".join(_figures(source, target, figures)) or "<p>No photo was restored.</p>",
        stages=_rows(
            (stage_words(stage), f"{s:.1f} s") for stage, s in figures.stages_s.most_common()
        ),
        warnings=_kinds(figures.warnings),
        failures=_kinds(figures.errors) + _failures(summary),
    )
    name = f"{REPORT_STEM}{f'-{shard}' if shard else ''}.html"
    target.write(name, page.encode(errors="backslashreplace"))
    return f"{target.place.rstrip('/')}/{name}"


def _counts(summary: Summary, figures: Statistics, wall_s: float) -> Iterator[tuple[str, str]]:
    yield "restored in this run", str(figures.done)
    yield "failed in this run", str(figures.failed)
    yield "restored before", str(summary.plan.done)
    yield "failed before and not tried again", str(len(summary.plan.failed))
    yield "duration", f"{wall_s:.0f} s"
    if figures.done and wall_s:
        yield "photos per second", f"{figures.done / wall_s:.2f}"
        yield "computing time per photo", f"{figures.seconds / figures.done:.2f} s"
    if summary.stopped:
        yield "ended early", escape(summary.stopped)


def _figures(source: Folder, target: Folder, figures: Statistics) -> Iterator[str]:
    for row in figures.sample:
        assert row.output is not None
        try:
            before = _thumbnail(source.read(row.input))
            after = _thumbnail(target.read(row.output))
        except DECODER_ERRORS:  # the photo has been moved since, or Pillow cannot read it
            continue
        yield (
            f'<figure><img alt="before" src="{before}"><img alt="after" src="{after}">'
            f"<figcaption>{escape(row.input)}: {_steps(row)}, {row.seconds:.1f} s</figcaption>"
            "</figure>"
        )


def _steps(row: Row) -> str:
    steps = row.report.get("steps") or []
    names = [f"{step['task']} {step.get('variant', '')}".strip() for step in steps]
    return escape(", ".join(names) or str(row.report.get("task", "")))


def _thumbnail(content: bytes) -> str:
    """Return a photo as a small JPEG in a data URI.

    Raises:
        One of DECODER_ERRORS: Pillow cannot read it.
    """
    with collected_warnings(), Image.open(io.BytesIO(content)) as image:
        image.draft("RGB", (2 * THUMBNAIL_PX, 2 * THUMBNAIL_PX))
        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I"):  # Pillow would clip 16 bits, not scale them
            upright = upright.convert("I").point(lambda value: value / 256.0).convert("L")
        upright.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        buffer = io.BytesIO()
        upright.convert("RGB").save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()


def _rows(rows: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f'<tr><td>{escape(name)}</td><td class="number">{value}</td></tr>' for name, value in rows
    )


def _kinds(kinds: Counter[str]) -> str:
    if not kinds:
        return "<p>None.</p>"
    rows = _rows((with_flags(kind), str(count)) for kind, count in kinds.most_common())
    return f"<table>{rows}</table>"


def _failures(summary: Summary) -> str:
    lines = [
        f"<li>{escape(with_flags((row.error or {}).get('message', '')))}</li>"
        for row in summary.failed[:MAX_LISTED_FAILURES]
    ]
    more = len(summary.failed) - len(lines)
    if more > 0:
        lines.append(f"<li>and {more} more: see failed.csv</li>")
    return f"<ul>{''.join(lines)}</ul>" if lines else ""
