"""Calls a student's function under the rules of marking: own work, no endless loop, arguments left unchanged."""

import builtins
import copy
import inspect
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr
from typing import Any

import numpy as np

from tinyalex.backend import kernels_in_use
from tinyalex.course.checks import CheckError
from tinyalex.course.judging.wire import Remote
from tinyalex.course.watch import Watch, written

# Errors of shapes, places, numbers and files. Others, such as that of a misspelt name, need no hint.
HINTED = (ValueError, IndexError, ArithmeticError, OSError)


class TimeLimitError(CheckError):
    """A call that took too long."""


def call(
    function: Callable[..., Any],
    *args: Any,
    given: Mapping[str, Any] | None = None,
    seconds: float = 10.0,
    allow: tuple[str, ...] = (),
    hint: str = "",
    fills: Sequence[Any] = (),
    **kwargs: Any,
) -> Any:
    """The result of function(*args, **kwargs), for a function, class, method, partial or callable object of a student.

    given:   replaces names in the notebook during the call, for example by correct helpers, so that a mistake in
             another exercise costs no points here.
    seconds: the time limit (none on Windows, which has no timer signals).
    allow:   modules of this package that the exercise may use, such as "tinyalex.layers".
    hint:    the usual cause of an error in the student's code here; added to errors of shapes, places, numbers, files.
    Warnings and stderr are printed on stdout. If the function replaces the checks or NumPy's functions, they are
    restored afterwards.
    Raises LibraryError if the call reaches a library that does the work of the exercise, or starts a thread or a
    process, which could; TimeLimitError; CheckError if an array, a list or a dict among the arguments was changed, or
    one in them; and any error of the function itself.
    In marking, the function is in the student's process: it runs there, under the same rules.
    """
    __tracebackhide__ = True  # in a notebook the traceback is the student's own
    if isinstance(function, Remote):
        settings = {"seconds": seconds, "allow": allow, "hint": hint, "fills": [*fills]}
        return _called_there(function, args, kwargs, {**(given or {})}, settings)
    own = written(function)
    name = getattr(own, "__qualname__", str(own))
    watch = Watch(name, allow)
    watch.look_at(own)
    kept = _kept(_named(name, function, args, kwargs), fills)
    replaced = _replaced(own, given or {}, watch)
    with _as_before(), _notes_on_stdout(), replaced, _time_limit(name, seconds), watch:
        try:
            result = function(*args, **kwargs)
        except HINTED as error:
            if hint:
                error.add_note(f"What usually causes this: {hint}")
            raise
    _check_unchanged(name, kept)
    return result


def _called_there(function: Remote, args: Any, kwargs: Any, given: dict[str, Any], settings: dict[str, Any]) -> Any:
    """The result of a function in the student's process, which is not asked whether it has changed its arguments."""
    arguments = {f"{at}": value for at, value in enumerate([*args, *kwargs.values()], 1)}
    kept = _kept(arguments, settings["fills"])
    result = function._end.ask("call", function, list(args), kwargs, given, settings, kernels_in_use())
    _check_unchanged("The function", kept)
    return result


def _named(name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> dict[str, Any]:
    """The arguments, by the names of the function's parameters."""
    try:
        return inspect.signature(function).bind(*args, **kwargs).arguments
    except TypeError as error:
        raise CheckError(f"{name}{inspect.signature(function)}: {error}; keep the given signature") from None


def _kept(arguments: Mapping[str, Any], fills: Sequence[Any]) -> list[tuple[str, Any, Any]]:
    """For each array, list, tuple and dict in the arguments: the argument's name, the value, and a copy of it."""
    kept: list[tuple[str, Any, Any]] = []

    def keep(name: str, value: Any) -> None:
        if not isinstance(value, np.ndarray | list | tuple | dict):
            return
        if any(value is one for one in fills) or any(value is one for _, one, _ in kept):
            return
        kept.append((name, value, copy.copy(value)))
        inner = value.values() if isinstance(value, dict) else () if isinstance(value, np.ndarray) else value
        for one in inner:
            keep(name, one)

    for name, value in arguments.items():
        keep(name, value)
    return kept


def _check_unchanged(name: str, kept: Sequence[tuple[str, Any, Any]]) -> None:
    """Raise CheckError if one of the function's arguments is not as before."""
    for argument, value, before in kept:
        if isinstance(value, np.ndarray):
            same = np.array_equal(value, before, equal_nan=value.dtype.kind == "f")
        else:
            pairs = zip(_flat(value), _flat(before), strict=False)
            same = len(value) == len(before) and all(one is other for one, other in pairs)
        if not same:
            raise CheckError(
                f"{name} changed its argument {argument}, which its caller still needs\n`{argument} = ...` makes a new "
                f"array, but `{argument}[...] = ...` and `{argument} += ...` write into the old one."
                if isinstance(value, np.ndarray)
                else f"{name} changed its argument {argument}, which its caller still needs: change a copy of it"
            )


def _flat(value: Any) -> list[Any]:
    """What a list, a tuple or a dict holds."""
    return [one for pair in value.items() for one in pair] if isinstance(value, dict) else list(value)


@contextmanager
def _as_before() -> Iterator[None]:
    """Restore the checks, NumPy, the built-in functions and stdout after the block: a function may replace them.

    The names that a test reads need none of this, as it has a scope of its own.
    """
    course = [module for name, module in sys.modules.items() if name.startswith("tinyalex.course")]
    spaces = [(vars(one), {*vars(one), *vars(builtins)}) for one in (*course, np, builtins)]
    spaces.append((vars(sys), {"stdout", "stderr"}))
    before = [{name: space[name] for name in names & space.keys()} for space, names in spaces]
    try:
        yield
    finally:
        for (space, names), values in zip(spaces, before, strict=True):
            for name in names - values.keys():  # a new name, which hides a built-in function
                space.pop(name, None)
            space.update(values)


@contextmanager
def _notes_on_stdout() -> Iterator[None]:
    """Print warnings and stderr on stdout: nbgrader takes a test that prints to stderr for a failed one."""
    with redirect_stderr(sys.stdout), warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = lambda message, category, *_: print(f"{category.__name__}: {message}")
        yield


@contextmanager
def _replaced(function: Any, given: Mapping[str, Any], watch: "Watch") -> Iterator[None]:
    """Replace the global names in `given` of the student's function, within the block."""
    if not given:
        yield
        return
    names = inspect.unwrap(getattr(function, "__init__", function) if isinstance(function, type) else function)
    names = names.__globals__
    own = {name: names[name] for name in given if name in names}
    names.update({name: watch.unwatched(value) if callable(value) else value for name, value in given.items()})
    try:
        yield
    finally:
        for name in given:
            names.pop(name)
        names.update(own)


@contextmanager
def _time_limit(name: str, seconds: float) -> Iterator[None]:
    """Raise TimeLimitError in the block after `seconds`, and again every second in case the block swallows it."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: Any) -> None:
        raise TimeLimitError(f"{name} was stopped after {seconds:g} s: is there a loop that never ends?")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds, 1.0)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
