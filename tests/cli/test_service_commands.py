"""Tests of `restore service` and `restore service keys`."""

import importlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest
from places import PROJECT

from restore.cli import service_commands
from restore.cli.main import main
from restore.service import database, http_server, setting_errors
from restore.service.keys import KeyStore
from restore.service.settings import Settings

SECRET = re.compile(r"rk_[a-z0-9]{26}_[\w-]{43}")
WORKER = ("--worker", "http://127.0.0.1:9")
RUN = """
import sys, threading
def answer():
    sys.stdin.readline()
    print("torch:", "torch" in sys.modules, flush=True)
threading.Thread(target=answer, daemon=True).start()
from restore.cli import run
run()
"""
"""Runs the command line, and answers a line of input with whether torch is imported."""


@pytest.fixture(autouse=True)
def empty_folder(no_settings_of_the_machine: None, tmp_path: Path) -> Path:
    """The commands run in an empty folder, without settings."""
    return tmp_path


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> list[Settings]:
    """The settings of the services that would be started."""
    found: list[Settings] = []

    def serve(settings: Settings, announce: object) -> int:
        found.append(settings)
        return 0

    monkeypatch.setattr(http_server, "serve", serve)
    return found


class TestSettings:
    def test_options_win_over_the_environment_and_that_over_the_file(
        self, served: list[Settings], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        lines = ["RESTORE_PORT=1", "RESTORE_HOST=::1", "MAX_FILE_SIZE_MB=7", "API_KEY=simple key"]
        (tmp_path / ".env").write_text("\n".join(lines))
        monkeypatch.setenv("RESTORE_HOST", "localhost")
        options = ["--port", "2", "--workers", "3", "--weights", "lite", "--data", "d", "--open"]
        assert main(["service", *options, "--public-url", "https://a.example"]) == 0
        (settings,) = served
        assert (settings.port, settings.host, settings.max_file_mib) == (2, "localhost", 7)
        assert (settings.workers, settings.weights, settings.open) == (3, "lite", True)
        assert (settings.data, settings.public_url) == (Path("d"), "https://a.example")
        assert settings.api_key is not None
        assert settings.api_key.get_secret_value() == "simple key"
        assert "simple key" not in repr(settings)

    def test_defaults(self, served: list[Settings]) -> None:
        assert main(["service"]) == 0
        expected = Settings()
        assert served == [expected]
        assert (expected.host, expected.port, expected.workers) == ("127.0.0.1", 8000, 1)

    @pytest.mark.parametrize(
        "text",
        ["https://a.example, https://b.example", '["https://a.example", "https://b.example"]'],
    )
    def test_lists_are_texts_with_commas_or_json(
        self, served: list[Settings], monkeypatch: pytest.MonkeyPatch, text: str
    ) -> None:
        monkeypatch.setenv("RESTORE_CORS_ORIGINS", text)
        assert main(["service"]) == 0
        assert served[0].cors_origins == ("https://a.example", "https://b.example")

    def test_empty_value_is_none(self, served: list[Settings], tmp_path: Path) -> None:
        names = ("UPLOAD_FOLDER", "MAX_FILE_SIZE_MB", "RESTORE_DATABASE_URL", "API_KEY")
        (tmp_path / ".env").write_text("".join(f"{name}=\n" for name in names))
        assert main(["service"]) == 0
        assert served[0].upload_folder is served[0].database_url is served[0].api_key is None
        assert served[0].max_file_mib == 32

    @pytest.mark.parametrize(
        ("options", "workers"), [([], 0), (["--workers", "2"], 2), (["--workers", "0"], 0)]
    )
    def test_given_workers_replace_those_that_would_be_started(
        self, served: list[Settings], options: list[str], workers: int
    ) -> None:
        addresses = ["--worker", "http://gpu1:5000", "--worker", "http://gpu2:5000"]
        main(["service", *addresses, *options])
        assert served[0].worker_urls == ("http://gpu1:5000", "http://gpu2:5000")
        assert served[0].workers == workers

    @pytest.mark.parametrize(
        ("arguments", "environment", "words"),
        [
            (
                ["--port", "70000"],
                {},
                "--port is '70000', which is not allowed. Use a whole number from 0 to 65535.",
            ),
            (
                [],
                {"RESTORE_PORT": "high"},
                "RESTORE_PORT (in the environment or .env) is 'high', which is not allowed. Use a"
                " whole number from 0 to 65535.",
            ),
            (
                [],
                {"MAX_FILE_SIZE_MB": "0"},
                " MAX_FILE_SIZE_MB (in the environment or .env) is '0', which is not allowed. Use a"
                " whole number of at least 1.",
            ),
            ([], {"RESTORE_KEY_STORED_MIB": "1.5"}, "'1.5', which is not allowed. Use a whole"),
            (
                [],
                {"RESTORE_WORKER_URLS": "http://gpu2:5000,gpu1"},
                "a value in RESTORE_WORKER_URLS (in the environment or .env) is 'gpu1', which is"
                " not allowed. Use an address that begins with http:// or https://, such as"
                " http://gpu1:5000.",
            ),
            (
                [],
                {"RESTORE_CORS_ORIGINS": '["https://a.example"'},
                "Use values with commas between them, or a JSON list.",
            ),
            (["--public-url", "a.example"], {}, "--public-url is 'a.example', which is not"),
            (["--worker", "gpu1:5000"], {}, "--worker is 'gpu1:5000', which is not allowed. Use"),
            (
                [],
                {"RESTORE_KEEP_S": "inf"},
                "is 'inf', which is not allowed. Use a number of seconds above 0, at most 3153",
            ),
            ([], {"RESTORE_KEEP_JOBS_S": "nan"}, "RESTORE_KEEP_JOBS_S (in the environment or .env"),
            ([], {"RESTORE_OPEN": "perhaps"}, "is 'perhaps', which is not allowed. Use true or"),
            ([], {"RESTORE_MODEL": "name"}, "is 'name', which is not allowed. Use OWNER/NAME,"),
            ([], {"RESTORE_WEIGHTS": "ofical"}, "Did you mean official? Use one of official, lite"),
            (["--weights", "none"], {}, "--weights is 'none', which is not allowed"),
        ],
    )
    def test_invalid_setting_is_refused(
        self,
        served: list[Settings],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        environment: dict[str, str],
        words: str,
    ) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert main(["service", *arguments]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: [E102]")
        assert words in error
        assert "Input should" not in error
        assert served == []

    def test_every_setting_that_can_be_refused_has_words(self) -> None:
        """A setting of another type than text and paths is a number or has words of its own."""
        for name, field in Settings.model_fields.items():
            if field.annotation in {int, float, bool}:
                assert setting_errors.allowed_values(name).startswith(
                    ("a whole number ", "a number of seconds ", "true or false")
                )


class TestStart:
    @pytest.mark.parametrize(
        ("arguments", "environment", "words"),
        [
            (["--host", "0.0.0.0"], {}, "[E601] without an API key"),
            (["--host", "0.0.0.0"], {"API_KEY": " "}, "[E601] without an API key"),
            (["--open"], {"API_KEY": "simple key"}, "[E102] --open serves without keys"),
            (["--workers", "0"], {}, "[E102] the service has no workers"),
            ([], {"RESTORE_ALLOW": "everything"}, "[E102] the environment variable RESTORE_ALLOW"),
            ([], {"RESTORE_DATABASE_URL": "nonsense"}, "[E504] RESTORE_DATABASE_URL is not"),
        ],
    )
    def test_service_that_cannot_start_says_why(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        environment: dict[str, str],
        words: str,
    ) -> None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        assert main(["service", "--port", "0", *arguments]) == 2
        assert words in capsys.readouterr().err

    @pytest.mark.parametrize("command", [["service"], ["service", "keys", "list"]])
    def test_missing_package_is_named_with_its_remedy(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        command: list[str],
    ) -> None:
        def settings_without_package(given: object) -> Settings:
            with monkeypatch.context() as patch:
                patch.setitem(sys.modules, "sqlalchemy", None)
                importlib.import_module("sqlalchemy.orm")
            raise AssertionError("unreachable")

        monkeypatch.setattr(service_commands, "settings_of", settings_without_package)
        assert main(command) == 2
        error = capsys.readouterr().err
        assert "[E504] the job service needs packages that are not installed (sqlalchemy)" in error
        assert "pip install 'restore[service]'" in error

    def test_missing_module_of_our_own_is_a_defect(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(sys.modules, "restore.service.http_server", None)
        assert main(["service"]) == 2
        assert "[E505]" in capsys.readouterr().err

    def test_process_announces_its_address_and_ends_at_once_at_the_second_ctrl_c(
        self, tmp_path: Path
    ) -> None:
        """A gateway without own workers, which never imports torch."""
        with start("--port", "0", "--data", str(tmp_path / "data"), *WORKER) as process:
            assert process.stdout is not None
            assert process.stdin is not None
            ready = process.stdout.readline()
            found = re.search(r"Restore is ready on (http://127\.0\.0\.1:(\d+))", ready)
            assert found, ready
            process.stdin.write("\n")
            process.stdin.flush()
            assert process.stdout.readline() == "torch: False\n"
            assert httpx.get(f"{found[1]}/", trust_env=False).status_code == 200
            body = json.dumps({"image": "https://93.184.215.14/a.jpg", "wait": 30})
            head = f"POST /upscale HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
            head += "Content-Type: application/json\r\n\r\n"
            with socket.create_connection(("127.0.0.1", int(found[2]))) as connection:
                connection.sendall(f"{head}{body}".encode())
                while not (health := httpx.get(f"{found[1]}/health", trust_env=False).json())[
                    "queue_length"
                ]:
                    time.sleep(0.05)
                assert health["workers"][0]["name"] == "127.0.0.1:9"
                process.send_signal(signal.SIGINT)
                with pytest.raises(subprocess.TimeoutExpired):
                    process.wait(0.5)  # the open request has some time to end
                process.send_signal(signal.SIGINT)
                assert process.wait(3) == 130

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_first_signal_stops_the_service(self, number: signal.Signals, tmp_path: Path) -> None:
        settings = Settings(data=tmp_path, port=0, workers=0, worker_urls=(WORKER[1],))
        before = signal.signal(number, signal.SIG_DFL)  # under nohup, SIGHUP is ignored
        try:
            assert http_server.serve(settings, lambda line: signal.raise_signal(number)) == 0
            assert signal.getsignal(number) is signal.SIG_DFL
        finally:
            signal.signal(number, before)

    def test_client_that_waits_is_told_that_its_job_has_not_ended(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http_server, "LAST_WAIT_S", 0.2)
        settings = Settings(data=tmp_path, port=0, workers=0, worker_urls=(WORKER[1],))
        answers = list[httpx.Response]()

        def post(url: str) -> None:
            body = {"image": "https://93.184.215.14/a.jpg", "wait": 60}
            answers.append(httpx.post(f"{url}/upscale", json=body, timeout=30, trust_env=False))

        def announce(line: str) -> None:
            url = re.findall(r"http://[\w.:]+", line)[0]
            threading.Thread(target=post, args=(url,)).start()
            threading.Timer(1.0, signal.raise_signal, [signal.SIGTERM]).start()

        before = signal.getsignal(signal.SIGTERM)
        try:
            assert http_server.serve(settings, announce) == 0
        finally:
            signal.signal(signal.SIGTERM, before)
        assert [answer.status_code for answer in answers] == [202]
        assert answers[0].json()["status"] == "starting"


class TestKeys:
    def test_secret_is_alone_on_standard_output(
        self, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        data = ["--data", str(tmp_path / "data")]
        limits = ["--requests-per-minute", "5", "--waiting-jobs", "6", "--stored-mib", "7"]
        create = ["service", "keys", "create", "my phone", *limits, *data]
        assert main(create) == 2
        assert "there is no data folder" in capsys.readouterr().err
        assert not (tmp_path / "data").exists()
        assert main([*create, "--new"]) == 0
        shown = capsys.readouterr()
        assert str(tmp_path / "data") in shown.err
        secret = shown.out.strip()
        assert SECRET.fullmatch(secret)
        assert "my phone" in shown.err
        assert secret not in shown.err
        engine = database.connect(Settings(data=tmp_path / "data"))
        key = KeyStore(engine).verify(secret)
        engine.dispose()
        assert key is not None
        assert (key.requests_per_minute, key.waiting_jobs, key.stored_bytes) == (5, 6, 7 * 2**20)

    def test_keys_are_listed_and_revoked(self, capsys: pytest.CaptureFixture[str]) -> None:
        for name in ("phone", "laptop"):
            assert main(["service", "keys", "create", name]) == 0
        key_id = capsys.readouterr().out.split("_")[1]
        assert main(["service", "keys", "revoke", key_id]) == 0
        assert f"revoked key {key_id} (phone)" in capsys.readouterr().out
        assert main(["service", "keys", "list"]) == 0
        heading, first, second = capsys.readouterr().out.splitlines()
        assert heading.split()[:3] == ["ID", "NAME", "CREATED"]
        assert first.split()[:2] == [key_id, "phone"]
        assert first.split()[-4:] == ["-", "-", "-", "revoked"]
        assert second.split()[-4:] == ["-", "-", "-", "valid"]
        assert main(["service", "keys", "revoke", key_id]) == 2
        assert "is revoked already" in capsys.readouterr().err
        assert Path("restore-data").is_dir()

    def test_unusable_folder_is_an_error(self, capsys: pytest.CaptureFixture[str]) -> None:
        Path("file").write_text("")
        assert main(["service", "keys", "list", "--data", "file"]) == 2
        assert "[E504]" in capsys.readouterr().err


def start(*arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", RUN, "service", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )
