"""The compiled twin of tinyalex.optim.sgd_update: one pass over the parameters, no temporary arrays."""

import numpy as np

from tinyalex.backend.cpu.compiled import Floats, compiled
from tinyalex.backend.threads import WORTH_A_THREAD, in_shares


def _sgd_update(w, v, g, lr, momentum, decay):
    """v = momentum*v - lr*(g + decay*w), then w += v; in place, all (numbers,)."""
    for i in range(w.size):
        v[i] = momentum * v[i] - lr * (g[i] + decay * w[i])
        w[i] += v[i]


_sgd_update_compiled = compiled(_sgd_update)


def sgd_update(w: Floats, v: Floats, g: Floats, lr: float, momentum: float, decay: float) -> None:
    """The twin of tinyalex.optim.sgd_update: one pass that moves 20 bytes for each float32 weight."""
    numbers = [w.dtype.type(number) for number in (lr, momentum, decay)]
    flat_w, flat_v, flat_g = (np.ascontiguousarray(array).reshape(-1) for array in (w, v, g))
    in_shares(
        lambda first, last: _sgd_update_compiled(flat_w[first:last], flat_v[first:last], flat_g[first:last], *numbers),
        w.size,
        WORTH_A_THREAD,
    )
    for array, flat in ((w, flat_w), (v, flat_v)):
        if not array.flags.c_contiguous:  # then `flat` is a copy, else it shares the array's memory
            array[...] = flat.reshape(array.shape)
