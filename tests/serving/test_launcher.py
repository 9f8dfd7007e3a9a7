"""The schema file that the Cog server validates with; what starting a server says when it cannot."""

import json
import socket

import pytest

from restore.errors import Code, RestoreError
from restore.options import TASKS
from restore.serving import launcher as server
from restore.serving.launcher import openapi_schema, running, write_schema


def test_the_schema_has_the_components_that_cogs_analyser_makes():
    components = openapi_schema()["components"]["schemas"]
    inputs = components["Input"]["properties"]
    assert components["task"] == {
        "title": "task",
        "description": "An enumeration.",
        "enum": list(TASKS),
        "type": "string",
    }
    assert inputs["task"]["allOf"] == [{"$ref": "#/components/schemas/task"}]
    assert inputs["task"]["default"] == "face_restore"
    assert inputs["scale"] == {
        "type": "number",
        "title": "Scale",
        "description": "upscale, enhance: the result is exactly this many times larger.",
        "minimum": 1,
        "maximum": 8,
        "default": 4,
        "x-order": list(inputs).index("scale"),
    }
    assert inputs["image"]["nullable"] is True
    assert inputs["image"]["format"] == "uri"
    assert (inputs["images"]["minItems"], inputs["images"]["maxItems"]) == (1, 4)
    assert inputs["keep_gps"]["type"] == "boolean"
    assert [field["x-order"] for field in inputs.values()] == list(range(len(inputs)))
    assert components["Input"]["required"] == []
    assert components["Output"] == {
        "title": "Output",
        "type": "array",
        "items": {"type": "string", "format": "uri"},
    }


def test_writing_the_schema_twice_writes_it_once(tmp_path, monkeypatch):
    monkeypatch.setattr(server, "SCHEMA_FILE", tmp_path / ".cog" / "openapi_schema.json")
    path = write_schema()
    first = path.stat().st_mtime_ns
    assert json.loads(path.read_text()) == openapi_schema()
    assert write_schema().stat().st_mtime_ns == first
    path.write_text("{}")
    assert json.loads(write_schema().read_text()) == openapi_schema()
    assert list(path.parent.iterdir()) == [path]


def test_a_port_that_is_taken_is_said_before_anything_starts(monkeypatch):
    monkeypatch.setattr(server.subprocess, "Popen", None)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RestoreError, match=f"port {port}") as caught, running(port):
            pass
    assert caught.value.code is Code.SERVER
