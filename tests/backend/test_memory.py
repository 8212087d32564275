"""Memory pools: memory is used again only when no array refers to it, and is not kept for ever."""

import itertools
import os
import subprocess
import sys
import threading
from collections import defaultdict

import numpy as np
import pytest

from tinyalex.backend import memory
from tinyalex.cost.accounting import accounting

LARGE = (300, 400)


@pytest.fixture(autouse=True)
def pool(monkeypatch):
    """A new, empty pool for each test."""
    fresh = memory._new_pool()
    monkeypatch.setattr(memory, "_pools", defaultdict(memory._new_pool, cpu=fresh))
    return fresh


def address(array):
    return array.__array_interface__["data"][0]


def test_an_array_of_that_shape_and_dtype():
    for shape, dtype in [((), "float64"), ((0, 3), "float32"), ((2, 3), "uint8"), (LARGE, "float32"), (LARGE, bool)]:
        array = memory.empty(shape, dtype)
        assert (array.shape, array.dtype, array.flags.c_contiguous) == (shape, np.dtype(dtype), True)
        assert array.flags.writeable


def test_used_again_when_nobody_holds_it():
    first = memory.empty(LARGE, "float32")
    there = address(first)
    assert there % memory.ALIGNED == 0
    del first
    again = memory.empty((400, 300), "float32")
    assert address(again) == there
    assert address(memory.empty(LARGE, "float32")) != there  # `again` is still held


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a[3:5],
        lambda a: a.T[::2],
        lambda a: a.reshape(-1).view("uint8")[-1:],
        lambda a: memoryview(a),
        lambda a: np.frombuffer(a, "float32"),
        lambda a: iter(a),
    ],
    ids=["rows", "transposed", "bytes", "memoryview", "frombuffer", "iterator"],
)
def test_not_while_a_view_is_held(view):
    array = memory.empty(LARGE, "float32")
    array.fill(7)
    there, held = address(array), view(array)
    del array
    other = memory.empty(LARGE, "float32")
    assert address(other) != there
    other.fill(0)
    del held, other
    assert there in {address(array) for array in [memory.empty(LARGE, "float32") for _ in range(2)]}


def test_the_smallest_free_block_that_has_room():
    blocks = {size: memory.empty((size,), "uint8") for size in (150_016, 400_000, 100_032)}
    there = {size: address(block) for size, block in blocks.items()}
    blocks.clear()
    held = memory.empty((120_000,), "uint8")
    assert address(held) == there[150_016]
    assert address(memory.empty((100_000,), "uint8")) == there[100_032]
    assert address(memory.empty((190_000,), "uint8")) == there[400_000]


def test_what_is_left_of_a_block_is_used(pool):
    """Each part is aligned, and none lies in another; the system is asked once."""
    memory.empty((4, 100_032), "uint8")
    arrays = [memory.empty((99_999 - n,), "uint8") for n in range(4)]
    for number, array in enumerate(arrays):
        array.fill(number)
        assert address(array) % memory.ALIGNED == 0
    assert [set(array) for array in arrays] == [{0}, {1}, {2}, {3}]
    assert pool.held == 400_128


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))), ids=str)
def test_free_neighbours_are_one_block(pool, order):
    """In whatever order they became free, one array can have them all."""
    whole = memory.empty((4, 100_032), "uint8")
    there = address(whole)
    del whole
    parts = {number: memory.empty((100_032,), "uint8") for number in range(4)}
    for number in order[:-1]:
        del parts[number]
    assert address(memory.empty((100_000,), "uint8")) != address(parts[order[-1]])
    parts.clear()
    assert address(memory.empty((4 * 100_032,), "uint8")) == there
    assert pool.held == 4 * 100_032


def test_the_system_gets_free_chunks_back_before_it_is_asked_for_more(pool):
    """Those that are wholly free: small ones that an array has outgrown."""
    partly = memory.empty((2, 100_032), "uint8")
    memory.empty((3, 100_032), "uint8")
    del partly
    part = memory.empty((100_032,), "uint8")
    big = memory.empty((900_032,), "uint8")
    assert pool.held == 200_064 + 900_032
    part.fill(1)
    big.fill(2)
    assert set(part) == {1}


