"""The compiled twins against the definitions that a student reads: every kernel, any number of threads.

That both are right is tested layer by layer, in tests/layers; here they meet at sizes where threads and tiles differ.
"""

import inspect
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from cases import assert_close
from tinyalex.backend import cpu, use_kernels
from tinyalex.layers import activations, conv, dropout, loss, pool
from tinyalex.window import Window
from twins import DEFINITIONS, WINDOWS, calls, outcome


def twins_agree(dtype, *case, **settings):
    for name, arguments in calls(dtype, *case, **settings):
        with use_kernels("reference"):
            expected = outcome(DEFINITIONS[name], arguments)
        for actual, right in zip(outcome(getattr(cpu, name), arguments), expected, strict=True):
            if right is None:
                assert actual is None
            else:
                assert actual.dtype == right.dtype, name
                assert_close(actual.astype(dtype), right)


def test_every_twin_takes_what_its_definition_takes():
    others = {"code_folder", "load_code", "simulated_pool", "warm_up", "winograd_where", "workspace"}
    assert set(cpu.__all__) == {*DEFINITIONS, *others}
    for name, definition in DEFINITIONS.items():
        twin, own = inspect.signature(getattr(cpu, name)), inspect.signature(definition)
        assert list(twin.parameters) == list(own.parameters)
        for key, parameter in own.parameters.items():
            assert twin.parameters[key].default == parameter.default


@pytest.mark.parametrize("name", list(DEFINITIONS))
def test_a_call_of_a_definition_goes_to_its_twin(monkeypatch, name):
    """Otherwise the tests of layers would not test the twins."""
    monkeypatch.setattr(cpu, name, lambda *_: "the twin")
    for choice in ("auto", "numba"):
        with use_kernels(choice):
            assert DEFINITIONS[name](np.zeros(2, "float32")) == "the twin"


@pytest.mark.parametrize("window", list(WINDOWS))
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_twins_agree_with_their_definitions(dtype, window):
    twins_agree(dtype, 4, *WINDOWS[window], groups=2)


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("N", [1, 2, 5])
def test_any_number_of_threads_for_any_number_of_images(monkeypatch, threads, N):
    monkeypatch.setenv("TINYALEX_THREADS", str(threads))
    twins_agree("float32", N, *WINDOWS["non-square, past the edge"], groups=2)


@pytest.mark.parametrize("tile", [1, 700, 1500])
@pytest.mark.parametrize("threads", [1, 3])
def test_any_size_of_tile(monkeypatch, tile, threads):
    """Tiles of one image, of a few, and a last one that is smaller."""
    monkeypatch.setenv("TINYALEX_THREADS", str(threads))
    monkeypatch.setattr("tinyalex.backend.cpu.direct.TILE", tile)
    monkeypatch.setattr(conv, "PATCHES_IN_CACHE", tile)
    twins_agree("float64", 7, *WINDOWS["non-square, past the edge"], groups=2)


