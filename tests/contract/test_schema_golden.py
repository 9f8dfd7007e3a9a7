"""Comparison of the schema with the one that Cog's own analyser makes from predict.py.

schema.json is the output of `schema.GenerateCombined` of github.com/replicate/cog (Go, commit
6110c91, version 0.22.0), which `cog build` runs. It must change only if inputs change: then `cog
build` writes the new one to `.cog/openapi_schema.json`.
"""

import json
from typing import Any

from places import PROJECT

from restore.serving.schema import openapi_schema

GOLDEN = json.loads((PROJECT / "tests/contract/schema.json").read_text())["components"]["schemas"]
SCHEMA = openapi_schema()["components"]["schemas"]
PHOTO_LISTS = ("images", "masks")


def with_optional_types(schema: dict[str, Any]) -> dict[str, Any]:
    """Let the nullable inputs of a schema accept null, as Cog's validator has to be told."""
    properties = {
        name: {**field, "type": [field["type"], "null"]} if field.get("nullable") else field
        for name, field in schema["Input"]["properties"].items()
    }
    return {**schema, "Input": {**schema["Input"], "properties": properties}}


def without(value: Any, *keys: str) -> Any:
    """Remove keys from all objects in a JSON value, unless their values are objects."""
    if isinstance(value, dict):
        return {
            key: without(item, *keys)
            for key, item in value.items()
            if key not in keys or isinstance(item, dict)
        }
    return [without(item, *keys) for item in value] if isinstance(value, list) else value


def test_schema_equals_the_one_of_cogs_analyser() -> None:
    golden = with_optional_types({name: GOLDEN[name] for name in SCHEMA})
    assert without(SCHEMA, "description", "minItems", "maxItems") == without(golden, "description")


def test_only_the_number_of_photos_is_limited_in_addition() -> None:
    properties = SCHEMA["Input"]["properties"]
    for name, golden in GOLDEN["Input"]["properties"].items():
        added = properties[name].keys() - golden.keys()
        assert added == ({"minItems", "maxItems"} if name in PHOTO_LISTS else set()), name


def test_golden_differs_from_the_schema_in_components_of_cogs_api_only() -> None:
    assert set(GOLDEN) - set(SCHEMA) == {
        "HTTPValidationError",
        "PredictionRequest",
        "PredictionResponse",
        "Status",
        "ValidationError",
    }
