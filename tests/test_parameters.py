"""Parameters and gradients by name: their order, what reading and writing does, and what is refused."""

import numpy as np
import pytest

from cases import small_net
from tinyalex.errors import ShapeError, UsageError

WEIGHTED = ["conv1", "conv2", "conv3", "conv4", "conv5", "fc6", "fc7", "fc8"]


def test_names_and_order():
    net, _, _ = small_net()
    names = [f"{layer}.{key}" for layer in WEIGHTED for key in "wb"]
    assert list(net.params) == list(net.grads) == names
    assert len(net.params) == 16
    assert "conv1.w" in net.params
    assert "relu1.w" not in net.params
    assert dict(net.params).keys() == dict(net.params.items()).keys()
    assert repr(net.params).startswith("{conv1.w: (32, 3, 5, 5), conv1.b: (32,), ")


def test_reading_and_writing_by_name():
    """params["conv1.w"] is the layer's own array; assigning to it writes into that array."""
    net, x, _ = small_net()
    array = net.params["conv1.w"]
    assert array is net.layers["conv1"].params["w"]
    before = net.forward(x)
    net.params["conv1.w"] = 2 * array.copy()
    assert net.params["conv1.w"] is array
    assert not np.array_equal(net.forward(x), before)
    net.params["conv1.w"] *= np.float32(0.5)
    np.testing.assert_array_equal(net.forward(x), before)
    for name in net.params:
        net.params[name] = np.zeros(net.params[name].shape)
        assert net.params[name].dtype == "float32"
    np.testing.assert_array_equal(net.forward(x), np.zeros((2, 3)))


def test_names_and_shapes_that_do_not_exist():
    net, _, _ = small_net()
    for name in ("conv9.w", "conv1.c", "conv1", "", "relu1.w"):
        with pytest.raises(KeyError):
            net.params[name]
        with pytest.raises(KeyError):
            net.params[name] = np.zeros(1)
    with pytest.raises(ShapeError, match=r"of shape \(1,\) for conv1.b: expected \(32,\)"):
        net.params["conv1.b"] = np.zeros(1)
    with pytest.raises(UsageError, match=r"got del of conv1\.b"):
        del net.params["conv1.b"]


def test_gradients_are_those_of_the_last_backward():
    net, x, labels = small_net()
    grads = net.grads
    assert all(not grad.any() for grad in grads.values())
    net.loss(x, labels, train=True)
    net.backward(net.criterion.backward())
    for name, grad in grads.items():
        assert grad.any()
        assert grad.shape == net.params[name].shape
        layer, key = name.split(".")
        assert grad is net.layers[layer].grads[key]
