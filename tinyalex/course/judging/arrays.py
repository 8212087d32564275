"""Arrays of another process: their sizes, their places in memory, and the views of one array in another."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds
from numpy.typing import NDArray

from tinyalex.errors import TinyAlexError

LARGEST = 1 << 28  # bytes of a message, and of an array
SIDES = 64  # of an array: NumPy's most
KINDS = "biufcUS"  # of the dtypes that an array may have; no objects


class WireError(TinyAlexError):
    """The other process ended, or sent something that is no message."""


def dtype_of(name: Any) -> np.dtype[Any]:
    """The dtype of this name. Raises WireError if it is not of numbers or text."""
    dtype = np.dtype(str(name))
    if dtype.kind not in KINDS:
        raise WireError(f"got an array of {dtype}: expected numbers or text")
    return dtype


def check_sizes(numbers: Sequence[Any], least: int = 0) -> None:
    """Raise WireError unless these are whole numbers that an array may have, and not more than it may have sides."""
    if len(numbers) > SIDES or not all(type(one) is int and least <= one <= LARGEST for one in numbers):
        raise WireError(f"got an array with the sizes {numbers}: expected at most {LARGEST}; return a smaller one")


def check_within(shape: list[int], strides: list[int], offset: int, itemsize: int, size: int) -> None:
    """Raise WireError unless a view lies within an array of `size` bytes, and is itself not larger than LARGEST.

    It is checked in Python's whole numbers: NumPy's own check overflows, and strides of 0 make an array of any size.
    """
    check_sizes(shape, 1)  # an empty array is no view
    check_sizes([math.prod(shape) * itemsize], 1)
    check_sizes([*map(abs, strides)])
    spans = [stride * (length - 1) for length, stride in zip(shape, strides, strict=True)]
    first, last = (offset + sum(end(0, span) for span in spans) for end in (min, max))
    if first < 0 or last + itemsize > size:
        raise WireError("got a view that reaches beyond its array")


def order_of(array: NDArray[Any]) -> list[int]:
    """The axes from the longest stride to the shortest: transposed so, an array without gaps is C-contiguous."""
    return sorted(range(array.ndim), key=lambda axis: (-abs(array.strides[axis]), axis))


def lies_within(array: NDArray[Any], other: NDArray[Any]) -> bool:
    """Whether `array` is a view of the memory of `other`, which has no gaps."""
    if _owner(array) is not _owner(other) or not array.size:
        return False
    (first, last), (start, end) = byte_bounds(array), byte_bounds(other)
    return start <= first and last <= end


def _owner(array: NDArray[Any]) -> NDArray[Any]:
    """The array that owns the memory of `array`."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array
