"""Layers with a planted mistake each, for the gradient checks to find."""

import numpy as np

from tinyalex import Conv2D, Dropout, Linear, LocalResponseNorm, ReLU, Tanh
from tinyalex.layers import Layer
from tinyalex.layers.loss import softmax


class SoftmaxOfZeros(Layer):
    """A dy of ones would let it pass: the sum of a softmax is 1, whatever its input."""

    def forward(self, x, **_):
        self._cache = x.shape
        return softmax(x)

    def backward(self, dy):
        return np.zeros(self._take_cache(), dy.dtype)


class SwappedConv(Conv2D):
    """H and W change places on the way back; with a dy and a kernel of ones nobody sees it."""

    def backward(self, dy):
        return super().backward(dy).swapaxes(2, 3)


class MirroredConv(Conv2D):
    def backward(self, dy):
        self.params["w"] = self.params["w"][:, :, ::-1, ::-1]
        dx = super().backward(dy)
        self.params["w"] = self.params["w"][:, :, ::-1, ::-1]
        return dx


class MeanBias(Conv2D):
    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["b"] = dy.mean(axis=(0, 2, 3))
        return dx


class GroupsSwapped(Conv2D):
    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["w"] = np.roll(self.grads["w"], len(self.grads["w"]) // 2, axis=0)
        return dx


class HalfNorm(LocalResponseNorm):
    """The square's derivative without its 2."""

    def backward(self, dy):
        x = self._take_cache()
        y = self.forward(x, train=True)
        direct = dy * np.divide(y, x, out=np.ones_like(x), where=x != 0)
        return (super().backward(dy) + direct) / 2


class DroppedMask(Dropout):
    def backward(self, dy):
        self._take_cache()
        return dy


class UnscaledMask(Dropout):
    def backward(self, dy):
        return dy * self._take_cache()


class Tanhx(Tanh):
    """1 - x**2 for 1 - y**2."""

    def forward(self, x, *, train=False):
        y = super().forward(x, train=train)
        self._cache = x
        return y


class TransposedLinear(Linear):
    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["w"] = self.grads["w"].T.copy()
        return dx


class SummingLinear(Linear):
    """Adds to the gradients of the last pass."""

    def backward(self, dy):
        before = self.grads
        dx = super().backward(dy)
        self.grads = {key: before[key] + grad for key, grad in self.grads.items()}
        return dx


class StaleLinear(Linear):
    """Keeps the first input that it ever saw."""

    first = None

    def forward(self, x, *, train=False):
        y = super().forward(x, train=train)
        self.first = x if self.first is None else self.first
        self._cache = self.first
        return y


class OnePixel(ReLU):
    """Wrong in a single entry."""

    def backward(self, dy):
        dx = super().backward(dy).copy()
        dx[-1, -1] += 0.01
        return dx


class NotANumber(ReLU):
    def backward(self, dy):
        return super().backward(dy) * np.where(dy > 1, np.nan, 1).astype(dy.dtype)


# The layer, the shape of an input that shows it, and the array whose gradient is wrong.
MISTAKES = {
    "backward of zeros": (SoftmaxOfZeros(), (3, 4), "x"),
    "H and W swapped": (SwappedConv(2, 3, 3, pad=1, init_std=1), (2, 2, 4, 4), "x"),
    "kernel mirrored": (MirroredConv(2, 3, 3, init_std=1), (2, 2, 5, 4), "x"),
    "mean for a sum in db": (MeanBias(2, 3, (2, 1), init_std=1), (2, 2, 4, 4), "b"),
    "groups swapped in dw": (GroupsSwapped(4, 4, 2, groups=2, init_std=1), (2, 4, 3, 4), "w"),
    "2 missing in the norm": (HalfNorm(3, alpha=1.0), (2, 4, 2, 3), "x"),
    "mask dropped": (DroppedMask(), (3, 8), "x"),
    "mask not scaled": (UnscaledMask(0.25, scale_at="train"), (3, 8), "x"),
    "x for y": (Tanhx(), (2, 5), "x"),
    "dw transposed": (TransposedLinear(4, 4, init_std=1), (3, 4), "w"),
    "gradients summed up": (SummingLinear(3, 4, init_std=1), (2, 3), "w"),
    "stale cache": (StaleLinear(3, 4, init_std=1), (2, 3), "w"),
    "one entry": (OnePixel(), (5, 6), "x"),
    "not a number": (NotANumber(), (5, 6), "x"),
}


# ---------------------------------------------------------------- wrong by as much as a test says


class Scale(Layer):
    """y = x * w, with a gradient that is wrong by `factors`; it also keeps w under a name of its own."""

    def __init__(self, w, factors):
        super().__init__()
        self.weights = np.asarray(w, "float32")
        self.params = {"w": self.weights}
        self.factors = np.asarray(factors)

    def forward(self, x, **_):
        self._cache = x
        return x * self.weights

    def backward(self, dy):
        self.grads = {"w": ((self._cache * dy).sum(axis=0) * self.factors).astype(dy.dtype)}
        return dy * self.weights


# ---------------------------------------------------------------- gradients that cannot be compared


class ForgetsReturn(ReLU):
    def backward(self, _):
        self._take_cache()


class ReturnsTwo(ReLU):
    def backward(self, dy):
        return super().backward(dy), 0


class ForgetsBias:
    def backward(self, dy):
        dx = super().backward(dy)
        del self.grads["b"]
        return dx


class NoBias(ForgetsBias, Linear):
    pass


class NoConvBias(ForgetsBias, Conv2D):
    pass


class WideBias(Linear):
    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["b"] = self.grads["b"][None]
        return dx


class DoubleAndWide(WideBias):
    """Two mistakes: w is twice what it should be, and b has another shape."""

    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["w"] = 2 * self.grads["w"]
        return dx


# ---------------------------------------------------------------- right gradients, bad manners


class WritesIntoX(ReLU):
    def forward(self, x, *, train=False):
        x[x < 0] = 0
        return super().forward(x, train=train)


class WritesIntoDy(ReLU):
    def backward(self, dy):
        dy *= self._take_cache() > 0
        return dy


class Widens(ReLU):
    def forward(self, x, *, train=False):
        return super().forward(x, train=train) * np.float64(1)


class WidensBack(Linear):
    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["b"] = self.grads["b"] * np.ones(len(self.grads["b"]))
        return dx
