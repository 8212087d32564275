"""The compiled twins of tinyalex.layers.activations: one pass over the numbers, in any memory order."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend.cpu.compiled import Floats, compiled
from tinyalex.backend.memory import empty
from tinyalex.backend.threads import WORTH_A_THREAD, in_shares


def _relu_forward(x, y):
    """y = max(x, 0), both (numbers,); NaN stays NaN. Moves 8 bytes for each float32 number."""
    zero = x.dtype.type(0)  # a plain 0 would turn the result into float64
    for i in range(x.size):
        y[i] = zero if x[i] < zero else x[i]


_relu_forward_compiled = compiled(_relu_forward)


def relu_forward(x: Floats) -> Floats:
    """The twin of tinyalex.layers.activations.relu_forward."""
    return elementwise(_relu_forward_compiled, x)


def _relu_backward(dy, y, dx):
    """dx = dy where y > 0, else 0, all (numbers,). Moves 12 bytes for each float32 number."""
    zero = dy.dtype.type(0)
    for i in range(dy.size):
        dx[i] = dy[i] if y[i] > zero else zero


_relu_backward_compiled = compiled(_relu_backward)


def relu_backward(dy: Floats, y: Floats) -> Floats:
    """The twin of tinyalex.layers.activations.relu_backward."""
    return elementwise(_relu_backward_compiled, dy, y)


def elementwise(loop: Callable[..., None], *arrays: NDArray[Any]) -> Floats:
    """The array that loop(*arrays, result) fills, with the shape of the first array; all have the same shape.

    The loop gets one-dimensional parts of the arrays, one part in each thread. Images are read channels last.
    """
    if arrays[0].ndim == 4:
        arrays = tuple(array.transpose(0, 2, 3, 1) for array in arrays)
    result = empty(arrays[0].shape, arrays[0].dtype)
    lines = [np.ascontiguousarray(array).reshape(-1) for array in (*arrays, result)]
    in_shares(lambda first, last: loop(*(line[first:last] for line in lines)), result.size, WORTH_A_THREAD)
    return result.transpose(0, 3, 1, 2) if result.ndim == 4 else result
