"""Gradient checks: is a backward pass the derivative of its forward pass?

For a random dy, the analytic gradient of L = sum(dy * y) is compared with the central difference
(L(a + h) - L(a - h)) / 2h of each entry a. A dy of ones would not do: a softmax whose backward is zero would pass.
Every check works on copies, in float64, as float32 leaves too few digits to compare.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.errors import DTypeError, TinyAlexError, UsageError
from tinyalex.net import AlexNet

Floats = NDArray[np.float64]
STEP = 1e-5  # h, for entries up to 1: the truncation error of a central difference grows as h**2, rounding as 1/h


class GradientError(TinyAlexError, AssertionError):
    """An analytic gradient that is not the derivative.

    name: of the array.   index: of the entry.   analytic, numerical: the two gradients of that entry.
    """

    def __init__(self, name: str, index: tuple[int, ...], analytic: float, numerical: float) -> None:
        self.name, self.index, self.analytic, self.numerical = name, index, analytic, numerical
        where = f"{name}[{', '.join(map(str, index))}]"
        super().__init__(f"gradient of {where}: got {analytic:.9g} from backward, expected {numerical:.9g} (numerical)")


@dataclass(frozen=True)
class Checked:
    """The result of checking one array.

    name: of the array.   entries: how many were compared.   error: the largest relative error among them.
    kinks: how many further entries lie at a kink (a ReLU at 0, a tie in max-pooling). There the slopes on the two
    sides differ, and the analytic gradient lies between them.
    """

    name: str
    entries: int
    kinks: int
    error: float


def check_layer(
    layer: Any, x: Any, *, rng: int | np.random.Generator = 0, entries: int = 100, tolerance: float = 1e-6
) -> list[Checked]:
    """Check dx and the gradient of every parameter of `layer` -> one Checked for each array.

    layer: any object with the methods and dicts of a Layer.   x: an input for it, of any float dtype.
    entries: how many entries of an array are compared; a larger array is compared at random places.
    rng: a seed or Generator, for dy and the places.   tolerance: the largest relative error.
    A layer that draws random numbers (dropout) draws the same ones in every evaluation.
    Raises GradientError at the first wrong entry, TinyAlexError for a layer that writes into x or dy, and DTypeError
    for one that turns float32 into float64.
    """
    rng = np.random.default_rng(rng)
    layer, x = copy.deepcopy(layer), np.array(x, np.float64)
    _check_arguments_and_dtype(copy.deepcopy(layer), x, rng)
    params = _in_dtype(layer, "float64")
    generators = _generators(layer)
    with _frozen(generators):
        dy = rng.standard_normal(layer.forward(rng.permuted(x), train=True).shape)
        layer.backward(dy.copy())  # a second pass then shows whether the first left anything behind
    with _frozen(generators):
        layer.forward(x, train=True)
    analytic = {"x": layer.backward(dy.copy()), **layer.grads}

    def forward() -> Floats:
        with _frozen(generators):
            return np.asarray(dy * layer.forward(x, train=True))

    return _check_all(forward, {"x": x, **params}, analytic, rng, entries, tolerance)


def check_net(
    net: AlexNet,
    x: Any,
    labels: Any,
    *,
    rng: int | np.random.Generator = 0,
    entries: int = 10,
    tolerance: float = 1e-5,
) -> list[Checked]:
    """Check the gradient of the loss with respect to every parameter of `net` and to its images.

    x (N, 3, H, W), labels (N,) integers; dropout draws the same masks in every evaluation. The other arguments, the
    result and GradientError are as for `check_layer`. Raises UsageError for a net that was placed on a device.
    """
    if net.device is not None:
        raise UsageError(f"got a net on {net.device}: expected one on the CPU; move it with net.place(None)")
    rng = np.random.default_rng(rng)
    net, x = copy.deepcopy(net), np.array(x, np.float64)
    params = {
        f"{name}.{key}": array
        for name, layer in net.layers.items()
        for key, array in _in_dtype(layer, "float64").items()
    }
    generators = [generator for layer in net.layers.values() for generator in _generators(layer)]

    def loss() -> Floats:
        with _frozen(generators):
            return np.array([net.loss(x, labels, train=True)])

    loss()
    analytic = {"x": net.backward(net.criterion.backward()), **net.grads}
    return _check_all(loss, {"x": x, **params}, analytic, rng, entries, tolerance)


def check_function(
    function: Callable[..., Any],
    gradient: Callable[..., Any],
    *arrays: Any,
    rng: int | np.random.Generator = 0,
    entries: int = 100,
    tolerance: float = 1e-6,
) -> list[Checked]:
    """Check the gradients of a function: gradient(dy, *arrays) against function(*arrays) -> y.

    gradient: returns a tuple with one gradient for each array; for a single array it may return just that gradient.
    The arrays are named "0", "1", ... The other arguments, the result and GradientError are as for `check_layer`.
    """
    rng = np.random.default_rng(rng)
    copies = [np.array(array, np.float64) for array in arrays]
    dy = rng.standard_normal(np.shape(function(*copies)))
    gradients = gradient(dy.copy(), *copies)
    if len(copies) == 1 and not isinstance(gradients, tuple):
        gradients = (gradients,)
    return _check_all(
        lambda: dy * function(*copies),
        {str(i): array for i, array in enumerate(copies)},
        {str(i): array for i, array in enumerate(gradients)},
        rng,
        entries,
        tolerance,
    )


def table(title: str, checked: Sequence[Checked]) -> str:
    """The results as text, one line for each array."""
    lines = [f"{title:<28}{'entries':>8}{'kinks':>7}{'largest relative error':>24}"]
    lines += [f"  {one.name:<26}{one.entries:>8}{one.kinks:>7}{one.error:>24.1e}" for one in checked]
    return "\n".join(lines)


# ---------------------------------------------------------------- one array, one entry


def _check_all(
    evaluate: Callable[[], Floats],
    arrays: Mapping[str, Floats],
    analytic: Mapping[str, Any],
    rng: np.random.Generator,
    entries: int,
    tolerance: float,
) -> list[Checked]:
    """Check every array.   evaluate: returns the terms of the sum L for the current values of the arrays."""
    found = []
    for name, array in arrays.items():
        if name not in analytic or np.shape(analytic[name]) != array.shape:
            found_shape = f"shape {np.shape(analytic[name])}" if name in analytic else "none"
            raise TinyAlexError(f"gradient of {name}: got {found_shape}, expected shape {array.shape}")
        found.append(_check_array(name, evaluate, array, np.asarray(analytic[name]), rng, entries, tolerance))
    return found


def _check_array(
    name: str,
    evaluate: Callable[[], Floats],
    array: Floats,
    analytic: Floats,
    rng: np.random.Generator,
    entries: int,
    tolerance: float,
) -> Checked:
    """Check up to `entries` entries of one array."""
    places = np.arange(array.size) if array.size <= entries else rng.choice(array.size, entries, replace=False)
    floor = 1e-3 * float(np.abs(analytic).max(initial=0.0))  # errors of smaller entries are relative to this
    kinks, largest = 0, 0.0
    for place in places:
        index = tuple(int(i) for i in np.unravel_index(place, array.shape))
        error = _check_entry(name, evaluate, array, index, float(analytic[index]), floor, tolerance)
        kinks += error is None
        largest = max(largest, error or 0.0)
    if kinks == len(places) > 0:
        raise TinyAlexError(f"{name}: got kinks at all {kinks} entries: expected some without; use another input")
    return Checked(name, len(places) - kinks, kinks, largest)


def _check_entry(
    name: str,
    evaluate: Callable[[], Floats],
    array: Floats,
    index: tuple[int, ...],
    analytic: float,
    floor: float,
    tolerance: float,
) -> float | None:
    """The relative error of one entry, or None at a kink. Raises GradientError."""
    value = array[index]

    def terms_at(shifted: float) -> Floats:
        array[index] = shifted
        try:
            return evaluate()
        finally:
            array[index] = value

    here = terms_at(value)
    for h in STEP * max(1.0, abs(value)) * np.array([1.0, 0.1, 0.01]):  # a smaller step may avoid a kink nearby
        above, below = terms_at(value + h), terms_at(value - h)
        right, left = float((above - here).sum() / h), float((here - below).sum() / h)
        numerical = float((above - below).sum() / (2 * h))
        rounding = 1e-15 * float(np.abs(here[above != below]).sum() / h)
        size = max(abs(analytic), abs(numerical), floor)
        if abs(analytic - numerical) <= tolerance * size + rounding:
            return abs(analytic - numerical) / size if size else 0.0
    slack = 1e-3 * max(abs(right), abs(left)) + rounding
    if abs(right - left) > slack and min(right, left) - slack <= analytic <= max(right, left) + slack:
        return None
    raise GradientError(name, index, analytic, numerical)


# ---------------------------------------------------------------- arguments left alone, dtypes, random numbers


def _check_arguments_and_dtype(layer: Any, x: Floats, rng: np.random.Generator) -> None:
    """Raise TinyAlexError if a float32 pass of `layer` writes into x or dy, DTypeError if it makes another dtype."""
    _in_dtype(layer, "float32")
    given_x = x.astype("float32")
    with _frozen(_generators(layer)):
        y = layer.forward(given_x, train=True)
        dy = rng.standard_normal(y.shape, "float32")
        given_dy = dy.copy()
        dx = layer.backward(given_dy)
    for name, given, before in (("x", given_x, x.astype("float32")), ("dy", given_dy, dy)):
        if not np.array_equal(given, before, equal_nan=True):
            raise TinyAlexError(
                f"{type(layer).__name__}: got a changed {name}: expected it unchanged; write into a copy"
            )
    for name, array in {"y": y, "dx": dx, **{f"grads['{key}']": grad for key, grad in layer.grads.items()}}.items():
        if getattr(array, "dtype", "float32") != "float32":
            raise DTypeError(f"{type(layer).__name__}: got {name} in {array.dtype}: expected float32, the dtype of x")


def _in_dtype(layer: Any, dtype: str) -> dict[str, Any]:
    """Replace the parameters of `layer` by copies of `dtype` -> the new ones; attributes that refer to one follow."""
    for key, array in list(layer.params.items()):
        exact = np.array(array, dtype)
        for attribute, held in list(vars(layer).items()):
            if held is array:
                setattr(layer, attribute, exact)
        layer.params[key] = exact
    return dict(layer.params)


def _generators(layer: Any) -> list[np.random.Generator]:
    """The random generators that `layer` holds."""
    return [value for value in vars(layer).values() if isinstance(value, np.random.Generator)]


@contextmanager
def _frozen(generators: Sequence[np.random.Generator]) -> Iterator[None]:
    """Restore the generators, and NumPy's global one, after the block: every evaluation then draws the same numbers."""
    states = [generator.bit_generator.state for generator in generators]
    shared = np.random.get_state()  # noqa: NPY002  a user's layer may call np.random.rand
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.bit_generator.state = state
        np.random.set_state(shared)  # noqa: NPY002
