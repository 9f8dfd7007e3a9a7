"""Tests of restore.serving.refusals."""

import json
from typing import Any

import pytest

from restore.serving.refusals import coded, with_code


def refusal(*location: str | int, message: str = "it is too large") -> dict[str, Any]:
    detail = {"loc": list(location), "msg": message, "type": "value_error"}
    return {"detail": [detail, {"loc": [], "msg": "another one"}], "extra": "ü"}


@pytest.mark.parametrize(
    ("location", "message", "error"),
    [
        (("body", "input", "scale"), "it is too large", "[E102] scale: it is too large. See "),
        (("body", "input"), "scale: 9 is too large.", "[E102] scale: 9 is too large. See "),
        (("body", "input", "scale"), "scale is 9", "[E102] scale is 9. See "),
        (("body", "input", "images", 0), "no text", "[E102] images.0: no text. See "),
        (("body", "id"), "it is wrong", "[E607] id: it is wrong. See "),
        (("body",), "it is missing", "[E607] it is missing. See "),
    ],
)
def test_code_is_added_and_the_detail_stays(
    location: tuple[str | int, ...], message: str, error: str
) -> None:
    before = refusal(*location, message=message)
    after = json.loads(with_code(json.dumps(before).encode()))
    assert after.pop("error").startswith(error)
    assert after.pop("status") == "failed"
    assert after == before


@pytest.mark.parametrize(
    "content",
    [b"no JSON", b"[]", b'{"detail": "text"}', b'{"detail": []}', b'{"detail": [{}]}', b"\xff"],
)
def test_other_content_is_unchanged(content: bytes) -> None:
    assert with_code(content) == content


def test_refusals_of_the_front_have_codes() -> None:
    assert coded(refusal("path", "id"))["error"].startswith("[E607] id: it is too large.")
    assert coded({"error": "full"}) == {"error": "full"}
