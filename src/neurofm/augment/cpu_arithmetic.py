"""Six things a processor does to a float32 that compiled Python has no words for.

They keep loops free of branches and double precision, so that the compiler can turn them into
vector instructions. numba keeps compiled callers by the age of their own file: touch
`cpu_kernel.py` after a change here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, no_type_check

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

_I32, _F32 = ir.IntType(32), ir.FloatType()
_ROOT_HALF, _ONE_BITS, _MANTISSA = (
    ir.Constant(_I32, n) for n in (0x3F3504F3, 0x3F800000, 0x7FFFFF)
)


def _instructions(arity: int, build: Callable[..., Any]) -> Any:
    """A compiled function of float32 numbers, given by the instructions it consists of."""
    signature = types.float32(*[types.float32] * arity)

    @no_type_check
    def generate(_context, builder, _signature, arguments):
        return build(builder, *arguments)

    @no_type_check
    def of_one(_context, _x):
        return signature, generate

    @no_type_check
    def of_two(_context, _x, _y):
        return signature, generate

    return intrinsic(of_one if arity == 1 else of_two)


def _counted_from_root_half(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    """The bits of a float, moved so that a new exponent begins at sqrt(1/2) instead of 1."""
    return builder.add(builder.bitcast(x, _I32), builder.sub(_ONE_BITS, _ROOT_HALF))


def _exponent_of(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    biased = builder.ashr(_counted_from_root_half(builder, x), ir.Constant(_I32, 23))
    return builder.sitofp(builder.sub(biased, ir.Constant(_I32, 127)), _F32)


def _mantissa_of(builder: ir.IRBuilder, x: ir.Value) -> ir.Value:
    bits = builder.and_(_counted_from_root_half(builder, x), _MANTISSA)
    return builder.bitcast(builder.add(bits, _ROOT_HALF), _F32)


def _power_of_two(builder: ir.IRBuilder, biased: ir.Value) -> ir.Value:
    bits = builder.shl(builder.fptosi(biased, _I32), ir.Constant(_I32, 23))
    return builder.bitcast(bits, _F32)


def _picked(comparison: str) -> Callable[..., ir.Value]:
    """The number that compares so, in the form that the compiler knows as a reduction."""

    def build(builder: ir.IRBuilder, x: ir.Value, y: ir.Value) -> ir.Value:
        is_first = builder.fcmp_ordered(comparison, x, y, flags=["fast"])
        return builder.select(is_first, x, y, flags=["fast"])

    return build


# Of a positive number x = mantissa * 2 ** exponent, the mantissa between sqrt(1/2) and sqrt(2).
exponent = _instructions(1, _exponent_of)
mantissa = _instructions(1, _mantissa_of)
# 2 ** (whole - 127) for a whole number between 1 and 254.
power_of_two = _instructions(1, _power_of_two)
# Without what follows the point; for numbers an int32 can hold.
truncated = _instructions(1, lambda b, x: b.sitofp(b.fptosi(x, _I32), _F32))
smaller, larger = _instructions(2, _picked("<")), _instructions(2, _picked(">"))
