"""Results that are encoded while other photos are processed."""

from pathlib import Path

import numpy as np
import pytest

from restore.errors import Code, RestoreError
from restore.imaging.early_encoding import EarlyEncoder, encode_timed
from restore.imaging.metadata import Metadata
from restore.imaging.outputs import save_all
from restore.imaging.photo import Photo
from restore.options import OutputOptions
from restore.report import Report

OUTPUT = OutputOptions(output_format="jpg")
DEEP = Photo("deep.png", np.arange(256, dtype=np.uint16).reshape(16, 16) * 257)


def test_early_file_and_its_report_are_those_of_a_later_one(tmp_path: Path) -> None:
    encoder = EarlyEncoder(OUTPUT)
    encoder.start(0, DEEP)
    reports = [Report("deep.png", "upscale"), Report("deep.png", "upscale")]
    paths = [
        save_all([DEEP], [report], OUTPUT, tmp_path / name, early=early)[0]
        for report, name, early in zip(reports, "ab", (encoder.close(), {}), strict=True)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    for report in reports:
        assert report.stages_ms["encode"] > 0
        report.stages_ms.clear()
    assert reports[0] == reports[1]
    assert "16 bits were reduced to 8" in reports[0].warnings[0]


def test_file_that_was_encoded_early_is_not_encoded_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = EarlyEncoder(OUTPUT)
    encoder.start(0, DEEP)
    early = encoder.close()
    early[0].result()
    monkeypatch.setattr("restore.imaging.outputs.encode_timed", None)
    assert save_all([DEEP], [Report("a", "upscale")], OUTPUT, tmp_path, early=early)


def test_error_is_raised_when_the_file_is_needed(tmp_path: Path) -> None:
    wide = Photo("wide.png", np.broadcast_to(np.uint8(0), (1, 70_000)))
    encoder = EarlyEncoder(OUTPUT)
    encoder.start(0, wide)
    with pytest.raises(RestoreError) as caught:
        save_all([wide], [Report("a", "upscale")], OUTPUT, tmp_path, early=encoder.close())
    assert caught.value.code is Code.OUTPUT_TOO_LARGE
    assert list(tmp_path.iterdir()) == []


def test_large_results_are_not_encoded_early() -> None:
    encoder = EarlyEncoder(OUTPUT)
    encoder.start(0, DEEP)
    encoder.start(1, Photo("large", np.broadcast_to(np.uint8(0), (8000, 8001))))
    assert list(encoder.close(failed=True)) == [0]


def test_time_is_measured() -> None:
    assert encode_timed(DEEP, OUTPUT).elapsed_ms == pytest.approx(10, abs=9.99)


def test_position_is_written_only_on_request() -> None:
    photo = Photo("a", DEEP.pixels, metadata=Metadata(texts=(("exif:GPSLatitude", "52"),)))
    for keep in (False, True):
        output = OutputOptions(output_format="png", keep_gps=keep)
        assert (b"GPSLatitude" in encode_timed(photo, output).data) == keep
