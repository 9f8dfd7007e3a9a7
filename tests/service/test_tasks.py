"""Tests of the routes for single tasks."""

import io
import json
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from apicalls import Api, data_uri, detail, jpeg

from restore.options import TASKS, takes_masks
from restore.service.limits import KeyLimits
from restore.service.records import Job, Status

RESULT = jpeg(200)


NAMES = [
    ("../../etc/passwd", "passwd"),
    ("C:\\Windows\\win.ini", "win"),
    ("..", "photo"),
    ("/", "photo"),
    (".", "photo"),
    ('a"b\r\nx: y.jpg', "a%22b"),
    ("x" * 300 + ".jpg", "x" * 100),
    ("Größe \u202e.jpg", "Größe"),
    ("CON.old.png", "CON_.old."),
    ("aux.jpg", "aux_."),
    ("concert <1>.jpg", "concert _1_."),
]

WAITS = ["-1", "601", "nan", "soon"]

FAILURES = [
    ("[E203] photo 'a.jpg': 60.0 megapixels, the limit is 50. Use less.", 422, "E203"),
    ("[E202] photo 'a.jpg': it has 40 MiB. Send a smaller file.", 413, "E202"),
    ("[E501] out of memory. Use tiles. Or less.", 500, "E501"),
    ("[E504] the server is busy. Wait.", 503, "E504"),
    ("something else", 500, "E505"),
]

DEFAULTS = [
    ("/colorize", {"task": "colorize", "render_factor": 35}),
    ("/restore", {"task": "restore", "tile_size": 0}),
    (
        "/face-restore",
        {"task": "face_restore", "codeformer_fidelity": 0.5, "face_upscale": 2},
    ),
    ("/upscale", {"task": "upscale", "scale": 4, "tile_size": 512}),
    (
        "/old-photo-restore",
        {
            "task": "old_photo_restore",
            "with_scratch": True,
            "with_face": True,
            "scratch_threshold": 0.4,
        },
    ),
    ("/pipeline", {"task": "pipeline"}),
    ("/inspect", {"task": "inspect"}),
]

INVALID_FORMS = [
    ([], {}, "E103"),
    ([("image", "a.jpg")] * 5, {}, "E103"),
    ([("picture", "a.jpg")], {}, "E101"),
    ([("image", "a.jpg")], {"size": "3"}, "E101"),
    ([("image", "a.jpg")], {"scale": "9"}, "E102"),
    ([("image", "a.jpg")], {"scale": "wide"}, "E102"),
    ([("image", "a.jpg")], {"face_enhance": "maybe"}, "E102"),
    ([("image", "a.jpg")], {"task": "colorize"}, "E102"),
    ([("image", "a.jpg")], {"image": "http://127.0.0.1/b.jpg"}, "E201"),
]

OTHER_TYPES = ["image/jpeg", "", "application/x-www-form-urlencoded"]


@contextmanager
def worker(api: Api, work: Callable[[Job], None]) -> Iterator[list[Job]]:
    """Play a worker in a thread inside a `with` block; yield the jobs that it has taken."""
    jobs, ended = [], threading.Event()

    def run() -> None:
        while not ended.is_set():
            if job := api.service.jobs.claim("worker-1", "gateway", 60.0):
                jobs.append(job)
                work(job)
            time.sleep(0.005)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield jobs
    finally:
        ended.set()
        thread.join()


def succeeding(api: Api, *names: str) -> Callable[[Job], None]:
    def work(job: Job) -> None:
        files = [
            api.service.files.save_bytes(
                RESULT, owner=job.owner, name=name, content_type="image/jpeg", job_id=job.id
            )
            for name in names
        ]
        output = [f"file:{file.id}" for file in files]
        api.service.jobs.succeed(job.id, job.attempt, output=output, predict_s=0.1)

    return work


def failing(api: Api, error: str) -> Callable[[Job], None]:
    return lambda job: api.service.jobs.fail(job.id, job.attempt, error) and None


def form(*photos: tuple[str, str], **fields: str) -> dict[str, Any]:
    """The arguments of a request with a form; a photo is the name of its part and of its file."""
    return {"files": [(part, (name, jpeg())) for part, name in photos], "data": fields}


