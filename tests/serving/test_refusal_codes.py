"""Tests of restore.serving.refusals."""

import json
from typing import Any

import pytest

from restore.serving.refusals import error_text, refusal_content, with_code
from restore.serving.request_body import Refusal

PHOTO = "data:image/jpeg;base64," + "A" * 100_000


def refusal(*location: str | int, message: str = "it is too large") -> dict[str, Any]:
    detail = {"loc": list(location), "msg": message, "type": "value_error"}
    return {"detail": [detail, {"loc": [], "msg": "another one"}], "extra": "ü"}


def coded(before: object, status: int) -> dict[str, Any]:
    """Return the content of a response with its code."""
    after: dict[str, Any] = json.loads(with_code(json.dumps(before).encode(), status))
    return after


@pytest.mark.parametrize(
    ("location", "message", "error"),
    [
        (("body", "input", "scale"), "it is too large", "[E102] scale: it is too large. See "),
        (("body", "input"), "scale: 9 is too large.", "[E102] scale: 9 is too large. See "),
        (("body", "input", "scale"), "scale is 9", "[E102] scale is 9. See "),
        (("body", "input", "images", 0), "no text", "[E102] images.0: no text. See "),
        (("body", "input", "__root__"), '"x" is no object', '[E102] input: "x" is no object. See '),
        (("body", "input", "images"), "[] has less than 1 item", "[E103] images: [] has less than"),
        (("body", "input", "a"), "[] has less than 1 item", "[E102] a: [] has less than"),
        (("body", "input", "image"), '"image" is no list', '[E102] image: "image" is no list. See'),
        (("body", "id"), "'x' is no valid id", "[E607] 'x' is no valid id. See "),
        (("body", "id"), "it is wrong", "[E607] id: it is wrong. See "),
        (("body",), "it is missing", "[E607] it is missing. See "),
    ],
)
def test_code_is_added_and_the_detail_stays(
    location: tuple[str | int, ...], message: str, error: str
) -> None:
    before = refusal(*location, message=message)
    after = coded(before, 422)
    assert after.pop("error").startswith(error)
    assert after.pop("status") == "failed"
    assert after == before


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (PHOTO, PHOTO[:60] + '"...'),
        ([PHOTO] * 5, "a list of 5 values"),
        ({"a": PHOTO}, "an object of 1 values"),
        (10**80, "1" + "0" * 59 + "..."),
    ],
)
def test_long_value_is_not_repeated(value: object, shown: str) -> None:
    before = refusal("body", "input", "images", message=f"{json.dumps(value)} is not allowed")
    content = with_code(json.dumps(before).encode(), 422)
    assert len(content) < 600
    after = json.loads(content)
    assert shown in after["error"]
    assert after["detail"][0]["msg"].endswith(f"{shown} is not allowed")


def test_failed_prediction_begins_with_its_code() -> None:
    cog = "Prediction failed: Prediction failed: RestoreError: [E104] no mask. Send one."
    after = coded({"status": "failed", "error": cog, "logs": "a"}, 200)
    assert after == {"status": "failed", "error": "[E104] no mask. Send one.", "logs": "a"}


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ("Prediction failed: Prediction failed: RestoreError: [E104] no mask. Send one.", "[E104]"),
        ("RestoreError: [E104] no mask. Send one.", "[E104]"),
        ("Prediction failed: KeyError: 'a'", "[E504] the worker failed: KeyError: 'a'."),
        ("Worker crashed", "[E504] the worker failed: Worker crashed."),
        ("", "[E504] the worker failed: no reason."),
    ],
)
def test_errors_begin_with_their_code(error: str, text: str) -> None:
    assert error_text(error).startswith(text)


def test_busy_server_and_one_that_starts_have_a_code_and_a_remedy() -> None:
    busy = coded({"error": "At capacity", "status": "failed"}, 409)
    assert busy["error"].startswith("[E504] the server is at work on another request")
    assert "again" in busy["error"]
    starting = coded({"error": "Setup has not finished yet.", "status": "failed"}, 503)
    assert starting["error"] == "[E504] Setup has not finished yet."


@pytest.mark.parametrize(
    "content",
    [b"no JSON", b"[]", b'{"detail": "text"}', b'{"detail": []}', b'{"detail": [{}]}', b"\xff"],
)
def test_other_content_is_unchanged(content: bytes) -> None:
    assert with_code(content, 422) == content


@pytest.mark.parametrize(
    "content",
    [
        b'{"status":"succeeded","output":["x"],"error":"RestoreError: [E104] a"}',
        b'{"status": "succeeded", "logs": "\\"failed\\"", "error": "a"}',
        b'{"status":"READY","setup":{"status":"failed"}}',
    ],
)
def test_other_answers_are_unchanged(content: bytes) -> None:
    assert with_code(content, 200) == content


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (refusal("path", "id"), "[E607] id: it is too large. See "),
        ({"error": "The server is full. Wait."}, "[E504] The server is full. Wait."),
        ("The body is no JSON", "[E607] the body is no JSON. See "),
        ("it is too large. Send less.", "[E607] it is too large. Send less."),
    ],
)
def test_refusals_of_the_front_have_codes(content: dict[str, Any] | str, error: str) -> None:
    assert refusal_content(Refusal(422, content))["error"].startswith(error)
