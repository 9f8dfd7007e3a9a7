"""Tests of the routes for the model and the account, of unknown routes, and of /docs."""

from collections.abc import Callable
from html.parser import HTMLParser

from apicalls import BASE, MODEL, Api, detail

from restore.serving.schema import openapi_schema


class TestModels:
    def test_model_has_its_version(self, api: Api) -> None:
        model = api("GET", f"/v1/models/{MODEL}").json()
        version = api.service.version.id
        assert (model["owner"], model["name"]) == ("restore", "restore")
        assert model["latest_version"]["id"] == version
        assert len(version) == 64
        assert model["run_count"] == 0
        assert api("GET", "/v1/models").json()["results"] == [model]

    def test_version_describes_its_input_and_output(self, api: Api) -> None:
        path = f"/v1/models/{MODEL}/versions"
        version = api("GET", f"{path}/{api.service.version.id}").json()
        assert version["openapi_schema"] == openapi_schema()
        assert version["cog_version"].startswith("0.")
        assert api("GET", path).json()["results"] == [version]

    def test_other_models_and_versions_are_404(self, api: Api) -> None:
        for path in ("a/b", "a/b/versions", "a/b/versions/1", f"{MODEL}/versions/1"):
            detail(api("GET", f"/v1/models/{path}"), 404, "E607")

    def test_models_need_the_key(self, api_of: Callable[..., Api]) -> None:
        api = api_of(api_key="secret")
        for path in (f"/v1/models/{MODEL}", "/v1/models", f"/v1/models/{MODEL}/versions"):
            detail(api("GET", path), 401, "E601")
            assert api("GET", path, headers={"x-api-key": "secret"}).status_code == 200


def test_account_has_the_name_of_the_key(api: Api) -> None:
    _, secret = api.service.keys.create("my phone")
    headers = {"x-api-key": secret}
    account = api("GET", "/v1/account", headers=headers).json()
    assert account == {
        "type": "user",
        "username": "my phone",
        "name": "my phone",
        "github_url": None,
    }


def test_account_without_keys_is_local(api: Api) -> None:
    assert api("GET", "/v1/account").json()["username"] == "local"


def test_unknown_routes_and_methods_are_problems(api: Api) -> None:
    for path in ("/v1/nothing", "/v1/predictions/", "/v1/predictions/x/y", "/%00", "/docs/x.js"):
        detail(api("GET", path), 404, "E607")
    text = detail(api("GET", "/v1/nothing"), 404, "E607")
    assert text == "[E607] there is no route GET /v1/nothing. See /docs for all routes."
    response = api("PUT", "/v1/predictions")
    text = detail(response, 405, "E607")
    assert text == "[E607] /v1/predictions takes no PUT. Use POST."
    assert response.headers["allow"] == "POST"


class _Sources(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self.inline = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = dict(attributes)
        self.found += [str(values[name]) for name in ("src", "href") if name in values]
        self.inline |= tag == "script" and "src" not in values


class TestDocs:
    def test_page_loads_everything_from_the_service(self, api: Api) -> None:
        page = api("GET", "/docs")
        sources = _Sources()
        sources.feed(page.text)
        assert not sources.inline
        assert len(sources.found) == 4
        for source in sources.found:
            assert source.startswith("docs/")
            assert api("GET", f"/{source}").status_code == 200
        assert "script-src 'self'" in page.headers["content-security-policy"]

    def test_openapi_describes_the_routes(self, api: Api) -> None:
        description = api("GET", "/openapi.json").json()
        create = description["paths"]["/v1/predictions"]["post"]
        body = create["requestBody"]["content"]["application/json"]["schema"]
        assert body["required"] == ["input"]
        inputs = body["properties"]["input"]["properties"]
        assert "upscale" in inputs["task"]["enum"]
        assert inputs["images"]["maxItems"] == 4
        assert {each["name"] for each in create["parameters"]} == {"Prefer", "Cancel-After"}
        assert {"201", "202", "401", "422", "429"} <= set(create["responses"])
        output = description["components"]["schemas"]["Prediction"]["properties"]["output"]
        assert output["anyOf"][0]["type"] == "array"
        assert BASE not in str(description)