class TestResults:
    def test_one_photo_is_returned_as_it_is(self, api: Api) -> None:
        with worker(api, succeeding(api, "out.jpg")) as jobs:
            response = api("POST", "/upscale", **form(("image", "Oma 1950.tiff")))
        assert (response.status_code, response.content) == (200, RESULT)
        assert response.headers["content-type"] == "image/jpeg"
        disposition = response.headers["content-disposition"]
        assert disposition == "inline; filename*=utf-8''Oma%201950.jpg"
        assert response.headers["x-job-id"] == jobs[0].id
        assert response.headers["x-content-type-options"] == "nosniff"

    def test_several_photos_are_a_zip_file(self, api: Api) -> None:
        photos = form(("image", "a.png"), ("image", "b.jpg"), ("file", "A.jpg"))
        with worker(api, succeeding(api, "0.jpg", "1.jpg", "2.jpg")) as jobs:
            response = api("POST", "/upscale", **photos)
        assert response.headers["content-type"] == "application/zip"
        archive = zipfile.ZipFile(io.BytesIO(response.content))
        assert archive.testzip() is None
        assert archive.namelist() == ["a.jpg", "b.jpg", "A-2.jpg"]
        assert archive.read("a.jpg") == RESULT
        assert len(jobs[0].input["images"]) == 3

    def test_names_of_photos_are_no_paths_and_no_headers(self, api: Api) -> None:
        for name, safe in NAMES:
            with worker(api, succeeding(api, "0.jpg", "1.jpg")):
                response = api("POST", "/upscale", **form(("image", name), ("image", "second.jpg")))
            assert "\n" not in response.headers["content-disposition"]
            first = zipfile.ZipFile(io.BytesIO(response.content)).namelist()[0]
            assert first.startswith(safe), first
            assert not set(first) & set('/\\"\r\n:'), first
            stored = api.service.files.uploads
            assert all(path.is_relative_to(stored) for path in stored.rglob("*"))

    def test_client_that_asks_for_json_gets_urls(self, api: Api) -> None:
        with worker(api, succeeding(api, "out.jpg")):
            response = api(
                "POST",
                "/upscale",
                **form(("image", "a.jpg")),
                headers={"accept": "application/json"},
            )
        prediction = response.json()
        assert (response.status_code, prediction["status"]) == (200, "succeeded")
        assert api("GET", prediction["output"][0]).content == RESULT

    def test_result_of_inspect_is_json_itself(self, api: Api) -> None:
        headers = {"accept": "application/json"}
        with worker(api, succeeding(api, "out.json")):
            response = api("POST", "/inspect", **form(("image", "a.jpg")), headers=headers)
        assert (response.status_code, response.content) == (200, RESULT)

    def test_job_that_takes_longer_than_wait_is_202_and_goes_on(self, api: Api) -> None:
        response = api("POST", "/upscale", **form(("image", "a.jpg"), wait="0"))
        prediction = response.json()
        assert (response.status_code, prediction["status"]) == (202, "starting")
        assert prediction["metrics"]["queue_position"] == 0
        assert response.headers["location"] == prediction["urls"]["get"]
        api.finish(prediction["id"], {"out.jpg": RESULT})
        done = api("GET", response.headers["location"]).json()
        assert done["status"] == "succeeded"
        assert api("POST", "/upscale?wait=0", **form(("image", "a.jpg"))).status_code == 202

    def test_wait_has_limits(self, api: Api) -> None:
        for wait in WAITS:
            response = api("POST", "/upscale", **form(("image", "a.jpg"), wait=wait))
            assert "0 to 600" in detail(response, 422, "E607")

    def test_failure_has_the_status_of_its_code(self, api: Api) -> None:
        for error, status, code in FAILURES:
            with worker(api, failing(api, error)):
                response = api("POST", "/restore", **form(("image", "a.jpg")))
            shown = detail(response, status, code)
            assert error.rstrip(".") in shown

    def test_cancelled_job_is_409(self, api: Api) -> None:
        def cancel(job: Job) -> None:
            api.service.jobs.cancel(job.id)
            api.service.jobs.cancelled(job.id, job.attempt)

        with worker(api, cancel):
            response = api("POST", "/restore", **form(("image", "a.jpg")))
        detail(response, 409, "E607")


