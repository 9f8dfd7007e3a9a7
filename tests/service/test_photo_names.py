"""Tests of the names of photos in messages and reports of workers."""

import json
from typing import Any

import pytest

from restore.service.photo_names import (
    document_with_file_name,
    reports_with_file_names,
    with_file_names,
)
from restore.service.records import NewJob


def job(filenames: tuple[str, ...], **photos: object) -> NewJob:
    return NewJob("id", "", "restore/restore", "1", {"task": "upscale", **photos}, filenames)


TWO = job(("a.jpg", "b'.png"), image="file:1", images=["file:2"])


@pytest.mark.parametrize(
    ("label", "shown"), [("image", "a.jpg"), ("images[0]", "b'.png"), ("images[1]", "images[1]")]
)
def test_inputs_in_messages_become_file_names(label: str, shown: str) -> None:
    message = "[E205] photo '{}': it is no image. Send another one than image."
    assert with_file_names(message.format(label), TWO) == message.format(shown)


def test_photo_without_a_file_name_keeps_the_name_of_its_input() -> None:
    message = "[E205] photo 'image': it is no image."
    assert with_file_names(message, job(("",), image="https://example.org/a.jpg")) == message
    assert with_file_names(message, job((), image="file:1")) == message


def test_reports_have_file_names() -> None:
    reports = [{"photo": "image", "task": "upscale"}, {"photo": "images[0]"}, {"photo": "other"}]
    named = reports_with_file_names(reports, TWO)
    assert [report["photo"] for report in named] == ["a.jpg", "b'.png", "other"]
    assert named[0]["task"] == "upscale"


def test_facts_about_the_file_in_a_report_have_its_name_too() -> None:
    reports: list[dict[str, Any]] = [
        {"photo": "image", "input": {"name": "image", "width": 8}},
        {"input": {}},
    ]
    named = reports_with_file_names(reports, TWO)
    name = named[0]["photo"]
    assert name != "image"
    assert named[0]["input"] == {"name": name, "width": 8}
    assert named[1]["input"] == {}


def test_document_of_inspect_has_the_file_name() -> None:
    document = b'{"photo": {"name": "images[0]", "width": 8}, "steps": []}'
    named = document_with_file_name(document, job(("Stra\u00dfe \u2013 1.jpg",), images=["file:1"]))
    assert json.loads(named) == {
        "photo": {"name": "Stra\u00dfe \u2013 1.jpg", "width": 8},
        "steps": [],
    }
    assert document_with_file_name(document, job(())) == document
