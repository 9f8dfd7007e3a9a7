"""The Cog HTTP server without Docker, the schema file that it validates requests with included.

Cog's server reads `.cog/openapi_schema.json` below its working directory and checks nothing at all without it. `cog build`
writes that file from predict.py's source; here it is made from the same signature, with the number of photos bounded too.
"""

from __future__ import annotations

import importlib
import inspect
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import typing
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType

import cog
import requests

from restore.errors import Code, RestoreError
from restore.options import MAX_PHOTOS
from restore.runtime.allocator import SERVER_ENVIRONMENT

PROJECT = Path(__file__).resolve().parents[2]
PREDICTOR = "predict.py:Predictor"
SCHEMA_FILE = PROJECT / ".cog" / "openapi_schema.json"
POLL_S = 0.1
STOP_TIMEOUT_S = 20.0
log = logging.getLogger("restore.serving.launcher")

Json = dict[str, typing.Any]


def write_schema() -> Path:
    """Writes the OpenAPI schema of predict.py where Cog's server looks for it."""
    SCHEMA_FILE.parent.mkdir(exist_ok=True)
    text = json.dumps(openapi_schema(), indent=1)
    if not SCHEMA_FILE.exists() or SCHEMA_FILE.read_text() != text:
        fresh = SCHEMA_FILE.with_suffix(f".{os.getpid()}")
        fresh.write_text(text)
        fresh.replace(SCHEMA_FILE)
    return SCHEMA_FILE


def openapi_schema() -> Json:
    """The components that Cog's own analyser gives for predict.py, with `images` bounded to 1..MAX_PHOTOS items."""
    predictor = importlib.import_module("predict").Predictor
    signature = inspect.signature(predictor.predict)
    hints = typing.get_type_hints(predictor.predict)
    properties: Json = {}
    components: Json = {}
    required = []
    for order, (name, parameter) in enumerate(list(signature.parameters.items())[1:]):
        schema, choices = _input_schema(name, hints[name], parameter.default)
        if choices:
            components[name] = choices
        properties[name] = {**schema, "x-order": order}
        if "default" not in schema:
            required.append(name)
    components["Input"] = {
        "title": "Input",
        "type": "object",
        "properties": properties,
        "required": required,
    }
    components["Output"] = {"title": "Output", **_type_schema(hints["return"])}
    info = {"title": "Restore", "version": "0.1.0"}
    return {"openapi": "3.0.2", "info": info, "paths": {}, "components": {"schemas": components}}


def _input_schema(name: str, hint: object, info: cog.FieldInfo) -> tuple[Json, Json | None]:
    optional = type(None) in typing.get_args(hint)
    inner = next(a for a in typing.get_args(hint) if a is not type(None)) if optional else hint
    schema = _type_schema(inner)
    choices = None
    if info.choices:
        choices = {
            "title": name,
            "description": "An enumeration.",
            "enum": list(info.choices),
            **schema,
        }
        schema = {"allOf": [{"$ref": f"#/components/schemas/{name}"}]}
    else:
        schema["title"] = name.replace("_", " ").title()
    for attribute, key in (("description", "description"), ("ge", "minimum"), ("le", "maximum")):
        value = getattr(info, attribute)
        if value is not None:
            schema[key] = value
    if schema.get("type") == "array":
        schema |= {"minItems": 1, "maxItems": MAX_PHOTOS}
    if info.default is not None or optional:
        schema["default"] = info.default
    if optional:
        schema["nullable"] = True
    return schema, choices


def _type_schema(hint: object) -> Json:
    if hint is cog.Path:
        return {"type": "string", "format": "uri"}
    if typing.get_origin(hint) is list:
        return {"type": "array", "items": _type_schema(typing.get_args(hint)[0])}
    names = {str: "string", int: "integer", float: "number", bool: "boolean"}
    return {"type": next(name for kind, name in names.items() if hint is kind)}


