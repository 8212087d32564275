"""Two columns that meet: who holds what after each step, and how many bytes went."""

import numpy as np
import pytest

from tinyalex import AlexNet, inside
from tinyalex.columns import crossing
from tinyalex.errors import ShapeError

X = [[1, 2, 3], [4, 5, 6], [7, 8, 9], [3, 1, 2]]


def test_after_the_gather_both_hold_everything():
    stepper = inside.ColumnExchange(X)
    for whole in stepper.wholes:
        np.testing.assert_array_equal(whole, X)
    assert stepper.moved == (4 * 12, 4 * 12)  # bytes of float32: each of the 12 numbers goes once, either way


def test_the_gradient_of_each_half_is_the_sum_of_both_shares(rng):
    dx = rng.integers(-9, 9, (2, 4, 3))
    stepper = inside.ColumnExchange(X, (dx[0], dx[1]))
    np.testing.assert_array_equal(stepper.sums[0], dx[0][:2] + dx[1][:2])
    np.testing.assert_array_equal(stepper.sums[1], dx[0][2:] + dx[1][2:])


def test_of_an_odd_number_of_units_the_first_column_has_one_less():
    stepper = inside.ColumnExchange([1, 2, 3, 4, 5])
    assert [half.ravel().tolist() for half in stepper.halves] == [[1, 2], [3, 4, 5]]
    assert stepper.moved == (4 * 5, 4 * 5)


@pytest.mark.parametrize("x", [[], [[]], np.ones((0, 3)), np.ones((2, 0)), [1], np.ones((13, 2)), np.ones((2, 13)), 1])
def test_shapes_that_do_not_fit(x):
    with pytest.raises(ShapeError, match=r"expected \(C, P\)"):
        inside.ColumnExchange(x)


def test_the_bytes_agree_with_what_is_counted_for_a_net():
    net = AlexNet("mini", num_classes=4, input_size=16)
    expected = crossing(net.rows, batch=1)["fc8"]
    assert sum(inside.ColumnExchange(np.ones((8, 12))).moved) * 512 // 96 == expected


def test_the_captions_and_pictures_follow_the_halves(written):
    stepper = inside.ColumnExchange(X)
    assert len(stepper) == 6
    assert "48 bytes in all" in stepper.caption(1)
    assert "48 bytes in all" in stepper.caption(4)
    numbers = [[text for text in written(stepper.show(i)) if text in {"9", "4", "11"}] for i in range(6)]
    assert numbers[0] == ["4", "9"]  # each column its own half only
    assert numbers[2] == ["4", "9", "4", "9"]
    assert numbers[5] == ["11"] * 12
