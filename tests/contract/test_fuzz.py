"""Random requests to a real Cog server, valid and invalid: each succeeds or fails with a code.

Inputs are drawn from the schema. `pytest tests/contract/test_fuzz.py --slow` sends 2,000 requests.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
import requests
from coghttp import (
    data_uri,
    decode_image,
    decode_json,
    free_port,
    grey_jpeg,
    idle_status,
    post_prediction,
)
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from restore.options import INSPECT_TASK
from restore.serving.launcher import running
from restore.serving.schema import openapi_schema

pytestmark = pytest.mark.timeout(7200)

SCHEMA = openapi_schema()["components"]["schemas"]
INPUTS: dict[str, Any] = SCHEMA["Input"]["properties"]
PHOTO = data_uri(grey_jpeg(90))
EXPECTED_CODE = re.compile(r"\[E[1-4]\d\d\] |\[E50[1-4]\] ")
"""All error codes but E505, an internal error."""

UNUSUAL_TEXTS = (
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "x" * 100_000,
    "[" * 20_000,
    "💥",
    "../../etc/passwd",
    "%s%n",
    "'; --",
    "\r\nX-A: b",
    "NaN",
    "null",
)
UNUSUAL_VALUES: tuple[object, ...] = (
    None,
    True,
    False,
    -1,
    0,
    1e308,
    -1e308,
    2**63,
    10**400,
    0.1,
    [],
    {},
    [[]],
    {"a": {"b": [None]}},
    *UNUSUAL_TEXTS,
)
UNUSUAL_PHOTOS = (
    "data:,",
    "data:image/png;base64,",
    "data:image/png;base64,!!!",
    "data:image/png",
    "data:;base64,AAAA",
    "data:text/html,<script>",
    data_uri(b"\x89PNG\r\n\x1a\n"),
    data_uri(grey_jpeg(9)[:200]),
    data_uri(grey_jpeg(9, width_px=2)),
    "http://",
    "http://127.0.0.1:1/a.jpg",
    "http://[::1/a",
    "https://user:word@no-such-host.invalid/a.jpg",
    "http://\0/",
    "file:///etc/passwd",
    "/etc/passwd",
    "/dev/zero",
    "gopher://a",
    "javascript:1",
)
POINTS = (
    "[[2, 2], [9, 2], [9, 9]]",
    "[[2, 2]]",
    "[]",
    "[[1e999, 1], [2, 2], [3, 3]]",
    "[[NaN, 1], [2, 2], [3, 3]]",
    '{"a": 1}',
    "[" * 5000,
    "[[2, 2], [9, 2]",
)
STEPS = (
    "auto",
    "colorize,upscale",
    "restore",
    "upscale,upscale",
    "pipeline",
    ",",
    "inpaint",
    ",".join(["restore"] * 50),
)
FACE_POINTS = (
    "[[2, 2]]",
    "[[2, 2], [9.5, 3]]",
    "[]",
    "",
    "[2, 2]",
    "[[1e999, 1]]",
    "[[NaN, 1]]",
    "[[-1, 2]]",
    '{"a": 1}',
    "[" * 5000,
)
TEXTS = {"points": POINTS, "steps": STEPS, "face_points": FACE_POINTS}


def values_of(name: str) -> st.SearchStrategy[object]:
    """Draw values of an input: mostly valid ones, its bounds, and values beyond them."""
    schema = INPUTS[name]
    if "allOf" in schema:
        return st.sampled_from(SCHEMA[name]["enum"])
    photo = st.one_of(st.just(PHOTO), st.just(PHOTO), st.sampled_from(UNUSUAL_PHOTOS))
    if name in {"images", "masks"}:
        return st.lists(photo, min_size=1, max_size=4)
    if schema.get("format") == "uri":
        return photo
    if name in TEXTS:
        return st.sampled_from(TEXTS[name])
    if schema["type"] == "boolean":
        return st.booleans()
    low, high = schema.get("minimum", 0), schema.get("maximum", 2**31)
    inside = (
        st.integers(low, high)
        if schema["type"] == "integer"
        else st.floats(low, high, allow_nan=False)
    )
    return st.one_of(inside, st.sampled_from((low, high, low - 1, high + 1, float(low))))


@st.composite
def random_inputs(draw: st.DrawFn) -> dict[str, object]:
    """Draw the inputs of a request.

    Most requests have a photo and some valid inputs; some have a value of another type, or an input
    that does not exist.
    """
    names = draw(
        st.lists(
            st.sampled_from([name for name in INPUTS if name not in {"image", "images"}]),
            max_size=6,
            unique=True,
        )
    )
    inputs: dict[str, object] = {name: draw(values_of(name)) for name in names}
    photos = draw(st.sampled_from(("image",) * 5 + ("images", "unusual", "both", "none")))
    if photos in {"image", "both"}:
        inputs["image"] = PHOTO
    if photos in {"images", "both"}:
        inputs["images"] = draw(values_of("images"))
    if photos == "unusual":
        inputs["image"] = draw(st.sampled_from(UNUSUAL_PHOTOS))
    if draw(st.integers(0, 3)) == 0:
        inputs[draw(st.sampled_from(list(INPUTS)))] = draw(st.sampled_from(UNUSUAL_VALUES))
    if draw(st.integers(0, 9)) == 0:
        unknown = draw(st.sampled_from(("scael", "", "__class__", "self", "\0", "x" * 5000)))
        inputs[unknown] = draw(st.sampled_from(UNUSUAL_VALUES))
    return inputs


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    temporary = tmp_path_factory.mktemp("fuzz")
    environment = {"RESTORE_WEIGHTS": "lite", "RESTORE_PRELOAD": "none", "TMPDIR": str(temporary)}
    with (
        (temporary / "log").open("wb") as log,
        running(free_port(), environment, output=log) as url,
    ):
        yield url


def check_response(response: requests.Response, inputs: Mapping[str, Any]) -> str:
    """Check a response, and return its kind: "succeeded", an error code or an HTTP status."""
    if response.status_code != 200:
        assert response.status_code in {400, 413, 422}, (response.status_code, response.text[:300])
        return f"HTTP {response.status_code}"
    body = response.json()
    if body["status"] == "succeeded":
        assert "[E" not in json.dumps(body["metrics"])
        photos = (inputs.get("image") is not None) + len(inputs.get("images") or ())
        assert len(body["output"]) >= photos > 0
        for uri in body["output"]:
            if inputs.get("task") == INSPECT_TASK:
                keys = {"photo", "steps", "faces", "findings", "warnings"}
                assert decode_json(uri).keys() == keys
            else:
                assert decode_image(uri).size[0] > 0
        return "succeeded"
    assert body["status"] == "failed", body
    code = EXPECTED_CODE.search(body["error"])
    assert code, body["error"][:500]
    assert len(body["error"]) < 1000, "the error quotes a photo or a long text"
    assert not body.get("output")
    return code[0].strip()


def send_random_requests(url: str, count: int) -> Counter[str]:
    """Send random requests one after the other, and count the kinds of responses."""
    kinds = Counter[str]()

    # Without shrinking: each smaller request would take as long as the one that failed.
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(random_inputs())
    def send(inputs: dict[str, object]) -> None:
        response = post_prediction(url, {"input": inputs})
        kinds[check_response(response, inputs)] += 1
        assert idle_status(url) == "READY"

    send()
    return kinds


@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_random_requests_succeed_or_fail_with_a_code(
    server: str, count: int, record_property: Callable[[str, object], None]
) -> None:
    request = {"input": {"image": PHOTO, "task": "restore", "output_format": "png"}}
    before = post_prediction(server, request).json()["output"]
    kinds = send_random_requests(server, count)
    counts = ", ".join(f"{kind} {number}" for kind, number in kinds.most_common())
    record_property("figure", f"{kinds.total()} requests: {counts}")
    assert kinds.total() >= count
    # The requests are neither all valid nor all invalid.
    assert min(kinds["succeeded"], kinds["HTTP 422"]) >= count // 20
    assert post_prediction(server, request).json()["output"] == before


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"input": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400),
        (b'{"input": {"points": "\\ud800"}}', 400),
        (b"\xff\xfe", 400),
        (b'{"input": []}', 422),
        (b'{"input": "x"}', 422),
        (b'{"inputs": {}}', 200),
        (b"[]", 422),
        (b'{"input": {}, "id": 5}', 422),
    ],
)
def test_malformed_body_is_refused(server: str, body: bytes, status: int) -> None:
    headers = {"Content-Type": "application/json"}
    response = requests.post(f"{server}/predictions", data=body, headers=headers, timeout=30)
    assert response.status_code == status, response.text[:200]
    assert idle_status(server) == "READY"
