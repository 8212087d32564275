"""SGD against the paper's rule, number by number, and the schedules against tables worked by hand."""

import copy
import dataclasses
import math

import numpy as np
import pytest

from cases import laid_out
from tinyalex import SGD, AlexNet, Linear
from tinyalex.errors import ShapeError, UsageError
from tinyalex.optim import drop_epochs, plateau_rate, stepped_rate
from tinyalex.spec import variant

pytestmark = pytest.mark.usefixtures("kernels")


def layer_with_gradients(rng, dtype="float64"):
    """A layer, and a function that gives it new gradients."""
    layer = Linear(3, 2, init_std=1.0, init_bias=0.5, rng=rng, dtype=dtype)

    def renew():
        layer.grads = {key: rng.standard_normal(array.shape).astype(dtype) for key, array in layer.params.items()}

    renew()
    return layer, renew


def test_five_steps_are_the_papers_rule(rng):
    """v = 0.9 v - 0.0005 lr w - lr g, w = w + v: with the old w in the decay, the new v in the step."""
    layer, renew = layer_with_gradients(rng)
    sgd = SGD(layer)
    w = {key: array.tolist() for key, array in layer.params.items()}
    v = {key: np.zeros_like(array).tolist() for key, array in layer.params.items()}
    for step, lr in enumerate([0.01, 0.01, 0.5, 0.02, 1.0]):
        sgd.lr = lr
        if step:
            renew()
        for u in range(2):
            for d in range(3):
                v["w"][u][d] = 0.9 * v["w"][u][d] - 0.0005 * lr * w["w"][u][d] - lr * float(layer.grads["w"][u, d])
                w["w"][u][d] += v["w"][u][d]
            v["b"][u] = 0.9 * v["b"][u] - 0.0005 * lr * w["b"][u] - lr * float(layer.grads["b"][u])
            w["b"][u] += v["b"][u]
        sgd.step()
        for key in ("w", "b"):
            np.testing.assert_allclose(layer.params[key], w[key], rtol=1e-12)
            np.testing.assert_allclose(sgd.velocity[key], v[key], rtol=1e-12)


def test_layers_with_rates_of_their_own(rng):
    """The released code's biases learn at twice the rate of their layer; a layer of rate 0 stays."""
    net = AlexNet(dataclasses.replace(variant("mini"), bias_lr=2.0), num_classes=4, dtype="float64")
    for layer in net.layers.values():
        layer.grads = {key: rng.standard_normal(array.shape) for key, array in layer.params.items()}
    before = {name: array.copy() for name, array in net.params.items()}
    sgd = SGD(net, lr=0.1, weight_decay=0.0, rates={"fc8": 10.0, "conv1": 0.0})
    sgd.step()
    for name, array in before.items():
        layer, key = name.split(".")
        rate = 0.1 * {"fc8": 10, "conv1": 0}.get(layer, 1) * (2 if key == "b" else 1)
        np.testing.assert_allclose(net.params[name], array - rate * net.grads[name], rtol=1e-12)
    for rates in ({"fc9": 1.0}, {"relu1": 1.0}, {"fc8": -1.0}, {"fc8": math.nan}):
        with pytest.raises(UsageError, match=r"SGD: got a rate of .*: expected 0 or more, for conv1, .*, fc8"):
            SGD(net, rates=rates)


@pytest.mark.parametrize("settings", [{"lr": 0.0}, {"lr": 0.1, "momentum": 0.0, "weight_decay": 0.0}])
def test_settings_at_zero(rng, settings):
    """Without momentum and decay the step is plain gradient descent; with a rate of 0 nothing moves."""
    layer, _ = layer_with_gradients(rng)
    expected = {key: array - settings["lr"] * layer.grads[key] for key, array in layer.params.items()}
    SGD(layer, **settings).step()
    for key, array in expected.items():
        np.testing.assert_allclose(layer.params[key], array, rtol=1e-15)


@pytest.mark.parametrize("layout", ["reversed axes", "every second", "backwards"])
def test_order_in_memory_does_not_matter(rng, layout):
    layer, _ = layer_with_gradients(rng)
    twin = copy.deepcopy(layer)
    twin.params = {key: laid_out(array, layout) for key, array in layer.params.items()}
    sgds = SGD(layer), SGD(twin)
    for _ in range(2):
        for sgd in sgds:
            sgd.step()
        twin.grads = {key: laid_out(array, layout) for key, array in layer.grads.items()}
    for key, array in layer.params.items():
        np.testing.assert_allclose(twin.params[key], array, rtol=1e-14)