def test_memory_goes_back_to_the_system_with_the_last_array():
    """A forgotten chunk is not kept by what remembers its free blocks."""
    with accounting() as accounts:
        held, other = memory.empty((500_032,), "uint8"), memory.empty((500_032,), "uint8")
        memory.forget_memory()
        assert accounts.held["cpu"] > 1_000_000
        del held
        assert 500_000 < accounts.held["cpu"] < 600_000
        del other
        assert accounts.held["cpu"] < 1000


def test_bytes_are_rounded_up_to_whole_cache_lines(pool):
    held = memory.empty((70_001,), "uint8")
    assert (held.nbytes, pool.held) == (70_001, -(-70_001 // 64) * 64)


def test_small_arrays_are_numpys_own(pool):
    memory.empty((100,), "float32")
    assert pool.held == 0


def test_a_block_is_taken_before_another_thread_can_ask(pool):
    """The result of a request marks its block as in use, before the pool's lock is released."""
    held = [pool.memory(100_000) for _ in range(3)]
    assert len({address(array) for array in held}) == 3


def test_what_nobody_asked_for_lately_is_forgotten(pool, monkeypatch):
    """Chunks that an earlier net used are forgotten, whether or not later requests find a fitting block."""
    monkeypatch.setattr(memory, "LONGEST_IDLE", 10)
    earlier = memory.empty((900, 900), "uint8")
    kept = [memory.empty(LARGE, "float32") for _ in range(100)]  # nor does the list grow with what a caller keeps
    assert len(pool._chunks) <= 20
    for _ in range(20):
        memory.empty(LARGE, "uint8")
    assert pool.held == 120_000
    assert len({address(array) for array in (*kept, earlier)}) == 101


def test_release_forgets_all(pool):
    held = memory.empty(LARGE, "float64")
    memory.empty(LARGE, "uint8")
    memory.forget_memory()
    assert pool.held == 0
    held.fill(3)
    other = memory.empty(LARGE, "float64")
    other.fill(0)
    assert (held == 3).all()


def test_threads_never_share_a_block():
    wrong = []

    def work(number):
        for _ in range(300):
            array = memory.empty(LARGE, "uint8")
            array.fill(number)
            if not (array == number).all():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_devices_share_no_block():
    """Each CPU device has a pool of its own."""
    with memory.memory_of("cpu:1"):
        assert memory.device_in_use() == "cpu:1"
        there = address(memory.empty(LARGE, "float32"))
    assert memory.device_in_use() == "cpu"
    elsewhere = memory.empty(LARGE, "float32")
    assert address(elsewhere) != there
    with memory.memory_of("cpu:0"):
        assert address(memory.empty(LARGE, "float32")) != there
    with memory.memory_of("cpu:1"):
        assert address(memory.empty(LARGE, "float32")) == there
        memory.forget_memory()
    assert memory._pools["cpu:1"].held == 0


def test_what_a_pool_holds(pool):
    """All that the system gave: in use, and free beside it."""
    memory.empty((3, 100_032), "uint8")
    held = memory.empty((100_032,), "uint8")
    assert pool.held == 300_096
    assert held.nbytes == 100_032


@pytest.mark.parametrize("seed", range(3))
def test_a_simulated_pool(pool, seed):
    """A simulated pool holds as many bytes as a real one, for the same requests and deletions, without memory."""
    rng = np.random.default_rng(seed)
    simulated = memory.simulated_pool()
    arrays = []
    for _ in range(200):
        if arrays and rng.random() < 0.5:
            del arrays[rng.integers(len(arrays))]
        size = int(rng.integers(70_000, 300_000))
        arrays.append((pool.memory(size), simulated.memory(size)))
        assert simulated.held == pool.held
    assert simulated.memory(10**15).size == 10**15


FORK = """
import os, signal
from tinyalex.backend import memory
from tinyalex.cost.accounting import accounting
with memory._pools["cpu"]._lock:
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # instead of waiting for ever
        memory.empty((300, 400), "float32")
        os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_born_while_the_lock_is_held():
    """With the lock of its parent it would wait for a thread that it does not have."""
    run = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60)
    assert (run.stdout.strip(), run.returncode) == ("0", 0), run.stderr
