"""Tests of the routes for files, and of downloads."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from apicalls import BASE, Api, data_uri, detail, jpeg

from restore.service.settings import MIB


class TestUpload:
    def test_file_has_the_fields_of_replicate(self, api: Api) -> None:
        uploaded = api.upload(b"content", "C:\\photos\\a b.jpg")
        assert uploaded["name"] == "a b.jpg"
        assert (uploaded["size"], uploaded["content_type"]) == (7, "image/jpeg")
        assert uploaded["checksums"]["sha256"] == uploaded["etag"]
        assert uploaded["metadata"] == {}
        assert uploaded["urls"]["get"] == f"{BASE}/v1/files/{uploaded['id']}"
        lifetime = datetime.fromisoformat(uploaded["expires_at"]) - datetime.now(UTC)
        assert timedelta(minutes=59) < lifetime <= timedelta(hours=1)
        assert api("GET", uploaded["urls"]["get"]).json() == uploaded
        assert api("GET", "/v1/files").json()["results"] == [uploaded]

    def test_metadata_of_the_javascript_client_are_not_kept(self, api: Api) -> None:
        parts = {
            "content": ("a.jpg", b"x", "image/jpeg"),
            "metadata": ("blob", b"{}", "application/json"),
        }
        assert api("POST", "/v1/files", files=parts).status_code == 201
        assert len(api("GET", "/v1/files").json()["results"]) == 1

    def test_form_without_one_content_is_refused_and_not_kept(self, api: Api) -> None:
        photo = ("a.jpg", b"x", "image/jpeg")
        for parts in ([("photo", photo)], [("content", photo), ("content", photo)]):
            response = api("POST", "/v1/files", files=parts)
            assert "named content" in detail(response, 422, "E607")
        assert api("GET", "/v1/files").json()["results"] == []
        detail(api("POST", "/v1/files", content=b"x"), 422, "E607")
        detail(api("POST", "/v1/files", data={"content": "x"}), 422, "E607")

    def test_large_file_is_refused_unread(self, api_of: Callable[..., Api]) -> None:
        api = api_of(max_file_mib=1)
        headers = {"content-type": "multipart/form-data; boundary=x"}
        declared = {**headers, "content-length": str(100 * MIB)}
        response = api("POST", "/v1/files", content=b"x", headers=declared)
        detail(response, 413, "E202")
        assert response.headers["connection"] == "close"
        response = api("POST", "/v1/files", files={"content": ("a", bytes(MIB + 1))})
        detail(response, 413, "E202")
        assert api("GET", "/v1/files").json()["results"] == []

    def test_files_of_another_key_do_not_exist(self, api: Api) -> None:
        keys = api.service.keys
        (_, mine), (_, other) = keys.create("mine"), keys.create("other")
        headers, foreign = ({"x-api-key": secret} for secret in (mine, other))
        parts = {"content": ("a.jpg", b"x", "image/jpeg")}
        path = api("POST", "/v1/files", files=parts, headers=headers).json()["urls"]["get"]
        detail(api("GET", path), 401, "E601")
        detail(api("GET", path, headers=foreign), 404, "E201")
        detail(api("DELETE", path, headers=foreign), 404, "E201")
        assert api("GET", "/v1/files", headers=foreign).json()["results"] == []
        assert api("DELETE", path, headers=headers).status_code == 204
        detail(api("GET", path, headers=headers), 404, "E201")

    def test_file_of_a_waiting_prediction_stays(self, api: Api) -> None:
        path = api.upload()["urls"]["get"]
        job_id = api.create({"image": path}).json()["id"]
        assert "has not ended" in detail(api("DELETE", path), 422, "E607")
        api("POST", f"/v1/predictions/{job_id}/cancel")
        assert api("DELETE", path).status_code == 204


class TestDownload:
    def test_content_needs_the_token_only(self, api_of: Callable[..., Api]) -> None:
        api = api_of(api_key="secret")
        stored = api.service.files.save_bytes(
            jpeg(), owner="", name="é ü.jpg", content_type="image/jpeg"
        )
        token = api.service.files.url_token(stored)
        response = api("GET", f"/v1/files/{stored.id}/{token}/any%20name.jpg")
        assert response.content == jpeg()
        assert response.headers["content-type"] == "image/jpeg"
        disposition = response.headers["content-disposition"]
        assert disposition == "inline; filename*=utf-8''%C3%A9%20%C3%BC.jpg"
        part = api("GET", str(response.url), headers={"range": "bytes=0-1"})
        assert (part.status_code, part.content) == (206, b"\xff\xd8")

    def test_wrong_tokens_are_404(self, api: Api) -> None:
        url = api.upload()["urls"]["download"]
        start, file_id, token, name = url.rsplit("/", 3)
        expiry, _, signature = token.partition(".")
        other = api.upload()["id"]
        for path in (
            f"{file_id}/x/{name}",
            f"{file_id}/{token[:-1]}/{name}",
            f"{file_id}/{int(expiry) + 60}.{signature}/{name}",
            f"{file_id}/é.é/{name}",
            f"{other}/{token}/{name}",
            f"{'a' * 26}/{token}/{name}",
        ):
            detail(api("GET", f"{start}/{path}"), 404, "E201")
        assert api("GET", url).status_code == 200

    def test_expired_url_is_404(self, api_of: Callable[..., Api]) -> None:
        api = api_of(keep_s=0.001)
        detail(api("GET", api.upload()["urls"]["download"]), 404, "E201")

    def test_deleted_file_is_404(self, api: Api) -> None:
        uploaded = api.upload()
        stored = api.service.files.get(uploaded["id"])
        assert stored is not None
        api.service.files.path(stored).unlink()
        detail(api("GET", uploaded["urls"]["download"]), 404, "E201")

    def test_uploads_never_run_in_a_browser(self, api: Api) -> None:
        for media_type in ("text/html", "image/svg+xml", "text/javascript"):
            parts = {"content": ("a.jpg", b"<script>alert(1)</script>", media_type)}
            url = api("POST", "/v1/files", files=parts).json()["urls"]["download"]
            headers = api("GET", url).headers
            assert headers["content-type"] == "application/octet-stream"
            assert headers["content-disposition"].startswith("attachment")
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["content-security-policy"] == "default-src 'none'; sandbox"


def test_result_can_be_the_input_of_the_next_prediction(api: Api) -> None:
    first = api.create({"image": data_uri(b"a")}).json()["id"]
    api.finish(first, {"a.jpg": b"b"})
    (result,) = api("GET", f"/v1/predictions/{first}").json()["output"]
    second = api.create({"image": result})
    assert second.status_code == 201
    assert api("GET", second.json()["input"]["image"]).content == b"b"
