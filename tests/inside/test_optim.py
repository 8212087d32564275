"""One weight under momentum and decay: against the paper's rule by hand, and against SGD on a layer."""

import numpy as np
import pytest

from tinyalex import SGD, Linear, inside


def test_two_steps_by_hand():
    stepper = inside.MomentumSteps([4.0, -1.0], w=2, steps=2, lr=0.5, momentum=0.5, weight_decay=0.25)
    v1 = 0.5 * 0 - 0.25 * 0.5 * 2 - 0.5 * 4  # -2.25
    w1 = 2 + v1  # -0.25
    v2 = 0.5 * v1 - 0.25 * 0.5 * w1 - 0.5 * -1  # -0.59375
    assert stepper.v == [0, v1, v2]
    assert stepper.w == [2, w1, w1 + v2]
    assert stepper.g == [4, -1]
    assert list(stepper.parts(1).values()) == [0.5 * v1, -0.25 * 0.5 * w1, 0.5]
    assert stepper.caption(0) == "v = 0.5 · 0 - 0.25 · 0.5 · 2 - 0.5 · 4 = -2.25\nw = 2 + (-2.25) = -0.25"


def test_the_parts_of_every_step_add_up_to_its_velocity():
    stepper = inside.MomentumSteps(lambda w: w**3 - w, w=1.7)
    assert len(stepper) == 10
    for i in range(10):
        assert sum(stepper.parts(i).values()) == pytest.approx(stepper.v[i + 1])
        assert stepper.w[i] + stepper.v[i + 1] == pytest.approx(stepper.w[i + 1])
        assert stepper.g[i] == stepper.w[i] ** 3 - stepper.w[i]


def test_it_is_the_optimiser_that_trains_nets(rng):
    gradients = rng.normal(size=10)
    layer = Linear(1, 1, rng=rng, dtype="float64")
    stepper = inside.MomentumSteps(gradients, w=layer.params["w"].item(), lr=0.2, momentum=0.8, weight_decay=0.3)
    sgd = SGD(layer, lr=0.2, momentum=0.8, weight_decay=0.3)
    for i, g in enumerate(gradients):
        layer.grads["w"] = np.array([[g]])
        sgd.step()
        assert stepper.w[i + 1] == pytest.approx(layer.params["w"].item(), rel=1e-12)


def test_the_picture_shows_the_path_so_far_and_the_parts_of_the_velocity():
    stepper = inside.MomentumSteps(lambda w: 2 * w)
    path, bars = stepper.show(3).axes
    np.testing.assert_array_equal(path.lines[1].get_ydata(), stepper.w[:5])
    widths = [bar.get_width() for bar in bars.patches]
    np.testing.assert_allclose(widths, [*stepper.parts(3).values(), stepper.v[4]])
    assert stepper.show(8).axes[1].get_xlim() == bars.get_xlim()  # lengths can be compared between steps


def test_a_weight_that_never_moves_is_drawn():
    path, bars = inside.MomentumSteps(lambda _: 0.0, w=0).show(9).axes
    np.testing.assert_array_equal(path.lines[1].get_ydata(), np.zeros(11))
    assert [bar.get_width() for bar in bars.patches] == [0, 0, 0, 0]
    assert bars.get_xlim() == (-1, 1)  # not an interval of length 0
