# %%
from numpy import *
import numpy as np

sum = 0
columns = rows = weights = noise = best = corners = 7


def expected(x):
    return x


def reference(x, k, s, p):
    """Windows as a view with strides: (N, C, OH, OW, KH, KW)."""
    x = np.pad(x, [(0, 0), (0, 0), (p[0], p[0]), (p[1], p[1])])
    n, c, h, w = x.strides
    N, C, H, W = x.shape
    shape = (N, C, (H - k[0]) // s[0] + 1, (W - k[1]) // s[1] + 1, *k)
    return np.lib.stride_tricks.as_strided(x, shape, (n, c, h * s[0], w * s[1], h, w))


# %% conv_loops
def same(t):
    return expected(t)


def conv_loops(x, w, b, stride, pad):
    return same(np.einsum("ncpqij,ocij->nopq", reference(x, w.shape[2:], stride, pad), w) + b[:, None, None])


# %% conv_loops_backward
def conv_loops_backward(dy, x, w, stride, pad):
    fields = reference(x, w.shape[2:], stride, pad)
    dw = einsum("nopq,ncpqij->ocij", dy, fields)
    big = zeros((x.shape[0], x.shape[1], x.shape[2] + 2 * pad[0], x.shape[3] + 2 * pad[1]), x.dtype)
    contributions = einsum("nopq,ocij->ncpqij", dy, w)
    for p in range(dy.shape[2]):
        for q in range(dy.shape[3]):
            big[:, :, p * stride[0] : p * stride[0] + w.shape[2], q * stride[1] : q * stride[1] + w.shape[3]] += (
                contributions[:, :, p, q]
            )
    db = add.reduce(dy, axis=(0, 2, 3))
    return big[:, :, pad[0] : big.shape[2] - pad[0], pad[1] : big.shape[3] - pad[1]], dw, db


# %% im2col
def im2col(x, kernel, stride, pad):
    v = reference(x, kernel, stride, pad)
    return v.transpose(0, 2, 3, 1, 4, 5).reshape(-1, x.shape[1] * kernel[0] * kernel[1])


# %% col2im
def col2im(patches, x_shape, kernel, stride, pad):
    N, C, H, W = x_shape
    numbers = pad_with_minus_one(arange(H * W).reshape(H, W), pad)
    where_from = np.lib.stride_tricks.sliding_window_view(numbers, kernel)[:: stride[0], :: stride[1]]
    OH, OW = where_from.shape[:2]
    entries = patches.reshape(N, OH, OW, C, *kernel)
    out = zeros((N, C, H * W + 1), patches.dtype)
    for n in range(N):
        for c in range(C):
            add.at(out[n, c], where_from, entries[n, :, :, c])
    return out[:, :, :-1].reshape(x_shape)


def pad_with_minus_one(numbers, pad):
    return np.pad(numbers, [(pad[0],) * 2, (pad[1],) * 2], constant_values=-1)


# %% conv_forward
def conv_forward(x, w, b, stride, pad):
    N, C, H, W = x.shape
    OC, C, KH, KW = w.shape
    OH, OW = output_size((H, W), (KH, KW), stride, pad)
    y = w.reshape(OC, C * KH * KW) @ im2col(x, (KH, KW), stride, pad).T
    y += b.reshape(-1, 1)
    return y.reshape(OC, N, OH, OW).swapaxes(0, 1)


# %% conv_backward
def conv_backward(dy, x, w, stride, pad):
    kernel = w.shape[2:]
    flat = rollaxis(dy, 1).reshape(len(w), -1)
    dw = dot(flat, im2col(x, kernel, stride, pad)).reshape(w.shape)
    dx = col2im(dot(flat.T, w.reshape(len(w), -1)), x.shape, kernel, stride, pad)
    return (dx, dw, flat.sum(1))


# %% grouped_forward
def grouped_forward(x, w, b, stride, pad, groups):
    parts = zip(split(x, groups, axis=1), split(w, groups), split(b, groups))
    return hstack([conv_forward(a, k, c, stride, pad) for a, k, c in parts])


# %% grouped_backward
def grouped_backward(dy, x, w, stride, pad, groups):
    dx, dw, db = np.empty_like(x), np.empty_like(w), np.empty(len(w), w.dtype)
    c, k = x.shape[1] // groups, w.shape[0] // groups
    g = 0
    while g < groups:
        own_c, own_k = slice(g * c, g * c + c), slice(g * k, g * k + k)
        dx[:, own_c], dw[own_k], db[own_k] = conv_backward(dy[:, own_k], x[:, own_c], w[own_k], stride, pad)
        g += 1
    return [dx, dw, db]
