"""The compiled twins of tinyalex.layers.activations: one pass over the numbers, in whatever order they lie."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend.cpu.compiled import Floats, compiled
from tinyalex.backend.memory import empty
from tinyalex.backend.threads import WORTH_A_THREAD, in_shares


def _relu_forward(x, y):
    """y = the larger of x and 0, of one axis; NaN stays NaN. 8 bytes a float32 number."""
    zero = x.dtype.type(0)  # a plain 0 would make float64 of it
    for i in range(x.size):
        y[i] = zero if x[i] < zero else x[i]


_relu_forward_compiled = compiled(_relu_forward)


def relu_forward(x: Floats) -> Floats:
    """The twin of tinyalex.layers.activations.relu_forward."""
    return elementwise(_relu_forward_compiled, x)


def _relu_backward(dy, y, dx):
    """dx = dy where y > 0, else 0, of one axis. 12 bytes a float32 number."""
    zero = dy.dtype.type(0)
    for i in range(dy.size):
        dx[i] = dy[i] if y[i] > zero else zero


_relu_backward_compiled = compiled(_relu_backward)


def relu_backward(dy: Floats, y: Floats) -> Floats:
    """The twin of tinyalex.layers.activations.relu_backward."""
    return elementwise(_relu_backward_compiled, dy, y)


def elementwise(loop: Callable[..., None], *arrays: NDArray[Any]) -> Floats:
    """The result of loop(*arrays, result), each of one axis: shared out by numbers, shape and order of the first."""
    if arrays[0].ndim == 4:  # an image's channels lie last
        arrays = tuple(array.transpose(0, 2, 3, 1) for array in arrays)
    result = empty(arrays[0].shape, arrays[0].dtype)
    lines = [np.ascontiguousarray(array).reshape(-1) for array in (*arrays, result)]
    in_shares(lambda first, last: loop(*(line[first:last] for line in lines)), result.size, WORTH_A_THREAD)
    return result.transpose(0, 3, 1, 2) if result.ndim == 4 else result
