"""Tests of the validation of a request, and of its way into the queue."""

import asyncio
import os
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from apicalls import BASE, Api, data_uri, detail
from sqlalchemy.exc import OperationalError

from restore.errors import RestoreError
from restore.options import MAX_PHOTOS
from restore.service import database
from restore.service.api import urls
from restore.service.api.inputs import MAX_TEXT_CHARACTERS, check_inputs
from restore.service.api.submit import keep, submit
from restore.service.records import Job

URL = "https://93.184.215.14/photos/summer%20house.jpg?x=1"
OTHER_URL = "http://93.184.215.14"


def submitted(api: Api, given: Mapping[str, Any], owner: str = "") -> Job:
    return asyncio.run(submit(api.service, given, owner=owner))


def stored_count(api: Api) -> int:
    folder: Path = api.service.files.uploads
    return sum(path.is_file() for path in folder.rglob("*")) if folder.exists() else 0


class TestInputs:
    def test_options_get_their_names_and_types(self) -> None:
        given = {
            "task": "face_restore",
            "image": URL,
            "fidelity": 0.25,
            "upscale": 2,
            "min_face_px": 20.0,
            "keep_color": None,
            "mask": None,
        }
        checked = check_inputs(given)
        assert checked.options == {
            "task": "face_restore",
            "codeformer_fidelity": 0.25,
            "face_upscale": 2,
            "min_face_px": 20,
        }
        assert type(checked.options["min_face_px"]) is int
        assert checked.photos == {"image": URL}

    @pytest.mark.parametrize(
        ("given", "code", "words"),
        [
            ({"task": "upscal"}, "E102", "Did you mean upscale?"),
            ({"task": 3}, "E102", "task is 3"),
            ({"task": ["upscale"]}, "E102", r"task is \['upscale'\]"),
            ({"scal": 2}, "E101", "'scal'. Did you mean scale?"),
            ({"scale": 9}, "E102", "scale is 9.*number from 1 to 8"),
            ({"scale": "2"}, "E102", "scale is '2'.*Use a number"),
            ({"scale": True}, "E102", "scale is True"),
            ({"render_factor": 35.5}, "E102", "render_factor is 35.5"),
            ({"harm_check": "yes"}, "E102", "harm_check is 'yes'.*true or false"),
            ({"harm_check": 1}, "E102", "harm_check is 1"),
            ({"output_format": "gif"}, "E102", "output_format is 'gif'.*one of jpg"),
            ({"output_format": 5}, "E102", "output_format is 5"),
            ({"steps": "colorize,fly"}, "E102", "steps is 'colorize,fly'"),
            ({"points": {"x": 1}}, "E102", "points is {'x': 1}"),
            ({"points": "[[0,0]\0]"}, "E102", "points has .* NUL"),
            ({"points": "1" * (MAX_TEXT_CHARACTERS + 1)}, "E102", "points has 1048577 char"),
            ({"fidelity": 0.5, "codeformer_fidelity": 0.5}, "E102", "two names"),
            ({"image": None}, "E103", "0 photos"),
            ({"image": 5}, "E201", "photo 'image': it is 5, not a text"),
            ({"image": [URL]}, "E201", "photo 'image'"),
            ({"images": URL}, "E201", "images is 'http.*, not a list"),
            ({"images": [URL, None]}, "E201", r"photo 'images\[1\]': it is None"),
            ({"images": []}, "E103", "images has 0 values"),
            ({"image": URL, "images": [URL] * MAX_PHOTOS}, "E103", "5 photos"),
            ({"images": [URL] * (MAX_PHOTOS + 1)}, "E103", "images has 5 values"),
            ({"task": "inpaint", "images": [URL] * 3, "masks": [URL] * 2}, "E104", "2 masks for 3"),
        ],
    )
    def test_what_a_worker_would_refuse_is_refused(
        self, given: dict[str, Any], code: str, words: str
    ) -> None:
        with pytest.raises(RestoreError, match=words) as raised:
            check_inputs({"image": URL} | given if "images" not in given else given)
        assert raised.value.code == code

    def test_equal_values_of_other_types_are_checked_on_their_own(self) -> None:
        """Options that were checked before are remembered, and in Python 1 == 1.0 == True."""
        for _ in range(2):
            options = check_inputs({"task": "restore", "strength": 1, "image": URL}).options
            assert type(options["strength"]) is int
            options = check_inputs({"task": "restore", "strength": 1.0, "image": URL}).options
            assert type(options["strength"]) is float
            with pytest.raises(RestoreError, match="strength is True"):
                check_inputs({"task": "restore", "strength": True, "image": URL})

    def test_masks_of_other_tasks_are_not_counted(self) -> None:
        checked = check_inputs({"task": "upscale", "image": URL, "masks": [URL] * 3})
        assert checked.photos["masks"] == [URL] * 3

    def test_values_of_any_type_are_refused_with_a_code(self) -> None:
        numbers = (True, 1, -1, 1.5, 1e300, 10**400)
        values: tuple[object, ...] = (*numbers, "", "x", "1", [], [[]], [1], {}, {"a": 1})
        names = ("task", "scale", "tile_size", "points", "steps", "keep_color", "image", "masks")
        codes = set()
        for name in names:
            for value in values:
                try:
                    check_inputs({"image": URL, name: value})
                except RestoreError as error:
                    codes.add(str(error.code))
        assert codes == {"E102", "E103", "E201"}


