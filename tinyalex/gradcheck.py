"""Numerical gradients: is a backward pass the derivative of its forward pass?

Every check runs in float64 on a copy of what it is given, and compares the analytic gradient of L = sum(dy * y), for
a random dy, with the central difference (L(a + h) - L(a - h)) / 2h of each entry a. A dy of ones would let a softmax
pass whose backward is zero, and float32 leaves no digits to compare.
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
STEP = 1e-5  # of h: the error of a central difference falls with h**2, its rounding error grows with 1/h


class GradientError(TinyAlexError, AssertionError):
    """An analytic gradient that is not the derivative; it names the array, the index and both numbers."""

    def __init__(self, name: str, index: tuple[int, ...], analytic: float, numerical: float) -> None:
        self.name, self.index, self.analytic, self.numerical = name, index, analytic, numerical
        where = f"{name}[{', '.join(map(str, index))}]"
        super().__init__(f"gradient of {where}: analytic {analytic:.9g}, numerical {numerical:.9g}")


@dataclass(frozen=True)
class Checked:
    """What was found for one array: its name, the entries compared, the largest relative error among them.

    kinks: how many further entries lie where the function bends (a ReLU at 0, a tie in max-pooling); there the slopes
    on the two sides differ, and the analytic gradient was found between them.
    """

    name: str
    entries: int
    kinks: int
    error: float


def check_layer(
    layer: Any, x: Any, *, rng: int | np.random.Generator = 0, entries: int = 100, tolerance: float = 1e-6
) -> list[Checked]:
    """Check dx and the gradient of every parameter of `layer`, which must have the methods and dicts of a Layer.

    x: an input of it, any float dtype.   entries: arrays of at most so many are compared whole, larger ones in as many
    places drawn at random.   rng: a seed or Generator, for dy and these places.   tolerance: relative.
    Random numbers that the layer draws (dropout) are drawn anew from the same state for every evaluation.
    Returns one Checked per array. Raises GradientError at the first entry that is wrong, and TinyAlexError for a layer
    that writes into x or dy, or makes float64 of float32.
    """
    rng = np.random.default_rng(rng)
    layer, x = copy.deepcopy(layer), np.array(x, np.float64)
    _check_manners(copy.deepcopy(layer), x, rng)
    params = _in_dtype(layer, "float64")
    generators = _generators(layer)
    with _frozen(generators):
        dy = rng.standard_normal(layer.forward(rng.permuted(x), train=True).shape)
        layer.backward(dy.copy())  # what this pass leaves behind must not show in the next
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
    """Check the gradient of the loss in the images x (N, 3, H, W) and in every parameter of `net`, dropout frozen.

    labels (N,) integers. The other arguments, what is returned and raised: as for check_layer.
    """
    if net.device is not None:
        raise UsageError("check_net computes on the CPU: move the net there with net.place(None)")
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
    """Check gradient(dy, *arrays) -> one gradient for each array (or, for one, just it) against function(*arrays) -> y.

    Arrays are named "0", "1", ... in their order. The other arguments, what is returned and raised: as for check_layer.
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
    """The findings as lines of text, an array a line."""
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
    """Check every array; `evaluate()` gives the terms of L for the values that the arrays hold at the moment."""
    found = []
    for name, array in arrays.items():
        if name not in analytic or np.shape(analytic[name]) != array.shape:
            given = f"of shape {np.shape(analytic[name])}" if name in analytic else "missing"
            raise TinyAlexError(f"the gradient of {name} is {given}: expected one of shape {array.shape}")
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
    places = np.arange(array.size) if array.size <= entries else rng.choice(array.size, entries, replace=False)
    floor = 1e-3 * float(np.abs(analytic).max(initial=0.0))  # entries far below the largest count as zero
    kinks, largest = 0, 0.0
    for place in places:
        index = tuple(int(i) for i in np.unravel_index(place, array.shape))
        error = _check_entry(name, evaluate, array, index, float(analytic[index]), floor, tolerance)
        kinks += error is None
        largest = max(largest, error or 0.0)
    if kinks == len(places) > 0:
        raise TinyAlexError(f"every entry of {name} that was compared lies at a kink: check with another input")
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
    """The relative error of one entry, or None if the function bends just there. Raises GradientError."""
    value = array[index]

    def terms_at(shifted: float) -> Floats:
        array[index] = shifted
        try:
            return evaluate()
        finally:
            array[index] = value

    here = terms_at(value)
    for h in STEP * max(1.0, abs(value)) * np.array([1.0, 0.1, 0.01]):  # a kink within h is left behind by a smaller h
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


# ---------------------------------------------------------------- what is no derivative, dtypes, and chance held still


def _check_manners(layer: Any, x: Floats, rng: np.random.Generator) -> None:
    """Raise TinyAlexError unless a pass of `layer` in float32 stays in float32 and writes into neither x nor dy."""
    _in_dtype(layer, "float32")
    given_x = x.astype("float32")
    with _frozen(_generators(layer)):
        y = layer.forward(given_x, train=True)
        dy = rng.standard_normal(y.shape, "float32")
        given_dy = dy.copy()
        dx = layer.backward(given_dy)
    for name, given, before in (("x", given_x, x.astype("float32")), ("dy", given_dy, dy)):
        if not np.array_equal(given, before, equal_nan=True):
            raise TinyAlexError(f"{type(layer).__name__} writes into {name}: work on a copy of it")
    for name, array in {"y": y, "dx": dx, **{f"grads['{key}']": grad for key, grad in layer.grads.items()}}.items():
        if getattr(array, "dtype", "float32") != "float32":
            raise DTypeError(f"{type(layer).__name__} makes {name} {array.dtype} of float32: keep to the dtype of x")


def _in_dtype(layer: Any, dtype: str) -> dict[str, Any]:
    """Replace the parameters of `layer` by copies of that dtype, also where an attribute is another name of one."""
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
    """Put the generators, and NumPy's global one, back afterwards: every evaluation then draws the same numbers."""
    states = [generator.bit_generator.state for generator in generators]
    shared = np.random.get_state()  # noqa: NPY002  a layer of one's own may well use np.random.rand
    try:
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.bit_generator.state = state
        np.random.set_state(shared)  # noqa: NPY002
