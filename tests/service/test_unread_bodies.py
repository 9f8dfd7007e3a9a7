"""Tests of responses to requests that are refused before their body is read."""

from collections.abc import Callable

from apicalls import Api


def test_connection_ends_if_the_body_was_not_read(api_of: Callable[..., Api]) -> None:
    api = api_of(api_key="secret")
    key = {"x-api-key": "secret"}
    for method, path, headers, ends in (
        ("POST", "/v1/predictions", {}, True),  # without a key
        ("POST", "/v1/nothing", key, True),
        ("POST", "/v1/predictions", {**key, "cancel-after": "x"}, True),
        ("POST", "/v1/predictions", key, False),  # refused after it was read
    ):
        response = api(method, path, headers=headers, json={"input": {}})
        assert response.status_code >= 400
        assert (response.headers.get("connection") == "close") is ends, (path, headers)
    assert "connection" not in api("GET", "/v1/predictions").headers
