"""The gradient checks: they pass what is right, and find each of a set of layers with a planted mistake."""

import copy

import numpy as np
import pytest

from cases import away_from_zero
from planted import (
    MISTAKES,
    Scale,
    Widens,
    WidensBack,
    WritesIntoDy,
    WritesIntoX,
)
from tinyalex import (
    Conv2D,
    Dropout,
    Linear,
    MaxPool2D,
    ReLU,
    check_layer,
)
from tinyalex.errors import DTypeError, TinyAlexError, UsageError
from tinyalex.gradcheck import Checked, GradientError
from tinyalex.layers import Layer


@pytest.mark.parametrize("mistake", list(MISTAKES))
def test_mistakes_are_found(mistake):
    layer, shape, array = MISTAKES[mistake]
    with pytest.raises(GradientError) as found:
        check_layer(layer, away_from_zero(shape))
    assert found.value.name == array


@pytest.mark.parametrize("mistake", [name for name in MISTAKES if name != "backward of zeros"])
def test_without_the_mistake_they_pass(mistake):
    """So what is found is the mistake: the class that each of them breaks is right."""
    layer, shape, _ = MISTAKES[mistake]
    layer = copy.deepcopy(layer)
    layer.__class__ = type(layer).__base__
    check_layer(layer, away_from_zero(shape))


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        (WritesIntoX(), TinyAlexError, "WritesIntoX: got a changed x: expected it unchanged; write into a copy"),
        (WritesIntoDy(), TinyAlexError, "WritesIntoDy: got a changed dy: expected it unchanged; write into a copy"),
        (Widens(), DTypeError, "Widens: got y in float64: expected float32, the dtype of x; np.where"),
        (WidensBack(4, 2), DTypeError, r"WidensBack: got grads\['b'\] in float64: expected float32"),
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_what_a_layer_may_not_do(layer, error, message, dtype):
    """The gradients are right, and yet."""
    with pytest.raises(error, match=message):
        check_layer(layer, away_from_zero((3, 4)).astype(dtype))


class ForgetsDy(ReLU):
    """Its gradient is one of bools, too: what it lacks is told first."""

    def forward(self, x, *, train=False):
        self._positive = x > 0
        return super().forward(x, train=train)

    def backward(self, _):
        return self._positive


class InHalf(Linear):
    """Right in the digits that float16 has."""

    def backward(self, dy):
        dx = super().backward(dy).astype("float16")
        self.grads = {key: grad.astype("float16") for key, grad in self.grads.items()}
        return dx


class ForwardInHalf(ReLU):
    def forward(self, x, *, train=False):
        return super().forward(x, train=train).astype("float16")


@pytest.mark.parametrize(
    ("layer", "error", "message"),
    [
        (ForgetsDy(), GradientError, r"gradient of x\["),
        (InHalf(4, 2), DTypeError, "InHalf: got dx in float16: expected float32, the dtype of x; convert it"),
        (ForwardInHalf(), DTypeError, "ForwardInHalf: got y in float16: expected float32"),
    ],
)
def test_a_wrong_dtype_is_told_only_where_the_values_are_right(layer, error, message):
    with pytest.raises(error, match=message):
        check_layer(layer, away_from_zero((3, 4)))


# ---------------------------------------------------------------- what is compared


@pytest.mark.parametrize(("off", "tolerance", "passes"), [(1e-4, 1e-6, False), (1e-4, 1e-3, True), (1e-8, 1e-6, True)])
def test_tolerance_is_relative(off, tolerance, passes):
    """However large or small the numbers are."""
    for size in (1e-3, 1e4):
        layer = Scale(np.ones(4), np.full(4, 1 + off))
        if passes:
            assert max(one.error for one in check_layer(layer, size * away_from_zero((3, 4)), tolerance=tolerance)) > 0
        else:
            with pytest.raises(GradientError):
                check_layer(layer, size * away_from_zero((3, 4)), tolerance=tolerance)


def test_small_arrays_are_compared_whole_and_large_ones_in_places():
    found = check_layer(Linear(40, 5), away_from_zero((2, 40)), entries=90)
    assert [(one.name, one.entries, one.kinks) for one in found] == [("x", 80, 0), ("w", 90, 0), ("b", 5, 0)]
    assert all(one.error < 1e-6 for one in found)


def test_places_are_drawn_from_rng():
    """The same seed finds the same; one wrong entry of 200 is found by some seeds, or by looking everywhere."""
    factors = np.ones(200)
    factors[123] = 2
    layer, x = Scale(np.ones(200), factors), away_from_zero((1, 200))

    def finds(seed):
        try:
            return check_layer(layer, x, rng=seed, entries=50)
        except GradientError as error:
            return error.index

    seen = [finds(seed) for seed in range(8)]
    assert seen == [finds(seed) for seed in range(8)]
    assert (123,) in seen
    assert any(isinstance(one, list) for one in seen)
    with pytest.raises(GradientError, match=r"w\[123\]"):
        check_layer(layer, x, entries=200, rng=np.random.default_rng(0))


