"""A recorded pass: the numbers of the net itself, in order, with what there is to say about each."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest

from cases import small_net
from runs import slim
from tinyalex import SGD, AlexNet, Dropout, record, spec
from tinyalex.backend import to_numpy, use_kernels
from tinyalex.errors import LabelError, ShapeError, UsageError


def same(one, two):
    return one.dtype == two.dtype and one.shape == two.shape and np.array_equal(one, two)


def small_variant(name, **settings):
    """A variant with 8 kernels and units everywhere, for the smallest images that it takes, and two such images."""
    size = {"cifar10-full": 16, "cifar10-quick": 16, "mini": 16, "torchvision": 63, "non-overlapping": 83}.get(name, 67)
    net = AlexNet(slim(spec.VARIANTS[name]), num_classes=4, input_size=size, **settings)
    x = np.random.default_rng(5).standard_normal((2, 3, size, size)).astype(net.dtype)
    return net, x, np.array([3, 1])


@pytest.mark.parametrize("name", spec.VARIANTS)
@pytest.mark.parametrize("images", [1, 2])
def test_a_pass_is_that_of_the_net_bit_for_bit(name, images):
    net, x, labels = small_variant(name)
    x, labels = x[:images], labels[:images]
    pass_ = record(net, x, labels)
    loss = net.loss(x, labels, train=True)
    dx = net.backward(net.criterion.backward())
    assert pass_.loss == loss
    assert same(pass_[list(net.layers)[-1]].forward.y, pass_["loss"].forward.x)
    assert same(pass_["conv1"].backward.dx, dx)
    for key, grad in net.grads.items():
        layer, _, kind = key.partition(".")
        assert same(pass_[layer].backward.grads[kind], grad), key


@pytest.mark.parametrize("name", ["paper", "torchvision", "mini"])
def test_a_pass_without_labels_is_forward_as_when_testing(name):
    net, x, _ = small_variant(name)
    pass_ = record(net, x)
    assert [step.name for step in pass_] == list(net.layers)
    assert same(pass_[-1].y, net.forward(x))
    assert same(pass_.probabilities, net.predict(x))
    assert (pass_.loss, pass_.labels) == (None, None)
    assert not any(step.kept or step.grads for step in pass_)
    assert pass_["conv1"].backward is None
    for layer in net.layers:
        assert same(pass_[layer].forward.y, net.forward(x, upto=layer)), layer


@pytest.mark.parametrize("devices", [None, ("cpu:0", "cpu:1")])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_recording_leaves_the_net_as_it_was(devices, dtype):
    net, x, labels = small_net(dtype=dtype, devices=devices)
    net.loss(x, labels, train=True)
    net.backward(net.criterion.backward())
    before = {name: grad.copy() for name, grad in net.grads.items()}
    waiting = net.loss(x, labels, train=True)
    masks = net.mask_rng.bit_generator.state
    params = {name: array.copy() for name, array in net.params.items()}
    pass_ = record(net, 2 * x, labels)
    assert pass_.loss != waiting
    assert net.mask_rng.bit_generator.state == masks
    assert all(same(net.grads[name], before[name]) for name in before)
    assert all(same(net.params[name], params[name]) for name in params)
    dlogits = net.criterion.backward()
    net.backward(dlogits)  # of the pass that was under way, with what it kept
    fresh, x, labels = small_net(dtype=dtype, devices=devices)
    for _ in range(2):
        fresh.loss(x, labels, train=True)
        fresh.backward(fresh.criterion.backward())
    assert all(same(net.grads[name], fresh.grads[name]) for name in before)


def test_two_columns_give_whole_arrays():
    net, x, labels = small_net(devices=("cpu:0", "cpu:1"))
    one, x, labels = small_net()
    two, whole = record(net, x, labels), record(one, x, labels)
    for step, other in zip(two, whole, strict=True):
        assert step.shapes == other.shapes
        assert step.kept.keys() == other.kept.keys()
        for name, array in step.arrays.items():
            np.testing.assert_allclose(array, other.arrays[name], rtol=1e-3, atol=1e-4, err_msg=f"{step.name} {name}")
    loss = net.loss(x, labels, train=True)
    assert loss == two.loss
    assert same(net.backward(net.criterion.backward()), two["conv1"].backward.dx)


@pytest.mark.parametrize("columns", [1, 2])
def test_a_pass_on_a_gpu_is_handed_over_to_the_host(gpu, columns):
    """Its arrays are NumPy's, its numbers those that the net computes there."""
    net, x, labels = small_net(devices=gpu.two[:columns])
    pass_ = record(net, x, labels)
    loss = net.loss(x, labels, train=True)
    dx = net.backward(net.criterion.backward())
    assert pass_.loss == pytest.approx(float(loss), rel=1e-6)
    np.testing.assert_allclose(pass_["conv1"].backward.dx, to_numpy(dx), rtol=1e-4, atol=1e-6)
    for step in pass_:
        assert all(isinstance(array, np.ndarray) for array in step.arrays.values()), step
        assert step.statistics
    assert all(isinstance(array, np.ndarray) for array in pass_.params.values())
    on_cpu = record(small_net()[0], x, labels)
    np.testing.assert_allclose(pass_.probabilities, on_cpu.probabilities, rtol=1e-3, atol=1e-5)


