"""The twins of tinyalex.layers.conv: a convolution by the direct sum, or by Winograd's algorithm if that is faster."""

from types import ModuleType

from tinyalex.backend.cpu import direct, few, thin, winograd
from tinyalex.backend.cpu.compiled import Floats, channels_last, compiled
from tinyalex.backend.memory import empty
from tinyalex.window import Window


def conv_forward(
    x: Floats, w: Floats, b: Floats, window: Window, groups: int, relu: bool = False, inference: bool = False
) -> Floats:
    """The twin of tinyalex.layers.conv.conv_forward. Bias and ReLU are applied while the sums are in cache.

    inference: a few images are computed by `few.py`, each layer by the algorithm that is fastest on this machine.
    """
    if inference and 0 < len(x) <= few.MOST_IMAGES:
        return few.forward(x, w, b, window, groups, relu)
    x = channels_last(x)
    y = empty((len(x), *window.output_size(*x.shape[1:3]), len(w)), x.dtype)
    if thin.suits(x.shape, w.shape, window, groups):
        thin.forward(x, w, b, y, window, relu)
        return y.transpose(0, 3, 1, 2)
    algorithm = _algorithm(x, w, window, groups)
    algorithm.forward(x, w, y, window, groups, lambda sums: _finish_compiled(sums, b, relu))
    return y.transpose(0, 3, 1, 2)


def conv_backward(
    dy: Floats, x: Floats, w: Floats, window: Window, groups: int, input_gradient: bool = True
) -> tuple[Floats | None, Floats, Floats]:
    """The twin of tinyalex.layers.conv.conv_backward. Without the input gradient it computes one product less."""
    dy, x = channels_last(dy), channels_last(x)
    if not input_gradient and thin.suits(x.shape, w.shape, window, groups):
        return None, *thin.backward(dy, x, w, window)
    dx = empty(x.shape, x.dtype) if input_gradient else None
    dw, db = _algorithm(x, w, window, groups).backward(dy, x, w, dx, window, groups)
    return None if dx is None else dx.transpose(0, 3, 1, 2), dw, db


def _algorithm(x: Floats, w: Floats, window: Window, groups: int) -> ModuleType:
    return winograd if winograd.plan(x.shape, w.shape, window, groups) else direct


def _finish(sums, b, relu):
    """sums (rows, OC), in place: sums + b, and then max(sums, 0) if `relu` (NaN stays NaN)."""
    zero = sums.dtype.type(0)
    for row in sums:
        for c in range(len(b)):
            y = row[c] + b[c]
            row[c] = zero if relu and y < 0 else y


_finish_compiled = compiled(_finish)
