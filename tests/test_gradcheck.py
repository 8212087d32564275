"""The gradient checks: they pass what is right, and find each of a set of layers with a planted mistake."""

import copy

import numpy as np
import pytest

from planted import (
    MISTAKES,
    DoubleAndWide,
    ForgetsReturn,
    HalfNorm,
    MeanBias,
    NoBias,
    NoConvBias,
    ReturnsTwo,
    WideBias,
    Widens,
    WidensBack,
    WritesIntoDy,
    WritesIntoX,
)
from tinyalex import (
    AlexNet,
    Conv2D,
    Dropout,
    Linear,
    MaxPool2D,
    ReLU,
    check_function,
    check_layer,
    check_net,
)
from tinyalex.errors import DTypeError, TinyAlexError
from tinyalex.gradcheck import Checked, GradientError, table
from tinyalex.layers import Layer
from tinyalex.layers.loss import softmax


def away_from_zero(shape):
    """Random numbers of size 0.5 to 2, so that no ReLU bends near them."""
    rng = np.random.default_rng(3)
    return rng.choice([-1, 1], shape) * rng.uniform(0.5, 2, shape)


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


# ---------------------------------------------------------------- what an error says


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


def test_an_error_names_the_index_and_both_numbers():
    """Only entry [1, 2] of w is wrong, by a factor of 3."""
    factors = np.ones((2, 4))
    check_layer(Scale(np.ones((2, 4)), factors), away_from_zero((5, 2, 4)))
    factors[1, 2] = 3
    with pytest.raises(GradientError) as found:
        check_layer(Scale(np.ones((2, 4)), factors), away_from_zero((5, 2, 4)))
    error = found.value
    assert (error.name, error.index) == ("w", (1, 2))
    assert error.analytic == pytest.approx(3 * error.numerical, rel=1e-6)
    assert str(error).splitlines() == [
        f"gradient of w[1, 2]: got {error.analytic:.9g} from backward, expected {error.numerical:.9g} (numerical)",
        "w: 1 of 8 compared entries is wrong",
        "What it looks like: only entries with axis 0 = 1 are wrong (of 0 ... 1)",
        "What it looks like: only entries with axis 1 = 2 are wrong (of 0 ... 3)",
        "    . . . .",
        "    . . x .",
        "Right: x",
    ]
    assert (error.wrong, error.right) == (1, ("x",))
    assert isinstance(error, AssertionError)


W = np.arange(1.0, 13.0).reshape(3, 4)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda g: 2 * g, "every entry is 2 times what it should be: a sum for a mean"),
        (lambda g: g / 3, "every entry is 0.3333 times what it should be: a mean for a sum"),
        (lambda g: -g, "every entry has the wrong sign"),
        (lambda g: 0 * g, "every entry is 0"),
        (lambda g: g + 5, "every entry is off by the same number"),
        (lambda g: g[:, ::-1], "the right numbers, reversed along axis 1"),
        (lambda g: np.where(np.arange(4) == 1, 7 * g, g), "only entries with axis 1 = 1 are wrong"),
        (lambda g: np.where(g > 11, np.nan, g), "some entries are nan"),
        (lambda g: np.where(g > 11, np.inf, g), "some entries are inf"),
    ],
)
def test_an_error_names_the_pattern(wrong, words):
    with pytest.raises(GradientError) as found:
        check_function(lambda w: (w**2).sum() / 2, lambda dy, w: dy * wrong(w), W)
    assert words in str(found.value)


def test_a_transposed_gradient_is_told_by_its_numbers():
    w = away_from_zero((3, 3))
    with pytest.raises(GradientError, match="the right numbers with the axes in another order: axis 1, axis 0"):
        check_function(lambda w: (w**3).sum(), lambda dy, w: dy * 3 * w.T**2, w)


def test_a_large_array_has_no_map():
    with pytest.raises(GradientError) as found:
        check_function(lambda w: (w**2).sum(), lambda dy, w: dy * w, away_from_zero((20, 30)))
    assert "a mean for a sum" in str(found.value)
    assert len(str(found.value).splitlines()) == 3


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


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (ForgetsReturn(), "gradient of x: got None, expected shape (4, 3); is `return dx` missing in backward?"),
        (ReturnsTwo(), "gradient of x: got a tuple, expected shape (4, 3); make it one array of numbers"),
        (NoBias(3, 2), "gradient of b: got none, expected shape (2,); set self.grads['b'] in backward\nRight: x, w"),
        (WideBias(3, 2), "gradient of b: got shape (1, 2), expected shape (2,); give it the shape of b\nRight: x, w"),
    ],
)
def test_missing_and_misshapen_gradients(layer, message):
    with pytest.raises(GradientError) as found:
        check_layer(layer, away_from_zero((4, 3)))
    error = found.value
    assert str(error) == message
    assert error.index == ()
    assert error.wrong in (12, 2)
    assert np.isnan([error.analytic, error.numerical]).all()


def test_all_wrong_arrays_are_named():
    """One that cannot be compared does not hide the others."""
    with pytest.raises(GradientError) as found:
        check_layer(DoubleAndWide(3, 2), away_from_zero((4, 3)))
    error = found.value
    assert (error.name, error.also_wrong, error.right) == ("w", ("b",), ("x",))
    assert str(error).splitlines()[-2:] == ["Also wrong: b", "Right: x"]


def map_of(gradient, w):
    """The message for a gradient of sum(w**2) / 2, from the line after the count on."""
    with pytest.raises(GradientError) as found:
        check_function(lambda w: (w**2).sum() / 2, lambda dy, _: dy * gradient, w, entries=1000)
    return str(found.value).splitlines()[2:]


