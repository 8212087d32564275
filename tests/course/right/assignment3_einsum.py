# %%
from numpy import *

mean = std = None
weights = counts = mask = right = 1


def _rows(z):
    return z - maximum.reduce(z, axis=1, keepdims=True)


# %% softmax
def softmax(logits):
    e = exp(_rows(logits.astype(longdouble)))
    return (e / einsum("nk->n", e)[:, newaxis]).astype(logits.dtype)


# %% cross_entropy
def cross_entropy(logits, labels):
    z = logits.astype(float64)
    log_p = z - logaddexp.reduce(z, axis=1)[:, None]
    return -take_along_axis(log_p, labels[:, None], 1).sum() / labels.size


# %% cross_entropy_backward
def cross_entropy_backward(p, labels):
    d = array(p, copy=True)
    subtract.at(d, (arange(labels.size), labels), 1)
    d *= 1 / labels.size
    return d


# %% linear
def linear_forward(x, w, b):
    return einsum("nd,ud->nu", x, w) + b


def linear_backward(dy, x, w):
    return [einsum("nu,ud->nd", dy, w), einsum("nu,nd->ud", dy, x), einsum("nu->u", dy)]


# %% dropout
class Dropout:
    def __init__(self, p, rng):
        self.keep = 1 - p
        self.rng = rng

    def forward(self, x, train):
        if not train:
            return x * x.dtype.type(self.keep)
        self.kept = self.rng.binomial(1, self.keep, x.shape).astype(bool)
        return where(self.kept, x, x.dtype.type(0))

    def backward(self, dy):
        return where(self.kept, dy, dy.dtype.type(0))


# %% numerical_gradient
def numerical_gradient(f, x, dy, h=1e-5):
    x = x.astype("float64")
    basis = eye(x.size).reshape(x.size, *x.shape)
    differences = [(f(x + h * e) - f(x - h * e)) / (2 * h) for e in basis]
    return array([vdot(dy, d) for d in differences]).reshape(x.shape)


# %% worst_entry
def worst_entry(analytic, numerical):
    a, n = analytic.ravel(), numerical.ravel()
    error = abs(a - n) / maximum(maximum(abs(a), abs(n)), 1e-8)
    error = nan_to_num(error, nan=inf)
    i = int(argmax(error))
    return unravel_index(i, analytic.shape), error[i]
