"""How near two tensors are, a piece at a time, so that what is computed of them takes little memory beside them."""

from __future__ import annotations

from collections.abc import Iterator

import torch

STEPS = {"float32": 2**-22, "float16": 2**-9, "bfloat16": 2**-6}  # two roundings of a number, relative to it
SUM = 2**-18  # rounding of a sum in float32, relative to the largest number of the tensor
SMALLEST = {"float32": 0.0, "float16": 2**-24, "bfloat16": 0.0}  # what a type cannot halve any more
PIECE = 1 << 22  # numbers of a tensor that are compared at once


def pieces(*tensors_: torch.Tensor) -> Iterator[tuple[torch.Tensor, ...]]:
    """Tensors of one shape, so many numbers at a time."""
    return zip(*(tensor.reshape(-1).split(PIECE) for tensor in tensors_), strict=True)


def finite(value: torch.Tensor) -> bool:
    """Whether there is neither NaN nor an infinite number in it."""
    return all(bool(torch.isfinite(piece).all()) for (piece,) in pieces(value))


def largest(value: torch.Tensor) -> float:
    """The largest absolute value; NaN where there is one."""
    return float(torch.stack([piece.abs().max() for (piece,) in pieces(value)]).max())


def share(merged: torch.Tensor, base: torch.Tensor, delta: torch.Tensor) -> float:
    """<merged - base, delta> / <delta, delta>: how much of an update, which is not zero, is in the merged tensor."""
    inner = square = 0.0
    for one, two, piece in pieces(merged, base, delta):
        piece = piece.double()
        inner, square = inner + float((one.double() - two.double()) @ piece), square + float(piece @ piece)
    return inner / square


def surplus(merged: torch.Tensor, base: torch.Tensor, delta: torch.Tensor, kind: torch.dtype) -> float:
    """<merged - round(base + delta), delta> / <delta, delta>: 0 where an update was added, rounded, and nothing else.

    `share` holds all that rounding does to a small update; here nothing is left of it but what two machines differ by.
    """
    inner = square = 0.0
    for one, two, piece in pieces(merged, base, delta):
        apart, piece = one.double() - (two + piece).to(kind).double(), piece.double()
        inner, square = inner + float(apart @ piece), square + float(piece @ piece)
    return inner / square


def equal(value: torch.Tensor, expected: torch.Tensor, dtype: str, exact: bool = False) -> bool:
    """Equal up to how two machines may round.

    `exact`: what was summed is the same on both, so that they differ by the roundings of a sum in float32 and of its
    result; else, as where a base comes out of 4 bits, by as much as the largest number of the tensor is rounded.
    """
    if not value.is_floating_point():
        return bool((value == expected).all())
    absolute = min(STEPS[dtype], SUM if exact else 1.0) * largest(expected) + SMALLEST[dtype]
    return all(
        bool(((one.float() - two.float()).abs() <= STEPS[dtype] * two.float().abs() + absolute).all())
        for one, two in pieces(value, expected)
    )
