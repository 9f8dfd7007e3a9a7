"""Tests of restore.service.answer_reader."""

import base64
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from restore.service import answer_reader
from restore.service.answer_reader import Answer, AnswerError, AnswerReader


def read(text: str | bytes, folder: Path, piece_bytes: int = 10**6) -> Answer:
    data = text.encode() if isinstance(text, str) else text
    with AnswerReader(folder) as reader:
        for start in range(0, len(data), piece_bytes):
            reader.feed(data[start : start + piece_bytes])
        return reader.finish()


def read_all(text: str, folder: Path, piece_bytes: int) -> tuple[object, list[tuple[str, bytes]]]:
    """Return the body of an answer, and type and content of its results."""
    with AnswerReader(folder) as reader:
        for start in range(0, len(text), piece_bytes):
            reader.feed(text[start : start + piece_bytes].encode())
        answer = reader.finish()
        outputs = [(output.content_type, output.file.read()) for output in answer.outputs]
    assert all(output.file.closed for output in answer.outputs)
    return answer.body, outputs


def uri(data: bytes, media_type: str = "image/png") -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


TRICKY = 'a "data:image/png;base64,QUJD" \\ [{"}]\n'
PHOTOS = [b"", b"a", b"ab", b"abc" * 1000]


@pytest.mark.parametrize("piece_bytes", [1, 3, 7, 4096])
def test_results_go_to_files_and_the_rest_stays(tmp_path: Path, piece_bytes: int) -> None:
    body = {
        "id": "x",
        "logs": "data:image/png;base64,QUJD",
        "metrics": {"photos": [{"warnings": [TRICKY, uri(b"no result")]}], "predict_time": 0.5},
        "output": [*(uri(photo) for photo in PHOTOS), uri(b"{}", "application/json")],
        "status": TRICKY,
    }
    rest, outputs = read_all(json.dumps(body), tmp_path, piece_bytes)
    assert rest == {**body, "output": [0, 1, 2, 3, 4]}
    assert outputs == [*(("image/png", photo) for photo in PHOTOS), ("application/json", b"{}")]


def test_large_result_goes_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_reader, "MAX_RESULT_IN_MEMORY_BYTES", 100)
    large, small = b"abc" * 1000, b"abc"
    text = json.dumps({"output": [uri(large), uri(small)]})
    assert read_all(text, tmp_path, 50)[1] == [("image/png", large), ("image/png", small)]
    with pytest.raises(FileNotFoundError):
        read(text, tmp_path / "missing")


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@settings(max_examples=30)
@given(body=st.dictionaries(st.text(), JSON_VALUES), piece_bytes=st.integers(1, 50))
def test_other_answers_are_read_as_json(body: dict[str, object], piece_bytes: int) -> None:
    for ascii_only in (True, False):
        text = json.dumps(body, ensure_ascii=ascii_only).encode(errors="surrogatepass")
        try:
            text.decode()
        except UnicodeDecodeError:  # json.loads refuses such bytes, too
            continue
        assert read(text, Path("/nonexistent"), piece_bytes) == Answer(body, ())


def test_item_that_only_looks_like_a_result_stays_text(tmp_path: Path) -> None:
    items = ["data:image/png,abc", "data:", "data:" + "x" * 300, 'data:a"b;base64,QUJD', ""]
    answer = read(json.dumps({"output": items}), tmp_path, 5)
    assert answer == Answer({"output": items}, ())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "no JSON",
        '{"output":["data:image/png;base64,QUJD',
        '{"output":["data:image/png;base64,QUJD"',
        '{"output":["data:image/png;base64,QUJDQ"]}',
        '{"output":["data:image/png;base64,QU*D"]}',
        '{"output":["data:image/png;base64,QUJD\\u0041"]}',
    ],
)
def test_incomplete_or_invalid_answer_is_an_error(tmp_path: Path, text: str) -> None:
    with pytest.raises(AnswerError):
        read(text, tmp_path)


def test_endless_text_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_reader, "MAX_REST_BYTES", 2**20)
    with AnswerReader(tmp_path) as reader:
        reader.feed(b"a" * 2**20)
        with pytest.raises(AnswerError, match="more than 1 MiB of text"):
            reader.feed(b"a")
