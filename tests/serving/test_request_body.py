"""Tests of restore.serving.request_body: ids that are refused, and inputs in Cog's form."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from restore.serving import request_body
from restore.serving.request_body import ID_PATTERN, Refusal, check_id, parse_body, write_body


@pytest.mark.parametrize("value", ["a", "pred_18ebda", "0" * 128, "-", "A-Z_09"])
def test_harmless_id_is_accepted(value: str) -> None:
    assert check_id(value) == value


@pytest.mark.parametrize(
    "value",
    [
        *["", ".", "..", "../x", "/x", "a/b", "a\0b", "a\n", " a", "é", "\N{KELVIN SIGN}", "٣"],
        *[5, True, [], {}, 1.5, "0" * 129],
    ],
)
def test_harmful_id_is_refused_where_it_is(value: object) -> None:
    with pytest.raises(Refusal) as caught:
        parse_body(json.dumps({"id": value}).encode())
    assert caught.value.status == 422
    content = caught.value.content
    assert isinstance(content, dict)
    assert content["detail"][0]["loc"] == ["body", "id"]
    assert len(json.dumps(content)) < 400


@pytest.mark.parametrize(
    "body", [b'{"id": "../x"}', b'{"\\u0069d": "..\\u002fx"}', b'{"id": "x", "id": "../x"}']
)
def test_escaped_and_repeated_id_is_refused(body: bytes) -> None:
    with pytest.raises(Refusal, match="422"):
        parse_body(body)


@given(st.text())
def test_every_id_that_reaches_cog_matches_the_pattern(value: str) -> None:
    try:
        body = write_body(parse_body(json.dumps({"id": value}).encode()))
    except Refusal:
        return
    assert ID_PATTERN.fullmatch(json.loads(body)["id"])


def test_last_of_repeated_keys_is_checked_and_sent_alone() -> None:
    assert write_body(parse_body(b'{"id": "../x", "id": "x"}')) == b'{"id":"x"}'


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"{} x", 400),
        (b"[" * 100_000 + b"]" * 100_000, 400),
        (b'{"a": NaN}', 400),
        (b'{"a": "\\ud800"}', 400),
        (b"\xff\xfe", 400),
        (b"[]", 422),
        (b"null", 422),
    ],
)
def test_invalid_body_is_refused(body: bytes, status: int) -> None:
    with pytest.raises(Refusal) as caught:
        parse_body(body)
    assert caught.value.status == status


def test_body_of_very_many_values_is_refused_unparsed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_body, "from_json", None)
    with pytest.raises(Refusal, match="more than 1000000 values"):
        parse_body(b'{"input": [' + b"[]," * 1_000_000 + b"1]}")


def test_null_is_left_out_and_points_become_text() -> None:
    inputs = {"scale": None, "task": "inpaint", "points": [[1, 2.5], [3, 4]], "images": [None]}
    parsed = parse_body(json.dumps({"input": inputs, "webhook": None}).encode())
    assert parsed == {
        "input": {"task": "inpaint", "points": "[[1,2.5],[3,4]]", "images": [None]},
        "webhook": None,
    }


def test_number_of_a_face_becomes_text() -> None:
    for faces, expected in ((2, "2"), ([0, 2], "[0,2]"), (True, True)):
        assert parse_body(json.dumps({"input": {"faces": faces}}).encode()) == {
            "input": {"faces": expected}
        }


def test_steps_may_be_a_list() -> None:
    for steps, expected in ((["restore", "upscale"], "restore,upscale"), ([1], [1])):
        assert parse_body(json.dumps({"input": {"steps": steps}}).encode()) == {
            "input": {"steps": expected}
        }


def test_schemes_of_urls_become_small_letters() -> None:
    inputs = {
        "image": " DATA:image/PNG;BASE64,AB//",
        "images": ["HTTP://Example.org/A.jpg", "Https://x", "a.JPG", 5],
        "mask": "Data:,",
        "points": "DATA:x",
    }
    assert parse_body(json.dumps({"input": inputs}).encode()) == {
        "input": {
            "image": "data:image/PNG;BASE64,AB//",
            "images": ["http://Example.org/A.jpg", "https://x", "a.JPG", 5],
            "mask": "data:,",
            "points": "DATA:x",
        }
    }


def test_other_bodies_keep_their_values() -> None:
    request = {"input": {"a": 3.0, "b": 3, "c": "é\\u0000\N{PILE OF POO}", "points": "[]"}, "x": 1}
    body = write_body(parse_body(json.dumps(request).encode()))
    assert json.loads(body) == request
    assert b'"a":3.0,"b":3,' in body
