"""deploy/compose.yaml: valid by the Compose specification, and consistent with the program."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml
from places import PROJECT

from restore.cli.main import app

DEPLOY = PROJECT / "deploy"
FILES = sorted(DEPLOY.glob("compose*.yaml"))
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def interpolated(path: Path) -> str:
    """Return a file with the defaults of its variables, and `x` for required ones."""
    return VARIABLE.sub(lambda found: found[3] if found[2] == "-" else "x", path.read_text())


def services() -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load(interpolated(DEPLOY / "compose.yaml"))["services"]
    return read


def validate(text: str) -> None:
    specification = pytest.importorskip("compose_spec", reason="compose-spec is not installed")
    # The library does not resolve anchors.
    specification.PyCompose.from_yaml(yaml.safe_dump(yaml.safe_load(text))).validate()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_file_is_valid(path: Path) -> None:
    assert len(FILES) == 2
    validate(interpolated(path))


def test_validation_finds_an_unknown_field() -> None:
    text = interpolated(DEPLOY / "compose.yaml")
    with pytest.raises(ValueError, match="memory_limit"):
        validate(text.replace("mem_limit: 1g", "memory_limit: 1g"))


def test_each_service_has_limits_and_a_health_check() -> None:
    assert set(services()) == {"service", "worker", "postgresql"}
    for name, service in services().items():
        assert service["mem_limit"], name
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped", name
    assert services()["postgresql"]["profiles"] == ["postgresql"]


def test_only_the_service_is_published_and_on_loopback() -> None:
    published = {name: service.get("ports") for name, service in services().items()}
    assert published == {"service": ["127.0.0.1:8000:8000"], "worker": None, "postgresql": None}


@pytest.mark.parametrize("name", ["service", "worker"])
def test_commands_exist(name: str) -> None:
    command, *options = services()[name]["command"]
    known = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    names = {option for parameter in known.params for option in parameter.opts}
    assert {word for word in options if word.startswith("--")} <= names


def test_volumes_are_those_of_the_image() -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    for name in ("service", "worker"):
        for volume in services()[name]["volumes"]:
            assert f'"{volume.partition(":")[2]}"' in dockerfile, volume


def test_comments_name_existing_files() -> None:
    for path in FILES:
        for line in path.read_text().splitlines():
            if "docker compose" in line:
                words = shlex.split(line.removeprefix("#"))
                for file in (words[n + 1] for n, word in enumerate(words) if word == "-f"):
                    assert (PROJECT / file).is_file(), line
