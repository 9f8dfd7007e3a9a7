"""The OpenAPI schema that Cog's server validates requests with.

Cog's server reads `.cog/openapi_schema.json` below its working directory and validates nothing if
that file is missing. `cog build` makes the file from the source of predict.py; this module makes
the same components from `restore.options`, and also limits the number of photos.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from restore.options import MAX_PHOTOS
from restore.serving.folder import server_folder
from restore.serving.inputs import CogInput, cog_inputs
from restore.version import __version__

Json = dict[str, Any]

SCHEMA_FILE = Path(".cog", "openapi_schema.json")
"""Where Cog's server looks for the schema, relative to its working directory."""

_JSON_TYPES = {"bool": "boolean", "int": "integer", "float": "number", "str": "string"}
_FILE: Json = {"type": "string", "format": "uri"}


def openapi_schema() -> Json:
    """Build the OpenAPI 3.0 schema of the predictor."""
    inputs = cog_inputs()
    components = {cog_input.name: _choices(cog_input) for cog_input in inputs if cog_input.choices}
    properties = {
        cog_input.name: {**_property(cog_input), "x-order": order}
        for order, cog_input in enumerate(inputs)
    }
    components["Input"] = {"title": "Input", "type": "object", "properties": properties}
    components["Output"] = {"title": "Output", "type": "array", "items": _FILE}
    return {
        "openapi": "3.0.2",
        "info": {"title": "Restore", "version": __version__},
        "paths": {},
        "components": {"schemas": components},
    }


def write_schema(folder: Path | None = None) -> Path:
    """Write the schema where Cog's server looks for it, unless the file is up to date.

    Args:
        folder: working directory of the server; None means `server_folder()`.

    Returns:
        Path of the schema file.
    """
    path = (folder or server_folder()) / SCHEMA_FILE
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(openapi_schema(), indent=1)
    if not path.exists() or path.read_text() != text:
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_text(text)
        temporary.replace(path)
    return path


def _choices(cog_input: CogInput) -> Json:
    return {
        "title": cog_input.name,
        "description": "An enumeration.",
        "enum": list(cog_input.choices),
        "type": "string",
    }


def _property(cog_input: CogInput) -> Json:
    schema: Json = {"title": cog_input.name.replace("_", " ").title()}
    if cog_input.choices:
        schema = {"allOf": [{"$ref": f"#/components/schemas/{cog_input.name}"}]}
    elif cog_input.kind == "photo":
        schema |= _FILE
    elif cog_input.kind == "photos":
        schema |= {"type": "array", "items": _FILE, "minItems": 1, "maxItems": MAX_PHOTOS}
    else:
        schema["type"] = _JSON_TYPES[cog_input.kind]
    bounds = {"minimum": cog_input.minimum, "maximum": cog_input.maximum}
    schema |= {name: value for name, value in bounds.items() if value is not None}
    schema |= {"description": cog_input.description, "default": cog_input.default}
    return {**schema, "nullable": True} if cog_input.optional else schema
