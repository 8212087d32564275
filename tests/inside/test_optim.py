"""One weight under momentum and decay: against the paper's rule by hand, and against SGD on a layer."""

import numpy as np
import pytest

from tinyalex import SGD, Linear, inside
from tinyalex.inside.optim import _ticks
from tinyalex.inside.sheet import Box, Line


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


def lines(stepper, i, colour):
    return [mark.points for mark in stepper._picture(i).marks if isinstance(mark, Line) and mark.colour == colour]


def bars(stepper, i):
    """The lengths of the bars, to the left of the zero line below 0."""
    boxes = [mark for mark in stepper._picture(i).marks if isinstance(mark, Box)]
    [zero] = {line[0][1] for line in lines(stepper, i, "ink")}
    return [box.columns * (1 if box.at[1] == zero else -1) for box in boxes]


def test_the_picture_shows_the_path_so_far_and_the_parts_of_the_velocity():
    stepper = inside.MomentumSteps(lambda w: 2 * w)
    [path] = lines(stepper, 3, "blue")
    rows, columns = np.array(path).T
    assert rows[1] > rows[0]  # the weight falls, and rows count downwards
    np.testing.assert_allclose(
        (rows - rows[0]) / (rows[1] - rows[0]), (np.array(stepper.w[:5]) - 1) / (stepper.w[1] - 1)
    )
    np.testing.assert_allclose(np.diff(columns), columns[1] - columns[0])
    values = [*stepper.parts(3).values(), stepper.v[4]]
    np.testing.assert_allclose(bars(stepper, 3), np.array(values) * bars(stepper, 3)[0] / values[0])
    scale = bars(stepper, 8)[3] / stepper.v[9]
    assert bars(stepper, 3)[3] / stepper.v[4] == pytest.approx(scale)  # lengths can be compared between steps


def test_a_weight_that_never_moves_is_drawn():
    stepper = inside.MomentumSteps(lambda _: 0.0, w=0)
    [path] = lines(stepper, 9, "blue")
    assert len(path) == 11
    assert len({row for row, _ in path}) == 1
    assert bars(stepper, 9) == [0, 0, 0, 0]


@pytest.mark.parametrize(("low", "high"), [(0, 0), (-0.734, 1), (3, 3), (1e-5, 3e-5), (-2000, 17), (0.99, 1.01)])
def test_the_ticks_are_few_and_enclose_the_numbers(low, high):
    ticks = _ticks(low, high)
    assert 3 <= len(ticks) <= 8
    assert ticks[0] <= low + 1e-12
    assert ticks[-1] >= high - 1e-12
    np.testing.assert_allclose(np.diff(ticks), ticks[1] - ticks[0])
