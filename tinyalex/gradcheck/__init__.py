"""Gradient checks: is a backward pass the derivative of its forward pass?

For a random dy, the analytic gradient of L = sum(dy * y) is compared with the central difference
(L(a + h) - L(a - h)) / 2h of each entry a. A dy of ones would not do: a softmax whose backward is zero would pass.
Every check works on copies, in float64, as float32 leaves too few digits to compare.
"""

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinyalex.errors import DTypeError, TinyAlexError, UsageError
from tinyalex.gradcheck.entries import Checked, Floats, GradientError, check_all
from tinyalex.net import AlexNet

__all__ = ["Checked", "GradientError", "check_function", "check_layer", "check_net", "table"]

INPUT_AXES = {2: "N D", 4: "N C H W"}  # features, images
WEIGHT_AXES = {2: "U D", 4: "OC C KH KW"}  # units, kernels; C is that of a group


def check_layer(
    layer: Any, x: Any, *, rng: int | np.random.Generator = 0, entries: int = 100, tolerance: float = 1e-6
) -> list[Checked]:
    """Check dx and the gradient of every parameter of `layer` -> one Checked for each array.

    layer: any object with the methods and dicts of a Layer.   x: an input for it, of any float dtype.
    entries: how many entries of an array are compared; a larger array is compared at random places.
    rng: a seed or Generator, for dy and the places.   tolerance: the largest relative error.
    A layer that draws random numbers (dropout) draws the same ones in every evaluation.
    Raises GradientError for a gradient that is wrong or missing, or has another shape, after all arrays were compared;
    TinyAlexError for a layer that writes into x or dy, and for an array without entries to compare; DTypeError for a
    layer that turns float32 into another dtype, if its gradients are right but for rounding; UsageError for a parameter
    with the name "x", that of the input, and for entries below 1.
    """
    if "x" in layer.params:
        raise UsageError(f"{type(layer).__name__}: got a parameter named 'x': expected another name, as x is the input")
    rng = np.random.default_rng(rng)
    layer, x = copy.deepcopy(layer), np.array(x, np.float64)
    wrong_dtype = _in_float32(copy.deepcopy(layer), x, rng)
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

    arrays, axes = {"x": x, **params}, _axes_of_layer(x, params)
    try:
        found = check_all(forward, arrays, analytic, rng, entries, tolerance, _cure_in_layer, axes)
    except GradientError as error:
        if wrong_dtype and error.rounding:
            raise wrong_dtype from None
        raise
    if wrong_dtype:
        raise wrong_dtype
    return found


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
    result and GradientError are as for `check_layer`. Raises UsageError for a net that was placed on a device, and
    for entries below 1.
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
    axes = {"x": INPUT_AXES[4]}
    for name, layer in net.layers.items():
        axes |= {f"{name}.{key}": named for key, named in _axes_of_params(layer.params).items()}
    return check_all(loss, {"x": x, **params}, analytic, rng, entries, tolerance, _cure_in_net, axes)


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
    The arrays have the names of the function's parameters; "0", "1", ... if it does not tell them. The other arguments,
    the result and GradientError are as for `check_layer`. Raises UsageError for more gradients than arrays, and for
    entries below 1.
    """
    rng = np.random.default_rng(rng)
    copies = [np.array(array, np.float64) for array in arrays]
    dy = rng.standard_normal(np.shape(function(*copies)))
    gradients = gradient(dy.copy(), *copies)
    if not isinstance(gradients, tuple if len(copies) == 1 else (tuple, list)):
        gradients = (gradients,)
    if len(gradients) > len(copies):
        raise UsageError(f"got {len(gradients)} gradients: expected {len(copies)}, one for each array")
    names = _parameters(function, len(copies))
    return check_all(
        lambda: dy * function(*copies),
        dict(zip(names, copies, strict=True)),
        dict(zip(names, gradients, strict=False)),  # a gradient too few is missing, and told
        rng,
        entries,
        tolerance,
        lambda _: f"let the gradient function return {'it' if len(copies) == 1 else 'a tuple, one for each array'}",
        axes={},
    )


def _axes_of_layer(x: Floats, params: Mapping[str, Floats]) -> dict[str, str]:
    """The names of the axes of x and of a layer's parameters, as far as the shapes tell what these are."""
    axes = {"x": INPUT_AXES[x.ndim]} if x.ndim in INPUT_AXES else {}
    w = params.get("w")
    if w is not None and w.size and w.ndim == x.ndim and x.shape[1] % w.shape[1] == 0:
        axes |= _axes_of_params(params)
    return axes


def _axes_of_params(params: Mapping[str, Floats]) -> dict[str, str]:
    """The names of the axes of weights "w", and of biases "b", one for each kernel or unit."""
    w, b = params.get("w"), params.get("b")
    if w is None or w.ndim not in WEIGHT_AXES:
        return {}
    of_w = WEIGHT_AXES[w.ndim]
    return {"w": of_w, "b": of_w.split()[0]} if b is not None and b.shape == w.shape[:1] else {"w": of_w}


def _cure_in_layer(name: str) -> str:
    """What to do about a missing gradient of a layer."""
    return "is `return dx` missing in backward?" if name == "x" else f"set self.grads['{name}'] in backward"


def _cure_in_net(name: str) -> str:
    """What to do about a missing gradient of a net."""
    layer, _, key = name.rpartition(".")
    return f"set self.grads['{key}'] in backward of {layer}" if layer else "is `return dx` missing in a backward?"


def _parameters(function: Callable[..., Any], count: int) -> list[str]:
    """The names of the function's first `count` parameters, or their numbers."""
    numbers = [str(number) for number in range(count)]
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # compiled functions have none
        return numbers
    names = [one.name for one in parameters if one.kind in (one.POSITIONAL_ONLY, one.POSITIONAL_OR_KEYWORD)]
    return names[:count] if len(names) >= count else numbers


def table(title: str, checked: Sequence[Checked]) -> str:
    """The results as text, one line for each array."""
    lines = [f"{title:<28}{'entries':>8}{'kinks':>7}{'largest relative error':>24}"]
    lines += [f"  {one.name:<26}{one.entries:>8}{one.kinks:>7}{one.error:>24.1e}" for one in checked]
    return "\n".join(lines)


# ---------------------------------------------------------------- arguments left alone, dtypes, random numbers


def _in_float32(layer: Any, x: Floats, rng: np.random.Generator) -> DTypeError | None:
    """The error for a float32 pass of `layer` that makes another dtype; None if all is float32.

    Raises TinyAlexError if the pass writes into x or dy, and DTypeError if y has fewer digits than float32: no
    difference of such numbers tells whether a gradient is right.
    """
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
        dtype = getattr(array, "dtype", np.dtype("float32"))
        if dtype != "float32":
            error = DTypeError(
                f"{type(layer).__name__}: got {name} in {dtype}: expected float32, the dtype of x; {_cure(dtype)}"
            )
            if name == "y" and np.result_type(dtype, "float32") != dtype:
                raise error
            return error
    return None


def _cure(dtype: np.dtype[Any]) -> str:
    """What to do about an array of this dtype."""
    if dtype != "float64":
        return "convert it with .astype(x.dtype)"
    return "np.where(c, 1, 0.1), np.zeros(n) and NumPy's numbers are float64: convert them with .astype(x.dtype)"


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
