"""The fully connected layer (Krizhevsky, Sutskever & Hinton 2012, section 3.5: fc6, fc7, fc8).

Axes: N images, D features in, U units out.
"""

from typing import Self

from numpy.random import Generator

from tinyalex.backend import Array, kernel
from tinyalex.errors import ShapeError
from tinyalex.layers.layer import Layer, initial_parameters


@kernel
def linear_forward(x: Array, w: Array, b: Array) -> Array:
    """y[n, u] = b[u] + sum over d of w[u, d] * x[n, d]: x (N, D), w (U, D), b (U,) -> y (N, U)."""
    return x @ w.T + b


@kernel
def linear_backward(dy: Array, x: Array, w: Array) -> tuple[Array, Array, Array]:
    """dx = dy w,  dw = dy' x,  db = the sum of dy over the images: dy (N, U) -> dx (N, D), dw (U, D), db (U,)."""
    return dy @ w, dy.T @ x, dy.sum(axis=0)


class Linear(Layer):
    """y = x w' + b: every unit reads every feature.

    Shapes: x (N, D) -> y (N, U)
    Raises: ShapeError for an input of another shape.

    in_features, out_features: D and U.
    init_std, init_bias: at the start w ~ N(0, init_std**2) and b = init_bias (section 5).
    rng:    draws w; None: a new generator, with other numbers each time.
    dtype:  of the parameters, "float32" or "float64". x must have the same, and y has it.
    params: {"w": (U, D), "b": (U,)}, the weights and the biases.
    grads:  the same keys and shapes. `backward` puts dL/dw and dL/db there.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        init_std: float = 0.01,
        init_bias: float = 0.0,
        rng: Generator | None = None,
        dtype: str = "float32",
    ) -> None:
        super().__init__()
        if min(in_features, out_features) < 1:
            raise ShapeError(f"Linear: got {in_features} features and {out_features} units: expected 1 or more of each")
        self.in_features, self.out_features = in_features, out_features
        self.params, self.grads = initial_parameters((out_features, in_features), init_std, init_bias, rng, dtype)

    def for_column(self, units: int) -> Self:
        """A column's units, each of which reads all features."""
        column = super().for_column(units)
        column.out_features = units
        return column

    def forward(self, x: Array, *, train: bool = False) -> Array:
        """x (N, D) -> y (N, U). train: keep x for `backward`."""
        self._check_input(x, "N D", self.in_features)
        self._cache = x if train else None
        return linear_forward(x, self.params["w"], self.params["b"])

    def backward(self, dy: Array) -> Array:
        """dy (N, U) -> dx (N, D)."""
        x = self._take_cache()
        self._check_dy(dy, (len(x), self.out_features))
        self.grads = {}  # frees the old gradients, so that the new ones can reuse their memory
        dx, dw, db = linear_backward(dy, x, self.params["w"])
        self.grads = {"w": dw, "b": db}
        return dx