class TestPhotos:
    def test_each_form_of_a_photo_gets_into_the_job(self, api: Api) -> None:
        upload = api.upload(b"uploaded", "grandma.jpg")
        job = submitted(
            api,
            {
                "task": "inpaint",
                "image": data_uri(b"inline", "image/png"),
                "images": [URL, upload["urls"]["get"], upload["urls"]["download"]],
                "mask": data_uri(b"mask"),
            },
        )
        assert job.input["images"][0] == URL
        assert job.input["images"][1] == job.input["images"][2] == f"file:{upload['id']}"
        assert job.filenames == ("", "summer house.jpg", "grandma.jpg", "grandma.jpg")
        files = api.service.files
        for name, content, media_type in (
            ("image", b"inline", "image/png"),
            ("mask", b"mask", "image/jpeg"),
        ):
            stored = files.get(job.input[name].removeprefix("file:"))
            assert stored is not None
            assert files.read_bytes(stored) == content
            assert stored.content_type == media_type

    def test_stored_files_can_be_given_as_they_are(self, api: Api) -> None:
        stored = api.service.files.save_bytes(
            b"x", owner="", name="a.png", content_type="image/png"
        )
        job = submitted(api, {"image": stored})
        assert (job.input["image"], job.filenames) == (f"file:{stored.id}", ("a.png",))

    def test_other_sources_are_refused(self, api: Api) -> None:
        """No file of the machine, of another key or of the local network can be read."""
        stored = api.upload()["id"]
        for photo in (
            f"file:{stored}",
            "file:///etc/passwd",
            "/etc/passwd",
            "@/etc/passwd",
            "",
            "http://",
            "http://127.0.0.1:8000/x",
            "http://localhost/x",
            "http://169.254.169.254/latest",
            "http://[::ffff:10.0.0.1]/",
            "http://2130706433/",
            "https://example.org:99999/",
            "https://example.org/a\nb",
            "https://example.org/" + "a" * 9000,
            "ftp://example.org/a.jpg",
            "data:image/png;base64",
            "data:image/png;base64,%%%",
            f"{BASE}/v1/files/{'a' * 26}",
        ):
            with pytest.raises(RestoreError, match="photo 'image': ") as raised:
                submitted(api, {"image": photo})
            assert raised.value.code == "E201", photo

    def test_file_of_another_owner_does_not_exist(self, api: Api) -> None:
        theirs = api.service.files.save_bytes(
            b"x", owner="other", name="a.png", content_type="image/png"
        )
        with pytest.raises(RestoreError, match="belongs to another API key"):
            submitted(api, {"image": f"{BASE}/v1/files/{theirs.id}"}, owner="me")
        assert submitted(api, {"image": f"{BASE}/v1/files/{theirs.id}"}, owner="other").owner

    def test_unresolvable_host_is_left_to_the_worker(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A proxy of the worker may know it; a name server may be slow."""

        def fail(*_: object) -> None:
            raise OSError

        def hang(*_: object) -> None:
            time.sleep(0.2)

        monkeypatch.setattr(urls, "RESOLVE_TIMEOUT_S", 0.05)
        for resolve in (fail, hang):
            monkeypatch.setattr(urls, "public_addresses", resolve)
            assert submitted(api, {"image": "https://example.org/a.jpg"}).input["image"]

    def test_refused_request_leaves_no_files(self, api: Api) -> None:
        with pytest.raises(RestoreError, match="images"):
            submitted(api, {"image": data_uri(b"x"), "images": [data_uri(b"y"), "nothing"]})
        assert stored_count(api) == 0

    def test_photo_above_the_limit_is_refused(self, api_of: Any) -> None:
        api = api_of(max_file_mib=1)
        with pytest.raises(RestoreError) as raised:
            submitted(api, {"image": data_uri(bytes(2**20 + 1))})
        assert raised.value.code == "E202"
        assert stored_count(api) == 0

    def test_limit_of_stored_bytes_of_a_key_counts(self, api_of: Any) -> None:
        api = api_of(key_stored_mib=1)
        key, _ = api.service.keys.create("small")
        submitted(api, {"image": data_uri(bytes(700_000))}, owner=key.id)
        with pytest.raises(RestoreError) as raised:
            submitted(api, {"image": data_uri(bytes(700_000))}, owner=key.id)
        assert raised.value.code == "E605"


class TestDurability:
    def test_disk_has_a_job_when_its_client_is_told(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Without `durable` nothing waits for the disk before `keep`, which names each file."""
        synced: list[str] = []
        monkeypatch.setattr(
            os,
            "fsync",
            lambda handle: synced.append(Path(f"/proc/self/fd/{handle}").resolve().name),
        )
        given = {"image": data_uri(b"photo")}
        job = asyncio.run(submit(api.service, given, owner="", durable=False))
        assert synced == []
        keep(api.service, job)
        file_id = str(job.input["image"]).removeprefix("file:")
        assert sorted(synced) == sorted([file_id, file_id[:2], f"{database.FILE_NAME}-wal"])
        synced.clear()
        job = submitted(api, given)
        file_id = str(job.input["image"]).removeprefix("file:")
        assert sorted(synced) == sorted([file_id, file_id[:2]])  # SQLite syncs its log itself

    def test_full_disk_of_the_database_is_told_as_such(
        self, api: Api, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        full = sqlite3.OperationalError("database or disk is full")
        full.sqlite_errorcode = sqlite3.SQLITE_FULL

        def fail(*_: object, **__: object) -> None:
            raise OperationalError("INSERT", {}, full)

        monkeypatch.setattr(api.service.jobs, "submit", fail)
        body = {"input": {"task": "upscale", "image": data_uri(b"photo")}}
        assert "disk" in detail(api("POST", "/v1/predictions", json=body), 507, "E605")
