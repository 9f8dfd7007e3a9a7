"""Encode the results of a request in other threads while the next photos are processed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from restore.imaging.encode import encode
from restore.imaging.parallel import MAX_THREADS
from restore.imaging.photo import Photo
from restore.options import OutputOptions

MAX_WAITING_MEGAPIXELS = 64
"""Results of more pixels in total are not encoded early, which bounds the memory."""


@dataclass(frozen=True)
class Encoded:
    """An encoded photo.

    Attributes:
        data: the content of the file.
        warnings: about what the file cannot hold.
        elapsed_ms: how long it took.
    """

    data: bytes
    warnings: tuple[str, ...]
    elapsed_ms: float


def encode_timed(photo: Photo, output: OutputOptions) -> Encoded:
    """Encode a photo as the request wants it, and measure the time.

    Raises:
        RestoreError: as `encode`.
    """
    started_s = time.perf_counter()
    data, warnings = encode(
        photo, output.output_format, output.output_quality, keep_gps=output.keep_gps
    )
    return Encoded(data, warnings, 1000.0 * (time.perf_counter() - started_s))


class EarlyEncoder:
    """Encodes the photos of one request as soon as they are finished.

    Args:
        output: the output options of the request.
    """

    def __init__(self, output: OutputOptions) -> None:
        self._output = output
        self._pool = ThreadPoolExecutor(MAX_THREADS, thread_name_prefix="encode")
        self._futures: dict[int, Future[Encoded]] = {}
        self._megapixels = 0.0

    def start(self, index: int, photo: Photo) -> None:
        """Encode a photo in a thread, unless too many pixels are encoded already.

        Args:
            index: the photo's position in the request.
            photo: the finished result.
        """
        self._megapixels += photo.megapixels
        if self._megapixels <= MAX_WAITING_MEGAPIXELS:
            self._futures[index] = self._pool.submit(encode_timed, photo, self._output)

    def close(self, *, failed: bool = False) -> Mapping[int, Future[Encoded]]:
        """Accept no more photos; return what is being encoded, by position.

        Args:
            failed: the request failed, so that nothing needs to be encoded.
        """
        self._pool.shutdown(wait=False, cancel_futures=failed)
        return self._futures
