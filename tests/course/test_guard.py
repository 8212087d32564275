"""A call of a student's function: its own work, on copies, within its time."""

import builtins
import contextlib
import sys

import numpy as np
import pytest

import tinyalex
from tinyalex.course import CheckError, TimeLimitError, call, checks, same, watch

X = np.arange(6.0).reshape(2, 3)


PATCHES_NAMES = """
def patches(x):
    global same, X
    same = X = patches

@tests
def reads():
    call(patches, 1)
    seen.extend([same, X])
"""


def double(x):
    return 2 * x


def helper(x):
    return x + 1


def with_helper(x):
    return helper(x)


class Scale:
    def __init__(self, factor):
        self.factor = factor

    def forward(self, x):
        return self.factor * x


def test_what_the_function_returns_comes_back():
    assert np.array_equal(call(double, X), 2 * X)
    assert np.array_equal(call(double, x=X), 2 * X)
    layer = call(Scale, 3)
    assert np.array_equal(call(layer.forward, X), 3 * X)


def test_what_the_function_raises_comes_out():
    def stub(x):
        raise NotImplementedError

    def broken(x):
        return x[7]

    with pytest.raises(NotImplementedError):
        call(stub, X, hint="read the text")
    with pytest.raises(IndexError) as caught:
        call(broken, X, hint="count from 0")
    assert "count from 0" in caught.value.__notes__[0]


@pytest.mark.parametrize(
    ("source", "kind"),
    [("x.shpae", AttributeError), ("xs", NameError), ("x.shape()", TypeError), ("{}['x']", KeyError), ("1 / 0", None)],
)
def test_a_slip_in_the_code_gets_no_hint(source, kind):
    function = eval(f"lambda x: {source}")
    with pytest.raises(kind or ZeroDivisionError) as caught:
        call(function, X, hint="read the formula")
    assert hasattr(caught.value, "__notes__") == (kind is None)


def test_a_notebook_hides_the_lines_of_the_guard():
    """IPython leaves out frames that say so."""
    with pytest.raises(AttributeError) as caught:
        call(eval("lambda x: x.shpae"), X)
    ours = [entry.frame for entry in caught.traceback if str(entry.path).startswith(str(watch.PACKAGE))]
    assert ours
    assert all(frame.f_locals.get("__tracebackhide__") for frame in ours)


# ---------------------------------------------------------------- what it replaces is restored


def test_what_a_function_puts_in_place_of_the_checks_is_put_right():
    """And of NumPy and of the built-in functions."""

    def patches(x):
        checks.same = checks._difference = np.abs = builtins.hash = checks.hash = sys.stdout = patches
        return x

    before = same, checks._difference, np.abs, hash, sys.stdout
    call(patches, 1)
    after = checks.same, checks._difference, np.abs, hash, sys.stdout
    assert all(one is other for one, other in zip(before, after, strict=True))
    assert "hash" not in vars(checks)


def test_what_a_function_puts_in_place_of_a_tests_names_is_not_what_the_test_reads():
    notebook = {"__name__": "__main__", "same": same, "X": X, "call": call, "tests": tinyalex.course.tests, "seen": []}
    exec(PATCHES_NAMES, notebook)
    assert notebook["same"] is notebook["patches"]
    assert [one is other for one, other in zip(notebook["seen"], (same, X), strict=True)] == [True, True]


# ---------------------------------------------------------------- helpers, arguments, time, stderr


def test_given_helpers_stand_in_for_the_call_only():
    assert np.array_equal(call(with_helper, X, given={"helper": lambda x: x - 1}), X - 1)
    assert np.array_equal(call(with_helper, X), X + 1)
    assert call(with_helper, X, given={"helper": lambda x: tinyalex.ReLU().forward(x)}) is not None
    with pytest.raises(ZeroDivisionError):
        call(with_helper, X, given={"helper": lambda _: 1 / 0})
    assert helper(1) == 2


def test_given_helpers_that_the_notebook_lacks_are_gone_afterwards():
    namespace = {}
    exec("def f(x): return missing(x)", namespace)
    assert call(namespace["f"], 1, given={"missing": lambda x: x}) == 1
    assert "missing" not in namespace


def test_given_helpers_for_a_class():
    class Layer:
        def __init__(self, x):
            self.y = helper(x)

    assert call(Layer, 1, given={"helper": lambda _: 7}).y == 7


def test_a_changed_argument_is_named():
    def writes(a, dy):
        dy *= 2
        return a, dy

    x = X.copy()
    with pytest.raises(CheckError, match="writes changed its argument dy"):
        call(writes, X, x)
    with pytest.raises(CheckError, match="argument dy"):
        call(writes, X, dy=X.copy())
    nan = np.array([np.nan, 1])
    assert call(double, nan) is not None


def test_a_wrong_head_is_told():
    with pytest.raises(CheckError, match=r"double\(x\): too many positional arguments; keep the given signature"):
        call(double, X, X)


def forever(x):
    while True:
        x = x + 1


def forever_swallowing(x):
    for _ in range(3):
        with contextlib.suppress(Exception):
            forever(x)
    raise KeyError("left at last")


def test_an_endless_loop_is_stopped():
    with pytest.raises(TimeLimitError, match=r"forever was stopped after 0\.2 s"):
        call(forever, 1, seconds=0.2)
    with pytest.raises(KeyError):
        call(forever_swallowing, 1, seconds=0.2)
    assert call(double, 2, seconds=5) == 4


def test_stderr_and_warnings_go_to_stdout(capsys):
    """For nbgrader a test that writes to stderr has failed."""

    def noisy(x):
        print("to stderr", file=sys.stderr)
        return np.log(x - 1)

    call(noisy, np.array([1.0]))
    out, err = capsys.readouterr()
    assert err == ""
    assert "to stderr" in out
    assert "RuntimeWarning: divide by zero" in out
