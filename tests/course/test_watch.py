"""The watch: a call of a student's function that lets a library do the work is refused."""

import functools
import os
import subprocess
import sys
import threading
import types

import numpy as np
import pytest

import tinyalex
from tinyalex import Conv2D
from tinyalex.course import CheckError, LibraryError, call, reference
from tinyalex.layers import conv

X = np.arange(6.0).reshape(2, 3)


def double(x):
    return 2 * x


def layer_inside(x):
    return Conv2D(1, 1, 1).forward(x)


def function_inside(x):
    return conv.im2col(x, None)


def imported_inside(x):
    from tinyalex.layers import ReLU

    return ReLU().forward(x)


def through_the_package(x):
    return tinyalex.ReLU().forward(x)


def swallowed(x):
    try:
        from tinyalex.layers import ReLU

        return ReLU().forward(x)
    except Exception:
        return np.maximum(x, 0)


def by_a_helper(x):
    return through_the_package(x)


def nested(x):
    def inner():
        return Conv2D(1, 1, 1).forward(x)

    return inner()


class OwnLayer:
    def forward(self, x):
        return Conv2D(1, 1, 1).forward(x)


@pytest.mark.parametrize(
    "function",
    [layer_inside, function_inside, imported_inside, through_the_package, swallowed, by_a_helper, nested, OwnLayer],
)
def test_this_packages_layers_are_found(function):
    with pytest.raises(LibraryError, match=r"calls tinyalex.*your own code"):
        call(call(function).forward, X) if function is OwnLayer else call(function, X)


def unwatched(x):
    sys.setprofile(None)
    return sys.modules["tinyalex.layers"].ReLU().forward(x)


def in_a_thread(x):
    found = []
    thread = threading.Thread(target=lambda: found.append(2 * x))
    thread.start()
    thread.join()
    return found[0]


def in_a_process(x):
    subprocess.run([sys.executable, "-c", ""], check=True)
    return x


@pytest.mark.parametrize(
    ("function", "deed"),
    [
        (unwatched, "switches off the watch"),
        (in_a_thread, "starts a thread"),
        (in_a_process, "starts a process"),
        (lambda x: os.system("true") + x, "starts a process"),
    ],
)
def test_there_is_no_way_out_of_the_watch(function, deed):
    with pytest.raises(LibraryError, match=deed):
        call(function, X)
    if deed != "switches off the watch":
        assert call(function, X, allow=("tinyalex",)) is not None  # a net may train in threads


def test_a_functions_own_global_names_stay():
    def counts(x):
        global counted
        counted = x

    call(counts, 3)
    assert globals().pop("counted") == 3


class Wrapped:
    def __call__(self, x):
        return Conv2D(1, 1, 1).forward(x)


@pytest.mark.parametrize(
    "function",
    [
        conv.im2col,
        reference.im2col,
        Conv2D,
        tinyalex.ReLU().forward,
        functools.partial(conv.im2col, X),
        functools.partial(tinyalex.ReLU().forward),
        Wrapped(),
    ],
)
def test_a_library_is_no_function_of_ones_own(function):
    with pytest.raises(LibraryError):
        call(function, X)


@pytest.mark.parametrize("function", [np.sum, functools.partial(np.sum), np.frompyfunc(double, 1, 1), "double"])
def test_nor_is_what_is_no_python_function(function):
    with pytest.raises(CheckError, match="expected a function of your own"):
        call(function, X)


def test_the_checks_own_answers_are_no_free_work():
    def asks_the_reference(x):
        return reference.im2col(x, (1, 1), (1, 1), (0, 0))

    with pytest.raises(LibraryError, match=r"tinyalex\.course\.reference"):
        call(asks_the_reference, X)


@pytest.fixture
def torch(tmp_path, monkeypatch):
    """A stand-in: a package of that name, installed as packages are."""
    folder = tmp_path / "site-packages" / "torch"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("def conv2d(x):\n    return x\n")
    monkeypatch.syspath_prepend(str(folder.parent))
    yield
    sys.modules.pop("torch", None)


@pytest.mark.usefixtures("torch")
def test_another_library_is_found_by_name_and_by_call():
    def imports(x):
        import torch

        return torch.conv2d(x)

    with pytest.raises(LibraryError, match="imports calls torch"):
        call(imports, X)
    namespace = {"x": X}
    exec(
        "import torch\nfrom torch import conv2d\ndef f(x): return conv2d(x)\ndef g(x): return torch.conv2d(x)",
        namespace,
    )
    for name in ("f", "g", "conv2d"):
        with pytest.raises(LibraryError, match="torch"):
            call(namespace[name], X)
    exec("def h(x): return 2 * x", namespace)  # a library that lies about is no offence
    assert np.array_equal(call(namespace["h"], X), 2 * X)


def test_compiled_functions_of_a_library_are_found():
    class Tensor:
        __module__ = "torch"

    compiled = types.MethodType(len, Tensor())
    from tinyalex.course.watch import Watch

    assert Watch("f", ())._owner(compiled) == "torch"
    assert Watch("f", ())._owner(np.add.reduce) == ""


def test_what_an_exercise_allows_is_allowed():
    def uses_relu(x):
        return tinyalex.ReLU().forward(x)

    with pytest.raises(LibraryError):
        call(uses_relu, X, allow=("tinyalex.net",))
    assert np.array_equal(call(uses_relu, X, allow=("tinyalex",)), X)


def test_the_watch_ends_with_the_call():
    before = sys.getprofile()
    with pytest.raises(LibraryError):
        call(layer_inside, X)
    assert sys.getprofile() is before
    call(double, X)
    assert sys.getprofile() is before
    assert tinyalex.ReLU().forward(X) is not None
