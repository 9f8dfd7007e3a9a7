"""Requests drawn from the live server's own schema, right and wrong in every input: each is answered, none with more than a coded error.

2,000 of them: `pytest tests/contract/test_fuzz.py --slow`.
"""

import json
import re
from collections import Counter

import pytest
import requests
from coghttp import colour_of, data_uri, decoded, free_port, posted, settled_status
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from restore.serving.launcher import running
from restore.serving.schema import openapi_schema

pytestmark = pytest.mark.timeout(7200)

SCHEMA = openapi_schema()["components"]["schemas"]
INPUTS = SCHEMA["Input"]["properties"]
PHOTO = data_uri(colour_of(90))
CODED = re.compile(r"\[E[1-4]\d\d\] |\[E50[1-4]\] ")
"""Of the errors with a code, all but E505, a fault of the program."""

ODD_TEXT = (
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
ODD = (
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
    *ODD_TEXT,
)
ODD_PHOTOS = (
    "data:,",
    "data:image/png;base64,",
    "data:image/png;base64,!!!",
    "data:image/png",
    "data:;base64,AAAA",
    "data:text/html,<script>",
    data_uri(b"\x89PNG\r\n\x1a\n"),
    data_uri(colour_of(9)[:200]),
    data_uri(colour_of(9, side=2)),
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


def values_of(name: str) -> st.SearchStrategy[object]:
    """Values of an input, most of them right: the ends of its range, and beyond."""
    schema = INPUTS[name]
    if "allOf" in schema:
        return st.sampled_from(SCHEMA[name]["enum"])
    photo = st.one_of(st.just(PHOTO), st.just(PHOTO), st.sampled_from(ODD_PHOTOS))
    if name in {"images", "masks"}:
        return st.lists(photo, min_size=1, max_size=4)
    if schema.get("format") == "uri":
        return photo
    if name in {"points", "steps"}:
        return st.sampled_from(POINTS if name == "points" else STEPS)
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
def requests_drawn(draw: st.DrawFn) -> dict[str, object]:
    """A request with a photo as a rule, some inputs of its schema, now and then a value of another kind, or a name of none."""
    names = draw(
        st.lists(
            st.sampled_from([name for name in INPUTS if name not in {"image", "images"}]),
            max_size=6,
            unique=True,
        )
    )
    inputs: dict[str, object] = {name: draw(values_of(name)) for name in names}
    how = draw(st.sampled_from(("image",) * 5 + ("images", "odd image", "both", "none")))
    if how in {"image", "both"}:
        inputs["image"] = PHOTO
    if how in {"images", "both"}:
        inputs["images"] = draw(values_of("images"))
    if how == "odd image":
        inputs["image"] = draw(st.sampled_from(ODD_PHOTOS))
    if draw(st.integers(0, 3)) == 0:
        inputs[draw(st.sampled_from(list(INPUTS)))] = draw(st.sampled_from(ODD))
    if draw(st.integers(0, 9)) == 0:
        inputs[draw(st.sampled_from(("scael", "", "__class__", "self", "\0", "x" * 5000)))] = draw(
            st.sampled_from(ODD)
        )
    return inputs


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    temporary = tmp_path_factory.mktemp("fuzz")
    environment = {"RESTORE_WEIGHTS": "lite", "RESTORE_PRELOAD": "none", "TMPDIR": str(temporary)}
    with (
        (temporary / "log").open("wb") as log,
        running(free_port(), environment, output=log) as url,
    ):
        yield url


def verdict(answer: requests.Response, inputs: dict[str, object]) -> str:
    """What an answer is; an assertion fails where it is none."""
    if answer.status_code != 200:
        assert answer.status_code in {400, 413, 422}, (answer.status_code, answer.text[:300])
        return f"HTTP {answer.status_code}"
    body = answer.json()
    if body["status"] == "succeeded":
        assert "[E" not in json.dumps(body["metrics"])
        photos = ("image" in inputs) + len(inputs.get("images") or ())
        assert len(body["output"]) >= photos > 0
        assert all(decoded(uri).size[0] > 0 for uri in body["output"])
        return "succeeded"
    assert body["status"] == "failed", body
    found = CODED.search(body["error"])
    assert found, body["error"][:500]
    assert len(body["error"]) < 1000, "no photo or text is quoted whole"
    assert not body.get("output")
    return found[0].strip()


def drawn(url: str, count: int) -> Counter[str]:
    """Sends `count` requests; how each kind of answer came."""
    seen = Counter[str]()

    # No shrinking: a request that fails is shown as it was, and each attempt at a smaller one would be as slow.
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(requests_drawn())
    def ask(inputs: dict[str, object]) -> None:
        answer = posted(url, {"input": inputs})
        seen[verdict(answer, inputs)] += 1
        assert settled_status(url) == "READY"

    ask()
    return seen


@pytest.mark.parametrize("count", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_whatever_is_asked_is_answered_and_the_worker_lives(server, count, record_property):
    before = posted(
        server, {"input": {"image": PHOTO, "task": "restore", "output_format": "png"}}
    ).json()["output"]
    seen = drawn(server, count)
    record_property(
        "figure",
        f"{sum(seen.values())} requests: {', '.join(f'{kind} {number}' for kind, number in seen.most_common())}",
    )
    assert sum(seen.values()) >= count
    assert min(seen["succeeded"], seen["HTTP 422"]) >= count // 20, (
        "requests are neither all right nor all wrong"
    )
    assert (
        posted(
            server, {"input": {"image": PHOTO, "task": "restore", "output_format": "png"}}
        ).json()["output"]
        == before
    )


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
def test_a_body_that_is_none_is_refused_and_the_server_stays(server, body, status):
    headers = {"Content-Type": "application/json"}
    answer = requests.post(f"{server}/predictions", data=body, headers=headers, timeout=30)
    assert answer.status_code == status, answer.text[:200]
    assert settled_status(server) == "READY"
