"""The twins of tinyalex.layers.linear: matrix products, shared out to the threads.

N*D*U multiply-adds forward, twice that backward. Each weight is read for N images: with few of them the memory is the
bound (the paper's three layers hold 235 MB of weights), from some ten on it is the product.
"""

import numpy as np

from tinyalex.backend.cpu.compiled import Floats
from tinyalex.backend.memory import empty
from tinyalex.backend.threads import in_shares


def linear_forward(x: Floats, w: Floats, b: Floats) -> Floats:
    """The twin of tinyalex.layers.linear.linear_forward: each thread reads the weights of its units, once."""
    y = empty((len(x), len(w)), x.dtype)

    def share(first: int, last: int) -> None:
        y[:, first:last] = (w[first:last] @ x.T).T  # a fifth faster than x @ w.T: BLAS rearranges x, not w
        y[:, first:last] += b[first:last]

    in_shares(share, len(w))
    return y


def linear_backward(dy: Floats, x: Floats, w: Floats) -> tuple[Floats, Floats, Floats]:
    """The twin of tinyalex.layers.linear.linear_backward: shares of the units for dw, of the features for dx.

    So each thread writes its own part of both, and nothing has to be added up between threads.
    """
    dx, dw = empty(x.shape, x.dtype), empty(w.shape, w.dtype)

    def share_of_units(first: int, last: int) -> None:
        np.matmul(dy[:, first:last].T, x, out=dw[first:last])

    def share_of_features(first: int, last: int) -> None:
        np.matmul(dy, w[:, first:last], out=dx[:, first:last])

    in_shares(share_of_units, len(w))
    in_shares(share_of_features, w.shape[1])
    return dx, dw, dy.sum(axis=0)
