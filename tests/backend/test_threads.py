"""The pool that divides work among threads, and the limit of BLAS to one thread."""

import gc
import threading
import time
import weakref

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from tinyalex.backend import threads
from tinyalex.backend.threads import in_shares, one_blas_thread, thread_count, use_threads
from tinyalex.errors import UsageError


def blas_threads():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


AT_FIRST = blas_threads()  # while the tests are collected, so before any kernel has run


@pytest.mark.parametrize("threads", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [0, 1, 2, 3, 10])
def test_shares_are_the_whole_once(monkeypatch, threads, count):
    """The shares cover the whole once, differ in size by at most one, and are as many as threads if there is work."""
    monkeypatch.setenv("TINYALEX_THREADS", str(threads))
    shares = []
    in_shares(lambda first, last: shares.append((first, last)), count)
    assert [n for first, last in sorted(shares) for n in range(first, last)] == list(range(count))
    sizes = [last - first for first, last in shares]
    assert max(sizes) - min(sizes) <= 1
    assert len(shares) == max(1, min(threads, count))


def test_shares_run_side_by_side(monkeypatch):
    """Three shares wait for each other; one of them runs in the calling thread."""
    monkeypatch.setenv("TINYALEX_THREADS", "3")
    meeting, names = threading.Barrier(3, timeout=20), set()

    def work(_first, _last):
        names.add(threading.current_thread())
        meeting.wait()

    in_shares(work, 3)
    assert threading.current_thread() in names
    assert len(names) == 3


@pytest.mark.parametrize("failing", [0, 1, 2])
def test_a_share_that_fails(monkeypatch, failing):
    """The error is raised after all shares have ended, and the limit of BLAS is lifted."""
    monkeypatch.setenv("TINYALEX_THREADS", "3")
    done, failed = [], threading.Event()

    def work(first, _last):
        if first == failing:
            failed.set()
            raise ZeroDivisionError
        assert failed.wait(20)
        time.sleep(0.05)  # an error that did not wait would be there by now
        done.append(first)

    with pytest.raises(ZeroDivisionError):
        in_shares(work, 3)
    assert sorted(done) == sorted({0, 1, 2} - {failing})
    assert blas_threads() == AT_FIRST


def test_a_limit_that_fails_is_not_counted(monkeypatch):
    """As when Ctrl-C is pressed at that moment: the next block limits BLAS as usual."""

    def interrupted():
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(threads, "_limit_blas", interrupted)
        with pytest.raises(KeyboardInterrupt), one_blas_thread():
            pytest.fail("the block was entered")
    with one_blas_thread():
        assert blas_threads() == {1}
    assert blas_threads() == AT_FIRST


def test_a_child_forked_within_a_block():
    """It leaves its parent's block, and its own blocks limit BLAS as usual."""
    with one_blas_thread():
        threads._start_anew()  # what the child does first
    assert threads._state._limiting == 0
    with one_blas_thread():
        assert blas_threads() == {1}
    assert blas_threads() == AT_FIRST


def test_a_limit_of_the_users_own_after_a_block():
    """The block leaves no trace: a limit by another library takes effect."""
    with one_blas_thread():
        assert blas_threads() == {1}
    (before,) = AT_FIRST
    with threadpool_limits(before + 1, user_api="blas"):
        assert blas_threads() == {before + 1}
    assert blas_threads() == AT_FIRST


def test_blas_keeps_to_one_thread_within(monkeypatch):
    """The limit holds for every calling thread, until the last of overlapping calls has ended."""
    monkeypatch.setenv("TINYALEX_THREADS", "1")
    seen, inside, leave = [], threading.Event(), threading.Event()

    def look(_first, _last):
        seen.append(blas_threads())

    def slow(first, last):
        inside.set()
        assert leave.wait(20)
        look(first, last)

    in_shares(look, 1)
    assert blas_threads() == AT_FIRST
    other = threading.Thread(target=in_shares, args=(slow, 1))
    other.start()
    try:
        assert inside.wait(20)
        in_shares(look, 1)
        seen.append(blas_threads())  # the other call still runs
    finally:
        leave.set()
        other.join()
    assert seen == [{1}] * 4
    assert blas_threads() == AT_FIRST


def test_thread_count(monkeypatch):
    monkeypatch.setenv("TINYALEX_THREADS", "5")
    assert thread_count() == 5
    for nothing in ("", None):
        if nothing is None:
            monkeypatch.delenv("TINYALEX_THREADS")
        else:
            monkeypatch.setenv("TINYALEX_THREADS", nothing)
        monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 3, 7}, raising=False)
        assert thread_count() == 3
    monkeypatch.delattr("os.sched_getaffinity")
    monkeypatch.setattr("os.cpu_count", lambda: 6)
    assert thread_count() == 6
    monkeypatch.setattr("os.cpu_count", lambda: None)
    assert thread_count() == 1


