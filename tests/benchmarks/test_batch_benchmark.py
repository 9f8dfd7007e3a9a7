"""The benchmark of batches: speeds, their ratios, and which photos differ."""

import json
from pathlib import Path

import pytest

from benchmarks.batch import Speed, differing, ratios
from restore.batch.manifest import FOLDER


def test_speed_is_given_with_and_without_the_start() -> None:
    finished_s = [110.0 + 0.5 * number for number in range(20)]
    speed = Speed.of(25.0, 30.0, list(reversed(finished_s)))
    assert (speed.photos_per_s, speed.steady_photos_per_s) == (0.8, 2.0)


def test_ratios_are_medians_of_the_rounds() -> None:
    def speeds(*values: float) -> list[Speed]:
        return [Speed(value, 2 * value, 1.0, 1.0, 0.0) for value in values]

    found = ratios({"loop": speeds(1.0, 2.0, 4.0), "local": speeds(1.5, 2.0, 8.0)})
    assert found == {"local": {"photos_per_s": 1.5, "steady_photos_per_s": 1.5}}


def write_results(folder: Path, content: bytes, **facts: object) -> Path:
    """Write the result of a photo, and its row as an engine does."""
    (folder / FOLDER).mkdir(parents=True)
    (folder / "a.jpg").write_bytes(content)
    row = {"input": "a.jpg", "size": 1, "state": "1", "settings": "s", "finished": 1.0, **facts}
    (folder / FOLDER / "manifest.jsonl").write_text(json.dumps(row) + "\n")
    return folder


@pytest.mark.parametrize(
    ("content", "facts", "expected"),
    [
        (b"same", {"finished": 2.0, "report": {"steps": [{"stages_ms": {"net": 9.0}}]}}, []),
        (b"other", {"report": {"steps": [{"stages_ms": {}}]}}, ["a.jpg"]),
        (b"same", {"report": {"steps": []}}, ["a.jpg"]),
        (b"same", {"input": "b.jpg", "report": {"steps": [{}]}}, ["b.jpg", "a.jpg"]),
    ],
)
def test_results_and_rows_are_compared_without_times(
    content: bytes, facts: dict[str, object], expected: list[str], tmp_path: Path
) -> None:
    source = tmp_path / "in"
    source.mkdir()
    (source / "a.jpg").write_bytes(b"photo")
    loop = write_results(tmp_path / "loop", b"same")
    report = {"steps": [{"stages_ms": {"net": 1.0}}]}
    local = write_results(tmp_path / "local", b"same", report=report)
    other = write_results(tmp_path / "ray", content, **facts)
    assert differing(source, loop, [local, other]) == {"local": [], "ray": expected}
