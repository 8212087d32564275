"""Watches the call of a student's function: the work must be its own, and no library's."""

import functools
import re
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tinyalex.course.checks import CheckError
from tinyalex.course.scope import global_names

LIBRARIES = frozenset(
    ("torch", "tensorflow", "keras", "jax", "scipy", "cupy", "cv2", "skimage", "sklearn", "mxnet", "autograd")
)
PACKAGE = Path(__file__).parent.parent
FREE = (  # modules that students may call
    "tinyalex.errors",
    *(f"tinyalex.course.{name}" for name in ("checks", "guard", "watch")),
    *(f"tinyalex.course.judging.{name}" for name in ("arrays", "serve", "values", "wire")),
)
ESCAPES = {  # compiled functions (module, name) that would escape the watch, and what they do
    ("sys", "setprofile"): "switches off the watch of the marking",
    ("_thread", "start_new_thread"): "starts a thread",
    ("_thread", "start_joinable_thread"): "starts a thread",
    ("_posixsubprocess", "fork_exec"): "starts a process",
    ("_winapi", "CreateProcess"): "starts a process",
    **{(system, name): "starts a process" for system in ("posix", "nt") for name in ("fork", "posix_spawn", "system")},
}
_INSTALLED = re.compile(r"[/\\](?:site|dist)-packages[/\\](\w+)")


class LibraryError(CheckError):
    """A library did the work of the exercise."""


def written(function: Any) -> Any:
    """The function, method or class that a `functools.partial`, or an object with a `__call__`, stands for."""
    while isinstance(function, functools.partial):
        function = function.func
    call = getattr(type(function), "__call__", None)  # noqa: B004
    return types.MethodType(call, function) if isinstance(call, types.FunctionType) else function


class Watch:
    """Raises LibraryError for calls in the block that reach a library or escape the watch, even if it is swallowed."""

    def __init__(self, name: str, allow: tuple[str, ...]) -> None:
        self.name, self.allowed = name, (*FREE, *allow)
        self.found = ""
        self.library_of = functools.cache(self._library_of)

    def look_at(self, function: Any) -> None:
        """Raise an error if `function` is not the student's own Python code, or has global names of a library."""
        if isinstance(function, type):
            own: list[Any] = [value for value in vars(function).values() if isinstance(value, types.FunctionType)]
        elif isinstance(function, types.FunctionType | types.MethodType):
            own = [function]
        else:
            raise CheckError(f"got {type(function).__name__}: expected a function of your own")
        for one in own:
            library = self.library_of(one.__code__.co_filename)
            if library:
                raise self._error(f"calls {library}")
            for name in global_names(one.__code__):
                library = self._owner(one.__globals__.get(name))
                if library:
                    raise self._error(f"calls {library}")

    def unwatched(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function without the watch: a helper that the test provides may use the library."""

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
        action = f"calls {library}" if library else self._escape(frame, arg)
        if action:
            self.found = self.found or action
            raise self._error(action)

    def _escape(self, frame: types.FrameType, function: Any) -> str:
        """What a call of a compiled function does to escape the watch; "" if nothing, or if the exercise allows it."""
        if "tinyalex" in self.allowed or frame.f_code.co_filename == __file__:
            return ""
        return ESCAPES.get((str(getattr(function, "__module__", "")), str(getattr(function, "__name__", ""))), "")

    def _error(self, action: str) -> LibraryError:
        return LibraryError(f"{self.name} {action}: the exercise asks for your own code, in NumPy")

    def _refused(self, module: str) -> str:
        """The library of a module, if students may not call it; else ""."""
        top = module.partition(".")[0]
        if top == "tinyalex":
            free = any(f"{module}.".startswith(f"{part}.") for part in self.allowed)
            return "" if free else module
        return top if top in LIBRARIES else ""

    def _library_of(self, filename: str) -> str:
        """The library of a source file, if students may not call it; else ""."""
        path = Path(filename)
        if PACKAGE in path.parents:
            parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
            return self._refused(".".join(part for part in parts if part != "__init__"))
        installed = _INSTALLED.search(filename)
        return self._refused(installed[1]) if installed else ""

    def _owner(self, value: Any) -> str:
        """The library of a module, function or class, if students may not call it; else ""."""
        owner = getattr(value, "__self__", None)  # of a compiled function: its module, class or object
        for one in (value, owner, type(owner)):
            module = one.__name__ if isinstance(one, types.ModuleType) else getattr(one, "__module__", None)
            if isinstance(module, str) and self._refused(module):
                return self._refused(module)
        return ""