@pytest.mark.parametrize("wanted", ["0", "-1", "two", "1.5"])
def test_a_number_of_threads_that_is_not_positive(monkeypatch, wanted):
    monkeypatch.setenv("TINYALEX_THREADS", wanted)
    with pytest.raises(UsageError, match=f"TINYALEX_THREADS={wanted}: expected a number of threads, 1 or more"):
        in_shares(lambda *_: None, 3)


def test_use_threads(monkeypatch):
    """The innermost block counts, then the environment; each Python thread has its own blocks."""
    monkeypatch.setenv("TINYALEX_THREADS", "5")
    elsewhere = []
    with use_threads(2):
        with use_threads(None):
            assert thread_count() == 2
        with use_threads(7):
            assert thread_count() == 7
            other = threading.Thread(target=lambda: elsewhere.append(thread_count()))
            other.start()
            other.join()
        assert thread_count() == 2
    assert thread_count() == 5
    assert elsewhere == [5]


@pytest.mark.parametrize("wanted", [0, -1, 1.5, "two"])
def test_use_threads_of_no_number(wanted):
    with (
        pytest.raises(UsageError, match=f"threads={wanted}: expected a number of threads, 1 or more"),
        use_threads(wanted),
    ):
        pytest.fail("the block was entered")


def test_small_shares_are_not_cut(monkeypatch):
    monkeypatch.setenv("TINYALEX_THREADS", "4")
    assert in_shares(lambda first, last: (first, last), 100, at_least=40) == [(0, 50), (50, 100)]
    assert in_shares(lambda first, last: (first, last), 100, at_least=101) == [(0, 100)]


def test_results_come_in_the_order_of_the_shares(monkeypatch):
    monkeypatch.setenv("TINYALEX_THREADS", "3")
    turns = [threading.Event() for _ in range(4)]
    turns[3].set()

    def work(first, last):
        assert turns[last].wait(20)  # the last share ends first
        turns[first].set()
        return first

    assert in_shares(work, 3) == [0, 1, 2]


def test_blas_is_held_by_a_block():
    with one_blas_thread():
        assert blas_threads() == {1}
        in_shares(lambda *_: None, 1)
        assert blas_threads() == {1}
    assert blas_threads() == AT_FIRST


def test_blas_is_held_until_the_last_block_ends():
    """In whatever thread that is: the one that set the limit has left its block before."""
    inside, leave = threading.Event(), threading.Event()

    def last_to_leave():
        with one_blas_thread():
            inside.set()
            assert leave.wait(20)

    other = threading.Thread(target=last_to_leave)
    with one_blas_thread():
        other.start()
        assert inside.wait(20)
    try:
        assert blas_threads() == {1}
    finally:
        leave.set()
        other.join()
    assert blas_threads() == AT_FIRST


def kernel_threads():
    return {thread for thread in threading.enumerate() if thread.name == "tinyalex-kernels"}


def test_threads_serve_again(monkeypatch):
    """After an error too; and each caller gets the results of its own shares."""
    monkeypatch.setenv("TINYALEX_THREADS", "3")
    in_shares(lambda *_: time.sleep(0.01), 3)
    before = kernel_threads()
    assert len(before) >= 2
    for number in range(50):
        if number % 5 == 0:
            with pytest.raises(ZeroDivisionError):
                in_shares(lambda first, _: 1 // (2 - first), 3)
        assert in_shares(lambda first, _, number=number: (number, first), 3) == [(number, first) for first in range(3)]
    assert kernel_threads() == before


def test_shares_within_shares(monkeypatch):
    monkeypatch.setenv("TINYALEX_THREADS", "3")
    found = in_shares(lambda first, last: in_shares(lambda a, b: (first + a, last + b), 3), 3)
    assert found == [[(i + j, i + j + 2) for j in range(3)] for i in range(3)]


def test_shares_see_what_the_caller_has_set(monkeypatch):
    """NumPy's handling of errors, and the number of threads."""
    monkeypatch.setenv("TINYALEX_THREADS", "2")
    with np.errstate(divide="raise", over="call"), use_threads(3):
        assert (
            in_shares(lambda *_: (np.geterr()["divide"], np.geterr()["over"], thread_count()), 3)
            == [("raise", "call", 3)] * 3
        )
    assert in_shares(lambda *_: np.geterr()["divide"], 2) == [np.geterr()["divide"]] * 2


def test_an_idle_thread_keeps_no_array(monkeypatch):
    """Neither those that a share has used, nor those that it has returned: their memory is to be used again."""
    monkeypatch.setenv("TINYALEX_THREADS", "2")
    gc.disable()
    try:
        used, returned = np.ones(3), []

        def work(first, _last, used=used):
            result = used + first
            returned.append(weakref.ref(result))
            return result

        results = in_shares(work, 2)
        gone = [*returned, weakref.ref(used)]
        del results, work, used
        assert [ref() for ref in gone] == [None] * 3
    finally:
        gc.enable()