def test_a_gradient_of_another_shape_is_refused(rng):
    """NumPy would stretch it in silence, a compiled loop would read past its end."""
    layer, _ = layer_with_gradients(rng)
    for wrong in (np.zeros((2, 1)), np.zeros(3), np.zeros((3, 2)), np.zeros(())):
        layer.grads["w"] = wrong
        with pytest.raises(ShapeError, match=r"got a gradient of w of shape \(.*\): expected \(2, 3\)"):
            SGD(layer).step()


def test_a_missing_gradient_is_named(rng):
    layer, _ = layer_with_gradients(rng)
    del layer.grads["w"]
    with pytest.raises(UsageError, match=r"got no gradient of w: expected one of shape \(2, 3\); backward must set it"):
        SGD(layer).step()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_step_is_in_place_and_keeps_the_dtype(rng, dtype):
    layer, _ = layer_with_gradients(rng, dtype)
    gradients = {key: array.copy() for key, array in layer.grads.items()}
    sgd = SGD(layer, lr=np.float64(0.1))
    arrays = dict(layer.params), dict(sgd.velocity)
    sgd.step()
    for key in ("w", "b"):
        assert layer.params[key] is arrays[0][key]
        assert sgd.velocity[key] is arrays[1][key]
        assert layer.params[key].dtype == sgd.velocity[key].dtype == dtype
        np.testing.assert_array_equal(layer.grads[key], gradients[key])


@pytest.mark.parametrize(("bias_lr", "bias_decay"), [(1.0, True), (2.0, False), (2.0, True), (1.0, False)])
def test_biases_may_learn_at_another_rate_without_decay(bias_lr, bias_decay):
    """As the spec of the net says; weights take no notice of it."""
    spec = dataclasses.replace(variant("mini"), bias_lr=bias_lr, bias_decay=bias_decay)
    net = AlexNet(spec, num_classes=3, input_size=16)
    rng = np.random.default_rng(0)
    for name, array in net.params.items():
        array[...] = rng.standard_normal(array.shape)
        net.grads[name] = rng.standard_normal(array.shape).astype("float32")
    before = {name: array.astype("float64") for name, array in net.params.items()}
    SGD(net, lr=0.1, momentum=0.5, weight_decay=0.25).step()
    for name, w in before.items():
        weights = name.endswith(".w")
        lr = 0.1 if weights else 0.1 * bias_lr
        decay = 0.25 if weights or bias_decay else 0.0
        np.testing.assert_allclose(net.params[name], w - lr * (net.grads[name] + decay * w), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"lr": -0.1},
        {"momentum": -0.1},
        {"momentum": 1.0},
        {"weight_decay": -1e-4},
        {"lr": math.nan},
        {"weight_decay": math.nan},
    ],
)
def test_settings_that_make_no_sense(settings):
    with pytest.raises(UsageError, match=r"SGD: got lr=.*expected 0 or more, and a momentum below 1"):
        SGD(Linear(2, 2), **settings)


@pytest.mark.parametrize(
    ("epoch", "rate"), [(0, 0.5), (2, 0.5), (3, 0.05), (6, 0.05), (7, 0.005), (8, 0.005), (9, 0.0005), (99, 0.0005)]
)
def test_stepped_rate(epoch, rate):
    assert stepped_rate(0.5, epoch, [3, 7, 9]) == pytest.approx(rate, rel=1e-12)
    assert stepped_rate(0.5, epoch, []) == 0.5


@pytest.mark.parametrize(
    ("epochs", "shares", "drops"),
    [(90, (0.5,), [45]), (15, (0.7, 0.9), [10, 14]), (9, (), []), (1, (0.3, 0.9), [1, 1])],
)
def test_drop_epochs(epochs, shares, drops):
    assert drop_epochs(epochs, shares) == drops


def test_plateau_rate():
    """Patience 2, twice at most: the errors of ten epochs, and the rate after each."""
    table = [
        (0.50, 1.0),
        (0.40, 1.0),
        (0.40, 1.0),  # no new minimum: 1
        (0.45, 0.1),  # 2 in a row: divided
        (0.41, 0.1),  # counted anew: 1
        (0.39, 0.1),  # a new minimum
        (0.42, 0.1),
        (0.39, 0.01),
        (0.43, 0.01),
        (0.44, 0.01),  # no third division
    ]
    for epochs in range(1, 11):
        errors = [error for error, _ in table[:epochs]]
        assert plateau_rate(1.0, errors, patience=2, most=2) == pytest.approx(table[epochs - 1][1], rel=1e-12)
    assert plateau_rate(0.3, []) == 0.3


def test_plateau_rate_by_default():
    """Five epochs without progress, three divisions (section 5)."""
    rates = [plateau_rate(1.0, [0.5] * epochs) for epochs in (5, 6, 10, 11, 15, 16, 40)]
    assert rates == pytest.approx([1, 0.1, 0.1, 0.01, 0.01, 0.001, 0.001], rel=1e-12)
