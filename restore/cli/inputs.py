"""Inputs of commands: photos and masks, NAME=VALUE pairs in Cog's form, or one JSON object."""

from __future__ import annotations

import json
import reprlib
import sys
from collections.abc import Sequence
from pathlib import Path

from restore.errors import Code, RestoreError, system_reason
from restore.imaging.named_file import NamedFile
from restore.options import PHOTO_INPUTS
from restore.options.counts import check_mask_count
from restore.serving.fetch import FILE_SCHEME, fetch_photo

PHOTO_INPUT_NAMES = tuple(photo.name for photo in PHOTO_INPUTS)
LIST_INPUT_NAMES = tuple(photo.name for photo in PHOTO_INPUTS if photo.several)

_JSON_REMEDY = """Write for example --json '{"task": "upscale", "images": ["@a.jpg"]}'."""


def read_pairs(pairs: Sequence[str]) -> dict[str, object]:
    """Return NAME=VALUE pairs as a mapping.

    A name that occurs twice, `images` and `masks` give a list. A photo input may be a JSON array.

    Raises:
        RestoreError: OPTION_INVALID for a pair without `=`, or for a broken JSON array.
    """
    inputs: dict[str, object] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            reason = f"-i {pair} is not of the form NAME=VALUE"
            raise RestoreError(Code.OPTION_INVALID, reason, "Write for example -i scale=2.")
        is_array = name in PHOTO_INPUT_NAMES and text.startswith("[")
        values = _read_array(text) if is_array else [text]
        if name in LIST_INPUT_NAMES or name in inputs:
            previous = inputs.get(name, [])
            inputs[name] = [*(previous if isinstance(previous, list) else [previous]), *values]
        else:
            inputs[name] = values[0] if len(values) == 1 else values
    return inputs


def read_json(text: str) -> dict[str, object]:
    """Return the inputs in a JSON object.

    Args:
        text: the JSON itself, `@FILE`, or `@-` for standard input.

    Raises:
        RestoreError: OPTION_INVALID for text that is not a JSON object.
    """
    if text.strip() == "@":
        raise RestoreError(Code.OPTION_INVALID, "--json @ names no file", _JSON_REMEDY)
    try:
        if text.startswith("@"):
            text = sys.stdin.read() if text == "@-" else Path(text[1:]).read_text()
        inputs = json.loads(text)
    except OSError as error:
        reason = f"'{text[1:]}' of --json cannot be read ({system_reason(error)})"
        raise RestoreError(Code.OPTION_INVALID, reason, "Check the path.") from error
    except (ValueError, RecursionError) as error:
        reason = f"--json cannot be read ({error})"
        raise RestoreError(Code.OPTION_INVALID, reason, _JSON_REMEDY) from error
    if not isinstance(inputs, dict):
        reason = f"--json is {reprlib.repr(inputs)}, which is not a JSON object"
        raise RestoreError(Code.OPTION_INVALID, reason, _JSON_REMEDY)
    return inputs


def take_photos(
    inputs: dict[str, object], names: Sequence[str], download_folder: Path
) -> list[NamedFile]:
    """Remove the photo inputs of these names from `inputs` and return their files, in order.

    Args:
        inputs: all inputs; the named ones are removed.
        names: names of photo inputs, such as `image` and `images`.
        download_folder: existing folder for the content of URLs and data URIs.

    Raises:
        RestoreError: PHOTO_MISSING, PHOTO_TOO_LARGE.
    """
    sources = []
    for name in names:
        value = inputs.pop(name, None)
        values = value if isinstance(value, list) else [] if value is None else [value]
        sources += [(f"{name}-{index}", str(source)) for index, source in enumerate(values)]
    return [fetch_existing(source, download_folder / file_name) for file_name, source in sources]


def fetch_existing(source: str, target: Path) -> NamedFile:
    """Make a photo available as `fetch_photo` does, and check that a local file exists.

    Args:
        source: a path, a URL or a data URI.
        target: file for the content of a URL or data URI.

    Raises:
        RestoreError: PHOTO_MISSING, PHOTO_TOO_LARGE.
    """
    if source.removeprefix("@").strip() in {"", FILE_SCHEME}:
        reason = "the path of a photo or mask is empty"
        raise RestoreError(Code.PHOTO_MISSING, reason, "Give the path of a file, or a URL.")
    photo = fetch_photo(source, target)
    try:
        if photo.path.is_file():
            return photo
        is_folder, exists = photo.path.is_dir(), photo.path.exists()
    except (OSError, ValueError) as error:  # too long, or with a NUL character
        reason = f"'{str(photo.path)[:80]}' cannot be read ({system_reason(error)})"
        raise RestoreError(
            Code.PHOTO_MISSING, reason, "Check the path.", photo=photo.name[:80]
        ) from error
    reason, remedy = f"'{photo.path}' does not exist", "Check the path."
    if is_folder:
        reason = f"'{photo.path}' is a folder"
        remedy = (
            f"Give the photos in it, for example {photo.path}/*.jpg."
            f" `restore batch {photo.path} OUT` restores all of them."
        )
    elif exists:
        reason = f"'{photo.path}' is not a file"
    elif photo.path.is_symlink():
        reason = f"'{photo.path}' is a link to '{photo.path.readlink()}', which does not exist"
    raise RestoreError(Code.PHOTO_MISSING, reason, remedy, photo=photo.name)


def masks_of(sources: Sequence[str], masks: Sequence[str]) -> list[Sequence[str]]:
    """Return the masks of each photo: none, or one.

    Args:
        sources: the photos.
        masks: none, one for all photos, or one for each photo.

    Raises:
        RestoreError: MASK for another number of masks.
    """
    check_mask_count(len(masks), len(sources))
    return [masks if len(masks) < 2 else [masks[index]] for index in range(len(sources))]


def fetch_masks(masks: Sequence[str], folder: Path) -> list[NamedFile]:
    """Return the masks of a photo as files; those that are fetched are written into a folder.

    Raises:
        RestoreError: as `fetch_existing`.
    """
    return [fetch_existing(mask, folder / f"mask-{index}") for index, mask in enumerate(masks)]


def _read_array(text: str) -> list[object]:
    try:
        return list(json.loads(text))
    except (ValueError, RecursionError) as error:
        reason = f"{text[:60]} is not a JSON array ({error})"
        remedy = """Write for example '["a.jpg", "b.jpg"]'."""
        raise RestoreError(Code.OPTION_INVALID, reason, remedy) from error
