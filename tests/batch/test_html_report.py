"""The report of a batch as a page: samples, counts and failures."""

import base64
import io
import re
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from batchfakes import Recorder, direct_engine, options_of_tree, write_photos
from PIL import Image

from restore.batch.figures import Statistics
from restore.batch.folder import open_folder
from restore.batch.html_report import write_report
from restore.batch.manifest import DONE, Row
from restore.batch.plan import Plan
from restore.batch.run import BatchOptions, run_batch
from restore.batch.saver import Summary


@pytest.fixture
def options(tmp_path: Path) -> BatchOptions:
    return options_of_tree(tmp_path)


def test_report_has_sample_counts_and_failures(options: BatchOptions, tmp_path: Path) -> None:
    write_photos(tmp_path / "in", "x<b>.jpg", content=b"bad")
    recorder = Recorder()
    summary = run_batch(options, direct_engine, recorder, Event())
    source, target = open_folder(options.source), open_folder(options.target)
    place = write_report(source, target, summary, recorder.statistics, 2.0)
    page = Path(place).read_text()
    assert '<td>restored in this run</td><td class="number">3</td>' in page
    assert "1.50" in page
    assert '<td>computing networks</td><td class="number">0.0 s</td>' in page
    assert "x&lt;b&gt;.jpg" in page
    assert "<b>" not in page


@pytest.mark.parametrize(("max_pixels", "shown"), [(3000, 2), (1000, 0)], ids=["warns", "refuses"])
def test_report_is_written_though_pillow_finds_a_photo_large(
    max_pixels: int, shown: int, options: BatchOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = io.BytesIO()
    Image.new("RGB", (64, 64)).save(content, "PNG")
    figures = Statistics()
    figures.add(Row("large.png", 1, "1", "s", DONE, output="large.png"))
    source, target = open_folder(options.source), open_folder(options.target)
    for folder in (source, target):
        folder.write("large.png", content.getvalue())
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", max_pixels)
    page = Path(write_report(source, target, Summary(Plan((), 0, (), 0)), figures, 1.0)).read_text()
    assert page.count("data:image/jpeg") == shown


def test_report_shows_16_bits_without_clipping(options: BatchOptions, tmp_path: Path) -> None:
    grey = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(grey).save(tmp_path / "in" / "deep.png")
    content = (tmp_path / "in" / "deep.png").read_bytes()
    row = Row("deep.png", 1, "1", "s", DONE, output="deep.png")
    figures = Statistics()
    figures.add(row)
    source, target = open_folder(options.source), open_folder(options.target)
    target.write("deep.png", content)
    summary = Summary(Plan((), 0, (), 0))
    page = Path(write_report(source, target, summary, figures, 1.0)).read_text()
    [before, _] = re.findall(r'src="data:image/jpeg;base64,([^"]*)"', page)
    with Image.open(io.BytesIO(base64.b64decode(before))) as thumbnail:
        assert 120 < np.asarray(thumbnail).mean() < 136
