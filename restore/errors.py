"""RestoreError, the exception for everything that a user can act on, and its stable codes.

A message starts with its code and names the photo, the problem and the remedy:
`[E203] photo 'a.jpg': 60.0 megapixels, the limit is 50. Make the photo smaller.`
"""

from __future__ import annotations

import re
from enum import StrEnum

_ERROR_NUMBER = re.compile(r"\[Errno -?\d+\] ")


class Code(StrEnum):
    """Stable error codes.

    The meaning of a code never changes; new codes are added at the end of their group.
    """

    # E1xx: the request
    OPTION_UNKNOWN = "E101"
    OPTION_INVALID = "E102"
    PHOTO_COUNT = "E103"
    MASK = "E104"
    # E2xx: an input photo
    PHOTO_MISSING = "E201"
    PHOTO_TOO_LARGE = "E202"
    PHOTO_TOO_MANY_PIXELS = "E203"
    PHOTO_TOO_SMALL = "E204"
    PHOTO_FORMAT = "E205"
    PHOTO_DAMAGED = "E206"
    # E3xx: the output
    OUTPUT_TOO_LARGE = "E301"
    OUTPUT_UNWRITABLE = "E302"
    HARM = "E303"
    # E4xx: the weights
    WEIGHTS_MISSING = "E401"
    WEIGHTS_CORRUPT = "E402"
    WEIGHTS_UNREACHABLE = "E403"
    WEIGHTS_NO_SPACE = "E404"
    WEIGHTS_MANIFEST = "E405"
    WEIGHTS_UNSUPPORTED = "E406"
    # E5xx: the machine and the server
    OUT_OF_MEMORY = "E501"
    DEVICE = "E502"
    BAD_NUMBERS = "E503"
    SERVER = "E504"
    UNEXPECTED = "E505"
    # E6xx: the job service
    UNAUTHORIZED = "E601"
    JOB_MISSING = "E602"
    QUEUE_FULL = "E603"
    RATE_LIMIT = "E604"
    DISK_QUOTA = "E605"
    WORKER_LOST = "E606"
    REQUEST_INVALID = "E607"


class RestoreError(Exception):
    """An error that the caller can act on.

    Attributes:
        code: stable error code.
        reason: what is wrong, including the value, without a full stop.
        remedy: what to do about it, as a sentence.
        photo: name of the photo, if the error is about one.
    """

    def __init__(self, code: Code, reason: str, remedy: str, *, photo: str | None = None) -> None:
        self.code = code
        self.reason = reason
        self.remedy = remedy
        self.photo = photo
        super().__init__(reason)

    def __reduce__(self) -> tuple[object, ...]:
        """Copy and pickle the error with all of its facts, for results of other processes."""
        return _without_init, (type(self), self.args), self.__dict__

    def about(self, photo: str) -> RestoreError:
        """Return this error with the name of a photo, unless it has one already."""
        return (
            self if self.photo else RestoreError(self.code, self.reason, self.remedy, photo=photo)
        )

    def __str__(self) -> str:
        subject = f"photo '{self.photo}': " if self.photo else ""
        return f"[{self.code}] {subject}{self.reason}. {self.remedy}"


def _without_init(kind: type[RestoreError], args: tuple[object, ...]) -> RestoreError:
    """Return an error without its attributes: `BaseException` would call `kind(*args)`."""
    return kind.__new__(kind, *args)


def system_reason(error: Exception) -> str:
    """Say in plain words why a file or a connection cannot be used, such as `permission denied`.

    The text of an OSError itself has its number, too, and the path, which the message names anyway:
    `[Errno 13] Permission denied: 'a.jpg'`.

    Args:
        error: an OSError, or an error of a library that is not one or has no error number.
    """
    reason = error.strerror if isinstance(error, OSError) else None
    if not reason:
        return _ERROR_NUMBER.sub("", str(error)) or type(error).__name__
    return reason[:1].lower() + reason[1:]


def unexpected(error: Exception) -> RestoreError:
    """Wrap an internal error.

    The message shows the type of the error only: its text may hold file names or photo data.
    """
    return RestoreError(
        Code.UNEXPECTED,
        f"an internal error occurred ({type(error).__name__})",
        "Please report it with the details: servers log them, and `restore -v` prints them.",
    )
