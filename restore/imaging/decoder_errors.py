"""The exceptions that decoders raise on damaged or hostile files, and their conversion."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import cv2
from PIL import Image

from restore.errors import Code, RestoreError

# Pillow, OpenCV and zlib raise these on hostile files. Any other exception is a bug in this
# project and must not be reported as a damaged file.
DECODER_ERRORS = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    SyntaxError,
    LookupError,
    ArithmeticError,
    AttributeError,
    AssertionError,
    RuntimeError,
    MemoryError,
    struct.error,
    zlib.error,
    cv2.error,
    Image.DecompressionBombError,
)


@contextmanager
def translate_decoder_errors(file_format: str, size_bytes: int, name: str) -> Iterator[None]:
    """Convert exceptions of decoders in the block into errors that name the photo.

    Args:
        file_format: the format of the file, as from `identify`.
        size_bytes: the size of the file, for the message.
        name: the photo's name.

    Raises:
        RestoreError: OUT_OF_MEMORY or PHOTO_DAMAGED.
    """
    try:
        yield
    except DECODER_ERRORS as error:
        if _is_out_of_memory(error):
            raise out_of_memory(size_bytes, name) from error
        raise RestoreError(
            Code.PHOTO_DAMAGED,
            f"its {file_format} data is damaged or cut short ({_reason_of(error)})",
            "Send the whole file again, or save it again with an image editor.",
            photo=name,
        ) from error


def out_of_memory(size_bytes: int, name: str) -> RestoreError:
    """Return the error for a file that cannot be decoded in the available memory."""
    return RestoreError(
        Code.OUT_OF_MEMORY,
        f"decoding its {size_bytes} bytes ran out of memory",
        "Make the photo smaller or give the machine more memory.",
        photo=name,
    )


def _reason_of(error: BaseException) -> str:
    """Return the message of a decoder without addresses of objects in memory."""
    return re.sub(r" <[^<>]* at 0x[0-9a-f]+>", "", str(error)) or type(error).__name__


def _is_out_of_memory(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (
        isinstance(error, cv2.error) and error.code == cv2.Error.STS_NO_MEM
    )
