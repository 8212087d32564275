"""A call of a student's function under the rules of marking: own work, no endless loop, no writing into arguments."""

import builtins
import dis
import functools
import inspect
import re
import signal
import sys
import threading
import types
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex.course.checks import CheckError

LIBRARIES = frozenset(
    ("torch", "tensorflow", "keras", "jax", "scipy", "cupy", "cv2", "skimage", "sklearn", "mxnet", "autograd")
)
PACKAGE = Path(__file__).parent.parent
FREE = ("tinyalex.course.checks", "tinyalex.course.guard", "tinyalex.errors")  # what students may call of this package
ESCAPES = {  # compiled functions, (module, name), that lead out of the watch: what they do
    ("sys", "setprofile"): "switches off the watch of the marking",
    ("_thread", "start_new_thread"): "starts a thread",
    ("_thread", "start_joinable_thread"): "starts a thread",
    ("_posixsubprocess", "fork_exec"): "starts a process",
    ("_winapi", "CreateProcess"): "starts a process",
    **{(system, name): "starts a process" for system in ("posix", "nt") for name in ("fork", "posix_spawn", "system")},
}
_INSTALLED = re.compile(r"[/\\](?:site|dist)-packages[/\\](\w+)")


class LibraryError(CheckError):
    """The asked work was done by a library."""


class TimeLimitError(CheckError):
    """A call that took too long."""


def call(
    function: Callable[..., Any],
    *args: Any,
    given: Mapping[str, Any] | None = None,
    seconds: float = 10.0,
    allow: tuple[str, ...] = (),
    hint: str = "",
    **kwargs: Any,
) -> Any:
    """function(*args, **kwargs), where `function` is what a student wrote: a function, a class or a method.

    given:   names that the function finds in the notebook, and what they mean during this call: the right helpers, so
             that a mistake in another exercise costs nothing here.
    seconds: the time limit, where the system can set one (not on Windows).
    allow:   modules of this package that the exercise may use, such as "tinyalex.layers".
    hint:    what the usual cause is if the student's code raises an error here.
    Warnings and what goes to stderr are shown on stdout. What the function puts in place of the checks, of NumPy's
    functions or of the test's names is put right again. Raises LibraryError when the call reaches a library that does
    the asked work, or starts a thread or process that might, TimeLimitError, CheckError where an array among the
    arguments was changed; else what it raises.
    """
    name = getattr(function, "__qualname__", str(function))
    watch = _Watch(name, allow)
    watch.look_at(function)
    arrays = _arrays(function, args, kwargs)
    before = {argument: array.copy() for argument, array in arrays.items()}
    replaced = _replaced(function, given or {}, watch)
    with _as_before(sys._getframe(1)), _notes_on_stdout(), replaced, _time_limit(name, seconds), watch:
        try:
            result = function(*args, **kwargs)
        except Exception as error:
            if hint and not isinstance(error, NotImplementedError | CheckError | MemoryError | RecursionError):
                error.add_note(f"What usually causes this: {hint}")
            raise
    for argument, array in arrays.items():
        if not np.array_equal(array, before[argument], equal_nan=array.dtype.kind == "f"):
            raise CheckError(
                f"{name} changed its argument {argument}, which its caller still needs\n`{argument} = ...` makes a new "
                f"array, but `{argument}[...] = ...` and `{argument} += ...` write into the old one."
            )
    return result


def _arrays(function: Callable[..., Any], args: Any, kwargs: Any) -> dict[str, Any]:
    """The arrays among the arguments, by the names that the function gives them."""
    try:
        bound = inspect.signature(function).bind(*args, **kwargs).arguments
    except TypeError as error:
        raise CheckError(
            f"{function.__qualname__}{inspect.signature(function)}: {error}; keep the given head"
        ) from None
    return {name: value for name, value in bound.items() if isinstance(value, np.ndarray)}


@contextmanager
def _as_before(test: types.FrameType | None) -> Iterator[None]:
    """After the block the checks, NumPy, built-in functions, stdout and all names that the test reads are as before.

    Else a function could put a `same` of its own in the place of the test's, while the test calls it.
    test: the frame that makes the call.
    """
    course = [module for name, module in sys.modules.items() if name.startswith("tinyalex.course")]
    spaces = [(vars(one), {*vars(one), *vars(builtins)}) for one in (*course, np, builtins)]
    spaces.append((vars(sys), {"stdout", "stderr"}))
    notebook = test.f_globals if test else None
    while test and test.f_globals is notebook:  # the test's own functions, and the cell that calls them
        spaces.append((test.f_globals, set(test.f_code.co_names)))
        test = test.f_back
    before = [{name: space[name] for name in names & space.keys()} for space, names in spaces]
    try:
        yield
    finally:
        for (space, names), values in zip(spaces, before, strict=True):
            for name in names - values.keys():  # one that hides a built-in function
                space.pop(name, None)
            space.update(values)


