"""Matrix products for the Winograd kernels, with a kernel of their own for AVX2.

OpenBLAS packs both matrices before it multiplies, except with AVX-512. With at most 200 tiles and
32 to 64 output channels, packing takes as long as multiplying: it reaches 45 to 60 GFLOP/s on a
core where this kernel, which reads filters that are packed once, reaches 80 to 110.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import llvmlite.binding
import numba
import numpy as np
import scipy.linalg.cython_blas  # noqa: F401 - np.dot in Numba calls its sgemm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic
from threadpoolctl import ThreadpoolController
from torch import Tensor

Function = TypeVar("Function", bound=Callable[..., Any])
ROWS = 6
"""Rows of a product that one call computes."""
LANES = 8  # floats of an AVX2 register
VECTORS = 2
"""Registers for a row: 6x2 sums, 2 of the filters and 1 of the inputs are 15 of 16 registers."""
COLUMNS = LANES * VECTORS
BLAS_WITH_AVX512 = frozenset({"skylakex", "cooperlake", "sapphirerapids"})
U = np.uintp


@cache
def is_faster() -> bool:
    """Return whether the kernel is faster than the BLAS behind `np.dot` in Numba on this CPU."""
    features = llvmlite.binding.get_host_cpu_features()
    if not (features.get("avx2") and features.get("fma")):
        return False
    blas = ThreadpoolController().select(user_api="blas").lib_controllers
    return not any(
        str(getattr(library, "architecture", "")).lower() in BLAS_WITH_AVX512 for library in blas
    )


def use_calling_thread() -> None:
    """Make `np.dot` in Numba run in the calling thread.

    The BLAS library behind it would start threads of its own in each thread of a pool.
    """
    for library in ThreadpoolController().select(user_api="blas").lib_controllers:
        if "numpy.libs" not in library.filepath:  # not called by np.dot in Numba
            library.set_num_threads(1)


def uses_packed(out_channels: int) -> bool:
    """Return whether filters with this number of outputs are packed for `multiply`."""
    return out_channels % COLUMNS == 0 and is_faster()


def pack(filters: Tensor) -> Tensor:
    """Return 36xCxO filters in the order in which `multiply` reads them, if it does.

    Each group of 16 outputs becomes one block of memory; the shape stays the same.
    """
    parts, channels, out_channels = filters.shape
    if not uses_packed(out_channels):
        return filters.contiguous()
    groups = filters.view(parts, channels, out_channels // COLUMNS, COLUMNS)
    return groups.transpose(1, 2).contiguous().view(parts, channels, out_channels)


def kernel(function: Function) -> Function:
    """Compile a function at its first call, without the GIL; cached on disk if possible."""
    options: Any = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    try:
        compiled = numba.njit(function, cache=True, **options)
    except RuntimeError:  # neither the package's folder nor the home folder is writable
        compiled = numba.njit(function, **options)
    return compiled  # type: ignore[no-any-return] # a type of Numba


class _Emitter:
    """Emits the instructions of `_multiply_six_rows`.

    Args:
        builder: where instructions are added.
        size: type of offsets.
    """

    def __init__(self, builder: Any, size: Any) -> None:
        self.builder, self.size = builder, size
        self.vector = ir.VectorType(ir.FloatType(), LANES)

    def number(self, value: int) -> Any:
        return ir.Constant(self.size, value)

    def vectors_at(self, start: Any, offset: Any) -> list[Any]:
        """Return pointers to the vectors of a row."""
        offsets = [self.builder.add(offset, self.number(LANES * index)) for index in range(VECTORS)]
        pointer = self.vector.as_pointer()
        return [self.builder.bitcast(self.builder.gep(start, [each]), pointer) for each in offsets]

    def spread(self, value: Any) -> Any:
        """Return a vector with a value in all lanes."""
        undefined = ir.Constant(self.vector, ir.Undefined)
        first = self.builder.insert_element(undefined, value, ir.Constant(ir.IntType(32), 0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), LANES), [0] * LANES)
        return self.builder.shuffle_vector(first, undefined, lanes)

    def sums(self, rows: list[Any], filters: Any, depth: Any) -> list[list[Any]]:
        """Emit the loop over the channels; return the sums by row and vector."""
        builder = self.builder
        multiply_add = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(self.vector, [self.vector] * 3),
            f"llvm.fmuladd.v{LANES}f32",
        )  # fmt: skip
        before, loop = builder.block, builder.append_basic_block("channels")
        after = builder.append_basic_block("after")
        builder.branch(loop)
        builder.position_at_end(loop)
        k = builder.phi(self.size)
        sums = [[builder.phi(self.vector) for _ in range(VECTORS)] for _ in rows]
        offset = builder.mul(k, self.number(COLUMNS))
        columns = [builder.load(each, align=4) for each in self.vectors_at(filters, offset)]
        values = [self.spread(builder.load(builder.gep(row, [k]))) for row in rows]
        grown = [
            [builder.call(multiply_add, [value, *pair]) for pair in zip(columns, row, strict=True)]
            for value, row in zip(values, sums, strict=True)
        ]
        following = builder.add(k, self.number(1))
        builder.cbranch(builder.icmp_unsigned("<", following, depth), loop, after)
        k.add_incoming(self.number(0), before)
        k.add_incoming(following, loop)
        zero = ir.Constant(self.vector, [0.0] * LANES)
        for row, grown_row in zip(sums, grown, strict=True):
            for total, grown_total in zip(row, grown_row, strict=True):
                total.add_incoming(zero, before)
                total.add_incoming(grown_total, loop)
        builder.position_at_end(after)
        return grown


@intrinsic
def _multiply_six_rows(_context, inputs, first, depth, filters, group, products, target, width):
    """Write 6x16 values of a product; Numba's own loops cannot keep the sums in registers.

    `first`, `group` and `target` are offsets into flat arrays; `depth` is the number of channels,
    `width` the distance between two rows of `products`.
    """
    size = types.uintp
    signature = types.void(inputs, size, size, filters, size, products, size, size)

    def emit(context, builder, signature, arguments):
        starts = [
            context.make_array(signature.args[index])(context, builder, arguments[index]).data
            for index in (0, 3, 5)
        ]
        first, depth, group, target, width = (arguments[index] for index in (1, 2, 4, 6, 7))
        emitter = _Emitter(builder, first.type)
        source = builder.gep(starts[0], [first])
        rows = [
            builder.gep(source, [builder.mul(depth, emitter.number(row))]) for row in range(ROWS)
        ]
        sums = emitter.sums(rows, builder.gep(starts[1], [group]), depth)
        for row, values in enumerate(sums):
            offset = builder.add(target, builder.mul(width, emitter.number(row)))
            for value, place in zip(values, emitter.vectors_at(starts[2], offset), strict=True):
                builder.store(value, place, align=4)
        return context.get_dummy_value()

    return signature, emit


@kernel
def multiply(inputs, filters, products, tiles, packed):
    """Multiply the first transformed tiles of each part of 36.

    `inputs` is 36 x count x C, `products` 36 x count x O. Packed filters need a `count` that is a
    multiple of ROWS, because whole groups of rows are computed.
    """
    count, depth, width = inputs.shape[1], inputs.shape[2], products.shape[2]
    flat, flat_filters = inputs.reshape(-1), filters.reshape(-1)
    flat_products = products.reshape(-1)
    for part in range(len(filters)):
        if not packed:
            np.dot(inputs[part, :tiles], filters[part], products[part, :tiles])
            continue
        for column in range(0, width, COLUMNS):
            for row in range(0, tiles, ROWS):
                _multiply_six_rows(  # type: ignore[call-arg] # Numba passes the context
                    flat, U((part * count + row) * depth), U(depth),
                    flat_filters, U((part * width + column) * depth),
                    flat_products, U((part * count + row) * width + column), U(width),
                )  # fmt: skip
