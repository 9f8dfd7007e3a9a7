"""Tests of keys in requests, of the refusal to start without one, and of the browser guard."""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import httpx
import pytest
from apicalls import Api
from fastapi import Depends, FastAPI
from pydantic import SecretStr
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from restore.errors import Code, RestoreError
from restore.service import auth, database, keys
from restore.service.api.errors import add_handlers
from restore.service.auth import Access, check_exposure, has_access, is_loopback, owner_of
from restore.service.browser_guard import BrowserGuard
from restore.service.keys import KeyStore
from restore.service.limits import Limits
from restore.service.settings import Settings

ADDRESS = "http://127.0.0.1:8000"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Engine]:
    monkeypatch.setattr(keys, "SCRYPT_N", 2**4)
    monkeypatch.setattr(auth, "REFRESH_S", 0.0)
    engine = database.connect(Settings(data=tmp_path))
    yield engine
    engine.dispose()


def client_of(engine: Engine, **settings: Any) -> httpx.AsyncClient:
    """A client of an application with the routes /owner and /open."""
    chosen = Settings(**settings)
    access = Access(chosen, KeyStore(engine), Limits(chosen))
    app = FastAPI()
    app.state.service = SimpleNamespace(access=access)
    app.add_middleware(BrowserGuard, access=access, settings=chosen)
    add_handlers(app)

    @app.api_route("/owner", methods=["GET", "POST"])
    async def owner(found: str = Depends(owner_of)) -> str:
        return found

    @app.get("/open")
    async def shows_more(more: bool = Depends(has_access)) -> bool:
        return more

    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ADDRESS)


def get(
    client: httpx.AsyncClient, headers: Mapping[str, str] | None = None, path: str = "/owner"
) -> httpx.Response:
    return asyncio.run(client.get(path, headers=headers))


