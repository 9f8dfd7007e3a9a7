"""Numba kernels of Winograd's F(4x4, 3x3) for few channels.

A block of tiles is transformed and multiplied at a time, so that it stays in the cache of a core.
Arrays are flat, offsets are unsigned and each inner loop writes one row: so LLVM can prove that
nothing overlaps, and vectorises every loop. In the kernels, floats are float32, offsets and lengths
of inner loops are unsigned, rows and columns are signed.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from restore.optimize import matrix_products
from restore.optimize.matrix_products import COLUMNS, ROWS, kernel

Floats = NDArray[np.float32]
OUT, TILE = 4, 6  # sides of output and input tiles in pixels
BLOCK_BYTES = 1 << 20
"""Size of a block of transformed tiles: half of a core's L2 cache."""
MIN_BLOCK_TILES = 24
"""Tiles of a block, so that the matrix products are not too small."""
SHARES_PER_THREAD = 2
"""The work is split into more shares than threads, so that no thread waits long for another."""
F, U = np.float32, np.uintp
U2, U3, U4, U5, U6 = U(2), U(3), U(4), U(5), U(6)


@kernel
def _transform_six_inputs(source, first, row, target, start, step, length):
    """Apply the paper's B^T: six rows, `row` apart, to six rows, `step` apart."""
    a, b, c = first, first + row, first + U2 * row
    d, e, f = first + U3 * row, first + U4 * row, first + U5 * row
    for k in range(length):
        target[start + k] = F(4) * source[a + k] - F(5) * source[c + k] + source[e + k]
    to = start + step
    for k in range(length):
        even, odd = source[e + k] - F(4) * source[c + k], source[d + k] - F(4) * source[b + k]
        target[to + k] = even + odd
    to += step
    for k in range(length):
        even, odd = source[e + k] - F(4) * source[c + k], source[d + k] - F(4) * source[b + k]
        target[to + k] = even - odd
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
def _transform_six_products(source, first, row, target, start, step, bias, length):
    """Apply the paper's A^T: six rows, `row` apart, to four rows, `step` apart; add `bias`."""
    a, b, c = first, first + row, first + U2 * row
    d, e, f = first + U3 * row, first + U4 * row, first + U5 * row
    for k in range(length):
        near, far = source[b + k] + source[c + k], source[d + k] + source[e + k]
        target[start + k] = source[a + k] + near + far + bias[k]
    to = start + step
    for k in range(length):
        near, far = source[b + k] - source[c + k], source[d + k] - source[e + k]
        target[to + k] = near + F(2) * far + bias[k]
    to += step
    for k in range(length):
        near, far = source[b + k] + source[c + k], source[d + k] + source[e + k]
        target[to + k] = near + F(4) * far + bias[k]
    to += step
    for k in range(length):
        near, far = source[b + k] - source[c + k], source[d + k] - source[e + k]
        target[to + k] = near + F(8) * far + source[f + k] + bias[k]


@kernel
def _copy_edge_rows(image, shape, reflects, top, left, right):
    """Return six rows of a flat HWC image, from `top` on, between two columns.

    Rows outside of the image are zeros; with `reflects`, they are the second row from the edge.
    """
    height, width, channels = shape
    length = U((right - left) * channels)
    rows = np.zeros(U6 * length, np.float32)
    for i in range(TILE):
        row = top + i
        if reflects and row < 0:
            row = -row
        elif reflects and row == height:
            row = height - 2
        if 0 <= row < height:
            source, target = U((row * width + left) * channels), U(i) * length
            for k in range(length):
                rows[target + k] = image[source + k]
    return rows


@kernel
def _transform_inputs(
    image, shape, reflects, top, left, tiles, rows, tile_row, inputs, first, step
):
    """Transform a row of tiles of a flat HWC image, from (top, left) on, into `inputs`."""
    height, width, channels = shape
    right, depth = left + OUT * tiles + 2, U(channels)
    inner_left, inner_right = max(left, 0), min(right, width)
    start, stop = U((inner_left - left) * channels), U((inner_right - left) * channels)
    end = U((right - left) * channels)
    for i in range(U6):
        for k in range(start):
            rows[i * tile_row + k] = F(0)
        for k in range(stop, end):
            rows[i * tile_row + k] = F(0)
    if top >= 0 and top + TILE <= height:
        first_value = U((top * width + inner_left) * channels)
        row_values = U(width * channels)
        _transform_six_inputs(image, first_value, row_values, rows, start, tile_row, stop - start)
    else:
        edge = _copy_edge_rows(image, shape, reflects, top, inner_left, inner_right)
        _transform_six_inputs(edge, U(0), stop - start, rows, start, tile_row, stop - start)
    if reflects:
        _reflect_columns(rows, tile_row, depth, left < 0, right > width, stop)
    for i in range(U6):
        for tile in range(U(tiles)):
            source = i * tile_row + U(OUT) * tile * depth
            target = U6 * i * step + (U(first) + tile) * depth
            _transform_six_inputs(rows, source, depth, inputs, target, step, depth)


@kernel
def _reflect_columns(rows, tile_row, depth, at_left, at_right, stop):
    """Fill the columns outside of the image with the second column from the edge.

    The rows were transformed already, which does not mix columns.
    """
    for i in range(U6):
        for k in range(depth):
            if at_left:
                rows[i * tile_row + k] = rows[i * tile_row + U2 * depth + k]
            if at_right:
                rows[i * tile_row + stop + k] = rows[i * tile_row + stop - U2 * depth + k]


