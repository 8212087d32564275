"""The whole net: what it is built from, and what goes forward and back."""

import dataclasses
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from cases import assert_close, small_net
from tinyalex import SGD, AlexNet, LocalResponseNorm, MaxPool2D, SoftmaxCrossEntropy
from tinyalex.backend import cpu, thread_count, use_kernels
from tinyalex.errors import DTypeError, LabelError, ShapeError, UsageError
from tinyalex.layers import Dropout, SpatialResponseNorm, Tanh
from tinyalex.spec import MINI, VARIANTS, Activation, Conv, Full, Initial, variant


def narrow(name):
    """The variant with a sixteenth of its kernels and 32 hidden units, for images of 99 x 99."""
    spec, layers = variant(name), {}
    for key, layer in spec.layers.items():
        if isinstance(layer, Conv):
            layer = dataclasses.replace(layer, kernels=layer.kernels // 16)
        elif isinstance(layer, Full) and layer.units:
            layer = dataclasses.replace(layer, units=32)
        layers[key] = layer
    return dataclasses.replace(spec, layers=layers, input_size=99 if spec.input_size > 99 else spec.input_size)


# ---------------------------------------------------------------- building


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("name", list(VARIANTS))
def test_every_variant_learns_a_batch(name):
    """Forward, backward and a step run through every layer, and the loss of the same batch falls."""
    net = AlexNet(narrow(name), num_classes=3, dropout=0.0)
    size = net.input_size
    x = np.random.default_rng(0).uniform(-100, 100, (4, 3, size, size)).astype("float32") / net.spec.pixel_scale
    labels = np.array([0, 1, 2, 1])
    sgd = SGD(net, lr=0.001)
    losses = []
    for _ in range(3):
        losses.append(net.loss(x, labels, train=True))
        dx = net.backward(net.criterion.backward())
        assert dx.shape == x.shape
        assert {array.dtype.name for array in [dx, *net.grads.values()]} == {"float32"}
        sgd.step()
    assert losses[0] > losses[1] > losses[2]


@pytest.mark.parametrize("name", ["paper", "cuda-convnet", "caffe", "torchvision", "cifar10-quick", "mini"])
def test_initial_parameters_are_those_of_the_spec(name):
    """The weights of each layer have the std of the spec, its biases are all the bias."""
    spec = variant(name)
    layers = {
        key: dataclasses.replace(layer, units=64) if isinstance(layer, Full) and layer.units else layer
        for key, layer in spec.layers.items()
    }
    net = AlexNet(dataclasses.replace(spec, layers=layers), num_classes=100)
    for key, layer in layers.items():
        if isinstance(layer, Conv | Full):
            w, b = net.params[f"{key}.w"], net.params[f"{key}.b"]
            expected = layer.initial.std or math.sqrt(layer.initial.gain / math.prod(w.shape[1:]))
            assert w.std() == pytest.approx(expected, rel=5 / math.sqrt(2 * w.size)), key  # 5 standard errors
            assert abs(w.mean()) < 5 * expected / math.sqrt(w.size), key
            np.testing.assert_array_equal(b, np.full_like(b, layer.initial.bias))


def test_layers_are_made_as_the_spec_says():
    net = AlexNet(narrow("cuda-convnet"), dropout=0.3)
    assert net.layers["conv1"].window.ceil_mode
    assert (net.layers["conv2"].groups, net.layers["conv3"].groups, net.layers["conv3"].window.pad) == (2, 1, (1, 1))
    norm = net.layers["norm2"]
    assert isinstance(norm, LocalResponseNorm)
    assert (norm.size, norm.alpha, norm.beta, norm.k, norm.groups) == (5, 1e-4 / 5, 0.75, 2, 2)
    assert isinstance(net.layers["spatial_norm2"], SpatialResponseNorm)
    assert isinstance(net.layers["pool1"], MaxPool2D)
    assert net.layers["pool1"].window.ceil_mode
    assert isinstance(net.layers["dropout6"], Dropout)
    assert (net.layers["dropout6"].p, net.layers["dropout6"].scale_at) == (0.3, "test")
    caffe = AlexNet(narrow("caffe")).layers
    assert (caffe["norm1"].k, caffe["norm1"].groups, caffe["dropout7"].scale_at) == (1, 1, "train")
    spec = narrow("paper")
    spec = dataclasses.replace(spec, layers={**spec.layers, "relu1": Activation("tanh")})
    assert isinstance(AlexNet(spec).layers["relu1"], Tanh)


def test_the_same_seed_gives_the_same_net_and_masks():
    """float64 starts from the numbers of float32; another seed gives other weights and masks."""
    nets = {
        key: small_net(seed=seed, dtype=dtype)[0]
        for key, seed, dtype in (("a", 5, "float32"), ("b", 5, "float32"), ("c", 5, "float64"), ("d", 6, "float32"))
    }
    for name, array in nets["a"].params.items():
        np.testing.assert_array_equal(array, nets["b"].params[name])
        np.testing.assert_array_equal(array, nets["c"].params[name])
        assert name.endswith(".b") or not np.array_equal(array, nets["d"].params[name])
    logits = {key: net.forward(np.ones((4, 3, 16, 16), net.dtype), train=True) for key, net in nets.items()}
    np.testing.assert_array_equal(logits["a"], logits["b"])
    np.testing.assert_allclose(logits["a"], logits["c"], rtol=1e-4, atol=1e-5)
    draws = {key: net.mask_rng.random() for key, net in nets.items()}
    assert draws["a"] == draws["b"] == draws["c"] != draws["d"]


def test_a_net_whose_parameters_are_still_to_come():
    """Zeros everywhere, biases that the spec starts at 1 too; all else, and what is computed then, as with a seed."""
    net = dataclasses.replace(MINI, layers={**MINI.layers, "fc7": Full(512, Initial(bias=1.0))})
    drawn, empty = AlexNet(net, num_classes=3, seed=4), AlexNet(net, num_classes=3, seed=None)
    assert {name: w.shape for name, w in empty.params.items()} == {name: w.shape for name, w in drawn.params.items()}
    assert not any(w.any() for w in empty.params.values())
    assert {w.dtype for w in empty.params.values()} == {np.dtype("float32")}
    for name, w in drawn.params.items():
        empty.params[name] = w
    x = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype("float32")
    np.testing.assert_array_equal(empty.forward(x), drawn.forward(x))


def test_masks_are_drawn_apart_from_the_weights():
    """A net with more weights to draw gets the same masks."""
    wide, narrower = AlexNet("mini", num_classes=9), AlexNet("mini", num_classes=3)
    assert wide.mask_rng.random() == narrower.mask_rng.random()
    assert wide.layers["dropout6"].rng is wide.layers["dropout7"].rng is wide.mask_rng


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"variant": "alex"}, UsageError, "got the variant 'alex'"),
        ({"dtype": "float16"}, UsageError, "dtype='float16': expected 'float32' or 'float64'"),
        ({"kernels": "fast"}, UsageError, "kernels='fast': expected one of"),
        (
            {"cross_columns": (7,)},
            UsageError,
            r"got cross_columns=\(7,\): expected numbers out of \[1, 2, 3, 4, 5\], as in mini",
        ),
        ({"num_classes": 0}, UsageError, "got num_classes=0: expected 1 or more"),
        ({"input_size": 0}, ShapeError, "mini, conv1: got an image of 0 x 0"),
        ({"dropout": 1.0}, UsageError, "Dropout: got p=1.0"),
    ],
)
def test_settings_that_make_no_sense(settings, error, message):
    with pytest.raises(error, match=message):
        AlexNet(**{"variant": "mini", **settings})


