"""What all layers share: parameters, gradients, and the cache between a forward and its backward."""

from abc import ABC, abstractmethod
from collections.abc import MutableMapping, Sequence
from copy import copy
from typing import Any, Self

import numpy

from tinyalex.backend import Array, get_array_module, to_device
from tinyalex.errors import DTypeError, ShapeError, UsageError
from tinyalex.layers.trainable import Trainable


class Layer(Trainable, ABC):
    """A function of one array, with its derivative.

    params, grads: dicts keyed "w" and "b", empty for a layer without parameters. `backward` fills `grads`.
    Neither `forward` nor `backward` ever writes into the array it is given.
    """

    def __init__(self) -> None:
        self.params: MutableMapping[str, Array] = {}
        self.grads: MutableMapping[str, Array] = {}
        self._cache: Any = None

    @abstractmethod
    def forward(self, x: Array, *, train: bool = False) -> Array:
        """The output for x. With `train=True` it keeps what `backward` needs, and dropout is active."""

    @abstractmethod
    def backward(self, dy: Array) -> Array:
        """dL/dx for dy = dL/dy, and dL/dparams in `grads`; once for each `forward(..., train=True)`."""

    @property
    def whole(self) -> "Layer":
        """The layer as on one device: itself, or what was split into two columns."""
        return self

    def parts(self) -> "Sequence[Layer]":
        """The layers that hold the arrays: itself, or its half on each of two devices."""
        return [self]

    def apart(self) -> Self:
        """A layer with a cache and gradients of its own, which shares the parameters' arrays with this one."""
        return copy(self)

    def for_column(self, units: int) -> Self:  # noqa: ARG002, for the layers that have units
        """The layer with the settings of one column, which has `units` of its maps or units; without arrays."""
        column = copy(self)
        column.params, column.grads = {}, {}
        return column

    def move_to(self, device: str) -> None:
        """Move the parameters and gradients to `device`; what a forward pass kept for its backward does not move."""
        for arrays in (self.params, self.grads):
            arrays.update({key: to_device(array, device) for key, array in arrays.items()})

    def _take_cache(self) -> Any:
        """What the last `forward(..., train=True)` kept; a second call raises RuntimeError, as the cache is stale."""
        if self._cache is None:
            raise RuntimeError(
                f"{type(self).__name__}.backward: call forward(x, train=True) first, once for each backward"
            )
        cache, self._cache = self._cache, None
        return cache

    def _check_dy(self, dy: Array, shape: tuple[int, ...]) -> None:
        """Raise unless dy has the `shape` of the output and the dtype of "w": NumPy would broadcast, or convert it."""
        if self.params and dy.dtype != self.params["w"].dtype:
            raise DTypeError(
                f"{type(self).__name__}.backward: got dy of {dy.dtype}: expected {self.params['w'].dtype}, as the "
                f"parameters; convert it with dy.astype('{self.params['w'].dtype}')"
            )
        if dy.shape != shape:
            raise ShapeError(f"{type(self).__name__}.backward: got dy of shape {dy.shape}: expected {shape}")

    def _check_input(self, x: Array, axes: str, features: int | None = None) -> None:
        """Raise unless x has the axes named ("N C H W"), `features` along the second, and the dtype of "w"."""
        get_array_module(x, *self.params.values())
        name, expected = type(self).__name__, axes.split()
        if x.ndim != len(expected) or (features is not None and x.shape[1] != features):
            if features is not None:
                expected[1] = f"{expected[1]}={features}"
            raise ShapeError(f"{name}: got an input of shape {x.shape}: expected ({', '.join(expected)})")
        if x.dtype.kind != "f":
            raise DTypeError(f"{name}: got an input of {x.dtype}: expected floats; convert it with x.astype('float32')")
        if self.params and x.dtype != self.params["w"].dtype:
            raise DTypeError(
                f"{name}: got an input of {x.dtype}: expected {self.params['w'].dtype}, as the parameters; "
                f"convert it with x.astype('{self.params['w'].dtype}')"
            )


def initial_parameters(
    shape: tuple[int, ...], std: float, bias: float, rng: numpy.random.Generator | None, dtype: str
) -> tuple[dict[str, Array], dict[str, Array]]:
    """({"w": N(0, std**2) of `shape`, "b": `bias` repeated shape[0] times}, the same of zeros for the gradients).

    The draws are of float32 whatever the dtype, so that a float64 net starts from the same numbers. With std 0 nothing
    is drawn: zeros cost no time before they are used.
    Raises UsageError for a dtype that is neither float32 nor float64.
    """
    if numpy.dtype(dtype) not in (numpy.float32, numpy.float64):
        raise UsageError(f"got dtype={dtype!r}: expected 'float32' or 'float64'")
    if std == 0:
        w = numpy.zeros(shape, dtype)
    else:
        rng = numpy.random.default_rng() if rng is None else rng
        w = rng.standard_normal(shape, dtype="float32")
        w *= numpy.float32(std)
    params = {"w": w.astype(dtype, copy=False), "b": numpy.full(shape[0], bias, dtype)}
    return params, {key: numpy.zeros(value.shape, dtype) for key, value in params.items()}
