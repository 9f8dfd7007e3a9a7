"""Tests of sending webhook events to a receiver."""

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from apicalls import Api, detail
from localserver import LocalServer, QuietHandler
from replicate.webhook import Webhooks, WebhookSigningSecret
from servicejobs import new_job
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from standardwebhooks import Webhook, WebhookVerificationError

from restore.service import database, deliveries, outage_log, tables, webhooks
from restore.service.deliveries import Deliveries
from restore.service.jobs import JobStore
from restore.service.records import Job
from restore.service.webhooks import Deliverer, SecretStore

TIMEOUT_S = 20.0


@dataclass
class Receiver:
    """A server that keeps the calls that it gets.

    Attributes:
        statuses: the statuses of the first responses; then 200.
        held: responses wait for this.
    """

    calls: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, _, body in self.calls]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    found.held.set()

    class Handler(QuietHandler):
        def do_POST(self) -> None:  # noqa: N802 - http.server's name
            body = self.rfile.read(int(self.headers["content-length"])).decode()
            names = {name.lower(): value for name, value in self.headers.items()}
            found.calls.append((self.path, names, body))
            found.held.wait(TIMEOUT_S)
            status = found.statuses.pop(0) if found.statuses else 200
            self.send_response(status)
            if status == 307:
                self.send_header("location", "/other")
            self.send_header("content-length", "0")
            self.end_headers()

    server = LocalServer(Handler)
    found.port = server.port
    yield found
    found.held.set()
    server.close()


@pytest.fixture
def api(api_of: Callable[..., Api], monkeypatch: pytest.MonkeyPatch) -> Api:
    monkeypatch.setenv("RESTORE_ALLOW", "addresses")
    monkeypatch.setattr(deliveries, "FIRST_PAUSE_S", 0.01)
    return api_of()


def submit(api: Api, url: str, owner: str = "", **fields: Any) -> Job:
    """A job that runs and calls a webhook."""
    jobs = api.service.jobs
    jobs.submit(new_job(owner, webhook=url, **fields))
    job = jobs.claim("w", "g", 60.0)
    assert job is not None
    return job


def deliver(api: Api, until: Callable[[], bool]) -> None:
    """Run the deliverer of a service until a condition is met."""
    service = api.service
    deliverer = Deliverer(service.engine, service.changes, service.secrets, service._render)

    async def run() -> None:
        task = asyncio.create_task(deliverer.run())
        async with asyncio.timeout(TIMEOUT_S):
            while not until() and not task.done():
                await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(run())


def rows(api: Api) -> list[dict[str, Any]]:
    query = select(tables.deliveries).order_by(tables.deliveries.c.sequence)
    with database.read(api.service.engine) as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def outage_lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == outage_log.__name__]


def all_ended(api: Api) -> Callable[[], bool]:
    return lambda: all(row["ended_at"] is not None for row in rows(api))


