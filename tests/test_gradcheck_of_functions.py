"""The gradient checks of functions and of whole nets."""

import numpy as np
import pytest

from cases import away_from_zero
from planted import HalfNorm, MeanBias, NoConvBias
from tinyalex import AlexNet, Conv2D, check_function, check_net
from tinyalex.errors import UsageError
from tinyalex.gradcheck import Checked, GradientError, table
from tinyalex.layers.loss import softmax


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


def test_a_gradient_too_many_is_refused():
    with pytest.raises(UsageError, match="got 3 gradients: expected 2, one for each array"):
        check_function(np.add, lambda dy, *_: (dy, dy, dy), away_from_zero((2, 3)), away_from_zero((2, 3)))


def test_to_compare_no_entries_is_refused():
    with pytest.raises(UsageError, match="got entries=0: expected 1 or more"):
        check_function(np.sin, lambda dy, x: dy * x, away_from_zero((2, 3)), entries=0)


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