@contextmanager
def _notes_on_stdout() -> Iterator[None]:
    """Warnings and stderr on stdout: for nbgrader a test that prints to stderr has failed."""
    with redirect_stderr(sys.stdout), warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = lambda message, category, *_: print(f"{category.__name__}: {message}")
        yield


@contextmanager
def _replaced(function: Any, given: Mapping[str, Any], watch: "_Watch") -> Iterator[None]:
    """Within the block the names in `given` mean these things to the student's function."""
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
    """Raise TimeLimitError in the block after so many seconds, and every second from then on while it is swallowed."""
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


class _Watch:
    """Within the block a call that reaches a library, or leaves the watch, raises LibraryError, even if swallowed."""

    def __init__(self, name: str, allow: tuple[str, ...]) -> None:
        self.name, self.allowed = name, (*FREE, *allow)
        self.found = ""
        self.library_of = functools.cache(self._library_of)

    def look_at(self, function: Any) -> None:
        """Refuse what is no Python function of the student's own, and global names that mean a library."""
        if isinstance(function, type):
            own: list[Any] = [value for value in vars(function).values() if isinstance(value, types.FunctionType)]
        elif isinstance(function, types.FunctionType | types.MethodType):
            own = [function]
        else:
            raise CheckError(f"expected a function of your own, got {type(function).__name__}")
        for one in own:
            library = self.library_of(one.__code__.co_filename)
            if library:
                raise self._error(f"calls {library}")
            for name in _names(one.__code__):
                library = self._owner(one.__globals__.get(name))
                if library:
                    raise self._error(f"calls {library}")

    def unwatched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, for the tests to hand to the student's: it may use the library."""

        @functools.wraps(function)
        def free(*args: Any, **kwargs: Any) -> Any:
            sys.setprofile(None)
            try:
                return function(*args, **kwargs)
            finally:
                sys.setprofile(self._on_call)

        return free

    def __enter__(self) -> None:
        self.before = sys.getprofile()
        sys.setprofile(self._on_call)

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self.before)
        if self.found:
            raise self._error(self.found) from None

    def _on_call(self, frame: types.FrameType, event: str, arg: Any) -> None:
        if event == "call":
            library = self.library_of(frame.f_code.co_filename)
        elif event == "c_call":
            library = self._owner(arg)
        else:
            return
        deed = f"calls {library}" if library else self._escape(frame, arg)
        if deed:
            self.found = self.found or deed
            raise self._error(deed)

    def _escape(self, frame: types.FrameType, function: Any) -> str:
        """How the call of a compiled function leaves the watch, where nothing of the kind is allowed; else ""."""
        if "tinyalex" in self.allowed or frame.f_code.co_filename == __file__:
            return ""
        return ESCAPES.get((str(getattr(function, "__module__", "")), str(getattr(function, "__name__", ""))), "")

    def _error(self, deed: str) -> LibraryError:
        return LibraryError(f"{self.name} {deed}: the exercise asks for your own code, in NumPy")

    def _refused(self, module: str) -> str:
        """The name of the library that a module belongs to, if students may not call it."""
        top = module.partition(".")[0]
        if top == "tinyalex":
            free = any(f"{module}.".startswith(f"{part}.") for part in self.allowed)
            return "" if free else module
        return top if top in LIBRARIES else ""

    def _library_of(self, filename: str) -> str:
        """The library that a file of code belongs to, if students may not call it."""
        path = Path(filename)
        if PACKAGE in path.parents:
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            return self._refused(".".join(part for part in parts if part != "__init__"))
        installed = _INSTALLED.search(filename)
        return self._refused(installed[1]) if installed else ""

    def _owner(self, value: Any) -> str:
        """The library that a module, a function or a class belongs to, if students may not call it."""
        owner = getattr(value, "__self__", None)  # of a compiled function: the module, class or object it is part of
        for one in (value, owner, type(owner)):
            module = one.__name__ if isinstance(one, types.ModuleType) else getattr(one, "__module__", None)
            if isinstance(module, str) and self._refused(module):
                return self._refused(module)
        return ""


def _names(code: types.CodeType) -> Iterator[str]:
    """The global names that a function reads, also in functions within it."""
    yield from (one.argval for one in dis.get_instructions(code) if one.opname == "LOAD_GLOBAL")
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)
