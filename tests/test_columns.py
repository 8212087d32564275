"""Section 3.2: the net in two columns, against two half nets built by hand."""

import numpy as np
import pytest

from cases import assert_close, small_net
from tinyalex import Conv2D, LocalResponseNorm, MaxPool2D, check_net


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