class TestSignatures:
    def test_every_call_is_signed_and_shows_the_prediction_at_its_event(
        self, api: Api, receiver: Receiver
    ) -> None:
        job = submit(api, receiver.url)
        api.service.jobs.add_logs(job.id, job.attempt, "half\n")
        deliver(api, lambda: len(receiver.calls) == 2)
        api.service.jobs.succeed(job.id, job.attempt, output=[], logs="half\nall\n")
        deliver(api, all_ended(api))
        key = api("GET", "/v1/webhooks/default/secret").json()["key"]
        for _, headers, body in receiver.calls:
            assert Webhook(key).verify(body, headers)["id"] == job.id
            Webhooks.validate(headers=headers, body=body, secret=WebhookSigningSecret(key=key))
            assert headers["content-type"] == "application/json"
        bodies = receiver.bodies()
        statuses = ["processing", "processing", "succeeded", "succeeded"]
        assert [body["status"] for body in bodies] == statuses
        assert [body["logs"] for body in bodies] == ["", "half\n", *["half\nall\n"] * 2]
        assert bodies[3] == api("GET", f"/v1/predictions/{job.id}").json()
        assert len({headers["webhook-id"] for _, headers, _ in receiver.calls}) == 4

    def test_changed_body_or_foreign_secret_has_a_bad_signature(
        self, api: Api, receiver: Receiver
    ) -> None:
        submit(api, receiver.url, "owner a")
        deliver(api, all_ended(api))
        ((_, headers, body),) = receiver.calls
        secret_of = api.service.secrets.secret_of
        Webhook(secret_of("owner a")).verify(body, headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret_of("owner a")).verify(body + " ", headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(secret_of("owner b")).verify(body, headers)

    def test_secrets_stay_the_same_and_have_one_underscore(self, tmp_path: Path) -> None:
        secrets = {SecretStore(tmp_path).secret_of(f"owner {n}") for n in range(50)}
        assert secrets == {SecretStore(tmp_path).secret_of(f"owner {n}") for n in range(50)}
        assert len(secrets) == 50
        assert all(secret.count("_") == 1 for secret in secrets)

    def test_secret_needs_a_key(self, api_of: Callable[..., Api]) -> None:
        api = api_of(api_key="simple key")
        detail(api("GET", "/v1/webhooks/default/secret"), 401, "E601")
        headers = {"x-api-key": "simple key"}
        key = api("GET", "/v1/webhooks/default/secret", headers=headers).json()["key"]
        assert key == api.service.secrets.secret_of("api-key")


class TestFailures:
    def test_call_is_repeated_with_the_same_id_and_body(self, api: Api, receiver: Receiver) -> None:
        receiver.statuses = [500, 503]
        job = submit(api, receiver.url, webhook_events=("start",))
        deliver(api, all_ended(api))
        assert len(receiver.calls) == 3
        assert len({body for _, _, body in receiver.calls}) == 1
        assert len({headers["webhook-id"] for _, headers, _ in receiver.calls}) == 1
        assert receiver.bodies()[0]["id"] == job.id
        assert rows(api)[0]["delivered"]

    @pytest.mark.parametrize(("status", "calls"), [(307, 2), (410, 1)])
    def test_redirects_are_not_followed_and_gone_is_final(
        self, api: Api, receiver: Receiver, status: int, calls: int
    ) -> None:
        receiver.statuses = [status]
        submit(api, receiver.url)
        deliver(api, all_ended(api))
        assert [path for path, _, _ in receiver.calls] == ["/hook"] * calls
        assert rows(api)[0]["delivered"] is (status != 410)

    def test_receiver_that_does_not_listen_does_not_stop_the_others(
        self, api: Api, receiver: Receiver
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            closed = probe.getsockname()[1]
        submit(api, f"http://127.0.0.1:{closed}/")
        submit(api, "http://[")
        submit(api, receiver.url)
        deliver(api, lambda: len(receiver.calls) == 1 and rows(api)[1]["attempts"] > 1)
        errors = [row["last_error"] for row in rows(api)]
        assert errors == ["ConnectionError", "InvalidURL", None]

    def test_event_that_cannot_be_rendered_is_a_failure(
        self, api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(deliveries, "MAX_ATTEMPTS", 1)
        monkeypatch.setattr(api.service, "_render", lambda job: 1 / 0)
        submit(api, receiver.url)
        deliver(api, all_ended(api))
        assert (receiver.calls, rows(api)[0]["last_error"]) == ([], "ZeroDivisionError")

    @pytest.mark.parametrize("method", ["seconds_to_next", "claim", "succeeded"])
    def test_database_that_is_away_for_a_while_does_no_harm(
        self,
        method: str,
        api: Api,
        receiver: Receiver,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The same holds for PostgreSQL, which ends the gateway's connections when it stops."""
        told = [
            "webhooks: the database does not answer: the database is shutting down",
            "webhooks: the database answers again",
        ]
        if method == "succeeded":  # an event that is sent already has a log line of its own
            told = []
        monkeypatch.setattr(deliveries, "CLAIM", timedelta(seconds=0.2))
        works, left = getattr(Deliveries, method), [2]

        def away(*arguments: object, **options: object) -> object:
            if not left[0]:
                return works(*arguments, **options)
            left[0] -= 1
            raise OperationalError("SELECT 1", {}, Exception("the database is shutting down"))

        monkeypatch.setattr(Deliveries, method, away)
        submit(api, receiver.url)
        deliver(api, lambda: all_ended(api)() and len(outage_lines(caplog)) >= len(told))
        assert outage_lines(caplog) == told
        assert left == [0]
        assert {headers["webhook-id"] for _, headers, _ in receiver.calls} == {rows(api)[0]["id"]}
        assert rows(api)[0]["delivered"]

    def test_slow_receivers_of_one_key_do_not_hold_up_others(
        self, api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(webhooks, "MAX_OF_OWNER", 2)
        receiver.held.clear()
        for _ in range(4):
            submit(api, receiver.url, "slow")
        other = submit(api, receiver.url, "other")

        def release_if(condition: bool) -> bool:
            if condition:
                receiver.held.set()
            return condition

        def other_was_called() -> bool:
            return other.id in {body["id"] for body in receiver.bodies()}

        deliver(api, lambda: release_if(other_was_called() and len(receiver.calls) == 3))
        assert len({body["id"] for body in receiver.bodies()}) == 3


class TestAddresses:
    def test_private_address_is_never_called(
        self, api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("RESTORE_ALLOW")
        submit(api, receiver.url)
        deliver(api, all_ended(api))
        assert receiver.calls == []
        (row,) = rows(api)
        assert (row["attempts"], row["delivered"]) == (1, False)
        assert "'127.0.0.1' is not a host on the public internet" in row["last_error"]

    def test_name_that_changes_its_address_is_not_called(
        self, api: Api, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It was public at submission, and resolves to this machine later (DNS rebinding)."""
        monkeypatch.delenv("RESTORE_ALLOW")
        answers = ["93.184.215.14"]

        def resolve(host: str, port: int, *_: object, **__: object) -> list[tuple[Any, ...]]:
            is_name = host.endswith(".example")
            address = (answers.pop() if answers else "127.0.0.1") if is_name else host
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        url = f"http://rebound.example:{receiver.port}/hook"
        created = api.create({"image": "https://93.184.215.14/a.jpg"}, webhook=url)
        assert not answers
        assert created.status_code == 201, created.text
        api.service.jobs.cancel(created.json()["id"])
        deliver(api, all_ended(api))
        assert receiver.calls == []
        assert "not a host on the public internet" in rows(api)[0]["last_error"]

    @pytest.mark.parametrize(
        "url", ["ftp://a.example/", "http://", "file:///etc/passwd", "http://a.example/\r\nx: y"]
    )
    def test_unusable_url_is_refused_at_submission(self, api: Api, url: str) -> None:
        created = api.create({"image": "https://93.184.215.14/a.jpg"}, webhook=url)
        detail(created, 422, "E607")


def test_events_of_another_gateway_are_found_without_news(api: Api, receiver: Receiver) -> None:
    silent = JobStore(api.service.engine)  # with news of its own
    silent.submit(new_job("", webhook=receiver.url, webhook_events=("start",)))
    silent.claim("w", "g", 60.0)
    deliver(api, all_ended(api))
    assert len(receiver.calls) == 1