def test_kinks_are_counted_not_errors():
    """A ReLU at 0, a tie in max-pooling: the slopes of the two sides differ, and the gradient lies between."""
    x = away_from_zero((3, 4))
    x[1, 1] = x[2, 0] = 0
    x[0, 0], x[0, 1] = 4e-6, -3e-7  # near enough to bend within the first steps, not within the last
    assert check_layer(ReLU(), x) == [Checked("x", 10, 2, pytest.approx(0, abs=1e-8))]
    tied = np.arange(16.0).reshape(1, 1, 4, 4)
    tied[0, 0, 3, 2] = 15
    (found,) = check_layer(MaxPool2D(2), tied)
    assert (found.entries, found.kinks) == (14, 2)


def test_a_mistake_at_a_kink_is_one_all_the_same():
    """At 0 the slopes of a ReLU are 0 and 1: a gradient of 2 is neither, nor between."""

    class Twice(ReLU):
        def forward(self, x, *, train=False):
            y = super().forward(x, train=train)
            self._cache = x
            return y

        def backward(self, dy):
            x = self._take_cache()
            return dy * ((x > 0) + 2 * (x == 0)).astype(dy.dtype)

    x = away_from_zero((3, 4))
    check_layer(Twice(), x)
    x[1, 2] = 0
    with pytest.raises(GradientError, match=r"x\[1, 2\]"):
        check_layer(Twice(), x)


def test_an_input_of_kinks_only_shows_nothing():
    with pytest.raises(
        TinyAlexError, match=r"x: got kinks at all \d+ entries: expected some without; use another input"
    ):
        check_layer(ReLU(), np.zeros((2, 3)))


@pytest.mark.parametrize("entries", [0, -1])
def test_to_compare_no_entries_is_refused(entries):
    with pytest.raises(UsageError, match=f"got entries={entries}: expected 1 or more"):
        check_layer(MISTAKES["backward of zeros"][0], away_from_zero(MISTAKES["backward of zeros"][1]), entries=entries)


def test_an_input_without_images_shows_nothing():
    with pytest.raises(TinyAlexError, match="x: got no entries: expected some to compare; use a larger input"):
        check_layer(Linear(4, 2), np.ones((0, 4)))


def test_a_function_that_does_not_depend_on_its_input():
    """Gradients of zero, compared with zero."""

    class Constant(Layer):
        def forward(self, x, **_):
            return np.ones_like(x)

        def backward(self, dy):
            return np.zeros_like(dy)

    assert check_layer(Constant(), away_from_zero((2, 3))) == [Checked("x", 6, 0, 0.0)]


# ---------------------------------------------------------------- chance, and what is left untouched


class GlobalDropout(Layer):
    """Draws from NumPy's global generator, as layers in coursework do."""

    def forward(self, x, **_):
        self._cache = (np.random.rand(*x.shape) < 0.5).astype(x.dtype)  # noqa: NPY002
        return x * self._cache

    def backward(self, dy):
        return dy * self._cache


def test_chance_is_held_still():
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    layer = Dropout(rng=np.random.default_rng(4))
    state = layer.rng.bit_generator.state
    for one in (layer, Dropout(0.2, scale_at="train"), GlobalDropout()):
        assert check_layer(one, away_from_zero((4, 5)))[0].entries == 20
    np.testing.assert_array_equal(np.random.get_state()[1], before)  # noqa: NPY002
    assert layer.rng.bit_generator.state == state


def test_the_layer_and_its_input_stay_as_they_are():
    layer, x = Conv2D(2, 3, 2, init_std=1), away_from_zero((2, 2, 3, 4)).astype("float32")
    arrays, values = dict(layer.params), {key: array.copy() for key, array in layer.params.items()}
    kept = x.copy()
    check_layer(layer, x)
    for key, array in arrays.items():
        assert layer.params[key] is array
        np.testing.assert_array_equal(array, values[key])
        assert not layer.grads[key].any()
    np.testing.assert_array_equal(x, kept)
    with pytest.raises(RuntimeError, match="call forward"):
        layer.backward(x)


def test_parameters_under_another_name():
    """The check moves the parameter, not a copy that the layer no longer reads; params may be made anew each time."""

    class Offset(Layer):
        def __init__(self):
            self.offset, self.grads = np.zeros(3, "float32"), {}

        @property
        def params(self):
            return {"offset": self.offset}

        def forward(self, x, **_):
            self._cache = x + self.offset
            return self._cache**2

        def backward(self, dy):
            dx = 2 * dy * self._cache
            self.grads = {"offset": dx.sum(axis=0)}
            return dx

    found = check_layer(Offset(), away_from_zero((4, 3)))
    assert [(one.name, one.entries) for one in found] == [("x", 12), ("offset", 3)]
    check_layer(Scale(np.ones(4), np.ones(4)), away_from_zero((3, 4)))


def test_a_parameter_that_has_the_name_of_the_input_is_refused():
    """Its gradient would be compared in place of dx, and a wrong dx would pass."""
    layer = Linear(4, 2)
    layer.params, layer.grads = {"x": layer.params["w"]}, {"x": layer.grads["w"]}
    with pytest.raises(UsageError, match="Linear: got a parameter named 'x': expected another name"):
        check_layer(layer, away_from_zero((3, 4)))