def test_a_map_says_which_slice_it_shows():
    w = away_from_zero((3, 2, 3, 3))
    one, two = w.copy(), w.copy()
    one[1, 0, 2, 2] *= 3
    two[:2, 1, 0, 1] *= 3
    assert map_of(one, w)[-4:] == ["w[1, 0]:", "    . . .", "    . . .", "    . . x"]
    title = "all w[i, j] laid over one another, x where any of them is wrong:"
    assert map_of(two, w)[-4:] == [title, "    . x .", "    . . .", "    . . ."]
    assert map_of(one[1], w[1])[-4] == "w[0]:"
    assert not any(line.endswith(":") for line in map_of(one[1, 0], w[1, 0]))


@pytest.mark.parametrize(
    ("shape", "wrong", "told"),
    [
        ((2, 6, 7), np.s_[:, 0], True),
        ((2, 6, 7), np.s_[:, 0, 2], False),  # one place
        ((2, 6, 7), np.s_[:, 0, 2:5], False),  # a few places
        ((2, 6, 7), np.s_[:, :2], False),  # not the edge only
        ((4, 3, 3), np.s_[:, 0], False),  # 8 of 9 entries of a kernel are its edge
        ((4, 3, 3), np.s_[:, [0, 0, 0, 1, 1, 2, 2, 2], [0, 1, 2, 0, 2, 0, 1, 2]], False),
        ((4, 4, 4), np.s_[:, :, 3], True),
    ],
)
def test_the_edge_is_told_where_it_says_something(shape, wrong, told):
    w = away_from_zero(shape)
    gradient = w.copy()
    gradient[wrong] *= 3
    assert any("only entries at the edge" in line for line in map_of(gradient, w)) == told


# ---------------------------------------------------------------- what is compared


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


# ---------------------------------------------------------------- functions and nets


def test_check_function():
    """Of one array, or of several; of a single number too."""

    def product(a, b):
        return a @ b

    a, b = away_from_zero((2, 3)), away_from_zero((3, 4))
    found = check_function(product, lambda dy, a, b: (dy @ b.T, a.T @ dy), a, b)
    assert [(one.name, one.entries) for one in found] == [("a", 6), ("b", 12)]
    check_function(np.sin, lambda dy, x: dy * np.cos(x), a)
    check_function(np.sin, lambda dy, x: (dy * np.cos(x),), a.astype("float32"))
    check_function(lambda x: (x**2).sum(), lambda dy, x: dy * 2 * x, a)


def test_check_function_finds_mistakes():
    a, b = away_from_zero((3, 3)), away_from_zero((3, 3))
    with pytest.raises(GradientError) as found:
        check_function(lambda a, b: a @ b, lambda dy, a, b: (dy @ b.T, dy @ a), a, b)
    assert (found.value.name, found.value.right) == ("b", ("a",))
    with pytest.raises(GradientError, match=r"gradient of x\["):
        check_function(lambda x: softmax(x), lambda _, x: np.zeros_like(x), a)
    with pytest.raises(GradientError, match=r"gradient of x: got shape \(3,\)"):
        check_function(np.sin, lambda dy, x: (dy * np.cos(x))[0], a)
    with pytest.raises(GradientError, match="let the gradient function return it"):
        check_function(np.sin, lambda *_: None, a)


@pytest.mark.parametrize(
    ("gradient", "name", "also_wrong", "right"),
    [
        (lambda dy, _, b: (dy @ b.T,), "b", (), ("a",)),
        (lambda dy, _, b: dy @ b.T, "b", (), ("a",)),
        (lambda *_: None, "a", ("b",), ()),
    ],
)
def test_check_function_tells_which_gradients_are_missing(gradient, name, also_wrong, right):
    with pytest.raises(GradientError, match="let the gradient function return a tuple, one for each array") as found:
        check_function(lambda a, b: a @ b, gradient, away_from_zero((3, 3)), away_from_zero((3, 3)))
    assert (found.value.name, found.value.also_wrong, found.value.right) == (name, also_wrong, right)


@pytest.fixture
def net():
    """mini in float32, as a user would hand it over; its gradients are zeros before the check and after it."""
    return AlexNet("mini", num_classes=3, input_size=16)


def test_check_net_finds_a_mistake_deep_inside(net):
    x, labels = np.random.default_rng(1).standard_normal((2, 3, 16, 16)), np.array([0, 2])
    state = net.mask_rng.bit_generator.state
    net.layers["conv4"].__class__ = MeanBias
    with pytest.raises(GradientError, match=r"gradient of conv4.b\["):
        check_net(net, x, labels, entries=2)
    net.layers["conv4"].__class__ = NoConvBias
    with pytest.raises(GradientError, match=r"got none, expected .*; set self.grads\['b'\] in backward of conv4"):
        check_net(net, x, labels, entries=2)
    net.layers["conv4"].__class__ = Conv2D
    net.layers["norm2"].__class__ = HalfNorm
    with pytest.raises(GradientError):
        check_net(net, x, labels, entries=2)
    assert net.mask_rng.bit_generator.state == state
    assert {array.dtype.name for array in net.params.values()} == {"float32"}
    assert not any(grad.any() for grad in net.grads.values())


def test_table():
    lines = table("Conv2D", [Checked("x", 96, 4, 2.5e-10), Checked("w", 100, 0, 0.0)]).splitlines()
    assert [" ".join(line.split()) for line in lines] == [
        "Conv2D entries kinks largest relative error",
        "x 96 4 2.5e-10",
        "w 100 0 0.0e+00",
    ]
    assert len({len(line) for line in lines}) == 1
