"""Tests of the routes for predictions, without a worker."""

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from apicalls import BASE, MODEL, Api, data_uri, detail

from restore.service import auth

URL = "https://93.184.215.14/photo.jpg"
CLIENT = {"user-agent": "replicate-python/1.0.7"}


class TestCreate:
    def test_new_prediction_has_the_fields_of_replicate(self, api: Api) -> None:
        response = api.create({"task": "upscale", "image": URL, "scale": 2})
        prediction = response.json()
        assert response.status_code == 201
        assert prediction["status"] == "starting"
        assert prediction["model"] == MODEL
        assert prediction["version"] == api.service.version.id
        assert prediction["input"] == {"task": "upscale", "image": URL, "scale": 2}
        assert prediction["metrics"] == {"queue_position": 0}
        assert prediction["urls"]["get"] == f"{BASE}/v1/predictions/{prediction['id']}"
        assert prediction["urls"]["cancel"] == prediction["urls"]["get"] + "/cancel"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", prediction["created_at"])
        empty = ("output", "error", "started_at", "completed_at", "deadline")
        assert [prediction[name] for name in empty] == [None] * len(empty)
        assert prediction["logs"] == ""
        assert prediction["data_removed"] is False

    def test_queue_position_counts_the_predictions_before(self, api: Api) -> None:
        positions = [api.create({"image": URL}).json()["metrics"] for _ in range(3)]
        assert [metrics["queue_position"] for metrics in positions] == [0, 1, 2]

    def test_version_may_have_several_forms(self, api: Api) -> None:
        version = api.service.version.id
        for form in (version, "restore/restore", f"restore/restore:{version}", None):
            assert api.create({"image": URL}, version=form).status_code == 201

    def test_versions_and_models_of_others_do_not_exist(self, api: Api) -> None:
        unknown = api.create({"image": URL}, version="0" * 64)
        assert api.service.version.id in detail(unknown, 422, "E607")
        for version in ("other/model", f"other/model:{api.service.version.id}"):
            missing = api.create({"image": URL}, version=version)
            assert "This service has the model restore/restore" in detail(missing, 404, "E607")
        body = {"input": {"image": URL}}
        assert api("POST", "/v1/models/restore/restore/predictions", json=body).status_code == 201
        other = api("POST", "/v1/models/other/model/predictions", json=body)
        detail(other, 404, "E607")

    def test_name_of_the_model_can_be_set(self, api_of: Callable[..., Api]) -> None:
        api = api_of(model="me/photos")
        assert api.create({"image": URL}, version="me/photos").json()["model"] == "me/photos"
        detail(api.create({"image": URL}, version=MODEL), 404, "E607")

    def test_body_must_be_json(self, api: Api) -> None:
        for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
            response = api(
                "POST",
                "/v1/predictions",
                content=b'{"input": {}}',
                headers={"content-type": content_type},
            )
            assert "application/json" in detail(response, 415, "E607")

    def test_body_that_cannot_be_read_is_refused(self, api: Api) -> None:
        headers = {"content-type": "application/json"}
        for body, status, words in (
            (b"{", 400, "JSON"),
            (b"[]", 422, "not an object"),
            (b"{}", 422, "input: Field required"),
            (b'{"input": []}', 422, "input is []: "),
            (b'{"input": {}, "version": 3}', 422, "version is 3: "),
            (b'{"input": {}, "webhook_events_filter": ["x"]}', 422, "events_filter.0 is 'x': "),
            (b'{"input": {"image": NaN}}', 400, "JSON"),
            (b'{"input": {"image": "\\ud800"}}', 400, "JSON"),
            (b"\xff", 400, "JSON"),
        ):
            response = api("POST", "/v1/predictions", content=body, headers=headers)
            assert words in detail(response, status, "E607")

    def test_declared_size_above_the_limit_is_refused_unread(self, api: Api) -> None:
        headers = {"content-type": "application/json", "content-length": str(101 * 2**20)}
        response = api("POST", "/v1/predictions", content=b"{}", headers=headers)
        detail(response, 413, "E607")
        assert response.headers["connection"] == "close"

    def test_full_queue_is_refused_for_a_while(self, api_of: Callable[..., Api]) -> None:
        api = api_of(max_waiting_jobs=1)
        inputs = {"image": data_uri(b"photo")}
        assert api.create(inputs).status_code == 201
        response = api.create(inputs)
        detail(response, 429, "E603")
        assert int(response.headers["retry-after"]) > 0
        assert len(api("GET", "/v1/files").json()["results"]) == 1  # that of the first request

    def test_unknown_fields_are_ignored(self, api: Api) -> None:
        assert api.create({"image": URL}, stream=True, other=1).status_code == 201

    def test_internal_error_shows_no_details(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise KeyError("/secret/path")

        monkeypatch.setattr(api.service.jobs, "submit", fail)
        text = detail(api.create({"image": URL}), 500, "E505")
        assert "KeyError" in text
        assert "secret" not in text

    def test_lost_database_is_unavailable_for_a_while(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        database = api.service.settings.data / "service.sqlite3"
        assert api.create({"image": URL}).status_code == 201
        for name in ("", "-wal", "-shm"):
            database.with_name(database.name + name).unlink(missing_ok=True)
        api.service.engine.dispose()
        for refresh_s in (0.0, 1000.0):  # found by the browser guard, then by the route
            monkeypatch.setattr(auth, "REFRESH_S", refresh_s)
            response = api("GET", "/v1/predictions")
            assert "database" in detail(response, 503, "E504")
            assert int(response.headers["retry-after"]) > 0


class TestWait:
    def test_end_of_the_wait_looks_like_the_start(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        submit = api.service.jobs.submit

        def submit_and_claim(*arguments: object, **options: object) -> object:
            job = submit(*arguments, **options)  # type: ignore[arg-type]
            api.service.jobs.claim("worker-1", "gateway", 60.0)
            return job

        monkeypatch.setattr(api.service.jobs, "submit", submit_and_claim)
        response = api.create({"image": URL}, {"prefer": "wait=1"})
        prediction = response.json()
        assert (response.status_code, prediction["status"]) == (202, "starting")
        assert response.headers["preference-applied"] == "wait=1"
        assert prediction["metrics"]["worker"] == "worker-1"
        seen = api("GET", f"/v1/predictions/{prediction['id']}").json()
        assert seen["status"] == "processing"

    @pytest.mark.parametrize("preference", ["wait=abc", "wait=5s", "respond-async"])
    def test_preference_that_is_not_understood_is_ignored_visibly(
        self, api: Api, preference: str
    ) -> None:
        """As RFC 7240 asks; the header of an applied preference is missing."""
        response = api.create({"image": URL}, {"prefer": preference})
        assert (response.status_code, response.json()["status"]) == (201, "starting")
        assert "preference-applied" not in response.headers

    def test_ended_prediction_is_returned_at_once(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        submit = api.service.jobs.submit

        def submit_and_finish(*arguments: object, **options: object) -> object:
            job = submit(*arguments, **options)  # type: ignore[arg-type]
            api.finish(job.id, {"a.jpg": b"result"})
            return job

        monkeypatch.setattr(api.service.jobs, "submit", submit_and_finish)
        response = api.create({"image": URL}, {"prefer": "wait"})
        assert response.status_code == 201
        assert response.headers["preference-applied"] == "wait=60"
        assert response.json()["status"] == "succeeded"


class TestOutput:
    def finished(self, api: Api) -> str:
        job_id: str = api.create({"image": data_uri(b"before", "image/png")}).json()["id"]
        api.finish(job_id, {"a.jpg": b"after"})
        return job_id

    def test_output_is_a_url_that_needs_no_key(self, api_of: Callable[..., Api]) -> None:
        api = api_of(api_key="secret")
        key = {"authorization": "Bearer secret"}
        job_id = api.create({"image": URL}, key).json()["id"]
        api.finish(job_id, {"a.jpg": b"after"})
        prediction = api("GET", f"/v1/predictions/{job_id}", headers=key).json()
        (url,) = prediction["output"]
        assert url.startswith(f"{BASE}/v1/files/")
        assert url.endswith("/a.jpg")
        assert api("GET", url).content == b"after"
        detail(api("GET", f"/v1/predictions/{job_id}"), 401, "E601")

    def test_metrics_have_times_worker_and_reports(self, api: Api) -> None:
        prediction = api("GET", f"/v1/predictions/{self.finished(api)}").json()
        metrics = prediction["metrics"]
        assert metrics.pop("total_time") >= 0
        assert metrics == {
            "predict_time": 1.5,
            "worker": "worker-1",
            "photos": [{"photo": "a.jpg"}],
        }
        assert prediction["started_at"] <= prediction["completed_at"]

    def test_uploaded_input_is_shown_as_a_url(self, api: Api) -> None:
        shown = api("GET", f"/v1/predictions/{self.finished(api)}").json()["input"]
        assert shown["image"].endswith("/image.png")
        assert api("GET", shown["image"]).content == b"before"

    @pytest.mark.parametrize("agent", ["replicate-python/1.0.7", "replicate-javascript/1.4.0"])
    def test_clients_get_data_uris_over_plain_http(self, api: Api, agent: str) -> None:
        """They make no FileOutput of a plain http URL."""
        path = f"/v1/predictions/{self.finished(api)}"
        prediction = api("GET", path, headers={"user-agent": agent}).json()
        assert prediction["output"] == [data_uri(b"after")]
        (listed,) = api("GET", "/v1/predictions", headers={"user-agent": agent}).json()["results"]
        assert listed["output"][0].startswith(BASE)

    def test_clients_get_urls_over_https(self, api_of: Callable[..., Api]) -> None:
        api = api_of(public_url="https://photos.example.org/")
        headers = {**CLIENT, "host": "photos.example.org"}
        prediction = api("GET", f"/v1/predictions/{self.finished(api)}", headers=headers).json()
        assert prediction["output"][0].startswith("https://photos.example.org/v1/files/")

    def test_large_results_are_never_inline(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("restore.service.api.prediction.MAX_INLINE_BYTES", 4)
        path = f"/v1/predictions/{self.finished(api)}"
        assert api("GET", path, headers=CLIENT).json()["output"][0].startswith(BASE)

    def test_expired_data_are_not_shown(self, api_of: Callable[..., Api]) -> None:
        """Their URLs do not work any more, even if the cleaner comes later."""
        api = api_of(keep_s=0.3)
        path = f"/v1/predictions/{self.finished(api)}"
        time.sleep(0.4)
        prediction = api("GET", path, headers=CLIENT).json()
        assert (prediction["input"], prediction["output"]) == ({}, None)
        assert prediction["data_removed"] is True

    def test_deleted_input_is_shown_without_its_content(self, api: Api) -> None:
        upload = api.upload()
        job_id = api.create({"image": upload["urls"]["get"]}).json()["id"]
        api.finish(job_id, {"a.jpg": b"after"})
        api("DELETE", upload["urls"]["get"])
        prediction = api("GET", f"/v1/predictions/{job_id}").json()
        assert prediction["input"]["image"] == upload["urls"]["get"]
        assert prediction["output"] is not None

    def test_removed_data_are_not_shown(self, api: Api) -> None:
        job_id = self.finished(api)
        job = api.service.jobs.get(job_id)
        assert job is not None
        assert job.output is not None
        api.service.files.delete(job.output[0].removeprefix("file:"))
        prediction = api("GET", f"/v1/predictions/{job_id}", headers=CLIENT).json()
        assert (prediction["input"], prediction["output"]) == ({}, None)
        assert prediction["data_removed"] is True
        assert prediction["status"] == "succeeded"


class TestGetCancelList:
    def test_missing_predictions_are_404(self, api: Api) -> None:
        for job_id in ("abc", "a" * 26, "%2e%2e", "a" * 2000):
            detail(api("GET", f"/v1/predictions/{job_id}"), 404, "E602")
            detail(api("POST", f"/v1/predictions/{job_id}/cancel"), 404, "E602")

    def test_predictions_of_another_key_do_not_exist(self, api: Api) -> None:
        keys = api.service.keys
        (_, mine), (_, other) = keys.create("mine"), keys.create("other")
        headers = {"authorization": f"Bearer {mine}"}
        job_id = api.create({"image": URL}, headers).json()["id"]
        assert api("GET", f"/v1/predictions/{job_id}", headers=headers).status_code == 200
        foreign = {"authorization": f"Bearer {other}"}
        detail(api("GET", f"/v1/predictions/{job_id}", headers=foreign), 404, "E602")
        detail(api("POST", f"/v1/predictions/{job_id}/cancel", headers=foreign), 404, "E602")
        assert api("GET", "/v1/predictions", headers=foreign).json()["results"] == []
        assert len(api("GET", "/v1/predictions", headers=headers).json()["results"]) == 1

    def test_waiting_prediction_is_cancelled_at_once(self, api: Api) -> None:
        job_id = api.create({"image": URL}).json()["id"]
        for _ in range(2):
            response = api("POST", f"/v1/predictions/{job_id}/cancel")
            assert (response.status_code, response.json()["status"]) == (200, "canceled")

    def test_list_has_pages_from_new_to_old(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("restore.service.api.replicate.PAGE_SIZE", 2)
        created = [api.create({"image": URL}).json()["id"] for _ in range(3)]
        first = api("GET", "/v1/predictions").json()
        assert [job["id"] for job in first["results"]] == created[:0:-1]
        assert first["previous"] is None
        second = api("GET", first["next"]).json()
        assert [job["id"] for job in second["results"]] == created[:1]
        assert second["next"] is None
        assert api("GET", second["previous"]).json()["results"] == first["results"]
        detail(api("GET", "/v1/predictions?cursor=x"), 422, "E607")

    def test_deadline_follows_cancel_after(self, api: Api) -> None:
        before = datetime.now(UTC)
        prediction = api.create({"image": URL}, {"cancel-after": "1h30m"}).json()
        deadline = datetime.fromisoformat(prediction["deadline"])
        assert timedelta(0) <= deadline - before - timedelta(minutes=90) < timedelta(seconds=30)
        refused = api.create({"image": URL}, {"cancel-after": "1 day"})
        assert "Cancel-After is '1 day'" in detail(refused, 422, "E607")


class TestWebhook:
    def test_webhook_and_events_are_kept(self, api: Api) -> None:
        hook = "https://93.184.215.14/hook"
        for fields, events in (
            ({"webhook": hook}, ("start", "output", "logs", "completed")),
            (
                {"webhook": hook, "webhook_events_filter": ["completed", "start", "start"]},
                ("start", "completed"),
            ),
            ({"webhook_completed": hook}, ("completed",)),
        ):
            response = api.create({"image": URL}, **fields)
            job = api.service.jobs.get(response.json()["id"])
            assert job is not None
            assert (job.webhook, job.webhook_events) == (hook, events)

    def test_webhook_must_be_public(self, api: Api) -> None:
        for url in ("http://127.0.0.1/hook", "http://[::1]:80/"):
            text = detail(api.create({"image": URL}, webhook=url), 422, "E607")
            assert text.startswith("[E607] webhook cannot be called: ")
            assert "RESTORE_ALLOW=addresses" in text

    def test_webhook_must_have_the_form_of_a_url(self, api: Api) -> None:
        for url in ("ftp://example.org/", "x", "https://example.org:99999/", "http:///hook"):
            text = detail(api.create({"image": URL}, webhook=url), 422, "E607")
            assert text.startswith(
                f"[E607] webhook cannot be called: '{url}' is not an http(s) URL"
            )
            assert "RESTORE_ALLOW" not in text

    def test_operator_can_allow_other_addresses(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("RESTORE_ALLOW", "addresses")
        response = api.create({"image": "http://10.0.0.1/a"}, webhook="http://127.0.0.1:9/hook")
        assert response.status_code == 201
