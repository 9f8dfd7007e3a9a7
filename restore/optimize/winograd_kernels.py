"""Winograd's F(4x4, 3x3) for few channels: transforms and products of a block of tiles at a time, all in a core's own cache; Numba.

Arrays are flat and offsets unsigned, and each inner loop writes one row: so LLVM sees that nothing overlaps, and vectorises every loop.
Numba finds the kernels' types: floats are float32, offsets and lengths of inner loops unsigned, rows and columns signed.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

import numba
import numpy as np
import scipy.linalg.cython_blas  # noqa: F401 - np.dot inside Numba is its sgemm
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

Floats = NDArray[np.float32]
Function = TypeVar("Function", bound=Callable[..., Any])
OUT, TILE = 4, 6
BLOCK_BYTES = 1 << 20  # of transformed tiles: half of what the second cache of a core holds
LEAST_TILES = 24  # of a block, for the products' sake
F, U = np.float32, np.uintp
U2, U3, U4, U5, U6 = U(2), U(3), U(4), U(5), U(6)


def kernel(function: Function) -> Function:
    """Compiled when first called, without the GIL; kept on disk for the next process where there is a place for it."""
    options: Any = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    try:
        compiled = numba.njit(function, cache=True, **options)
    except RuntimeError:  # neither this folder nor the home can be written
        compiled = numba.njit(function, **options)
    return compiled  # type: ignore[no-any-return]  # Numba's own kind of function


@kernel
def _of_samples(source, first, row, target, start, step, length):
    """The paper's B^T of six rows, `row` apart, into six, `step` apart."""
    a, b, c, d, e, f = (
        first,
        first + row,
        first + U2 * row,
        first + U3 * row,
        first + U4 * row,
        first + U5 * row,
    )
    for k in range(length):
        target[start + k] = F(4) * source[a + k] - F(5) * source[c + k] + source[e + k]
    to = start + step
    for k in range(length):
        target[to + k] = (source[e + k] - F(4) * source[c + k]) + (
            source[d + k] - F(4) * source[b + k]
        )
    to += step
    for k in range(length):
        target[to + k] = (source[e + k] - F(4) * source[c + k]) - (
            source[d + k] - F(4) * source[b + k]
        )
    to += step
    for k in range(length):
        target[to + k] = (source[e + k] - source[c + k]) + F(2) * (source[d + k] - source[b + k])
    to += step
    for k in range(length):
        target[to + k] = (source[e + k] - source[c + k]) - F(2) * (source[d + k] - source[b + k])
    to += step
    for k in range(length):
        target[to + k] = F(4) * source[b + k] - F(5) * source[d + k] + source[f + k]


@kernel
def _of_products(source, first, row, target, start, step, bias, length):
    """The paper's A^T of six rows into at most four, as many as `step` names places for; `bias` is added."""
    a, b, c, d, e, f = (
        first,
        first + row,
        first + U2 * row,
        first + U3 * row,
        first + U4 * row,
        first + U5 * row,
    )
    for k in range(length):
        target[start + k] = (
            source[a + k]
            + (source[b + k] + source[c + k])
            + (source[d + k] + source[e + k])
            + bias[k]
        )
    to = start + step
    for k in range(length):
        target[to + k] = (
            (source[b + k] - source[c + k]) + F(2) * (source[d + k] - source[e + k]) + bias[k]
        )
    to += step
    for k in range(length):
        target[to + k] = (
            (source[b + k] + source[c + k]) + F(4) * (source[d + k] + source[e + k]) + bias[k]
        )
    to += step
    for k in range(length):
        target[to + k] = (
            (source[b + k] - source[c + k])
            + F(8) * (source[d + k] - source[e + k])
            + source[f + k]
            + bias[k]
        )


@kernel
def _at_edge(photo, shape, mirrored, top, left, right):
    """Six rows of a flat HWC photo from `top` on, between two columns; those beyond the photo are zeros, or `mirrored` the second one."""
    height, width, channels = shape
    length = U((right - left) * channels)
    rows = np.zeros(U6 * length, np.float32)
    for i in range(TILE):
        row = top + i
        if mirrored and row < 0:
            row = -row
        elif mirrored and row == height:
            row = height - 2
        if 0 <= row < height:
            source, target = U((row * width + left) * channels), U(i) * length
            for k in range(length):
                rows[target + k] = photo[source + k]
    return rows


@kernel
def _transform_samples(
    photo, shape, mirrored, top, left, tiles, rows, tile_row, samples, first, step
):
    """A row of tiles of a flat HWC photo, from (top, left) on, into `samples`; `mirrored` as in `_at_edge`."""
    height, width, channels = shape
    right = left + OUT * tiles + 2
    seen_left, seen_right, depth = max(left, 0), min(right, width), U(channels)
    before, behind, end = (
        U((seen_left - left) * channels),
        U((seen_right - left) * channels),
        U((right - left) * channels),
    )
    for i in range(U6):
        for k in range(before):
            rows[i * tile_row + k] = F(0)
        for k in range(behind, end):
            rows[i * tile_row + k] = F(0)
    if top >= 0 and top + TILE <= height:
        _of_samples(
            photo,
            U((top * width + seen_left) * channels),
            U(width * channels),
            rows,
            before,
            tile_row,
            behind - before,
        )
    else:
        edge = _at_edge(photo, shape, mirrored, top, seen_left, seen_right)
        _of_samples(edge, U(0), behind - before, rows, before, tile_row, behind - before)
    if mirrored:
        _mirror_columns(rows, tile_row, depth, left < 0, right > width, behind)
    for i in range(U6):
        for tile in range(U(tiles)):
            _of_samples(
                rows,
                i * tile_row + U(OUT) * tile * depth,
                depth,
                samples,
                U6 * i * step + (U(first) + tile) * depth,
                step,
                depth,
            )


