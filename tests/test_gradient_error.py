"""What the error of a wrong gradient says: which entries, how many, which pattern, and what is right."""

import numpy as np
import pytest

from cases import away_from_zero
from planted import DoubleAndWide, ForgetsReturn, NoBias, ReturnsTwo, Scale, WideBias
from tinyalex import check_function, check_layer
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
