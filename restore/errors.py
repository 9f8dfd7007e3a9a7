"""RestoreError and its stable codes: the one way this project says no.

A message names the photo, the value and the remedy, in that order, and starts with its code, so that it survives Cog,
HTTP and a terminal alike: `[E203] photo 'a.jpg': 60.0 megapixels, the limit is 50. Make the photo smaller.`
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Stable error codes. A code never changes its meaning; new ones are added at the end of their family."""

    # E1xx: the request
    OPTION_UNKNOWN = "E101"
    OPTION_INVALID = "E102"
    PHOTO_COUNT = "E103"
    MASK = "E104"
    # E2xx: a photo that came in
    PHOTO_MISSING = "E201"
    PHOTO_TOO_LARGE = "E202"
    PHOTO_TOO_MANY_PIXELS = "E203"
    PHOTO_TOO_SMALL = "E204"
    PHOTO_FORMAT = "E205"
    PHOTO_DAMAGED = "E206"
    # E3xx: what the request would produce
    OUTPUT_TOO_LARGE = "E301"
    OUTPUT_UNWRITABLE = "E302"
    # E4xx: weights
    WEIGHTS_MISSING = "E401"
    WEIGHTS_CORRUPT = "E402"
    WEIGHTS_UNREACHABLE = "E403"
    WEIGHTS_NO_SPACE = "E404"
    WEIGHTS_MANIFEST = "E405"
    WEIGHTS_UNSUPPORTED = "E406"
    # E5xx: the machine
    OUT_OF_MEMORY = "E501"
    DEVICE = "E502"
    BAD_NUMBERS = "E503"
    SERVER = "E504"
    UNEXPECTED = "E505"


class RestoreError(Exception):
    """A refusal or failure that a caller can act on.

    Attributes:
        code: stable `Code`.
        reason: what is wrong, with the offending value in it.
        remedy: what to do about it, as a full sentence.
        photo: the name of the photo it is about, if it is about one.
    """

    def __init__(self, code: Code, reason: str, remedy: str, *, photo: str | None = None) -> None:
        self.code = code
        self.reason = reason
        self.remedy = remedy
        self.photo = photo
        super().__init__(reason)

    def about(self, photo: str) -> RestoreError:
        """The same error, about a photo where it was about none."""
        return (
            self if self.photo else RestoreError(self.code, self.reason, self.remedy, photo=photo)
        )

    def __str__(self) -> str:
        subject = f"photo '{self.photo}': " if self.photo else ""
        return f"[{self.code}] {subject}{self.reason}. {self.remedy}"


def unexpected(error: Exception) -> RestoreError:
    """A fault of this project as an error with a code: its kind alone, as its text may hold anything."""
    reason = f"this request met a fault of the program ({type(error).__name__})"
    return RestoreError(
        Code.UNEXPECTED, reason, "The server's log has the details; please report it with them."
    )