@kernel
def _mirror_columns(rows, tile_row, depth, at_left, at_right, behind):
    """The column beyond either edge of the photo, from the second one inside; rows were transformed, which mixes no columns."""
    for i in range(U6):
        for k in range(depth):
            if at_left:
                rows[i * tile_row + k] = rows[i * tile_row + U2 * depth + k]
            if at_right:
                rows[i * tile_row + behind + k] = rows[i * tile_row + behind - U2 * depth + k]


@kernel
def _transform_products(
    products, step, first, tiles, rows, tile_row, bias, spare, result, shape, top, left
):
    """The products of a row of tiles into a flat HWC result, from (top, left) on, as far as it reaches."""
    height, width, channels = shape
    depth, length = U(channels), U(tiles * channels)
    none = np.zeros(length, np.float32)
    for j in range(U6):
        _of_products(
            products,
            j * step + U(first) * depth,
            U6 * step,
            rows,
            j * tile_row,
            U6 * tile_row,
            none,
            length,
        )
    for i in range(min(OUT, height - top)):
        for tile in range(tiles):
            at, column = U(i) * U6 * tile_row + U(tile) * depth, left + OUT * tile
            place, here = U(((top + i) * width + column) * channels), width - column
            whole = here >= OUT
            _of_products(
                rows,
                at,
                tile_row,
                result if whole else spare,
                place if whole else U(0),
                depth,
                bias,
                depth,
            )
            if not whole:
                for k in range(U(here * channels)):
                    result[place + k] = spare[k]


@kernel
def convolve(photo, filters, bias, result, border, mirrored, first, last, block_rows, block_tiles):
    """The rows of tiles first to last of one HWC photo, block by block; `filters` are 36 x channels x filters, transformed."""
    shape, result_shape = photo.shape, result.shape
    channels, out_channels = shape[2], result_shape[2]
    across, count = (result_shape[1] + OUT - 1) // OUT, block_rows * block_tiles
    samples = np.empty((TILE * TILE, count, channels), np.float32)
    products = np.empty((TILE * TILE, count, out_channels), np.float32)
    of_samples, of_products = samples.reshape(-1), products.reshape(-1)
    tile_row = (OUT * block_tiles + 2) * channels
    rows, out_rows = (
        np.empty(TILE * tile_row, np.float32),
        np.empty(OUT * TILE * block_tiles * out_channels, np.float32),
    )
    spare = np.empty(OUT * out_channels, np.float32)
    flat, flat_result = photo.reshape(-1), result.reshape(-1)
    for row in range(first, last, block_rows):
        down = min(block_rows, last - row)
        for column in range(0, across, block_tiles):
            tiles = min(block_tiles, across - column)
            for r in range(down):
                top, left = OUT * (row + r) - border, OUT * column - border
                _transform_samples(
                    flat,
                    shape,
                    mirrored,
                    top,
                    left,
                    tiles,
                    rows,
                    U(tile_row),
                    of_samples,
                    r * tiles,
                    U(count * channels),
                )
            for part in range(TILE * TILE):
                np.dot(samples[part, : down * tiles], filters[part], products[part, : down * tiles])
            for r in range(down):
                top, left, step = OUT * (row + r), OUT * column, U(count * out_channels)
                _transform_products(
                    of_products,
                    step,
                    r * tiles,
                    tiles,
                    out_rows,
                    U(block_tiles * out_channels),
                    bias,
                    spare,
                    flat_result,
                    result_shape,
                    top,
                    left,
                )


def convolve_photo(
    photo: Floats,
    filters: Floats,
    bias: Floats,
    result: Floats,
    border: int,
    *,
    mirrored: bool,
    threads: int,
) -> None:
    """One photo, HxWxC, into `result`, HxWxO, both contiguous; `threads` of them share the rows of tiles."""
    down, across = (-(-side // OUT) for side in result.shape[:2])
    tiles = max(LEAST_TILES, BLOCK_BYTES // (4 * TILE * TILE * (photo.shape[2] + result.shape[2])))
    share = -(
        -down // (2 * threads)
    )  # twice as many shares as threads, so that none waits long for another
    block_tiles = min(tiles, across)
    block_rows = max(1, min(tiles // block_tiles, share))
    share = -(-share // block_rows) * block_rows
    calls = [
        (
            photo,
            filters,
            bias,
            result,
            border,
            mirrored,
            first,
            min(first + share, down),
            block_rows,
            block_tiles,
        )
        for first in range(0, down, share)
    ]
    if threads == 1 or len(calls) == 1:
        for call in calls:
            convolve(*call)
        return
    for done in [workers(os.getpid(), threads).submit(convolve, *call) for call in calls]:
        done.result()


@cache
def workers(process: int, threads: int) -> ThreadPoolExecutor:
    """This process's threads."""
    return ThreadPoolExecutor(threads, "winograd")


@cache
def prepared() -> bool:
    """Compiles everything, and has the products computed by the thread that asks; whether they were right.

    The library behind `np.dot` would otherwise start threads of its own in each of ours.
    """
    for library in ThreadpoolController().select(user_api="blas").lib_controllers:
        if "numpy.libs" not in library.filepath:  # NumPy's own copy is not asked
            library.set_num_threads(1)
    photo, filters = np.ones((5, 6, 3), np.float32), np.zeros((TILE * TILE, 3, 2), np.float32)
    result = np.empty((5, 6, 2), np.float32)
    convolve_photo(
        photo, filters, np.array([1, 2], np.float32), result, 1, mirrored=False, threads=1
    )
    return bool((result == (1, 2)).all())