@kernel
def _transform_products(
    products, step, first, tiles, rows, tile_row, bias, scratch, result, shape, top, left
):
    """Transform the products of a row of tiles into a flat HWC result, from (top, left) on."""
    height, width, channels = shape
    depth, length = U(channels), U(tiles * channels)
    zeros = np.zeros(length, np.float32)
    for j in range(U6):
        source = j * step + U(first) * depth
        target = j * tile_row
        _transform_six_products(
            products, source, U6 * step, rows, target, U6 * tile_row, zeros, length
        )
    for i in range(min(OUT, height - top)):
        for tile in range(tiles):
            source, column = U(i) * U6 * tile_row + U(tile) * depth, left + OUT * tile
            target, columns_left = U(((top + i) * width + column) * channels), width - column
            if columns_left >= OUT:
                _transform_six_products(rows, source, tile_row, result, target, depth, bias, depth)
            else:
                _transform_six_products(rows, source, tile_row, scratch, U(0), depth, bias, depth)
                for k in range(U(columns_left * channels)):
                    result[target + k] = scratch[k]


@kernel
def convolve(
    image, filters, packed, bias, result, border, reflects, first, last, block_rows, block_tiles
):
    """Convolve the rows of tiles first to last of an HWC image, block by block.

    `filters` are the transformed weights: 36 x channels x output channels, `packed` or not.
    """
    shape, result_shape = image.shape, result.shape
    channels, out_channels = shape[2], result_shape[2]
    columns = (result_shape[1] + OUT - 1) // OUT
    count = (block_rows * block_tiles + ROWS - 1) // ROWS * ROWS
    inputs = np.empty((TILE * TILE, count, channels), np.float32)
    products = np.empty((TILE * TILE, count, out_channels), np.float32)
    flat_inputs, flat_products = inputs.reshape(-1), products.reshape(-1)
    tile_row = (OUT * block_tiles + 2) * channels
    rows = np.empty(TILE * tile_row, np.float32)
    out_rows = np.empty(OUT * TILE * block_tiles * out_channels, np.float32)
    scratch = np.empty(OUT * out_channels, np.float32)
    flat, flat_result = image.reshape(-1), result.reshape(-1)
    in_step, out_step = U(count * channels), U(count * out_channels)
    for row in range(first, last, block_rows):
        down = min(block_rows, last - row)
        for column in range(0, columns, block_tiles):
            tiles = min(block_tiles, columns - column)
            for r in range(down):
                top, left = OUT * (row + r) - border, OUT * column - border
                _transform_inputs(
                    flat, shape, reflects, top, left, tiles, rows, U(tile_row), flat_inputs,
                    r * tiles, in_step,
                )  # fmt: skip
            matrix_products.multiply(inputs, filters, products, down * tiles, packed)
            for r in range(down):
                top, left = OUT * (row + r), OUT * column
                out_row = U(block_tiles * out_channels)
                _transform_products(
                    flat_products, out_step, r * tiles, tiles, out_rows, out_row, bias, scratch,
                    flat_result, result_shape, top, left,
                )  # fmt: skip


def convolve_image(
    image: Floats,
    filters: Floats,
    bias: Floats,
    result: Floats,
    border: int,
    *,
    reflects: bool,
    threads: int,
) -> None:
    """Convolve an image with several threads.

    Args:
        image: HxWxC, contiguous.
        filters: 36xCxO transformed weights, as `matrix_products.pack` returns them.
        bias: O values.
        result: H'xW'xO, contiguous; it is written.
        border: padding, 0 or 1.
        reflects: whether the padding reflects the image; else it is zeros.
        threads: number of threads.
    """
    rows, columns = (-(-side // OUT) for side in result.shape[:2])
    tile_bytes = 4 * TILE * TILE * (image.shape[2] + result.shape[2])
    tiles = max(MIN_BLOCK_TILES, BLOCK_BYTES // tile_bytes)
    share = -(-rows // (SHARES_PER_THREAD * threads))
    block_tiles = min(tiles, columns)
    block_rows = max(1, min(tiles // block_tiles, share))
    share = -(-share // block_rows) * block_rows
    packed = matrix_products.uses_packed(result.shape[2])
    calls = [
        (image, filters, packed, bias, result, border, reflects, first, min(first + share, rows),
         block_rows, block_tiles)
        for first in range(0, rows, share)
    ]  # fmt: skip
    if threads == 1 or len(calls) == 1:
        for call in calls:
            convolve(*call)
        return
    for future in [thread_pool(os.getpid(), threads).submit(convolve, *call) for call in calls]:
        future.result()


@cache
def thread_pool(process: int, threads: int) -> ThreadPoolExecutor:
    """Return the thread pool of a process; a forked process needs its own."""
    del process
    return ThreadPoolExecutor(threads, "winograd")


@cache
def warm_up() -> bool:
    """Compile the kernels and test them; return whether the result was right."""
    matrix_products.use_calling_thread()
    # The paper's transform of filters that have a weight at their centre only.
    centre = np.array([0, -1 / 6, 1 / 6, 1 / 12, -1 / 12, 0])
    weights = np.arange(3 * COLUMNS).reshape(3, COLUMNS) % 7
    filters = np.outer(centre, centre).reshape(-1, 1, 1) * weights
    packed = matrix_products.pack(torch.from_numpy(filters.astype(np.float32))).numpy()
    image = np.arange(5.0 * 6 * 3, dtype=np.float32).reshape(5, 6, 3) % 5
    bias = np.arange(COLUMNS, dtype=np.float32)
    result = np.empty((5, 6, COLUMNS), np.float32)
    convolve_image(image, packed, bias, result, 1, reflects=False, threads=1)
    return bool(np.allclose(result, image @ weights + bias, atol=1e-3))
