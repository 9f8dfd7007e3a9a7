"""The type of a generated hostile file."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

ACCEPTED, REJECTED, EITHER = ("accepted",), ("rejected",), ("accepted", "rejected")
FORMAT, DAMAGED, PIXELS, SMALL = ("E205",), ("E206",), ("E203",), ("E204",)


@dataclass(frozen=True)
class Specimen:
    """A hostile file that is not built yet.

    Attributes:
        name: a file name, unique in the corpus.
        kind: the class that it is counted in.
        build: builds its content.
        expected: allowed outcomes: 'accepted', 'rejected', or error codes.
        intact: the file before it was damaged, if a checksum or the end of the data shows the
            damage. If the damaged file is accepted without a warning, the pixels must be equal.
        is_expensive: it needs much time, memory or disk space, so small samples omit it.
    """

    name: str
    kind: str
    build: Callable[[], bytes]
    expected: tuple[str, ...] = EITHER
    intact: bytes | None = None
    is_expensive: bool = False


def specimen_of(
    name: str,
    kind: str,
    data: bytes,
    expected: tuple[str, ...] = EITHER,
    intact: bytes | None = None,
) -> Specimen:
    """Return a specimen whose content exists already."""
    return Specimen(name, kind, partial(bytes, data), expected, intact)
