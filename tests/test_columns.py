"""Section 3.2: the net in two columns, against two half nets built by hand, and on two devices against one."""

import dataclasses
import threading

import numpy as np
import pytest

from cases import assert_close, small_net
from runs import slim
from tinyalex import SGD, AlexNet, Conv2D, LocalResponseNorm, MaxPool2D, check_net, load, save
from tinyalex.backend import thread_count, use_kernels, use_threads
from tinyalex.columns import TwoDevices, crossing
from tinyalex.count import count
from tinyalex.errors import ShapeError, UsageError
from tinyalex.spec import Drop, variant


def in_two_columns(net, x, cross_columns):
    """The logits, from two half nets built by hand: each its half of the kernels, and where they meet both halves."""

    def layer(name, half, channels):
        """Column `half`'s own kernels of a convolution that reads so many channels."""
        w, b = net.params[f"{name}.w"], net.params[f"{name}.b"]
        own = slice(half * len(w) // 2, (half + 1) * len(w) // 2)
        pad = net.layers[name].window.pad
        conv = Conv2D(channels, len(w) // 2, w.shape[2], pad=pad, dtype=net.dtype)
        conv.params = {"w": w[own], "b": b[own]}
        return conv

    columns = [x, x]
    for number in range(1, 6):
        if number == 1 or number in cross_columns:
            seen = [x, x] if number == 1 else [np.concatenate(columns, axis=1)] * 2
        else:
            seen = columns
        columns = [layer(f"conv{number}", half, seen[half].shape[1]).forward(seen[half]) for half in (0, 1)]
        columns = [np.maximum(maps, 0) for maps in columns]
        if number <= 2:
            norm = net.layers[f"norm{number}"]
            columns = [LocalResponseNorm(norm.size, norm.alpha, norm.beta, norm.k).forward(maps) for maps in columns]
        if number in (1, 2, 5):
            columns = [MaxPool2D(ceil_mode=True).forward(maps) for maps in columns]
    features = np.concatenate([maps.reshape(len(x), -1) for maps in columns], axis=1)
    for name in ("fc6", "fc7"):
        features = 0.5 * np.maximum(features @ net.params[f"{name}.w"].T + net.params[f"{name}.b"], 0)
    return features @ net.params["fc8.w"].T + net.params["fc8.b"]


def test_dropout_of_maps_draws_the_same_mask_on_two_devices():
    layers = dict(slim(variant("mini")).layers)
    at = list(layers).index("flatten")
    spec = dataclasses.replace(
        slim(variant("mini")),
        layers=dict([*list(layers.items())[:at], ("dropout5", Drop()), *list(layers.items())[at:]]),
    )
    x = np.random.default_rng(0).standard_normal((2, 3, 32, 32), dtype="float32")
    one, two = (AlexNet(spec, num_classes=3, seed=1, devices=devices) for devices in (None, ("cpu:0", "cpu:1")))
    assert_close(two.forward(x, train=True), one.forward(x, train=True))


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("cross_columns", [(3,), (4,), (), (2, 3, 4, 5)])
def test_groups_of_two_are_two_columns(cross_columns):
    """Section 3.2: the net with groups is two half nets that meet where cross_columns says, and in fc6."""
    net, x, _ = small_net(cross_columns=cross_columns, dtype="float64")
    for name, array in net.params.items():
        if name.endswith(".b"):
            array[:] = np.random.default_rng(len(array)).uniform(-0.1, 0.1, len(array))
    assert_close(net.forward(x), in_two_columns(net, x, cross_columns))


@pytest.mark.parametrize(("cross_columns", "meet_before"), [((3,), 3), ((4,), 4), ((), 6)])
def test_where_one_column_first_sees_the_other(cross_columns, meet_before):
    """Louder kernels in the second half of conv1 change the first half of the maps only past the meeting point."""
    net, x, _ = small_net(cross_columns=cross_columns)
    before = {number: net.forward(x, upto=f"conv{number}") for number in (2, 3, 4, 5)}
    net.params["conv1.w"][16:] *= 2
    for number, maps in before.items():
        first = maps.shape[1] // 2
        same = np.array_equal(net.forward(x, upto=f"conv{number}")[:, :first], maps[:, :first])
        assert same == (number < meet_before)


@pytest.mark.parametrize("cross_columns", [(3,), (4,)])
def test_gradients_of_the_whole_net(cross_columns):
    """Every parameter and the images, dropout frozen."""
    net, x, labels = small_net(cross_columns=cross_columns, dtype="float64")
    checked = check_net(net, x, labels, entries=3)
    assert [one.name for one in checked] == ["x", *net.params]
    assert all(one.error < 1e-5 for one in checked)


# ---------------------------------------------------------------- on two devices

TWO = ("cpu:0", "cpu:1")


def ten_steps(devices, spec, cross_columns, num_classes):
    """All that ten steps of training with dropout leave, and the logits of images seen after them."""
    net = AlexNet(spec, num_classes=num_classes, seed=2, dtype="float64", cross_columns=cross_columns, devices=devices)
    sgd = SGD(net, lr=0.01)
    rng = np.random.default_rng(4)
    x = rng.standard_normal((4, 3, net.input_size, net.input_size))
    labels = rng.integers(0, num_classes, 4)
    found = {}
    for step in range(10):
        found[f"loss {step}"] = np.array([net.loss(x, labels, train=True)])
        dx = net.backward(net.criterion.backward())
        sgd.step()
    found |= {"dx": dx, "logits": net.forward(x), "p": net.predict(x), "pool2": net.forward(x, upto="pool2")}
    for kind, arrays in (("params", net.params), ("grads", net.grads), ("velocity", sgd.velocity)):
        found |= {f"{kind} {name}": np.array(array) for name, array in arrays.items()}
    return found


@pytest.mark.parametrize("kernels", ["reference", "numba"])
@pytest.mark.parametrize("cross_columns", [(3,), (4,), (2, 3, 4, 5), ()], ids=str)
@pytest.mark.parametrize("spec", ["mini", "paper"])
def test_two_devices_compute_what_one_does(spec, cross_columns, kernels):
    """To 1e-12: losses, logits, every gradient, parameter and velocity, after ten steps with the same dropout masks."""
    built = dataclasses.replace(slim(variant(spec)), input_size={"mini": 16, "paper": 99}[spec])
    with use_kernels(kernels):
        one, two = (ten_steps(devices, built, cross_columns, 5) for devices in (None, TWO))  # 5 classes: 2 and 3
    assert list(one) == list(two)
    for name, array in one.items():
        difference = np.linalg.norm(two[name] - array)
        assert difference <= 1e-12 * max(np.linalg.norm(array), 1e-3), name


def test_the_released_codes_net_on_two_devices():
    """With its norm within a map, and the ReLU of conv1 behind its pool."""
    spec = dataclasses.replace(slim(variant("cuda-convnet")), input_size=67)
    one, two = (ten_steps(devices, spec, (3,), 4) for devices in (None, TWO))
    for name, array in one.items():
        assert np.linalg.norm(two[name] - array) <= 1e-12 * max(np.linalg.norm(array), 1e-3), name


def test_what_crosses_and_nothing_else():
    """Counted by hand for `mini` at 32 x 32: what conv3, fc6, fc7 and fc8 read, forward, and its gradient back."""
    net = AlexNet("mini", num_classes=10, devices=TWO, dropout=0.5)
    x, labels = np.zeros((7, 3, 32, 32), "float32"), np.zeros(7, int)
    net.loss(x, labels, train=True)
    read = {"conv3": 64 * 8 * 8, "fc6": 64 * 4 * 4, "fc7": 512, "fc8": 512}
    assert net.devices.moved == 7 * 4 * sum(read.values())
    net.backward(net.criterion.backward())
    assert net.devices.moved == 2 * 7 * 4 * sum(read.values())
    assert crossing(net.rows, 7) == {name: 2 * 7 * 4 * numbers for name, numbers in read.items()}
    read = {"conv3": 256 * 13 * 13, "fc6": 9216, "fc7": 4096, "fc8": 4096}
    assert crossing(count(variant("paper")), 128) == {name: 2 * 128 * 4 * numbers for name, numbers in read.items()}


def test_both_columns_compute_at_the_same_time():
    """Each in a thread of its own, with half of the cores; a GPU leaves all of them to a CPU beside it."""
    devices, meeting, seen = TwoDevices(TWO), threading.Barrier(2, timeout=20), {}

    def work(column):
        meeting.wait()
        seen[column] = (threading.current_thread().name, thread_count())
        return column

    with use_threads(5):
        assert devices.each(work) == [0, 1]
    assert {column: count for column, (_, count) in seen.items()} == {0: 2, 1: 2}
    assert len({name for name, _ in seen.values()}) == 2
    with use_threads(1):
        assert devices.each(lambda _: thread_count()) == [1, 1]


def test_an_error_in_one_column():
    """It arrives with the layer's name, when both columns have ended."""
    net, x, labels = small_net(devices=TWO)
    with pytest.raises(ShapeError, match=r"^conv1: Conv2D: got an input of shape .*: expected \(N, C=3, H, W\)"):
        net.forward(x[:, :1])
    ended = []

    def work(column):
        if column == 0:
            raise ZeroDivisionError
        ended.append(column)

    with pytest.raises(ZeroDivisionError):
        net.devices.each(work)
    assert ended == [1]
    assert np.isfinite(net.loss(x, labels))


def test_parameters_are_read_whole_and_written_whole():
    net, x, _ = small_net(devices=TWO, seed=1)
    whole, _, _ = small_net(seed=1)
    for name, array in whole.params.items():
        np.testing.assert_array_equal(net.params[name], array)
    before = net.forward(x)
    assert_close(before, whole.forward(x))
    with pytest.raises(ValueError, match="read-only"):
        net.params["conv1.w"] *= 2
    net.params["conv1.w"] = 2 * net.params["conv1.w"]
    np.testing.assert_array_equal(net.params["conv1.w"], 2 * whole.params["conv1.w"])
    assert not np.allclose(net.forward(x), before)
    with pytest.raises(ShapeError, match=r"of shape \(31, 3, 5, 5\) for conv1.w: expected \(32, 3, 5, 5\)"):
        net.params["conv1.w"] = net.params["conv1.w"][1:]
    with pytest.raises(ShapeError, match=r"of shape \(32, 1, 1, 1\) for w: expected \(32, 3, 5, 5\)"):
        net.layers["conv1"].params["w"] = np.zeros((32, 1, 1, 1), "float32")
    with pytest.raises(UsageError, match="got del of w"):
        del net.layers["conv1"].params["w"]


def test_there_and_back_again(tmp_path):
    """A net moves to two devices and back, and to a file and out of it; nothing changes."""
    net, x, _ = small_net(seed=1)
    expected, params = net.forward(x), {name: array.copy() for name, array in net.params.items()}
    for devices in (TWO, ("cpu", "cpu:3"), None, TWO):
        net.place(devices)
        assert_close(net.forward(x), expected)
        for name, array in params.items():
            np.testing.assert_array_equal(net.params[name], array)
            assert not net.grads[name].any()
    save(net, tmp_path / "two.npz")
    again = load(tmp_path / "two.npz")
    assert again.devices is None
    for name, array in params.items():
        np.testing.assert_array_equal(again.params[name], array)


@pytest.mark.parametrize(
    ("devices", "name", "complaint"),
    [
        ((), "mini", r"devices=\(\): expected one, or one for each column, as in \('cuda:0', 'cuda:1'\)"),
        (("cpu", "cpu", "cpu"), "mini", r"devices=\('cpu', 'cpu', 'cpu'\): expected one, or one for each column"),
        ("tpu:0", "mini", "no device is called 'tpu:0'"),
        (("cpu", "tpu:0"), "mini", "no device is called 'tpu:0'"),
        (TWO, "one-column", "norm1 normalises across the maps of both columns: use one device for this net"),
    ],
)
def test_devices_that_do_not_fit(devices, name, complaint):
    with pytest.raises(UsageError, match=complaint):
        AlexNet(slim(variant(name)), devices=devices)
