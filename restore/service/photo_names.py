"""The names of photos in the messages and reports of workers.

A worker knows a photo by its input, such as `image` or `images[1]`. Users know its file name.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from restore.service.records import NewJob


def with_file_names(message: str, job: NewJob) -> str:
    """Replace the name of an input in a message by the name of its file."""
    for label, name in _names(job):
        message = message.replace(f"photo '{label}'", f"photo '{name}'")
    return message


def reports_with_file_names(
    reports: Iterable[Mapping[str, Any]], job: NewJob
) -> list[dict[str, Any]]:
    """Replace the names of inputs in reports by the names of their files."""
    names = dict(_names(job))
    renamed = []
    for report in reports:
        label = report.get("photo", "")
        name = names.get(label, label)
        facts = report.get("input")
        if isinstance(facts, Mapping) and facts.get("name") == label:
            renamed.append({**report, "photo": name, "input": {**facts, "name": name}})
        else:
            renamed.append({**report, "photo": name})
    return renamed


def document_with_file_name(document: bytes, job: NewJob) -> bytes:
    """Replace the name of an input in the JSON of `inspect` by the name of its file."""
    inspection = json.loads(document)
    facts = inspection.get("photo", {})
    name = dict(_names(job)).get(facts.get("name", ""))
    if name is None:
        return document
    facts["name"] = name
    return json.dumps(inspection, ensure_ascii=False).encode()


def _names(job: NewJob) -> Iterator[tuple[str, str]]:
    """Yield the input and the file name of each photo that has one."""
    several = job.input.get("images") or ()
    labels = ["image"] if job.input.get("image") else []
    labels += [f"images[{index}]" for index in range(len(several))]
    for label, name in zip(labels, job.filenames, strict=False):  # a job may have no names
        if name:
            yield label, name