def test_steps_come_in_the_order_in_which_they_happened():
    net, x, labels = small_net()
    pass_ = record(net, x, labels)
    names = list(net.layers)
    assert [step.name for step in pass_] == [*names, "loss", *reversed(names)]
    assert [step.direction for step in pass_] == ["forward"] * (len(names) + 1) + ["backward"] * len(names)
    assert len(pass_) == 2 * len(names) + 1
    assert pass_[0] is pass_["conv1"].forward
    assert pass_[-1] is pass_["conv1"].backward
    assert pass_["loss"].backward is None
    assert pass_.names == (*names, "loss")
    for step, following in pairwise(pass_):
        if following.direction == "forward":
            assert following.x is step.y
        else:
            assert following.dy is step.dx


def test_a_convolution_is_shown_before_its_relu():
    net, x, _ = small_net()
    conv, relu = record(net, x)[:2]
    assert conv.y.min() < 0
    assert same(relu.y, np.maximum(conv.y, 0))


def test_the_loss_turns_the_pass_round():
    net, x, labels = small_net()
    turn = record(net, x, labels)["loss"].forward
    np.testing.assert_allclose(turn.y.sum(axis=1), 1, rtol=1e-6)
    expected = (turn.y - np.eye(3)[labels]) / 2
    np.testing.assert_allclose(turn.dx, expected, atol=1e-7)
    assert record(net, x, labels).loss == pytest.approx(-np.log(turn.y[[0, 1], labels]).mean(), rel=1e-5)


def test_what_there_is_to_know_about_a_step():
    """Of conv2 of mini for 16 x 16 images: 64 kernels of 16 x 5 x 5 over maps of 8 x 8, two images."""
    net, x, labels = small_net()
    forward, backward = record(net, x, labels)["conv2"]
    assert forward.shapes == {"x": (2, 32, 8, 8), "y": (2, 64, 8, 8)}
    assert backward.shapes == {
        "dy": (2, 64, 8, 8),
        "dx": (2, 32, 8, 8),
        "dw": (64, 16, 5, 5),
        "db": (64,),
    }
    assert forward.operations == 2 * 64 * 16 * 25 * 64
    assert backward.operations == 2 * forward.operations
    assert forward.kept == {"x": 2 * 32 * 64 * 4}
    assert backward.kept == {}
    assert forward.section == backward.section == "3.5"
    assert forward.formula.startswith("y[o, u, v] = b[o] + ")
    assert backward.formula.startswith("dw[o, c, i, j] = ")
    assert forward.latex != backward.latex
    assert forward.seconds > 0
    assert "conv2 backward" in repr(backward)


@pytest.mark.parametrize("name", ["cuda-convnet", "torchvision"])
def test_what_is_kept(name):
    net, x, labels = small_variant(name)
    pass_ = record(net, x, labels)
    kinds = {step.explanation.kind: step for step in pass_ if step.direction == "forward"}
    assert kinds["pool"].kept == {"argmax": kinds["pool"].y.size}  # a byte a cell
    assert kinds["relu"].kept == {"y": kinds["relu"].y.nbytes}
    assert kinds["dropout"].kept == {"mask": kinds["dropout"].y.size}
    assert kinds["linear"].kept == {"x": kinds["linear"].x.nbytes}
    assert kinds["flatten"].kept == {}
    assert kinds["loss"].kept == {"p": kinds["loss"].y.nbytes}
    if name == "cuda-convnet":
        assert kinds["lrn"].kept == {"x": kinds["lrn"].x.nbytes}
        assert kinds["spatial-norm"].kept == dict.fromkeys("xys", kinds["spatial-norm"].x.nbytes)