@pytest.mark.parametrize(
    "settings",
    [
        {"channels": 1},
        {"groups": 3, "channels": 1, "size": 2},
        {"channels": 2, "size": 7},  # the window is wider than the maps
        {"channels": 9, "size": 4, "beta": 0.6},
        {"channels": 16, "size": 1, "beta": 1.0},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_few_channels_and_other_norms(dtype, settings):
    twins_agree(dtype, 2, *WINDOWS["non-square, past the edge"], **settings)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("threads", [1, 3])
def test_element_by_element_in_several_threads(monkeypatch, dtype, threads):
    """Enough numbers for several threads, in any memory order; each result is computed once."""
    monkeypatch.setenv("TINYALEX_THREADS", str(threads))
    rng = np.random.default_rng(2)
    x = rng.standard_normal((7, 9, 61, 67)).astype(dtype)
    dy = np.asfortranarray(rng.standard_normal(x.shape).astype(dtype))
    mask = rng.random(x.shape) < 0.3
    with use_kernels("numba"):
        y = activations.relu_forward(x.transpose(0, 1, 3, 2)).transpose(0, 1, 3, 2)
        np.testing.assert_array_equal(y, np.maximum(x, 0))
        np.testing.assert_array_equal(activations.relu_backward(dy, y), np.where(x > 0, dy, 0))
        np.testing.assert_array_equal(dropout.masked(dy, mask, 2.0), np.where(mask, 2 * dy, 0))
        logits = x.reshape(-1, 67)
        assert_close(loss.softmax(logits), np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True))


def test_nan_in_relu_and_softmax():
    """NaN stays NaN; otherwise a training run that has diverged would look normal."""
    x = np.array([[1.0, np.nan, -2.0], [np.nan, -np.inf, np.inf], [0.5, -0.5, 0.0]], "float32")
    with use_kernels("numba"):
        np.testing.assert_array_equal(activations.relu_forward(x), np.maximum(x, 0))
        p = loss.softmax(x)
    assert np.isnan(p[:2]).all()
    assert np.isfinite(p[2]).all()


def test_nan_and_infinity_in_max_pooling():
    rng = np.random.default_rng(0)
    x = rng.choice([np.nan, np.inf, -np.inf, 0.0, 1.0], (3, 4, 9, 8), p=[0.1, 0.1, 0.5, 0.1, 0.2]).astype("float32")
    window = Window((2, 3), (1, 2), (1, 2), True)
    with use_kernels("reference"):
        expected = pool.max_pool_forward(x, window)
    for actual, right in zip(cpu.max_pool_forward(x, window), expected, strict=True):
        np.testing.assert_array_equal(actual, right)
    np.testing.assert_array_equal(cpu.maxima(x, window), expected[0])


@pytest.mark.parametrize(
    ("kernel", "stride", "pad"), [((3, 3), (2, 2), (0, 0)), ((6, 5), (4, 2), (2, 3)), ((4, 7), (1, 1), (3, 0))]
)
def test_maxima_of_windows_of_every_width(kernel, stride, pad):
    """They compare three rows at a time; here one, two, or more are left over, and windows reach past the edges."""
    x = np.random.default_rng(1).standard_normal((2, 3, 11, 9), dtype="float32")
    for ceil_mode in (False, True):
        window = Window(kernel, stride, pad, ceil_mode)
        with use_kernels("reference"):
            expected, _ = pool.max_pool_forward(x, window)
        np.testing.assert_array_equal(cpu.maxima(x, window), expected)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_bits_on_every_run(monkeypatch, threads):
    monkeypatch.setenv("TINYALEX_THREADS", str(threads))
    for name, arguments in calls("float32", 5, *WINDOWS["the paper's conv2"], groups=2, channels=8):
        runs = {
            b"".join(array.tobytes() for array in outcome(getattr(cpu, name), arguments) if array is not None)
            for _ in range(5)
        }
        assert len(runs) == 1, name


def test_two_callers_at_once():
    """Two Python threads at once get, bit for bit, the results that each gets alone."""
    work = [
        [(name, arguments) for name, arguments in calls(dtype, 6, *WINDOWS["the paper's conv2"], groups=2)]
        for dtype in ("float32", "float64")
    ]

    def run(mine, found):
        for _ in range(10):
            found.append([array for name, args in mine for array in outcome(getattr(cpu, name), args)])

    alone, together = ([], []), ([], [])
    for mine, found in zip(work, alone, strict=True):
        run(mine, found)
    threads = [threading.Thread(target=run, args=pair) for pair in zip(work, together, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for mine, found in zip(alone, together, strict=True):
        assert len(found) == 10
        for arrays in found:
            for array, right in zip(arrays, mine[0], strict=True):
                np.testing.assert_array_equal(array, right)


FORK = """
import os, numpy, tinyalex
from tinyalex.backend import use_kernels

def step():
    rng = numpy.random.default_rng(0)
    layer = tinyalex.Conv2D(4, 6, 3, groups=2, rng=rng)
    with use_kernels("numba"):
        y = layer.forward(rng.standard_normal((5, 4, 8, 7), dtype="float32"), train=True)
        return y.tobytes() + layer.backward(y).tobytes() + layer.grads["w"].tobytes()

before = step()  # the pool of threads exists now: the child has none of them
child = os.fork()
if child == 0:
    os._exit(0 if step() == before else 3)
status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(status, step() == before)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_computes_too():
    """As in a worker process: neither the child nor its parent hangs, and both get the same bits."""
    run = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PATH": "", "TINYALEX_THREADS": "3"},
    )
    assert (run.stdout.strip(), run.returncode) == ("0 True", 0), run.stderr
