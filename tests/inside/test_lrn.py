"""The window of LRN, forward and backward, against counting by hand and against the layer."""

import numpy as np
import pytest

from tinyalex import LocalResponseNorm, inside

X = [1, 3, 0, 2, 5, 1]


def windows(C, size, groups):
    """The maps in the window of each map, from the paper's formula with its window cut off at the ends of a group."""
    per_group = C // groups
    found = []
    for c in range(C):
        first = c // per_group * per_group
        low, high = c - size // 2, c - size // 2 + size - 1
        found.append([j for j in range(first, first + per_group) if low <= j <= high])
    return found


@pytest.mark.parametrize(("C", "size", "groups"), [(8, 5, 1), (8, 5, 2), (6, 4, 1), (6, 2, 3), (3, 9, 1), (4, 1, 1)])
def test_who_sees_whom(C, size, groups, rng):
    stepper = inside.LRNWindow(rng.normal(size=C), size=size, groups=groups)
    assert [np.flatnonzero(row).tolist() for row in stepper.windows] == windows(C, size, groups)


def test_forward_by_hand():
    stepper = inside.LRNWindow(X, size=3, alpha=0.5, beta=1, k=1)
    scale = [1 + 0.5 * s for s in (1 + 9, 1 + 9 + 0, 9 + 0 + 4, 0 + 4 + 25, 4 + 25 + 1, 25 + 1)]
    np.testing.assert_allclose(stepper.scale, scale)
    np.testing.assert_allclose(stepper.y, np.array(X) / scale)
    assert stepper.caption(1) == (
        "x[1] is damped by x[0] ... x[2]: scale = 1 + 0.5 (1 + 9 + 0) = 6\ny[1] = x[1] / scale^1 = 3 / 6^1 = 0.5"
    )
    assert len(stepper) == 6
    assert stepper.dx is None


def test_the_shown_arithmetic_is_what_the_layer_computes(rng):
    x, dy = rng.normal(size=(2, 7))
    settings = {"size": 4, "alpha": 0.7, "beta": 0.6, "k": 1.5}
    stepper = inside.LRNWindow(x, dy, **settings)
    layer = LocalResponseNorm(**settings)
    np.testing.assert_allclose(stepper.y, layer.forward(x[None, :, None, None], train=True).ravel())
    np.testing.assert_allclose(stepper.y, x * stepper.scale**-0.6)
    np.testing.assert_allclose(stepper.dx, layer.backward(dy[None, :, None, None]).ravel())
    passed = dy * stepper.y / stepper.scale
    for c in range(7):
        sum_of_others = sum(passed[j] for j in range(7) if c in windows(7, 4, 1)[j])
        expected = dy[c] * stepper.scale[c] ** -0.6 - 2 * 0.7 * 0.6 * x[c] * sum_of_others
        assert stepper.dx[c] == pytest.approx(expected)
        direct = dy[c] * stepper.scale[c] ** -0.6
        shown = f"{direct:.3g} - 0.84 · {x[c]:.3g} · {sum_of_others:.3g} = {expected:.3g}"
        assert stepper.caption(7 + c).endswith(shown)


def test_backward_the_window_is_mirrored():
    stepper = inside.LRNWindow(X, dy=[1] * 6, size=4)
    assert len(stepper) == 12
    assert stepper.caption(2).startswith("x[2] is damped by x[0] ... x[3]:")
    assert stepper.caption(6 + 2).startswith("x[2] has damped y[1] ... y[4], its mirrored window:")


def test_the_picture_frames_the_window(written):
    stepper = inside.LRNWindow(X, size=3)
    figure = stepper.show(4)
    [frame] = [patch for patch in figure.axes[0].patches if not patch.get_fill()]
    assert frame.get_width() == 3
    assert "4.6" not in written(figure)  # 2 + 0.1 (25 + 1), the scale of the last map, is not written yet
    assert "4.6" in written(stepper.show(5))