class TestKeys:
    def test_each_key_has_its_own_owner_with_either_header(self, engine: Engine) -> None:
        key, secret = KeyStore(engine).create("phone")
        client = client_of(engine, api_key="simple key")
        for headers, owner in (
            ({"authorization": f"Bearer {secret}"}, key.id),
            ({"authorization": f"bearer  {secret} "}, key.id),
            ({"x-api-key": secret}, key.id),
            ({"authorization": "Basic eDp5", "x-api-key": secret}, key.id),
            ({"authorization": "Bearer simple key"}, auth.ENVIRONMENT_OWNER),
            ({"x-api-key": "simple key"}, auth.ENVIRONMENT_OWNER),
        ):
            response = get(client, headers)
            assert (response.status_code, response.json()) == (200, owner), headers

    def test_key_with_other_letters_than_those_of_ascii(self, engine: Engine) -> None:
        client = client_of(engine, api_key="schl\xfcssel")
        headers = {b"x-api-key": "schl\xfcssel".encode()}
        assert asyncio.run(client.get("/owner", headers=headers)).json() == auth.ENVIRONMENT_OWNER

    @pytest.mark.parametrize(
        "headers",
        [
            {},
            {"authorization": "Bearer "},
            {"authorization": "Bearer simple"},
            {"authorization": "Basic simple key"},
            {"x-api-key": "simple key2"},
            {"x-api-key": "rk_a_b", "authorization": "Token simple key"},
            {"x-api-key": "\xe9"},
        ],
    )
    def test_request_without_a_valid_key_is_401(
        self, engine: Engine, headers: dict[str, str]
    ) -> None:
        client = client_of(engine, api_key="simple key")
        raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
        response = asyncio.run(client.get("/owner", headers=list(raw.items())))
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert "[E601]" in response.json()["detail"]
        assert get(client, path="/open").json() is False

    def test_key_is_needed_as_soon_as_there_is_one_and_still_after_its_revocation(
        self, engine: Engine
    ) -> None:
        client, store = client_of(engine), KeyStore(engine)
        assert get(client).json() == auth.NO_KEY_OWNER
        assert get(client, {"authorization": "Bearer anything"}).status_code == 200
        key, secret = store.create("phone")
        assert get(client).status_code == 401
        assert get(client, {"x-api-key": secret}).json() == key.id
        store.revoke(key.id)
        keys_of_this_client = {"x-api-key": secret}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(keys, "RECHECK_S", 0.0)
            assert get(client, keys_of_this_client).status_code == 401
        assert get(client).status_code == 401

    def test_failing_database_does_not_open_the_service(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(store: KeyStore) -> bool:
            raise OperationalError("SELECT", {}, Exception("disk I/O error"))

        settings = Settings()
        access = Access(settings, KeyStore(engine), Limits(settings))
        with monkeypatch.context() as patch:
            patch.setattr(KeyStore, "exists", fail)
            with pytest.raises(OperationalError):
                asyncio.run(access.needs_key())
        assert asyncio.run(access.needs_key()) is False
        with monkeypatch.context() as patch:
            patch.setattr(KeyStore, "exists", fail)
            assert asyncio.run(access.needs_key()) is False, "what was known stays"
        KeyStore(engine).create("phone")
        assert asyncio.run(access.needs_key()) is True

    def test_requests_are_counted_for_each_key(self, engine: Engine) -> None:
        _, secret = KeyStore(engine).create("phone", auth.KeyLimits(requests_per_minute=2))
        client = client_of(engine, api_key="simple key")

        async def statuses() -> list[int]:
            answers = [await client.get("/owner", headers={"x-api-key": secret}) for _ in range(3)]
            answers.append(await client.get("/owner", headers={"x-api-key": "simple key"}))
            assert int(answers[2].headers["retry-after"]) >= 1
            return [answer.status_code for answer in answers]

        assert asyncio.run(statuses()) == [200, 200, 429, 200]

    def test_guessing_ends_without_shutting_out_those_who_have_a_key(
        self, engine: Engine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("restore.service.limits.FAILED_KEYS_PER_MINUTE", 3)
        key, secret = KeyStore(engine).create("phone")
        client = client_of(engine)

        async def statuses() -> list[int]:
            right = {"x-api-key": secret}
            answers = [await client.get("/owner", headers=right)]
            for number in range(5):
                wrong = {"x-api-key": f"rk_{key.id}_{number}"}
                answers.append(await client.get("/owner", headers=wrong))
            answers.append(await client.get("/owner", headers=right))
            return [answer.status_code for answer in answers]

        assert asyncio.run(statuses()) == [200, 401, 401, 401, 429, 429, 200]

    def test_open_service_counts_requests_by_address(self, engine: Engine) -> None:
        client = client_of(engine, open=True, key_requests_per_minute=1)

        async def statuses() -> list[int]:
            return [(await client.get("/owner")).status_code for _ in range(2)]

        assert asyncio.run(statuses()) == [200, 429]

    def test_limits_of_an_owner(self, engine: Engine) -> None:
        settings = Settings(key_waiting_jobs=7)
        key, _ = KeyStore(engine).create("phone", auth.KeyLimits(waiting_jobs=1))
        access = Access(settings, KeyStore(engine), Limits(settings))

        async def waiting(owner: str) -> int | None:
            return (await access.limits_of(owner)).waiting_jobs

        assert asyncio.run(waiting(key.id)) == 1
        assert asyncio.run(waiting(auth.ENVIRONMENT_OWNER)) == 7
        assert asyncio.run(waiting(auth.NO_KEY_OWNER)) is None


class TestExposure:
    @pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "LocalHost", "::1"])
    def test_loopback_needs_no_key(self, host: str) -> None:
        assert is_loopback(host)
        check_exposure(Settings(host=host), has_keys=False)

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "", "10.0.0.1", "localhost.example.org"])
    @pytest.mark.parametrize("empty", ["", " "])
    def test_other_addresses_need_a_key_or_open(self, host: str, empty: str) -> None:
        assert not is_loopback(host)
        with pytest.raises(RestoreError, match="without an API key") as caught:
            check_exposure(Settings(host=host, api_key=SecretStr(empty)), has_keys=False)
        assert caught.value.code is Code.UNAUTHORIZED
        check_exposure(Settings(host=host), has_keys=True)
        check_exposure(Settings(host=host, api_key=SecretStr("simple key")), has_keys=False)
        check_exposure(Settings(host=host, open=True), has_keys=False)

    def test_open_with_a_key_is_refused(self) -> None:
        with pytest.raises(RestoreError, match="--open serves without keys"):
            check_exposure(Settings(open=True), has_keys=True)


