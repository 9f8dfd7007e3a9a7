"""docs/service.md: its table has every setting, with the right names, options and defaults."""

import re
from typing import Any

import typer.main
from places import PROJECT
from pydantic.fields import FieldInfo
from pydantic_core import to_json

from restore.cli.main import app
from restore.service.settings import Settings

PAGE = PROJECT / "docs" / "service.md"
ROW = re.compile(r"^\| `([A-Z_]+)` \| (?:`(--[a-z-]+)`)? ?\| (?:`(.+?)`|-) \|", re.MULTILINE)
OPTIONS = {"worker_urls": "--worker"}
"""Options whose names differ from those of their settings."""


def variable_of(name: str, field: FieldInfo) -> str:
    return str(field.validation_alias or f"RESTORE_{name}").upper()


def default_of(field: FieldInfo) -> str:
    """Return a default as it is written in the table; an empty text is none."""
    default: Any = field.default
    return "" if default is None else to_json(default).decode().strip('"')


def options_of_the_command() -> set[str]:
    command = typer.main.get_command(app).commands["service"]  # type: ignore[attr-defined]
    options = {name for parameter in command.params for name in parameter.opts}
    return {name for name in options if name.startswith("--") and name != "--help"}


def test_table_has_every_setting_with_its_option_and_default() -> None:
    options = options_of_the_command()
    expected = []
    for name, field in Settings.model_fields.items():
        option = OPTIONS.get(name, f"--{name.replace('_', '-')}")
        shown = option if option in options else ""
        expected.append((variable_of(name, field), shown, default_of(field)))
    assert ROW.findall(PAGE.read_text()) == expected
    assert options == {option for _, option, _ in expected if option}


def test_files_of_containers_exist() -> None:
    files = re.findall(r"-f (deploy/\S+)|modal deploy (\S+)", PAGE.read_text())
    assert len(files) == 5
    for name in (name for pair in files for name in pair if name):
        assert (PROJECT / name).is_file(), name


def test_python_of_the_page_can_be_compiled() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        compile(block, "service.md", "exec")


def test_settings_in_the_text_exist() -> None:
    names = {variable_of(name, field) for name, field in Settings.model_fields.items()}
    others = {"RESTORE_ALLOW", "RESTORE_DEVICE", "RESTORE_PRELOAD"}  # of the workers
    assert set(re.findall(r"RESTORE_[A-Z_]+", PAGE.read_text())) <= names | others
