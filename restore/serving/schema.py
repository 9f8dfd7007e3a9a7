"""The OpenAPI schema that Cog's server validates requests with.

Cog's server reads `.cog/openapi_schema.json` below its working directory and validates nothing if
that file is missing. `cog build` makes the file from the source of predict.py; this module makes
the same components from `restore.options`, and also limits the number of photos and accepts null
for optional inputs. The worker updates the file during setup, before the server reads it, so that
a container validates in the same way.
"""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import Any

from restore.errors import system_reason
from restore.options import MAX_PHOTOS
from restore.serving.folder import explained_failure, server_folder
from restore.serving.inputs import CogInput, cog_inputs
from restore.version import __version__

Json = dict[str, Any]

log = logging.getLogger("restore.serving.schema")

SCHEMA_FILE = Path(".cog", "openapi_schema.json")
"""Where Cog's server looks for the schema, relative to its working directory."""

_JSON_TYPES = {"bool": "boolean", "int": "integer", "float": "number", "str": "string"}
_FILE: Json = {"type": "string", "format": "uri"}


def openapi_schema() -> Json:
    """Build the OpenAPI 3.1 schema of the predictor."""
    inputs = cog_inputs()
    components = {cog_input.name: _choices(cog_input) for cog_input in inputs if cog_input.choices}
    properties = {
        cog_input.name: {**_property(cog_input), "x-order": order}
        for order, cog_input in enumerate(inputs)
    }
    components["Input"] = {"title": "Input", "type": "object", "properties": properties}
    components["Output"] = {"title": "Output", "type": "array", "items": _FILE}
    return {
        "openapi": "3.1.0",
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

    Raises:
        RestoreError: SERVER if the folder is not writable.
    """
    folder = folder or server_folder()
    path, text = folder / SCHEMA_FILE, _schema_text()
    with explained_failure(folder):
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists() or path.read_text() != text:
            temporary = path.with_suffix(f".{os.getpid()}")
            temporary.write_text(text)
            temporary.replace(path)
    return path


def update_schema() -> None:
    """Replace the schema in the working directory, if there is one, by that of `openapi_schema`.

    The worker calls this during setup; the server reads the file afterwards. In a container the
    file is the one that `cog build` made. It is overwritten in place, because it may be in a
    mounted folder of another user, who has to stay its owner.
    """
    try:
        if SCHEMA_FILE.is_file() and SCHEMA_FILE.read_text() != _schema_text():
            SCHEMA_FILE.write_text(_schema_text())
    except OSError as error:
        log.warning(
            "%s cannot be written (%s): it stays as it is", SCHEMA_FILE, system_reason(error)
        )


def _schema_text() -> str:
    return json.dumps(openapi_schema(), indent=1)


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
    if not cog_input.optional:
        return schema
    # Cog's validator follows JSON Schema, which has no `nullable`.
    return {**schema, "type": [schema["type"], "null"], "nullable": True}
