"""Where max-pooling's gradient goes, window by window, against a loop and against the layer."""

import numpy as np
import pytest

from tinyalex import MaxPool2D, inside

X = [[1, 2, 0, 3, 1], [4, 0, 1, 2, 5], [0, 3, 9, 1, 0], [2, 1, 0, 4, 6], [1, 0, 7, 2, 3]]


def test_a_pixel_that_wins_four_windows_gets_four_gradients():
    stepper = inside.MaxPoolGradient(X)
    assert [stepper.winner(i) for i in range(4)] == [(2, 2)] * 4
    assert [stepper.dx(i)[2, 2] for i in range(4)] == [1, 1 + 2, 1 + 2 + 3, 1 + 2 + 3 + 4]
    assert np.count_nonzero(stepper.dx(3)) == 1
    assert stepper.caption(0) == "y[0, 0] = 9 is pixel x[2, 2]\ndx[2, 2] = 0 + dy[0, 0] = 0 + 1 = 1"
    first, second = stepper.caption(2).split("\n")
    assert first == "y[1, 0] = 9 is pixel x[2, 2], the largest of an earlier window too"
    assert second == "dx[2, 2] = 3 + dy[1, 0] = 3 + 3 = 6"


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "ceil_mode"),
    [((5, 5), 3, 2, False), ((5, 7), (2, 3), (1, 2), False), ((6, 8), 3, 2, True), ((4, 6), 2, 2, False)],
)
def test_every_step_against_a_loop_and_the_last_against_the_layer(shape, kernel, stride, ceil_mode, rng):
    x = rng.integers(0, 5, shape).astype(float)  # ties
    layer = MaxPool2D(kernel, stride, ceil_mode=ceil_mode)
    y = layer.forward(x[None, None], train=True)
    dy = rng.normal(size=y.shape)
    stepper = inside.MaxPoolGradient(x, dy[0, 0], kernel_size=kernel, stride=stride, ceil_mode=ceil_mode)
    np.testing.assert_array_equal(stepper.y, y[0, 0])
    (KH, KW), (SH, SW) = layer.window.kernel, layer.window.stride
    dx = np.zeros(shape)
    for i in range(len(stepper)):
        oh, ow = divmod(i, y.shape[3])
        seen = x[oh * SH : oh * SH + KH, ow * SW : ow * SW + KW]
        h, w = divmod(int(seen.argmax()), seen.shape[1])  # the first of equal cells
        assert stepper.winner(i) == (oh * SH + h, ow * SW + w)
        dx[stepper.winner(i)] += dy[0, 0, oh, ow]
        np.testing.assert_allclose(stepper.dx(i), dx)
    np.testing.assert_allclose(stepper.dx(len(stepper) - 1), layer.backward(dy)[0, 0])


def test_the_frame_of_a_window_that_reaches_past_the_edge_stays_on_the_image():
    figure = inside.MaxPoolGradient(np.arange(36).reshape(6, 6), ceil_mode=True).show(-1)
    frames = [patch for patch in figure.axes[0].patches if not patch.get_fill()]
    assert [(frame.get_height(), frame.get_width()) for frame in frames] == [(2, 2), (2, 2)]