# ---------------------------------------------------------------- forward and backward


def test_logits_probabilities_and_loss():
    """Outside training nothing is drawn; the loss is the mean of -log p of the label."""
    net, x, labels = small_net()
    logits = net.forward(x)
    assert (logits.shape, logits.dtype) == ((2, 3), "float32")
    p = net.predict(x)
    np.testing.assert_allclose(p.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(p, np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True), rtol=1e-5)
    assert net.loss(x, labels) == pytest.approx(-(math.log(p[0, 2]) + math.log(p[1, 0])) / 2, rel=1e-5)
    np.testing.assert_array_equal(net.forward(x), logits)
    assert not np.array_equal(net.forward(x, train=True), logits)


def test_upto_and_last_hidden():
    """The output of any layer by name; the last hidden one feeds the logits."""
    net, x, _ = small_net()
    assert net.forward(x, upto="conv1").shape == (2, 32, 16, 16)
    hidden = net.forward(x, upto=net.last_hidden)
    assert net.last_hidden == "relu7"
    expected = 0.5 * hidden @ net.params["fc8.w"].T + net.params["fc8.b"]
    np.testing.assert_allclose(net.forward(x), expected, rtol=1e-4, atol=1e-5)
    for name, last in (
        ("six-conv", "relu8"),
        ("torchvision", "relu7"),
        ("cifar10-full", "flatten"),
        ("cifar10-quick", "fc4"),
    ):
        assert AlexNet(narrow(name)).last_hidden == last
    open_ended = dataclasses.replace(MINI, layers={"conv1": Conv(4, 3)}, columns=1)
    with pytest.raises(UsageError, match="got mini, which ends in conv1: expected a fully connected layer there"):
        _ = AlexNet(open_ended, cross_columns=()).last_hidden
    with pytest.raises(UsageError, match="got the layer name 'conv9': expected one of conv1, relu1"):
        net.forward(x, upto="conv9")


