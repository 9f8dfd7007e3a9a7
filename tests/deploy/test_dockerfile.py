"""deploy/Dockerfile: consistent with the pins, the files and the commands of the project."""

import json
import re

import typer.main
from places import PROJECT

from restore.cli.main import app
from restore.service.settings import Settings

TEXT = (PROJECT / "deploy" / "Dockerfile").read_text()
LINES = re.sub(r"\\\n\s*", "", TEXT).splitlines()


def arguments_of(instruction: str) -> list[str]:
    return [line.partition(" ")[2] for line in LINES if line.startswith(f"{instruction} ")]


def test_torch_has_the_version_of_the_requirements() -> None:
    pins = (PROJECT / "requirements.txt").read_text().split()
    for package in ("torch", "torchvision"):
        found = set(re.findall(rf"\b{package}==[\d.]+", TEXT))
        assert found == {pin for pin in pins if pin.startswith(f"{package}==")}


def test_copied_files_exist_and_are_not_ignored() -> None:
    ignored = (PROJECT / ".dockerignore").read_text().split()
    for words in (line.split() for line in arguments_of("COPY")):
        if words[0] in {".", "--from=wheel"}:
            continue
        for name in words[:-1]:
            assert (PROJECT / name).is_file(), name
            assert name not in ignored


def test_last_stage_is_for_the_variant_and_each_variant_has_a_stage() -> None:
    stages = [line.split()[-1] for line in arguments_of("FROM")]
    assert stages == ["wheel", "base", "torch-cpu", "torch-cuda", "service"]
    assert arguments_of("FROM")[-1].startswith("torch-${VARIANT} ")


def test_it_runs_the_service_without_rights() -> None:
    assert arguments_of("USER") == ["restore"]
    assert json.loads(arguments_of("ENTRYPOINT")[0]) == ["restore"]
    command, *options = json.loads(arguments_of("CMD")[-1])
    known = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    names = {option for parameter in known.params for option in parameter.opts}
    assert {word for word in options if word.startswith("--")} <= names


def test_environment_names_settings() -> None:
    variables = dict(word.split("=", 1) for line in arguments_of("ENV") for word in line.split())
    assert variables["RESTORE_DATA"] == "/data"
    assert "data" in Settings.model_fields
    assert json.loads(arguments_of("VOLUME")[0]) == ["/data", variables["RESTORE_WEIGHTS_DIR"]]
