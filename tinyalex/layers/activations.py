"""The neurons' non-linearities (Krizhevsky, Sutskever & Hinton 2012, section 3.1), and Flatten."""

import math

from tinyalex.backend import Array, get_array_module, kernel
from tinyalex.errors import ShapeError
from tinyalex.layers.layer import Layer


@kernel
def relu_forward(x: Array) -> Array:
    """y = max(0, x), of any shape."""
    return get_array_module(x).maximum(x, 0)


@kernel
def relu_backward(dy: Array, y: Array) -> Array:
    """dx = dy where y > 0, else 0: all of one shape."""
    return get_array_module(dy, y).where(y > 0, dy, dy.dtype.type(0))


class ReLU(Layer):
    """y = max(0, x): it does not saturate, and learns several times faster than tanh (figure 1).

    Shapes: any, y like x.   dtype: that of x.   At x = 0 the gradient is 0.   Source: section 3.1.
    params, grads: empty, as there is nothing to learn.
    """

    def forward(self, x: Array, *, train: bool = False) -> Array:
        """x -> y, same shape. train: keep y for `backward`."""
        return self.keep(relu_forward(x), train=train)

    def keep(self, y: Array, *, train: bool = False) -> Array:
        """y, which `Conv2D.forward(relu=True)` has computed already. train: keep it for `backward`."""
        self._cache = y if train else None
        return y

    def backward(self, dy: Array) -> Array:
        """dx = dy where y > 0, else 0."""
        y = self._take_cache()
        self._check_dy(dy, y.shape)
        return relu_backward(dy, y)


class Tanh(Layer):
    """y = tanh(x), the saturating non-linearity that the paper compares ReLU with (figure 1).

    Shapes: any, y like x.   dtype: that of x.   Source: section 3.1.
    params, grads: empty, as there is nothing to learn.
    """

    def forward(self, x: Array, *, train: bool = False) -> Array:
        """x -> y, same shape. train: keep y for `backward`."""
        y = get_array_module(x).tanh(x)
        self._cache = y if train else None
        return y

    def backward(self, dy: Array) -> Array:
        """dx = dy (1 - y**2)."""
        y = self._take_cache()
        self._check_dy(dy, y.shape)
        return dy * (1 - y * y)


class Flatten(Layer):
    """y[n] = all pixels of all maps of image n in a row, map by map: what fc6 reads.

    Shapes: x (N, C, H, W), or any with two axes or more -> y (N, C*H*W).   dtype: that of x.
    params, grads: empty, as there is nothing to learn.
    """

    def forward(self, x: Array, *, train: bool = False) -> Array:
        """x (N, C, H, W) -> y (N, C*H*W). train: keep the shape of x for `backward`."""
        if x.ndim < 2:
            raise ShapeError(f"Flatten: got an input of shape {x.shape}: expected (N, C, H, W)")
        self._cache = x.shape if train else None
        return x.reshape(x.shape[0], math.prod(x.shape[1:]))

    def backward(self, dy: Array) -> Array:
        """dy (N, C*H*W) -> dx (N, C, H, W)."""
        x_shape = self._take_cache()
        self._check_dy(dy, (x_shape[0], math.prod(x_shape[1:])))
        return dy.reshape(x_shape)