def test_backward_goes_through_the_criterion_or_any_gradient():
    """backward(dlogits) is linear in dlogits, and without the images' gradient the others are the same."""
    net, x, labels = small_net(dropout=0.0)
    net.loss(x, labels, train=True)
    assert isinstance(net.criterion, SoftmaxCrossEntropy)
    dlogits = net.criterion.backward()
    net.backward(dlogits)
    once = {name: array.copy() for name, array in net.grads.items()}
    net.forward(x, train=True)
    assert net.backward(2 * dlogits, input_gradient=False) is None
    for name, array in net.grads.items():
        np.testing.assert_allclose(array, 2 * once[name], rtol=1e-4, atol=1e-6)


def test_backward_needs_a_forward_in_training():
    net, x, labels = small_net()
    dlogits = np.ones((2, 3), "float32")
    with pytest.raises(RuntimeError, match="call forward"):
        net.backward(dlogits)
    net.loss(x, labels)
    with pytest.raises(RuntimeError, match="call forward"):
        net.backward(dlogits)


def test_errors_name_the_layer():
    net, x, labels = small_net()
    with pytest.raises(ShapeError, match=r"^conv1: Conv2D: got an input of shape \(2, 1, 16"):
        net.forward(x[:, :1])
    with pytest.raises(ShapeError, match=r"^fc6: Linear: got an input of shape \(2, 1024\): expected \(N, D=256\)"):
        net.forward(np.zeros((2, 3, 32, 32), "float32"))
    with pytest.raises(ShapeError, match=r"^pool2: got an image of 2 x 2: expected at least the window of 3 x 3"):
        net.forward(np.zeros((2, 3, 5, 5), "float32"))
    with pytest.raises(DTypeError, match=r"^conv1: Conv2D: got an input of float64: expected float32"):
        net.forward(x.astype("float64"))
    with pytest.raises(LabelError, match=r"got labels from 1 to 3: expected integers of 0 \.\.\. 2"):
        net.loss(x, labels + 1)
    with pytest.raises(DTypeError, match=r"^conv1: expected a NumPy or CuPy array, got list"):
        net.forward(x.tolist())