def test_statistics_worked_by_hand():
    net, x, labels = small_net()
    step = dataclasses.replace(record(net, x, labels)[0], x=np.array([[3.0, 0.0], [-4.0, 0.0]], "float32"))
    assert step.statistics["x"] == (-4, 3, -0.25, 5, 0.5)
    pass_ = record(net, x, labels)
    relu, dx = pass_["relu1"].forward, pass_["relu1"].backward.dx
    assert relu.statistics["y"].zeros == np.mean(relu.y == 0) > 0.1
    assert pass_["relu1"].backward.statistics["dx"].norm == pytest.approx(np.linalg.norm(dx), rel=1e-5)
    assert set(pass_["fc6"].backward.statistics) == {"dy", "dx", "dw", "db"}


def test_tanh_nets_too():
    layers = {name: spec.Activation("tanh") if "relu" in name else layer for name, layer in spec.MINI.layers.items()}
    net = AlexNet(dataclasses.replace(spec.MINI, layers=layers), num_classes=3, input_size=16)
    pass_ = record(net, np.ones((1, 3, 16, 16), "float32"), [1])
    assert "tanh" in pass_["relu1"].forward.formula


def test_the_definitions_are_recorded_where_they_are_asked_for():
    net, x, labels = small_net()
    with use_kernels("reference"):
        assert same(record(net, x, labels)["conv2"].forward.y, net.forward(x, upto="conv2"))


def test_dropout_is_at_work_with_labels_only():
    net, x, labels = small_net()
    trained, tested = record(net, x, labels)["dropout6"].forward, record(net, x)["dropout6"].forward
    assert isinstance(net.layers["dropout6"], Dropout)
    on = trained.x > 0
    assert 0.2 < np.mean(trained.y[on] == 0) < 0.8
    assert same(tested.y, tested.x * 0.5)


def test_pictures_and_names_of_classes():
    net, x, labels = small_net()
    plain = record(net, x, labels)
    assert plain.classes == ("0", "1", "2")
    assert [picture.shape for picture in plain.pictures] == [(16, 16, 3)] * 2
    assert plain.pictures[0].dtype == np.uint8
    assert (plain.pictures[0].min(), plain.pictures[0].max()) == (0, 255)
    place = np.unravel_index(x[0].argmax(), x[0].shape)
    assert plain.pictures[0][place[1], place[2], place[0]] == 255
    pictures = [np.zeros((16, 16, 3), np.uint8)] * 2
    named = record(net, x, labels, classes=("cat", "dog", "cow"), pictures=pictures)
    assert named.classes == ("cat", "dog", "cow")
    assert named.pictures[1] is pictures[1]
    assert record(net, np.zeros_like(x)).pictures[0].max() == 0


def test_training_goes_on_without_changing_what_was_recorded():
    net, x, labels = small_net()
    pass_ = record(net, x, labels)
    before = {name: array.copy() for name, array in pass_.params.items()}
    net.loss(x, labels, train=True)
    net.backward(net.criterion.backward())
    SGD(net, lr=1.0).step()
    assert not same(net.params["conv1.w"], before["conv1.w"])
    assert all(same(pass_.params[name], array) for name, array in before.items())


def test_what_is_refused():
    net, x, labels = small_net()
    with pytest.raises(UsageError, match="got layer 'conv9': expected one of conv1, "):
        record(net, x)["conv9"]
    with pytest.raises(LabelError, match=r"got labels from 2 to 3: expected integers of 0 \.\.\. 2"):
        record(net, x, [2, 3])
    with pytest.raises(ShapeError, match="pool5: got an image of 2 x 2: expected at least the window"):
        record(net, x[:, :, :8, :8])
    with pytest.raises(ShapeError, match="got 1 pictures for 2 images: expected one for each image"):
        record(net, x, pictures=[np.zeros((16, 16, 3), np.uint8)])
    for picture in (
        np.zeros((3, 16, 16), np.uint8),
        np.zeros((16, 16), np.uint8),
        np.zeros((16, 16, 3)),
        np.zeros((18, 18, 3), np.uint8),
    ):
        with pytest.raises(ShapeError, match=r"got a picture \(.*\) in .*: expected \(16, 16, 3\) in uint8, the crop"):
            record(net, x, pictures=[np.zeros((16, 16, 3), np.uint8), picture])
    with pytest.raises(ShapeError, match="got 2 names of classes: expected 3, one for each class"):
        record(net, x, classes=("cat", "dog"))
    masks = net.mask_rng.bit_generator.state
    with pytest.raises(LabelError):
        record(net, x, labels - 1)
    assert net.mask_rng.bit_generator.state == masks
