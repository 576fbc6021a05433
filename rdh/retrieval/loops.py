"""Loops that numba turns into machine code, kept on disk if a folder for it is writable."""

import zlib
from collections.abc import Callable
from typing import Any

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic


def compiled_loop(signature: str) -> Callable[[Callable], Callable]:
    """A decorator: machine code for this signature, made or read from disk at import.

    The code runs without the interpreter lock. It starts no threads of its own, so it may be used
    before and after a fork. It does not check indices.
    """

    def decorate(function: Callable) -> Callable:
        # numba looks at the function's own file only: numbers from another one name the code too
        function.__qualname__ += _numbers_in(function)
        try:
            return numba.njit(signature, nogil=True, cache=True)(function)
        except (RuntimeError, OSError):
            # no writable folder, or a full disk: every process compiles for itself
            return numba.njit(signature, nogil=True)(function)

    return decorate


def _numbers_in(function: Callable) -> str:
    """A short name of the global numbers that the machine code of a function holds."""
    values = [function.__globals__.get(name) for name in function.__code__.co_names]
    numbers = [value for value in values if isinstance(value, int | float)]
    return f"-{zlib.crc32(repr(numbers).encode()):08x}" if numbers else ""


def _intrinsic(function: Callable) -> Any:
    """numba's decorator changes the arguments, which its types don't say."""
    return intrinsic(function)


@_intrinsic
def floats_at(typing_context: Any, address: Any) -> Any:
    """The float32 numbers at an address, for `numba.carray`: of a tensor that somebody holds."""
    return types.CPointer(types.float32)(
        types.int64
    ), lambda context, builder, signature, given: builder.inttoptr(
        given[0], ir.FloatType().as_pointer()
    )


@_intrinsic
def n_set(typing_context: Any, bits: Any) -> Any:
    """Number of set bits of a uint64: one instruction."""
    return types.uint64(types.uint64), lambda context, builder, signature, arguments: builder.ctpop(
        arguments[0]
    )


@_intrinsic
def add_to_counters(typing_context: Any, counters: Any, place: Any, bits: Any) -> Any:
    """Adds the bits of a uint64 to 64 counters of one byte at counters[place : place + 8], uint64.

    The counter of bit 8 * b + s is byte b of word s. As a vector it takes five instructions;
    numba's own loop over s stays a loop.
    """
    words = ir.VectorType(ir.IntType(64), 8)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, place_, bits_ = arguments
        start = context.make_array(signature.args[0])(context, builder, array).data
        target = builder.bitcast(builder.gep(start, [place_]), words.as_pointer())
        one = builder.insert_element(ir.Constant(words, ir.Undefined), bits_, ir.IntType(32)(0))
        lanes = ir.Constant(ir.VectorType(ir.IntType(32), 8), [0] * 8)
        eight = builder.shuffle_vector(one, ir.Constant(words, ir.Undefined), lanes)
        shifted = builder.lshr(eight, ir.Constant(words, list(range(8))))
        every_eighth = builder.and_(shifted, ir.Constant(words, [0x0101010101010101] * 8))
        builder.store(builder.add(builder.load(target, align=8), every_eighth), target, align=8)
        return context.get_dummy_value()

    return types.void(counters, types.uint64, types.uint64), generate
