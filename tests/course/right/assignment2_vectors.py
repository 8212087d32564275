# %%
from functools import partial

from numpy.lib.stride_tricks import sliding_window_view

winner = expected = rng = None


def max(a, b):
    return np.where(a > b, a, b)


# %% relu
def at_least(least, x):
    return max(x, x.dtype.type(least))


relu_forward = partial(at_least, 0)


def relu_backward(dy, x):
    dx = np.array(dy)
    dx[np.logical_not(x > 0)] = 0
    return dx


# %% pool_forward
def pool_forward(x, size, stride):
    windows = sliding_window_view(x, (size, size), axis=(-2, -1))
    return windows[..., ::stride, ::stride, :, :].max((-1, -2))


# %% pool_backward
def pool_backward(dy, x, size, stride):
    N, C, OH, OW = dy.shape
    dx = np.zeros_like(x, dtype=dy.dtype)
    windows = sliding_window_view(x, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    best = windows.reshape(N, C, OH, OW, size * size).argmax(-1)
    n, c, a, b = np.indices(dy.shape)
    np.add.at(dx, (n, c, a * stride + best // size, b * stride + best % size), dy)
    return dx


# %% lrn_forward
def lrn_forward(x, size, alpha, beta, k):
    half = size // 2
    sums = np.cumsum(np.pad(x.astype(np.float64) ** 2, [(0, 0), (half + 1, half), (0, 0), (0, 0)]), axis=1)
    scale = (k + alpha * (sums[:, size:] - sums[:, :-size])).astype(x.dtype)
    return x * scale**-beta, scale


# %% lrn_backward
def lrn_backward(dy, x, scale, size, alpha, beta):
    band = np.abs(np.subtract.outer(np.arange(x.shape[1]), np.arange(x.shape[1]))) <= size // 2
    ratio = np.tensordot(band.astype(x.dtype), dy * x * scale ** (-beta - 1), (1, 1))
    return dy * scale**-beta - 2 * alpha * beta * x * np.moveaxis(ratio, 0, 1)
