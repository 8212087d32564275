"""What the error of a wrong gradient says: which entries, how many, which pattern, and what is right."""

import numpy as np
import pytest

from cases import away_from_zero
from planted import (
    DoubleAndWide,
    ForgetsReturn,
    NoBias,
    ReturnsTwo,
    Scale,
    SwappedConv,
    TransposedLinear,
    WideBias,
)
from tinyalex import AlexNet, Conv2D, Linear, check_function, check_layer, check_net
from tinyalex.gradcheck import GradientError


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


class SwappedKernels(Conv2D):
    """KH and KW change places in the gradient of the kernels."""

    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["w"] = self.grads["w"].swapaxes(2, 3)
        return dx


class MirroredKernels(Conv2D):
    def backward(self, dy):
        dx = super().backward(dy)
        self.grads["w"] = self.grads["w"][:, :, :, ::-1]
        return dx


@pytest.mark.parametrize(
    ("layer", "shape", "pattern"),
    [
        (
            SwappedKernels(3, 4, 3, init_std=1),
            (2, 3, 6, 5),
            "the right numbers with the axes in another order: OC, C, KW, KH",
        ),
        (
            SwappedKernels(16, 16, 5, init_std=1),
            (1, 16, 7, 7),
            "the right numbers with the axes in another order: OC, C, KW, KH",
        ),
        (MirroredKernels(16, 16, 5, init_std=1), (1, 16, 7, 7), "the right numbers, reversed along KW"),
        (TransposedLinear(20, 20, init_std=1), (3, 20), "the right numbers with the axes in another order: D, U"),
        (
            SwappedConv(2, 3, 3, pad=1, init_std=1),
            (2, 2, 9, 9),
            "the right numbers with the axes in another order: N, C, W, H",
        ),
    ],
)
def test_moved_numbers_are_told_of_a_large_array_too(layer, shape, pattern):
    """Only a sample of its entries is compared; the analytic gradient is known at every other place as well."""
    with pytest.raises(GradientError, match=r"\d+ of 100 compared entries are wrong") as found:
        check_layer(layer, away_from_zero(shape))
    assert f"What it looks like: {pattern}" in str(found.value).splitlines()


def test_wrong_numbers_that_were_not_moved_are_not_said_to_be():
    """One wrong entry; or numbers that are nearly all equal, which fit any order."""
    w = away_from_zero((6, 6, 6))
    for gradient in (np.where(w == w[1, 2, 3], 7, w), np.where(w == w.max(), 2.0, 0.0)):
        with pytest.raises(GradientError) as found:
            check_function(lambda w: (w**2).sum() / 2, lambda dy, _, gradient=gradient: dy * gradient, w, entries=200)
        assert "the right numbers" not in str(found.value)
    mostly_zero = np.zeros((9, 9, 3))
    mostly_zero[2, 2] = 5.0  # the same in both orders
    wrong = mostly_zero.copy()
    wrong[4, 7, 1] = 5.0
    with pytest.raises(GradientError) as found:
        check_function(
            lambda w: (w * mostly_zero).sum(), lambda dy, _: dy * wrong, away_from_zero((9, 9, 3)), entries=242
        )
    assert "the right numbers" not in str(found.value)


# ---------------------------------------------------------------- the names of the axes


def off_at(layer, key, where):
    """The layer, three times too large in the gradient of params[key] or, for the key "x", in dx, at [where]."""

    class Off(type(layer)):
        def backward(self, dy):
            dx = super().backward(dy).copy()
            (dx if key == "x" else self.grads[key])[where] *= 3
            return dx

    layer.__class__ = Off
    return layer


@pytest.mark.parametrize(
    ("layer", "shape", "key", "where", "axis"),
    [
        (Conv2D(2, 3, 2, init_std=1), (3, 2, 4, 4), "x", np.s_[1], "N = 1 are wrong (of 0 ... 2)"),
        (Conv2D(2, 3, 2, init_std=1), (3, 2, 4, 4), "x", np.s_[:, 1], "C = 1 are wrong (of 0 ... 1)"),
        (Conv2D(2, 3, 2, init_std=1), (3, 2, 4, 4), "x", np.s_[:, :, 2], "H = 2 are wrong (of 0 ... 3)"),
        (Conv2D(2, 3, 2, init_std=1), (3, 2, 4, 4), "w", np.s_[2], "OC = 2 are wrong (of 0 ... 2)"),
        (Conv2D(4, 6, 2, groups=2, init_std=1), (3, 4, 4, 4), "w", np.s_[:, 1], "C = 1 are wrong (of 0 ... 1)"),
        (Conv2D(2, 3, 2, init_std=1), (3, 2, 4, 4), "w", np.s_[:, :, :, 0], "KW = 0 are wrong (of 0 ... 1)"),
        (Conv2D(2, 3, 2, init_std=1), (3, 2, 4, 4), "b", np.s_[1], "OC = 1 are wrong (of 0 ... 2)"),
        (Linear(4, 3, init_std=1), (2, 4), "x", np.s_[:, 3], "D = 3 are wrong (of 0 ... 3)"),
        (Linear(4, 3, init_std=1), (2, 4), "w", np.s_[1], "U = 1 are wrong (of 0 ... 2)"),
        (Linear(4, 3, init_std=1), (2, 4), "w", np.s_[:, 2], "D = 2 are wrong (of 0 ... 3)"),
        (Linear(4, 3, init_std=1), (2, 4), "b", np.s_[2], "U = 2 are wrong (of 0 ... 2)"),
        (Scale(np.ones(4), np.array([1.0, 3, 1, 1])), (3, 4), "x", np.s_[:0], "axis 0 = 1 are wrong (of 0 ... 3)"),
    ],
)
def test_axes_have_their_names(layer, shape, key, where, axis):
    """Those of an array whose kind its shape tells; others have numbers."""
    with pytest.raises(GradientError) as found:
        check_layer(off_at(layer, key, where), away_from_zero(shape))
    assert f"What it looks like: only entries with {axis}" in str(found.value).splitlines()


def test_axes_of_a_net_have_their_names():
    net = AlexNet("mini", num_classes=3, input_size=16)
    x, labels = np.random.default_rng(1).standard_normal((2, 3, 16, 16)), np.array([0, 2])
    off_at(net.layers["fc8"], "b", np.s_[1])
    with pytest.raises(GradientError, match=r"gradient of fc8.b\[1\](?s:.*)only entries with U = 1 are wrong"):
        check_net(net, x, labels, entries=3)


def test_a_large_array_has_no_map():
    with pytest.raises(GradientError) as found:
        check_function(lambda w: (w**2).sum(), lambda dy, w: dy * w, away_from_zero((20, 30)))
    assert "a mean for a sum" in str(found.value)
    assert len(str(found.value).splitlines()) == 3


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