@pytest.mark.parametrize(("choice", "twins"), [("reference", False), ("numba", True), ("auto", True)])
def test_kernels_are_chosen_for_each_net(monkeypatch, choice, twins):
    """ "auto" follows what is in force around it."""
    called = []
    names = {"conv_forward", "conv_backward", "sgd_update"}
    for name in names:
        twin = getattr(cpu, name)

        def noted(*args, twin=twin, name=name, **more):
            called.append(name)
            return twin(*args, **more)

        monkeypatch.setattr(cpu, name, noted)
    net, x, labels = small_net(kernels=choice)
    net.loss(x, labels, train=True)
    net.backward(net.criterion.backward())
    SGD(net).step()
    assert set(called) == (names if twins else set())
    called.clear()
    with use_kernels("reference"):
        net.forward(x)
    assert bool(called) == (choice == "numba")


def test_both_kernels_give_the_same_net():
    found = []
    for choice in ("reference", "numba"):
        net, x, labels = small_net(kernels=choice, dtype="float64")
        loss = net.loss(x, labels, train=True)
        found.append([np.array(loss), net.backward(net.criterion.backward()), *net.grads.values()])
    for one, other in zip(*found, strict=True):
        assert_close(one, other)


def test_a_convolution_does_the_work_of_its_relu():
    """Forward and backward give what the layers give one by one; each can still be looked at alone."""
    for choice in ("reference", "numba"):
        net, x, labels = small_net(kernels=choice, dtype="float64", dropout=0.0)
        one_by_one = {}
        y = x
        for name, layer in net.layers.items():
            y = one_by_one[name] = layer.forward(y, train=True)
        dy = net.criterion.forward(y, labels) and net.criterion.backward()
        for layer in reversed(net.layers.values()):
            dy = layer.backward(dy)
        expected = [dy, *(grad.copy() for grad in net.grads.values())]
        net.loss(x, labels, train=True)
        found = [net.backward(net.criterion.backward()), *net.grads.values()]
        for array, right in zip(found, expected, strict=True):
            assert_close(array, right)
        for name, right in one_by_one.items():
            assert_close(net.forward(x, upto=name), right)
        assert one_by_one["conv1"].min() < 0


def test_a_layer_may_be_replaced():
    """The net asks what its layers are when it runs, not when it was built."""
    net, x, _ = small_net()
    net.layers["relu1"] = Tanh()
    expected = np.tanh(net.forward(x, upto="conv1"))
    assert_close(net.forward(x, upto="relu1"), expected)


def trained(threads, seed=0):
    """The parameters of a net after three steps, as bytes."""
    net, x, labels = small_net(threads=threads, seed=seed)
    sgd = SGD(net, lr=0.01)
    for _ in range(3):
        net.loss(x, labels, train=True)
        net.backward(net.criterion.backward())
        sgd.step()
    return b"".join(w.tobytes() for w in net.params.values())


def test_threads_are_those_asked_for(monkeypatch):
    counts = set()
    twin = cpu.conv_forward
    monkeypatch.setattr(cpu, "conv_forward", lambda *args, **more: counts.add(thread_count()) or twin(*args, **more))
    trained(3)
    assert counts == {3}
    for wrong in (0, -2):
        with pytest.raises(UsageError, match=f"threads={wrong}: expected a number of threads, 1 or more"):
            small_net(threads=wrong)


def test_the_environments_threads_are_refused_before_anything_is_computed(monkeypatch):
    monkeypatch.setenv("TINYALEX_THREADS", "two")
    with pytest.raises(UsageError, match=r"^TINYALEX_THREADS=two: expected a number of threads, 1 or more"):
        AlexNet("mini")


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_threads_give_the_same_bits(threads):
    assert len({trained(threads) for _ in range(3)}) == 1


def test_two_nets_train_in_two_threads():
    """Each as it would alone, bit for bit."""
    with ThreadPoolExecutor(2) as pool:
        for _ in range(5):
            together = list(pool.map(trained, (2, 3), (0, 1)))
            assert together == [trained(2, 0), trained(3, 1)]
