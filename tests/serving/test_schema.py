"""Tests of restore.serving.schema: the file that Cog's server validates requests with."""

import json
from pathlib import Path

import pytest

from restore.errors import Code, RestoreError
from restore.options import TASKS, describe_options
from restore.serving.schema import SCHEMA_FILE, openapi_schema, update_schema, write_schema


def test_schema_has_one_property_per_input() -> None:
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
    [scale] = [option for option in describe_options("upscale") if option.name == "scale"]
    assert inputs["scale"] == {
        "type": "number",
        "title": "Scale",
        "description": f"enhance, upscale: {scale.description}",
        "minimum": 1,
        "maximum": 8,
        "default": 4,
        "x-order": list(inputs).index("scale"),
    }
    assert inputs["image"]["nullable"] is True
    assert inputs["image"]["type"] == ["string", "null"]
    assert inputs["image"]["format"] == "uri"
    assert (inputs["images"]["minItems"], inputs["images"]["maxItems"]) == (1, 4)
    assert inputs["keep_gps"]["type"] == "boolean"
    assert [field["x-order"] for field in inputs.values()] == list(range(len(inputs)))
    assert "required" not in components["Input"]
    assert components["Output"] == {
        "title": "Output",
        "type": "array",
        "items": {"type": "string", "format": "uri"},
    }


def test_worker_updates_the_schema_of_the_container(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.chdir(tmp_path)
    update_schema()
    assert list(tmp_path.iterdir()) == [], "without a schema file, none is made"
    SCHEMA_FILE.parent.mkdir()
    SCHEMA_FILE.write_text("{}")
    inode = SCHEMA_FILE.stat().st_ino
    update_schema()
    assert json.loads(SCHEMA_FILE.read_text()) == openapi_schema()
    assert SCHEMA_FILE.stat().st_ino == inode, "the file must keep its owner"
    monkeypatch.setattr(Path, "write_text", lambda *_: (_ for _ in ()).throw(OSError(30, "x")))
    SCHEMA_FILE.open("w").close()
    update_schema()
    assert "cannot be written" in caplog.text


def test_schema_file_is_rewritten_only_if_it_is_out_of_date(tmp_path: Path) -> None:
    path = write_schema(tmp_path)
    first_ns = path.stat().st_mtime_ns
    assert json.loads(path.read_text()) == openapi_schema()
    assert write_schema(tmp_path).stat().st_mtime_ns == first_ns
    path.write_text("{}")
    assert json.loads(write_schema(tmp_path).read_text()) == openapi_schema()
    assert list(path.parent.iterdir()) == [path]


def test_folder_that_is_not_writable_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RestoreError, match=r"the folder of the server, .*/file/server'") as caught:
        write_schema(tmp_path / "file" / "server")
    assert caught.value.code is Code.SERVER
