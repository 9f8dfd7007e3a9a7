"""The description of the routes for single tasks in the OpenAPI document."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from restore.options import PHOTO_INPUTS, TASK_SUMMARIES, OptionInfo, describe_options, takes_masks
from restore.service.api.task_inputs import DEFAULT_WAIT_S, DEFAULTS, MAX_WAIT_S

SUMMARIES: Mapping[str, str] = MappingProxyType(
    {
        **TASK_SUMMARIES,
        "enhance": "Enlarge photos, with or without their faces; returns at once",
        "inspect": f"{TASK_SUMMARIES['inspect']}; returns JSON",
    }
)
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string"}


def request_docs(task: str, photo_name: str = "image") -> dict[str, Any]:
    """Return the OpenAPI description of the body of a route.

    Args:
        photo_name: the name of photos that is shown; all of `PHOTO_NAMES` are accepted.
    """
    return {"requestBody": {"required": True, "content": _content(task, photo_name)}}


def _content(task: str, photo_name: str) -> dict[str, Any]:
    wait = {
        "type": "number",
        "minimum": 0,
        "maximum": MAX_WAIT_S,
        "default": DEFAULT_WAIT_S,
        "description": "Seconds to wait for the result; then the response is the job, with 202.",
    }
    options = {
        **{option.name: _option(task, option) for option in describe_options(task)},
        "wait": wait,
    }
    photo_text = {"type": "string", "description": "A data URI, or an http(s) URL."}
    content = {}
    for media_type, photo in (
        ("multipart/form-data", {"type": "string", "format": "binary"}),
        ("application/json", photo_text),
    ):
        photos = {photo_name: photo if photo_name == "image" else _list_of(photo)}
        if takes_masks(task):
            photos["mask"] = {**photo, "description": _description("mask")}
        schema = {"type": "object", "required": [photo_name], "properties": {**photos, **options}}
        content[media_type] = {"schema": schema}
    return content


def _list_of(photo: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": photo}


def _description(name: str) -> str:
    return next(each.description for each in PHOTO_INPUTS if each.name == name)


def _option(task: str, option: OptionInfo) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": _TYPES[option.type], "description": option.description}
    default = DEFAULTS.get(task, {}).get(option.name, option.default)
    members = {
        "default": default,
        "enum": list(option.choices) or None,
        "minimum": option.minimum,
        "maximum": option.maximum,
    }
    return schema | {name: value for name, value in members.items() if value is not None}
