"""deploy/kubernetes: valid by the schemas of Kubernetes, and consistent with itself."""

from typing import Any

import pytest
import typer.main
import yaml
from places import PROJECT

from restore.cli.main import app

TEXT = (PROJECT / "deploy" / "kubernetes" / "restore.yaml").read_text()
VERSIONS = ("1.30", "1.37")


def objects() -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(TEXT))


def only(kind: str) -> dict[str, Any]:
    [found] = [each for each in objects() if each["kind"] == kind]
    return found


def pod_of(kind: str) -> dict[str, Any]:
    pod: dict[str, Any] = only(kind)["spec"]["template"]["spec"]
    return pod


@pytest.mark.parametrize("version", VERSIONS)
def test_objects_are_valid(version: str) -> None:
    schemas = pytest.importorskip("kubernetes_validate", reason="kubernetes-validate is missing")
    for each in objects():
        schemas.validate(each, version, strict=True)
    wrong = only("Deployment")
    wrong["spec"]["template"]["spec"]["containers"][0]["livenesProbe"] = {}
    with pytest.raises(schemas.ValidationError):
        schemas.validate(wrong, version, strict=True)


def test_service_names_each_worker() -> None:
    [container] = pod_of("Deployment")["containers"]
    workers = [text for text in container["args"] if text.startswith("--worker=")]
    stateful = only("StatefulSet")
    name, service = stateful["metadata"]["name"], stateful["spec"]["serviceName"]
    replicas = stateful["spec"]["replicas"]
    assert workers == [f"--worker=http://{name}-{n}.{service}:5000" for n in range(replicas)]


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_pods_have_probes_limits_and_no_rights(kind: str) -> None:
    pod = pod_of(kind)
    [container] = pod["containers"]
    assert {"startupProbe", "readinessProbe", "livenessProbe"} <= set(container)
    assert container["resources"]["limits"]["memory"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    # Variables that Kubernetes makes of the Service `restore`, such as RESTORE_PORT, would be
    # read as settings.
    assert pod["enableServiceLinks"] is False


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_commands_exist(kind: str) -> None:
    command, *options = pod_of(kind)["containers"][0]["args"]
    known = typer.main.get_command(app).commands[command]  # type: ignore[attr-defined]
    names = {option for parameter in known.params for option in parameter.opts}
    assert {word.partition("=")[0] for word in options} <= names


def test_selectors_find_the_pods() -> None:
    labels = {
        each["metadata"]["name"]: each["spec"]["template"]["metadata"]["labels"]
        for each in objects()
        if each["kind"] in {"Deployment", "StatefulSet"}
    }
    for each in objects():
        if each["kind"] == "Service":
            assert each["spec"]["selector"] == labels[each["metadata"]["name"]]
    policy = only("NetworkPolicy")["spec"]
    assert policy["podSelector"]["matchLabels"] == labels["worker"]
    [rule] = policy["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": labels["restore"]}}]