class TestCors:
    """Whether pages of other sites may read responses."""

    ORIGIN: ClassVar = {"origin": "https://app.example"}
    PREFLIGHT: ClassVar = {**ORIGIN, "access-control-request-method": "POST"}

    def test_it_is_off_by_default(self, api: Api) -> None:
        for method, headers in (("GET", self.ORIGIN), ("OPTIONS", self.PREFLIGHT)):
            response = api(method, "/v1/predictions", headers=headers)
            assert not [name for name in response.headers if name.startswith("access-control")]

    def test_configured_site_may_read_responses_but_no_other(
        self, api_of: Callable[..., Api]
    ) -> None:
        api = api_of(cors_origins=("https://app.example",))
        for method, headers in (("GET", self.ORIGIN), ("OPTIONS", self.PREFLIGHT)):
            response = api(method, "/v1/predictions", headers=headers)
            assert response.status_code == 200
            assert response.headers["access-control-allow-origin"] == "https://app.example"
            assert "access-control-allow-credentials" not in response.headers
        other = api("GET", "/v1/predictions", headers={"origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers

    def test_there_are_no_cookies(self, api: Api) -> None:
        for path in ("/", "/health", "/docs", "/v1/account"):
            assert "set-cookie" not in api("GET", path).headers


class TestBrowserGuard:
    """What a web page of another site can do with a service that needs no key."""

    @pytest.mark.parametrize(
        "host", ["127.0.0.1:8000", "localhost:8000", "[::1]:8000", "LOCALHOST"]
    )
    def test_names_of_this_machine_are_served(self, engine: Engine, host: str) -> None:
        assert get(client_of(engine), {"host": host}).status_code == 200

    @pytest.mark.parametrize(
        "host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[", "0.0.0.0:8000"]
    )
    def test_rebound_name_is_refused(self, engine: Engine, host: str) -> None:
        response = get(client_of(engine), {"host": host})
        assert response.status_code == 403
        assert "[E601]" in response.json()["detail"]
        assert response.json()["status"] == 403

    def test_public_url_is_a_name_of_the_service(self, engine: Engine) -> None:
        client = client_of(engine, public_url="https://photos.example:8443/restore")
        origin = {"origin": "https://photos.example:8443"}
        assert get(client, {"host": "photos.example"}).status_code == 200
        headers = {"host": "127.0.0.1:8000", **origin}
        assert asyncio.run(client.post("/owner", headers=headers)).status_code == 200
        assert get(client, {"host": "photos.example.evil"}).status_code == 403

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", "http://127.0.0.1:9000", "http://[", ""]
    )
    def test_other_page_cannot_submit(self, engine: Engine, origin: str) -> None:
        client = client_of(engine)
        response = asyncio.run(client.post("/owner", headers={"origin": origin}))
        assert response.status_code == 403
        assert get(client, {"origin": origin}).status_code == 200

    @pytest.mark.parametrize(
        ("origin", "settings"),
        [
            (ADDRESS, {}),
            ("https://app.example", {"cors_origins": ("https://app.example/",)}),
            (ADDRESS, {"open": True}),
        ],
    )
    def test_own_page_and_allowed_sites_can_submit(
        self, engine: Engine, origin: str, settings: dict[str, Any]
    ) -> None:
        client = client_of(engine, **settings)
        assert asyncio.run(client.post("/owner", headers={"origin": origin})).status_code == 200

    def test_open_service_has_any_name_but_other_pages_cannot_submit(self, engine: Engine) -> None:
        client = client_of(engine, open=True)
        headers = {"host": "photos.lan", "origin": "http://photos.lan"}
        assert asyncio.run(client.post("/owner", headers=headers)).status_code == 200
        headers["origin"] = "http://evil.example"
        assert asyncio.run(client.post("/owner", headers=headers)).status_code == 403

    def test_key_replaces_the_checks(self, engine: Engine) -> None:
        client = client_of(engine, api_key="simple key")
        headers = {"host": "photos.lan", "origin": "http://other.lan", "x-api-key": "simple key"}
        assert asyncio.run(client.post("/owner", headers=headers)).status_code == 200
