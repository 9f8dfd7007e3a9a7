"""The option `faces`: all faces, the largest, the one nearest to the centre, or some by number."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator

from restore.errors import Code, RestoreError

ALL: Final = "all"
LARGEST: Final = "largest"
CENTER: Final = "center"
WORDS = (ALL, LARGEST, CENTER)

_NUMBERS = re.compile(r"\[?\s*\d{1,4}(\s*,\s*\d{1,4})*\s*\]?")


@dataclass(frozen=True)
class FaceChoice:
    """A value of the option `faces`.

    Attributes:
        numbers: numbers of faces, which count all detected faces from left to right, from 0; None
            if faces are not chosen by number.
        one_of: LARGEST or CENTER if only that face is chosen, else an empty string.
    """

    numbers: frozenset[int] | None = None
    one_of: str = ""


def parse_faces(text: str) -> FaceChoice:
    """Parse a value of `faces`: one of WORDS, or numbers such as `0,2` or `[0, 2]`.

    An empty text and an empty list mean all faces.

    Raises:
        ValueError: it is something else.
    """
    text = text.strip().lower()
    if text in {"", "[]", ALL}:
        return FaceChoice()
    if text in WORDS:
        return FaceChoice(one_of=text)
    if not _NUMBERS.fullmatch(text) or text.startswith("[") != text.endswith("]"):
        raise ValueError("neither a word nor a list of numbers")
    return FaceChoice(frozenset(int(number) for number in text.strip("[]").split(",")))


def check_face_choice(faces: str, face_points: str, *, only_center_face: bool) -> None:
    """Refuse options that choose different faces.

    Raises:
        RestoreError: OPTION_INVALID.
    """
    choice = parse_faces(faces)
    if choice.numbers is not None and face_points.strip(" []\n\t"):
        raise RestoreError(
            Code.OPTION_INVALID,
            f"faces is '{faces}', and face_points chooses faces, too",
            "Give the numbers of faces or points in them, not both.",
        )
    if choice.one_of == LARGEST and only_center_face:
        raise RestoreError(
            Code.OPTION_INVALID,
            f"faces is '{LARGEST}', but only_center_face is true",
            f"Use faces={LARGEST} or faces={CENTER}.",
        )


def _to_text(value: object) -> object:
    """Convert a number or a list of numbers (from JSON or Python) to text.

    Raises:
        ValueError: a list contains something else.
    """
    if hasattr(value, "tolist"):  # an array or a number of NumPy or torch
        value = value.tolist()
    if isinstance(value, list | tuple):
        value = [each.tolist() if hasattr(each, "tolist") else each for each in value]
        if not all(type(each) is int for each in value):
            raise ValueError("not a list of whole numbers")
        return str(value) if value else ALL
    return str(value) if type(value) is int else value


def _check_faces(text: str) -> str:
    parse_faces(text)
    return text


FacesText = Annotated[str, BeforeValidator(_to_text), AfterValidator(_check_faces)]
