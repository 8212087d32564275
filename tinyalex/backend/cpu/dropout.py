"""The compiled twin of tinyalex.layers.dropout."""

from typing import Any

from numpy.typing import NDArray

from tinyalex.backend.cpu.activations import elementwise
from tinyalex.backend.cpu.compiled import Floats, compiled


def _masked(x, mask, factor, y):
    """y = factor * x where the mask is true, else 0, all (numbers,). Moves 9 bytes for each float32 number."""
    zero = x.dtype.type(0)  # a plain 0 would turn the result into float64
    for i in range(x.size):
        y[i] = factor * x[i] if mask[i] else zero


_masked_compiled = compiled(_masked)


def masked(x: Floats, mask: NDArray[Any], factor: float) -> Floats:
    """The twin of tinyalex.layers.dropout.masked."""
    number = x.dtype.type(factor)
    return elementwise(lambda x, mask, y: _masked_compiled(x, mask, number, y), x, mask)
