"""CuPy's memory pool on paper, and what convolutions take of it."""

import numpy as np
import pytest

from tinyalex.backend.gpu import memory as gpu_memory
from tinyalex.backend.gpu.memory import UNIT, SimulatedPool
from tinyalex.window import Window


def test_units():
    pool = SimulatedPool()
    held = [pool.memory(size) for size in (1, UNIT, UNIT + 1, 0)]
    assert pool.held == (1 + 1 + 2 + 1) * UNIT
    assert len(held) == 4


def test_a_free_region_is_cut_to_size_and_joined_again():
    pool = SimulatedPool()
    whole = pool.memory(10 * UNIT)
    del whole
    first, second, third = (pool.memory(size * UNIT) for size in (3, 3, 4))  # all of the ten
    assert pool.held == 10 * UNIT
    del first, third
    more = pool.memory(5 * UNIT)  # neither the three nor the four is enough
    assert pool.held == 15 * UNIT
    del second
    again = pool.memory(10 * UNIT)  # one again: with the one before and the one after it
    assert pool.held == 15 * UNIT
    del more, again


def test_the_smallest_region_that_is_large_enough():
    pool = SimulatedPool()
    large, small = pool.memory(8 * UNIT), pool.memory(4 * UNIT)
    del large, small
    one = pool.memory(3 * UNIT)
    other = pool.memory(8 * UNIT)  # still there
    assert pool.held == 12 * UNIT
    del one, other


@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost(seed):
    """After any number of requests all that was ever held can be had again, piece by piece."""
    rng, pool, taken = np.random.default_rng(seed), SimulatedPool(), []
    for _ in range(300):
        if taken and rng.random() < 0.5:
            del taken[rng.integers(len(taken))]
        taken.append(pool.memory(int(rng.integers(1, 20)) * UNIT))
    held = pool.held
    taken.clear()
    taken = [pool.memory(UNIT) for _ in range(held // UNIT)]
    assert pool.held == held
    taken.append(pool.memory(UNIT))
    assert pool.held == held + UNIT


def test_the_gpu_gets_back_what_is_free_as_a_whole():
    pool = SimulatedPool()
    whole, cut = pool.memory(3 * UNIT), pool.memory(5 * UNIT)
    del whole, cut
    part = pool.memory(4 * UNIT)
    pool.free_all_blocks()
    assert pool.held == 5 * UNIT  # a part of it is in use
    del part
    pool.free_all_blocks()
    assert pool.held == 0
    held = pool.memory(UNIT)
    assert pool.held == UNIT
    del held


def test_convolutions(monkeypatch):
    """The paper's conv2, by hand: 27 x 27 places, 5 x 5 cells of 96 maps in two groups; images as there is room."""
    x, w, window = (10, 27, 27, 96), (256, 48, 5, 5), Window((5, 5), (1, 1), (2, 2), False)
    kernels, of_an_image = 4 * 256 * 48 * 25, 4 * 27 * 27 * 25 * 96
    assert gpu_memory.conv_forward(x, w, window, 2, 4) == [kernels]
    assert gpu_memory.conv_backward(x, w, window, 2, 4) == [kernels, kernels, 4 * 2048 * 256]
    for room, taken, images in (
        (1 << 28, 10 * of_an_image, 10),
        (3 * of_an_image + 8, 3 * of_an_image + 8, 3),
        (1, of_an_image, 1),
    ):
        monkeypatch.setattr(gpu_memory, "WORKSPACE", room)
        assert gpu_memory.patches(x, window, 2, 4) == taken
        assert gpu_memory.images_at_once(10, of_an_image) == images


def test_rows_of_patches_have_a_multiple_of_4():
    """The paper's conv1 has 363 numbers in a row, and one zero."""
    window = Window((11, 11), (4, 4), (2, 2), False)
    assert gpu_memory.row_length(window, 3) == 364
    assert gpu_memory.conv_forward((1, 224, 224, 3), (96, 3, 11, 11), window, 1, 8) == [8 * 96 * 364]
    assert gpu_memory.patches((1, 224, 224, 3), window, 1, 8) == 8 * 55 * 55 * 364
