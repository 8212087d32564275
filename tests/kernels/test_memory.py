"""Memory used again: never while somebody holds an array in it, and not kept for ever."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from tinyalex.kernels import memory

LARGE = (300, 400)


@pytest.fixture(autouse=True)
def state(monkeypatch):
    """A state of its own, with nothing in it."""
    fresh = memory._State()
    monkeypatch.setattr(memory, "_state", fresh)
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


def test_the_smallest_block_that_fits_and_is_not_far_too_large():
    blocks = {size: memory.empty((size,), "uint8") for size in (100_000, 150_000, 400_000)}
    there = {size: address(block) for size, block in blocks.items()}
    blocks.clear()
    assert address(memory.empty((120_000,), "uint8")) == there[150_000]
    assert address(memory.empty((100_000,), "uint8")) == there[100_000]
    assert address(memory.empty((190_000,), "uint8")) not in there.values()


def test_small_arrays_are_numpys_own(state):
    memory.empty((100,), "float32")
    assert not state._blocks


def test_a_block_is_taken_before_another_thread_can_ask(state):
    """What the state hands out, within its lock, is no longer free: nothing has to be done to it first."""
    held = [state.memory(100_000) for _ in range(3)]
    assert len({address(array) for array in held}) == 3


def test_what_nobody_asked_for_lately_is_forgotten(state, monkeypatch):
    """What the net of before used is not kept for ever, whether or not the requests of now find what they need."""
    monkeypatch.setattr(memory, "LONGEST_IDLE", 10)
    memory.empty((900, 900), "uint8")
    kept = [memory.empty(LARGE, "float32") for _ in range(100)]  # nor does the list grow with what a caller keeps
    assert len(state._blocks) <= 20
    for _ in range(20):
        memory.empty(LARGE, "uint8")
    assert [block.size for block, _ in state._blocks] == [120_000]
    assert len({address(array) for array in kept}) == 100


def test_release_forgets_all(state):
    held = memory.empty(LARGE, "float64")
    memory.empty(LARGE, "uint8")
    memory.release()
    assert not state._blocks
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


FORK = """
import os, signal
from tinyalex.kernels import memory
with memory._state._lock:
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # instead of waiting for ever
        memory.empty((300, 400), "float32")
        os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_born_while_the_lock_is_held():
    """It would wait for a thread that it does not have."""
    run = subprocess.run([sys.executable, "-c", FORK], capture_output=True, text=True, timeout=60)
    assert (run.stdout.strip(), run.returncode) == ("0", 0), run.stderr