class TestInputs:
    def test_route_has_its_own_defaults(self, api: Api) -> None:
        for path, inputs in DEFAULTS:
            job = self.job(api, path, **form(("image", "a.jpg")))
            assert {name: value for name, value in job.input.items() if name != "image"} == inputs
            assert job.filenames == ("a.jpg",)

    @pytest.mark.parametrize("target", [("target_px", "900"), ("target_mp", "2.5")])
    def test_size_of_the_result_replaces_the_default_scale(
        self, api: Api, target: tuple[str, str]
    ) -> None:
        job = self.job(api, "/upscale", **form(("image", "a.jpg"), **dict([target])))
        expected = {"task": "upscale", "tile_size": 512, target[0]: float(target[1])}
        assert {name: value for name, value in job.input.items() if name != "image"} == expected

    def test_every_task_has_a_route(self, api: Api) -> None:
        paths = api("GET", "/openapi.json").json()["paths"]
        for task in TASKS:
            route = paths[f"/{task.replace('_', '-')}"]["post"]
            content = route["requestBody"]["content"]
            assert set(content) == {"multipart/form-data", "application/json"}
            for media in content.values():
                assert ("mask" in media["schema"]["properties"]) == takes_masks(task)

    def test_fields_of_a_form_have_the_types_of_the_options(self, api: Api) -> None:
        fields = {"fidelity": "0.7", "upscale": "3", "only_center_face": "on", "min_face_px": "20"}
        more = {"output_format": "png", "keep_gps": "false", "tile_size": "", "face_model": "lite"}
        job = self.job(api, "/face-restore", **form(("image", "a.jpg"), **fields, **more))
        assert {**job.input, "image": ""} == {
            "task": "face_restore",
            "image": "",
            "codeformer_fidelity": 0.7,
            "face_upscale": 3.0,
            "only_center_face": True,
            "min_face_px": 20,
            "output_format": "png",
            "keep_gps": False,
            "face_model": "lite",
        }

    def test_json_has_the_same_inputs(self, api: Api) -> None:
        points = [[1, 1], [9, 1], [9, 9]]
        body = {"image": data_uri(jpeg()), "points": points, "fidelity": None, "strength": 0.5}
        job = self.job(api, "/inpaint", json=body)
        assert json.loads(job.input["points"]) == points
        assert job.input["strength"] == 0.5
        body = {"images": [data_uri(jpeg())], "steps": ["colorize", "upscale"]}
        job = self.job(api, "/pipeline", json=body)
        assert job.input["steps"] == "colorize,upscale"
        assert job.input["image"].startswith("file:")

    def test_masks_are_files_of_the_form(self, api: Api) -> None:
        photos = (("image", "a.jpg"), ("photos[]", "b.jpg"), ("mask", "m.png"), ("masks", "n.png"))
        job = self.job(api, "/inpaint", **form(*photos))
        assert (len(job.input["images"]), len(job.input["masks"])) == (2, 2)
        assert job.filenames == ("a.jpg", "b.jpg")

    def test_invalid_form_is_refused_at_once_and_nothing_of_it_stays(self, api: Api) -> None:
        for photos, fields, code in INVALID_FORMS:
            request = form(*photos, **fields)
            if not photos:
                request["files"] = [("scale", (None, b"2"))]
            detail(api("POST", "/upscale", **request), 422, code)
            assert sum(api.service.jobs.counts().values()) == 0
            assert api.service.files.total_bytes() == 0
            assert not [path for path in api.service.files.uploads.rglob("*") if path.is_file()]

    @pytest.mark.parametrize("text", ["photo.jpg", "file:///etc/passwd"])
    def test_name_of_a_file_is_refused_with_the_way_to_send_it(self, api: Api, text: str) -> None:
        request = {"files": [("image", (None, text.encode()))]}
        refused = detail(api("POST", "/upscale", **request), 422, "E201")
        assert f"image is the text '{text}'" in refused
        assert "put an @ before its name" in refused

    def test_option_that_is_given_twice_is_refused(self, api: Api) -> None:
        request = form(("image", "a.jpg"), scale="2")
        request["files"].append(("scale", (None, b"3")))
        assert "scale is given twice" in detail(api("POST", "/upscale", **request), 422, "E102")

    def test_other_bodies_are_415(self, api: Api) -> None:
        for content_type in OTHER_TYPES:
            headers = {"content-type": content_type}
            response = api("POST", "/upscale", content=b"image=x", headers=headers)
            assert "curl -F image=@photo.jpg" in detail(response, 415, "E607")

    def job(self, api: Api, path: str, **request: Any) -> Job:
        """The job that a request has created."""
        response = api("POST", f"{path}?wait=0", **request)
        assert response.status_code == 202, response.text
        job = api.service.jobs.get(response.json()["id"])
        assert job is not None
        assert job.status is Status.STARTING
        return job


