"""Tests of the asynchronous form: POST /enhance and GET /status."""

from collections.abc import Callable
from typing import Any

import pytest
from apicalls import Api, detail, jpeg

RESULT = jpeg(200)


def photos(*names: str, part: str = "files") -> list[tuple[str, tuple[str, bytes]]]:
    return [(part, (name, jpeg())) for name in names]


def test_photos_are_queued_and_have_results_with_their_names(api: Api) -> None:
    api("POST", "/enhance", files=photos("first.jpg"))
    queued = api(
        "POST", "/enhance", files=photos("a b.png", "ü.jpg"), data={"face_enhance": "true"}
    )
    assert queued.status_code == 202
    job_id = queued.json()["job_id"]
    assert queued.json() == {"job_id": job_id, "status": "queued", "queue_position": 1}
    job = api.service.jobs.get(job_id)
    assert job is not None
    options = {name: value for name, value in job.input.items() if name != "images"}
    assert options == {"task": "upscale", "scale": 4, "tile_size": 512, "face_enhance": True}

    waiting = api("GET", f"/status/{job_id}").json()
    expected = {"status": "queued", "queue_position": 1, "results": [], "error": None, "logs": ""}
    assert waiting == {"job_id": job_id, **expected}
    first = api.service.jobs.claim("w", "g", 60.0)
    assert first is not None
    assert api("GET", f"/status/{first.id}").json()["status"] == "processing"
    api.service.jobs.fail(first.id, first.attempt, "[E205] no photo. Send one.")
    failed = api("GET", f"/status/{first.id}").json()
    assert (failed["status"], failed["error"]) == ("failed", "[E205] no photo. Send one.")

    api.finish(job_id, {"0.jpg": RESULT, "1.jpg": RESULT})
    done = api("GET", f"/status/{job_id}").json()
    assert (done["status"], done["queue_position"]) == ("completed", 0)
    assert [result["original_filename"] for result in done["results"]] == ["a b.png", "ü.jpg"]
    for result in done["results"]:
        assert api("GET", result["url"]).content == RESULT


def test_json_and_canceled_jobs(api: Api) -> None:
    body = {"files": ["https://93.184.215.14/a.jpg"], "face_enhance": False, "scale": 2}
    job_id = api("POST", "/enhance", json=body).json()["job_id"]
    api.service.jobs.cancel(job_id)
    assert api("GET", f"/status/{job_id}").json()["status"] == "canceled"


@pytest.mark.parametrize("job_id", ["a" * 26, "%2e%2e%2f", "%00", "x" * 500])
def test_unknown_job_is_404(api: Api, job_id: str) -> None:
    response = api("GET", f"/status/{job_id}")
    assert response.status_code == 404
    if "%" not in job_id:
        assert response.json()["detail"] == (
            f"[E602] there is no job '{job_id[:40]}'. Check its id. It may have been removed, or it"
            " belongs to another API key."
        )
        other_route = api("GET", f"/v1/predictions/{job_id}").json()
        assert other_route["detail"] == response.json()["detail"]


def test_jobs_of_another_key_do_not_exist(api_of: Callable[..., Api]) -> None:
    api = api_of()
    secrets = [api.service.keys.create(name)[1] for name in ("a", "b")]
    own, other = ({"authorization": f"Bearer {secret}"} for secret in secrets)

    def call(method: str, path: str, headers: dict[str, str], **more: Any) -> int:
        return api(method, path, headers=headers, **more).status_code

    queued = api("POST", "/enhance", files=photos("a.jpg"), headers=own)
    job_id = queued.json()["job_id"]
    upload = api("POST", "/v1/files", files=photos("a.jpg", part="content"), headers=own).json()
    for method, path in (
        ("GET", f"/status/{job_id}"),
        ("GET", f"/v1/predictions/{job_id}"),
        ("POST", f"/v1/predictions/{job_id}/cancel"),
        ("GET", f"/v1/files/{upload['id']}"),
        ("DELETE", f"/v1/files/{upload['id']}"),
    ):
        assert call(method, path, other) == 404, path
        detail(api(method, path), 401, "E601")
    assert api("GET", "/v1/predictions", headers=other).json()["results"] == []
    stolen = {"image": upload["urls"]["get"], "wait": 0}
    detail(api("POST", "/upscale", json=stolen, headers=other), 422, "E201")
    assert call("POST", "/upscale", own, json=stolen) == 202
    assert call("GET", f"/status/{job_id}", own) == 200
    assert call("GET", f"/v1/files/{upload['id']}", own) == 200
