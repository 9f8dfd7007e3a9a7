"""A remote file that is read in ranges, for zipfile.

The package remotezip is not used, because it neither resumes interrupted ranges nor checks that
they belong to the requested file.
"""

from __future__ import annotations

import errno
import io
from collections.abc import Callable


class RangeFile(io.RawIOBase):
    """A seekable, read-only file.

    Args:
        read_range: returns the bytes from a first position to a last one (exclusive).
        size: size of the file.
    """

    def __init__(self, read_range: Callable[[int, int], bytes], size: int) -> None:
        self._read_range = read_range
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError(errno.EINVAL, "seek to a negative position")
        self._position = base + offset
        return self._position

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override] # Buffer is private
        stop = min(self._position + len(buffer), self._size)
        if stop <= self._position:
            return 0
        content = self._read_range(self._position, stop)
        buffer[: len(content)] = content
        self._position = stop
        return len(content)
