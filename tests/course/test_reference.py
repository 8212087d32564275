"""The oracles of assignment 6: the net on one device by differences, the exchanges by the library's own."""

from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

from course.sources import source
from tinyalex.columns import TwoDevices, crossing
from tinyalex.count import count, total_parameters
from tinyalex.course import reference
from tinyalex.spec import variant


class Link:
    def __init__(self):
        self.received = [0, 0]

    def send(self, array, to):
        self.received[to] += array.nbytes
        return array


def layer(name, reads, stride=(1, 1), pad=(0, 0)):
    return SimpleNamespace(name=name, reads=reads, stride=stride, pad=pad)


LAYERS = [layer("a", "image", (2, 1)), layer("b", "own", pad=(1, 0)), layer("c", "both"), layer("d", "both")]
SHAPES = {"a": (4, 3, 3, 2), "b": (6, 2, 3, 2), "c": (4, 6, 2, 2), "d": (2, 4, 3, 2)}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def params(rng):
    return {name: (rng.normal(size=shape), rng.normal(size=shape[0])) for name, shape in SHAPES.items()}


def test_the_whole_net_by_differences(rng, params):
    image = rng.normal(size=(2, 3, 9, 6))
    kept = reference.whole_forward(image, LAYERS, params)
    dy = rng.normal(size=kept[-1][1].shape)
    grads = reference.whole_backward(dy, LAYERS, params, kept)

    def weighted():
        return (dy * reference.whole_forward(image, LAYERS, params)[-1][1]).sum()

    for name, both in params.items():
        for array, gradient in zip(both, grads[name], strict=True):
            index = tuple(int(rng.integers(size)) for size in array.shape)
            value, h = array[index], 1e-6
            array[index] = value + h
            above = weighted()
            array[index] = value - h
            below = weighted()
            array[index] = value
            assert gradient[index] == pytest.approx((above - below) / (2 * h), rel=1e-5, abs=1e-6)


def test_each_column_has_its_half(rng, params):
    kept = reference.whole_forward(rng.normal(size=(2, 3, 9, 6)), LAYERS, params)
    first, second = reference.columns(params)
    assert np.array_equal(np.concatenate([first["b"][0], second["b"][0]]), params["b"][0])
    _, own, both, _ = reference.kept_in_columns(LAYERS, kept)
    assert np.array_equal(np.concatenate(own[0], axis=1), kept[1][0])
    assert all(np.array_equal(x, kept[2][0]) for x in both[0])


def test_the_exchanges_are_the_librarys(rng):
    devices, link = TwoDevices(("cpu:0", "cpu:0")), Link()
    halves = list(rng.normal(size=(2, 2, 3, 4, 5)))
    wholes = list(rng.normal(size=(2, 2, 6, 4, 5)))
    assert np.array_equal(reference.all_gather(halves, link), devices.gather(halves))
    assert np.array_equal(reference.reduce_scatter(wholes, link), devices.scatter_sum(wholes, (3, 3)))
    assert sum(link.received) == devices.moved


def test_the_papers_net_and_its_bytes_are_the_librarys():
    """The numbers in the notebook's tests, and its table of the paper's net."""
    rows = {row.name: row for row in count(variant("paper")) if row.kernel}
    assert crossing([*rows.values()], 128) == {"conv3": 44302336, "fc6": 9437184, "fc7": 4194304, "fc8": 4194304}
    assert 2 * 4 * total_parameters([*rows.values()]) == 487721792
    names = {"NamedTuple": NamedTuple}
    exec(next(cell.source for cell in source("assignment6").cells if cell["id"] == "paper_net"), names)
    assert [row.name for row in names["PAPER"]] == list(rows)
    for row in names["PAPER"]:
        assert (row.in_shape, row.kernel) == (rows[row.name].in_shape, rows[row.name].kernel)
        assert (row.reads == "own") == (rows[row.name].groups == 2)