class TestLimits:
    def test_upload_ends_at_the_limit_and_nothing_of_it_stays(
        self, api_of: Callable[..., Api], tmp_path: Path
    ) -> None:
        api, sent = api_of(max_file_mib=1), 0

        def body() -> Iterator[bytes]:
            nonlocal sent
            yield b'--b\r\ncontent-disposition: form-data; name="image"; filename="a.jpg"\r\n\r\n'
            for _ in range(100):
                sent += 1
                yield bytes(2**20)
            yield b"\r\n--b--\r\n"

        async def chunks() -> Any:
            for chunk in body():
                yield chunk

        headers = {"content-type": "multipart/form-data; boundary=b"}
        response = api("POST", "/upscale", content=chunks(), headers=headers)
        detail(response, 413, "E202")
        assert sent < 10, "the upload was read to its end"
        assert api.service.files.total_bytes() == 0

    def test_declared_size_is_refused_before_the_body_is_read(
        self, api_of: Callable[..., Api]
    ) -> None:
        api = api_of(max_file_mib=1)

        async def chunks() -> Any:
            pytest.fail("the body was read")
            yield b""

        headers = {
            "content-type": "multipart/form-data; boundary=b",
            "content-length": str(100 * 2**20),
        }
        response = api("POST", "/upscale", content=chunks(), headers=headers)
        assert response.headers["connection"] == "close"
        detail(response, 413, "E202")

    def test_stored_bytes_of_a_key_are_limited(self, api_of: Callable[..., Api]) -> None:
        api = api_of(api_key="simple key", key_stored_mib=1)
        headers = {"x-api-key": "simple key"}
        large = {"files": [("image", ("a.jpg", bytes(700 * 2**10)))], "headers": headers}
        assert api("POST", "/upscale?wait=0", **large).status_code == 202
        detail(api("POST", "/upscale?wait=0", **large), 507, "E605")

    def test_waiting_jobs_of_a_key_are_limited(self, api_of: Callable[..., Api]) -> None:
        api = api_of(api_key="simple key", key_waiting_jobs=5)
        _, secret = api.service.keys.create("phone", KeyLimits(waiting_jobs=1))
        body = {"image": "https://93.184.215.14/photo.jpg", "wait": 0}

        def statuses(key: str) -> list[int]:
            headers = {"x-api-key": key}
            answers = [api("POST", "/upscale", json=body, headers=headers) for _ in range(2)]
            return [answer.status_code for answer in answers]

        assert statuses(secret) == [202, 429]
        assert statuses("simple key") == [202, 202]

    def test_thousand_jobs_are_queued_or_refused(self, api_of: Callable[..., Api]) -> None:
        api = api_of(max_waiting_jobs=3)
        url = {"image": "https://93.184.215.14/photo.jpg", "wait": 0}
        statuses = [api("POST", "/upscale", json=url).status_code for _ in range(5)]
        assert statuses == [202, 202, 202, 429, 429]
        refused = api("POST", "/upscale", json=url)
        assert int(refused.headers["retry-after"]) >= 1
        detail(refused, 429, "E603")