def start(
    host: str,
    port: int,
    environment: Mapping[str, str] | None = None,
    output: typing.IO[bytes] | None = None,
    predictor: str = PREDICTOR,
) -> subprocess.Popen[bytes]:
    """Starts Cog's server in a session of its own, so that one signal reaches the worker too.

    Args:
        predictor: `FILE:CLASS` below the project; another than ours takes the same inputs.

    Raises:
        RestoreError: SERVER when something listens on the port already.
    """
    _require_free(host, port)
    write_schema()
    # Cog spawns its worker as `python` from PATH.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    ours = {"PATH": path, "COG_PREDICT_TYPE_STUB": predictor, "PORT": str(port)}
    env = {
        "LOG_FORMAT": "console",
        **SERVER_ENVIRONMENT,
        **os.environ,
        **(environment or {}),
        **ours,
    }
    command = [sys.executable, "-m", "cog.server.http", "--host", host]
    return subprocess.Popen(
        command, cwd=PROJECT, env=env, stdout=output, stderr=output, start_new_session=True
    )


def _require_free(host: str, port: int) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = f"the server cannot listen on {host} port {port} ({error.strerror})"
            raise RestoreError(
                Code.SERVER, reason, "End what uses it, or name another port."
            ) from error


def stop(process: subprocess.Popen[bytes]) -> int:
    """Ends a server and its worker: a running prediction may finish, then the whole group is gone. Returns the exit code."""
    _signal_group(process, signal.SIGTERM)
    try:
        process.wait(STOP_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        log.warning("the server did not stop within %.0f s and is killed", STOP_TIMEOUT_S)
    # A worker that was still in setup outlives its parent.
    _signal_group(process, signal.SIGKILL)
    return process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def wait_until_ready(url: str, process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Waits for a server's setup to succeed.

    Raises:
        RestoreError: SERVER when setup fails (with its reason), the process ends, or `timeout_s` passes.
    """
    remedy = "Read the server's log above; `make serve` shows it in full."
    deadline_s = time.monotonic() + timeout_s
    session = requests.Session()
    session.trust_env = False  # a proxy of the environment has no business between us and loopback
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise RestoreError(
                Code.SERVER, f"the server ended with exit code {process.returncode}", remedy
            )
        try:
            health = session.get(f"{url}/health-check", timeout=5).json()
        except requests.RequestException:
            health = {}
        if health.get("status") == "READY":
            return
        if health.get("status") == "SETUP_FAILED":
            raise RestoreError(
                Code.SERVER,
                f"setup failed: {health['setup'].get('logs', '')[-500:].strip()}",
                remedy,
            )
        time.sleep(POLL_S)
    raise RestoreError(Code.SERVER, f"the server was not ready within {timeout_s:.0f} s", remedy)


@contextmanager
def running(
    port: int,
    environment: Mapping[str, str] | None = None,
    timeout_s: float = 300.0,
    output: typing.IO[bytes] | None = None,
    predictor: str = PREDICTOR,
) -> Iterator[str]:
    """A ready server on 127.0.0.1 for the length of a `with` block; gives its base URL."""
    process = start("127.0.0.1", port, environment, output, predictor)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_until_ready(url, process, timeout_s)
        yield url
    finally:
        stop(process)


def serve(host: str, port: int) -> int:
    """Runs the server in the foreground until it ends or is told to by SIGINT, SIGTERM or SIGHUP. Returns its exit code."""
    started: list[subprocess.Popen[bytes]] = []

    def end(number: int, frame: FrameType | None) -> None:
        # The first signal lets a running prediction finish, the next one does not.
        for process in started:
            _signal_group(process, signal.SIGKILL if ended else signal.SIGTERM)
        ended.append(number)

    ended: list[int] = []
    # Before the start, and a closed terminal too: a server that outlives us keeps its port and its memory.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    started.append(start(host, port))
    if ended:
        return stop(started[0])
    started[0].wait()
    return stop(started[0])


def end_with_parent() -> None:
    """Has this process, a worker of Cog's server, end soon after the server, however that ended.

    Cog's worker that is still in setup, or at work, when its server is gone goes on without an end and keeps its memory. (Linux could
    send a signal instead, but for the end of the thread that started us, which may be one of a pool.)
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(POLL_S)
        os._exit(1)

    threading.Thread(target=watch, name="end with parent", daemon=True).start()
