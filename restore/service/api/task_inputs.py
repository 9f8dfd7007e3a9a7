"""The inputs of a request for one task, from a form or from JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from fastapi import Request
from pydantic import TypeAdapter, ValidationError

from restore.errors import Code, RestoreError
from restore.options import MAX_PHOTOS, SIZE_OPTIONS
from restore.options.aliases import aliases_for, resolve_aliases
from restore.service.api.json_body import json_body
from restore.service.api.submit import submit
from restore.service.api.uploads import stored_form
from restore.service.forms import Form, FormLimits
from restore.service.http_errors import HttpError
from restore.service.records import Job, StoredFile
from restore.serving.fetch import DATA_SCHEME, URL_SCHEMES, has_scheme
from restore.serving.inputs import cog_inputs
from restore.serving.request_body import in_cog_form

if TYPE_CHECKING:
    from restore.service.service import Service

DEFAULTS: Mapping[str, Mapping[str, object]] = MappingProxyType(
    {
        "colorize": {"render_factor": 35},
        "restore": {"tile_size": 0},
        "face_restore": {"codeformer_fidelity": 0.5, "face_upscale": 2},
        "upscale": {"scale": 4, "tile_size": 512},
        "old_photo_restore": {"with_scratch": True, "with_face": True, "scratch_threshold": 0.4},
    }
)
"""Defaults of the routes for single tasks, where they differ from those of predict.py or where
users of other services look for them."""

PHOTO_NAMES: Mapping[str, str] = MappingProxyType(
    {
        **dict.fromkeys(("image", "images", "file", "files", "photo", "photos"), "image"),
        **dict.fromkeys(("mask", "masks"), "mask"),
    }
)
"""Names of photos and masks in a form, any of which may be there more than once."""

LIMITS = FormLimits(files=2 * MAX_PHOTOS)
MAX_WAIT_S = 600.0
DEFAULT_WAIT_S = 60.0

_KINDS: Mapping[str, TypeAdapter[Any]] = MappingProxyType(
    {"bool": TypeAdapter(bool), "int": TypeAdapter(int), "float": TypeAdapter(float)}
)
_KIND_OF = {option.name: option.kind for option in cog_inputs()}


@dataclass(frozen=True)
class Submitted:
    """A job, and how long its client wants to wait for it.

    Attributes:
        wait_s: seconds, 0 to MAX_WAIT_S.
    """

    job: Job
    wait_s: float


async def submit_task(
    request: Request, owner: str, task: str, *, durable: bool = True
) -> Submitted:
    """Read a request for a task, and put it into the queue.

    The body is a form or JSON. All names of predict.py are accepted, and the older names of
    options. `wait` is an input of the request or of its URL.

    Args:
        durable: as of `submit`.

    Raises:
        RestoreError: the request is refused; nothing of it stays in the store.
        ClientDisconnect: the client has left.
    """
    service: Service = request.app.state.service
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type == "multipart/form-data":
        form = await stored_form(request, owner, LIMITS)
        try:
            given = _form_inputs(task, form)
            return await _submit(service, request, given, owner, task, durable)
        except BaseException:
            for _, stored in form.files:
                await asyncio.to_thread(service.files.delete, stored.id)
            raise
    if not media_type.endswith("json"):
        raise HttpError(
            415,
            Code.REQUEST_INVALID,
            "the request is neither a form nor JSON",
            "Send a form (`curl -F image=@photo.jpg`), or JSON with the header"
            " `Content-Type: application/json`.",
        )
    async with json_body(request) as body:
        return await _submit(service, request, _json_inputs(body), owner, task, durable)


async def _submit(
    service: Service,
    request: Request,
    given: dict[str, object],
    owner: str,
    task: str,
    durable: bool,
) -> Submitted:
    wait_s = _wait_s(given.pop("wait", request.query_params.get("wait")))
    if given.pop("task", task) != task:
        reason = f"the route is for {task}, but the request names another task"
        raise RestoreError(Code.OPTION_INVALID, reason, "Leave out task, or use another route.")
    resolved, _ = resolve_aliases(task, given)
    defaults = dict(DEFAULTS.get(task, {}))
    if any(resolved.get(name) is not None for name in SIZE_OPTIONS):
        defaults.pop("scale", None)  # target_px and target_mp are instead of it
    inputs = {"task": task, **defaults, **resolved}
    return Submitted(await submit(service, inputs, owner=owner, durable=durable), wait_s)


def _json_inputs(body: dict[str, Any]) -> dict[str, object]:
    """Return the inputs of a JSON body; a list of photos may have any of their names."""
    given: dict[str, object] = {}
    photos: list[tuple[str, object]] = []
    for name, value in in_cog_form(body).items():
        if name not in PHOTO_NAMES:
            given[name] = value
        elif isinstance(value, list):
            photos += [(name, each) for each in value]
        else:
            photos.append((name, value))
    return given | _photos(photos)


def _form_inputs(task: str, form: Form[StoredFile]) -> dict[str, object]:
    """Return the inputs of a form, whose fields are all texts.

    Raises:
        RestoreError: OPTION_INVALID for an option that is there twice, OPTION_UNKNOWN for a file
            that is not a photo.
    """
    given: dict[str, object] = {}
    photos: list[tuple[str, object]] = []
    for name, text in form.fields:
        short = name.removesuffix("[]")
        if not text.strip():
            continue  # an empty field of a page
        if short in PHOTO_NAMES:
            photos.append((short, _address(name, text.strip())))
        elif name in given:
            raise RestoreError(Code.OPTION_INVALID, f"{name} is given twice", "Send it once.")
        else:
            given[name] = _typed(task, name, text)
    for name, stored in form.files:
        short = name.removesuffix("[]")
        if short not in PHOTO_NAMES:
            reason = f"there is no file named '{name[:60]}'"
            raise RestoreError(Code.OPTION_UNKNOWN, reason, "Send photos as image, masks as mask.")
        photos.append((short, stored))
    return given | _photos(photos)


def _address(name: str, text: str) -> str:
    """Return the URL or data URI of a photo.

    Raises:
        RestoreError: PHOTO_MISSING for the name of a file, as of curl without an @.
    """
    if has_scheme(text, *URL_SCHEMES, DATA_SCHEME):
        return text
    raise RestoreError(
        Code.PHOTO_MISSING,
        f"{name[:60]} is the text '{text[:60]}', which is neither a file nor a URL",
        "Send the file itself. With curl, put an @ before its name: -F image=@photo.jpg",
    )


def _photos(named: Iterable[tuple[str, object]]) -> dict[str, object]:
    """Return the inputs for photos and masks: one as `image`, several as `images`."""
    found: dict[str, list[object]] = {}
    for name, value in named:
        found.setdefault(PHOTO_NAMES[name], []).append(value)
    return {
        name if len(values) == 1 else f"{name}s": values[0] if len(values) == 1 else values
        for name, values in found.items()
    }


def _typed(task: str, name: str, text: str) -> object:
    """Return the value of an option in its type, or the text itself if it is not a value of it."""
    options = {alias.name: alias.option for alias in aliases_for(task)}
    adapter = _KINDS.get(_KIND_OF.get(options.get(name, name), "str"))
    if adapter is None:
        return text
    try:
        return adapter.validate_python(text.strip())
    except ValidationError:
        return text  # refused with all other invalid values


def _wait_s(value: object) -> float:
    """Return the seconds to wait.

    Raises:
        RestoreError: REQUEST_INVALID.
    """
    if value is None:
        return DEFAULT_WAIT_S
    try:
        wait_s = float(str(value))
    except ValueError:
        wait_s = -1.0
    if not 0 <= wait_s <= MAX_WAIT_S:  # not true for NaN either
        raise RestoreError(
            Code.REQUEST_INVALID,
            f"wait is {str(value)[:40]!r}",
            f"Use seconds from 0 to {MAX_WAIT_S:.0f}.",
        )
    return wait_s
