"""The description of the routes for predictions in the OpenAPI document."""

from __future__ import annotations

from typing import Any

from restore.service.api.errors import PROBLEMS
from restore.service.api.schemas import Prediction, PredictionRequest
from restore.service.api.wait import MAX_WAIT_S, MIN_CANCEL_AFTER_S
from restore.serving.schema import openapi_schema

EXAMPLE = {
    "input": {"task": "upscale", "image": "https://example.com/photo.jpg", "scale": 2},
    "webhook": "https://example.com/hook",
    "webhook_events_filter": ["completed"],
}
CREATED: dict[int | str, dict[str, Any]] = {
    201: {"model": Prediction, "description": "Created; with `wait`, it has ended."},
    202: {"model": Prediction, "description": "Created; the wait ended before the job."},
    **PROBLEMS,
}
"""The responses of the routes that create a prediction."""


def input_schema() -> dict[str, Any]:
    """Return the JSON Schema of the member `input`, without references to other schemas."""
    components = openapi_schema()["components"]["schemas"]
    properties = {}
    for name, each in components["Input"]["properties"].items():
        enumeration = components[name] if "allOf" in each else {}
        own = {key: value for key, value in each.items() if key not in {"allOf", "nullable"}}
        properties[name] = enumeration | own
    return {"type": "object", "properties": properties}


def _request_schema() -> dict[str, Any]:
    schema = PredictionRequest.model_json_schema()
    described = schema["properties"]["input"]["description"]
    schema["properties"]["input"] = input_schema() | {"description": described}
    return schema


CREATE: dict[str, Any] = {
    "parameters": [
        {
            "name": "Prefer",
            "in": "header",
            "description": (
                f"`wait`, or `wait=N` with 1 to {MAX_WAIT_S} seconds: wait for the end. Others are"
                " ignored; the header Preference-Applied says what was applied."
            ),
            "schema": {"type": "string"},
        },
        {
            "name": "Cancel-After",
            "in": "header",
            "description": (
                "Cancel the prediction after a time, such as `90s`, `5m` or `1h30m`; at least"
                f" {MIN_CANCEL_AFTER_S} seconds."
            ),
            "schema": {"type": "string"},
        },
    ],
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": _request_schema(), "example": EXAMPLE}},
    },
}
"""Headers and body of these routes, for `openapi_extra`."""
