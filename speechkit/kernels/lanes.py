"""Sixty-four bytes of an array at a time: one bit per item, by the vector instructions of the machine at hand.

Every function reads 64 bytes (`load8` eight) from index `at`, so that much room must be behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba.core import types
from numba.extending import intrinsic

LANES = 64  # bytes
SPACE = 0x20
FULL = np.uint64(0xFFFFFFFFFFFFFFFF)
_BYTE, _WORD, _BOOL = ir.IntType(8), ir.IntType(64), ir.IntType(1)


def _lane(kind: Any) -> Any:
    """The type of one item of an integer array."""
    return ir.IntType(kind.dtype.bitwidth)


def _splat(value: int, lane: Any = _BYTE) -> Any:
    lanes = 8 * LANES // lane.width
    return ir.Constant(ir.VectorType(lane, lanes), [value] * lanes)


def _load(context: Any, builder: Any, kind: Any, array: Any, at: Any) -> Any:
    """The 64 bytes of an array from index `at`, as a vector of its items; they need not be aligned."""
    pointer = builder.gep(context.make_array(kind)(context, builder, array).data, [at])
    vector = ir.VectorType(_lane(kind), 8 * LANES // kind.dtype.bitwidth)
    return builder.load(builder.bitcast(pointer, vector.as_pointer()), align=1)


def _bits(builder: Any, truths: Any) -> Any:
    """A vector of truth values as the lowest bits of a 64-bit integer."""
    count = truths.type.count
    packed = builder.bitcast(truths, ir.IntType(count))
    return packed if count == LANES else builder.zext(packed, _WORD)


def _byte_test(compare: Callable[[Any, Any], Any]) -> Any:
    """A function (buffer, at) to 64 bits, bit k for byte at + k, by what `compare` builds for the 64 bytes."""

    def typed(typingctx: Any, buffer: Any, at: Any) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            lanes = _load(context, builder, signature.args[0], args[0], args[1])
            return _bits(builder, compare(builder, lanes))

        return types.uint64(buffer, types.int64), codegen

    return intrinsic(typed)


# white space: up to 0x20
spaces = _byte_test(lambda b, v: b.icmp_unsigned("<=", v, _splat(SPACE)))
line_feeds = _byte_test(lambda b, v: b.icmp_unsigned("==", v, _splat(0x0A)))
nuls = _byte_test(lambda b, v: b.icmp_unsigned("==", v, _splat(0)))
not_ascii = _byte_test(lambda b, v: b.icmp_signed("<", v, _splat(0)))
# bytes of a UTF-8 character behind its first one: 0x80 to 0xBF
continuations = _byte_test(lambda b, v: b.icmp_signed("<", v, _splat(-64)))
# neither a space nor a visible ASCII character
unusual = _byte_test(lambda b, v: b.icmp_unsigned(">=", b.sub(v, _splat(SPACE)), _splat(0x60)))


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def differ(typingctx: Any, a: Any, i: Any, b: Any, j: Any) -> Any:
    """Bit k says that a[i + k] and b[j + k] are different: 64 bits for bytes, 16 for 32-bit integers."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        left = _load(context, builder, signature.args[0], args[0], args[1])
        right = _load(context, builder, signature.args[2], args[2], args[3])
        return _bits(builder, builder.icmp_unsigned("!=", left, right))

    return types.uint64(a, types.int64, b, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def equal(typingctx: Any, array: Any, at: Any, value: Any) -> Any:
    """Bit k says that array[at + k] is `value`: 64, 16 or 8 bits for items of 8, 32 or 64 bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        kind = signature.args[0]
        lane = _lane(kind)
        first = builder.insert_element(_splat(0, lane), args[2], ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), first.type.count), [0] * first.type.count)
        repeated = builder.shuffle_vector(first, first, zeros)
        lanes = _load(context, builder, kind, args[0], args[1])
        return _bits(builder, builder.icmp_unsigned("==", lanes, repeated))

    return types.uint64(array, types.int64, array.dtype), codegen


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def load8(typingctx: Any, buffer: Any, at: Any) -> Any:
    """The eight bytes from index `at`, as a little-endian integer."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = builder.gep(context.make_array(signature.args[0])(context, builder, args[0]).data, [args[1]])
        return builder.load(builder.bitcast(pointer, _WORD.as_pointer()), align=1)

    return types.uint64(buffer, types.int64), codegen


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def trailing_zeros(typingctx: Any, value: Any) -> Any:
    """Number of zero bits below the lowest one; 64 for 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(_BOOL, 0))

    return types.int64(types.uint64), codegen


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def leading_zeros(typingctx: Any, value: Any) -> Any:
    """Number of zero bits above the highest one; 64 for 0."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctlz(args[0], ir.Constant(_BOOL, 0))

    return types.int64(types.uint64), codegen


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def count_ones(typingctx: Any, value: Any) -> Any:
    """Number of one bits."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen
