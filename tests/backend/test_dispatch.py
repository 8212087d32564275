"""Which library owns an array, copies between devices, and the choice between a definition and its twin."""

import contextlib
import gc
import subprocess
import sys
import threading
import types

import numpy as np
import pytest

import standin
from tinyalex.backend import (
    beside,
    check_choices,
    device_of,
    device_scope,
    get_array_module,
    gpus,
    kernel,
    kernels_in_use,
    library,
    load_kernels,
    new_stream,
    record_event,
    synchronize,
    to_device,
    to_numpy,
    use_kernels,
    uses_tf32,
    wait_for_events,
)
from tinyalex.backend.kinds import KINDS, DeviceKind
from tinyalex.errors import DTypeError, UsageError


@pytest.fixture
def cupy(monkeypatch):
    """The stand-in in CuPy's place."""
    for name, module in standin.forget().items():
        monkeypatch.setitem(sys.modules, name, module)
    return standin.cupy


# ---------------------------------------------------------------- arrays and devices


def test_numpy_owns_numpy_arrays():
    assert get_array_module(np.zeros(2), None, np.float32(1)) is np
    assert get_array_module() is np


def test_cupy_owns_its_arrays(cupy):
    x = cupy.asarray(np.zeros(2))
    assert get_array_module(x, None, x) is cupy


def test_arrays_on_different_devices(cupy):
    here, there = cupy.asarray(np.zeros(2)), to_device(np.zeros(2), "cuda:1")
    with pytest.raises(
        UsageError, match="arrays on different devices, cpu and cuda:0: move them to one with to_device"
    ):
        get_array_module(np.zeros(2), here)
    with pytest.raises(UsageError, match="cuda:0 and cuda:1"):
        get_array_module(here, there)


@pytest.mark.parametrize("value", [[1, 2], 3.0, "text"])
def test_something_that_is_not_an_array(value):
    with pytest.raises(DTypeError, match=f"expected a NumPy or CuPy array, got {type(value).__name__}: convert it"):
        get_array_module(np.zeros(2), value)


@pytest.mark.parametrize("device", ["cpu", "cpu:0", "cpu:3"])
def test_to_the_cpu(cupy, device):
    x = np.arange(3.0)
    assert to_device(x, device) is x
    assert to_numpy(x) is x
    for back in (to_device(cupy.asarray(x), device), to_numpy(cupy.asarray(x))):
        assert isinstance(back, np.ndarray)
        np.testing.assert_array_equal(back, x)


@pytest.mark.parametrize(("device", "number"), [("cuda", 0), ("cuda:0", 0), ("cuda:1", 1), ("cuda:2", 2)])
def test_to_a_gpu(cupy, device, number):
    moved = to_device(np.arange(3.0), device)
    assert device_of(moved) == f"cuda:{number}"
    assert cupy.cuda.Device().id == 0


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cuda:-1", "cpu:1.5", "", "cpu 0"])
def test_a_device_that_does_not_exist(device):
    with pytest.raises(UsageError, match=f"no device is called '{device}': expected 'cpu', 'cpu:0', 'cuda:0'"):
        to_device(np.zeros(2), device)


def test_a_gpu_without_cupy(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(UsageError, match="a 'cuda' device needs CuPy: install cupy-cuda12x"):
        to_device(np.zeros(2), "cuda:0")


def raising(error):
    def fail(*_):
        raise error

    return fail


@pytest.mark.parametrize(
    "error",
    [RuntimeError("Failure finding\n  libnvrtc.so.12"), ImportError("Failure finding  libcublas.so.12")],
    ids=str,
)
def test_cupy_without_its_cuda_libraries(monkeypatch, cupy, error):
    """NVRTC and cuBLAS are missing after a plain `pip install cupy-cuda12x`: one line says what to install."""
    if "nvrtc" in str(error):
        monkeypatch.setattr(cupy.cuda.nvrtc, "getVersion", raising(error))
    else:
        monkeypatch.delattr(cupy.cuda, "cublas")
        monkeypatch.setattr(cupy.cuda, "__getattr__", raising(error), raising=False)
    library._check.cache_clear()
    with pytest.raises(UsageError) as raised:
        to_device(np.zeros(2), "cuda:0")
    reason = " ".join(str(error).split())
    install = "install cupy-cuda12x[ctk] or cupy-cuda13x[ctk]"
    assert str(raised.value) == f"CuPy cannot load its CUDA libraries ({reason}): {install}"
    assert gpus() == [f"none ({raised.value})"]


@pytest.mark.parametrize(("value", "tf32"), [(None, False), ("0", False), ("00", False), ("-1", False), ("2", True)])
def test_tf32_as_cupy_reads_it(monkeypatch, cupy, value, tf32):
    """A number above 0, not any text but "0"."""
    assert cupy
    if value is None:
        monkeypatch.delenv("CUPY_TF32", raising=False)
    else:
        monkeypatch.setenv("CUPY_TF32", value)
    assert uses_tf32() == tf32
    assert ("TF32 products" in gpus()[0]) == tf32


def test_cupy_without_a_gpu(monkeypatch, cupy):
    monkeypatch.setattr(cupy.cuda, "is_available", lambda: False)
    library._check.cache_clear()
    with pytest.raises(UsageError, match="CuPy finds no GPU here: use the device 'cpu'"):
        to_device(np.zeros(2), "cuda:0")


@pytest.mark.usefixtures("cupy")
def test_a_gpu_too_many():
    with pytest.raises(UsageError, match="there is no cuda:3: CuPy finds 3 GPUs, from cuda:0 on"):
        to_device(np.zeros(2), "cuda:3")


# ---------------------------------------------------------------- a third kind of device


class Tally:
    """An array of a library of its own, on device 3."""

    dtype = np.dtype("float32")

    def __init__(self, numbers):
        self.numbers = numbers


class TallyKind(DeviceKind):
    xp = types.SimpleNamespace(ndarray=Tally)
    twins = types.SimpleNamespace(im2col=lambda *_: "the twin of the tally")

    def owns(self, array_type):
        return array_type is Tally

    def device_of(self, array):  # noqa: ARG002
        return "tally:3"

    def scope(self, device):
        return contextlib.nullcontext(device)

    def beside(self, array):  # noqa: ARG002
        return self.scope("tally:3")

    def to_host(self, array):
        return array.numbers

    def copy_in(self, array, device):  # noqa: ARG002
        return Tally(to_numpy(array))


def test_a_third_kind_of_device_is_one_entry(monkeypatch):
    """Every function of the room finds it in the table."""
    monkeypatch.setitem(KINDS, "tally", TallyKind())
    there = to_device(np.arange(3.0), "tally:3")
    assert (type(there), device_of(there)) == (Tally, "tally:3")
    assert to_numpy(there).tolist() == to_device(there, "cpu").tolist() == [0, 1, 2]
    assert get_array_module(there, None, there) is TallyKind.xp
    assert im2col(there) == "the twin of the tally"
    with pytest.raises(UsageError, match="arrays on different devices, cpu and tally:3"):
        get_array_module(there, np.zeros(3))
    with device_scope("tally:3") as one, beside(there) as other, new_stream("tally:3"):
        assert one == other == "tally:3"
    wait_for_events([record_event("tally:3")], "tally:3")
    synchronize("tally:3", None)


# ---------------------------------------------------------------- definitions and twins


@kernel
def im2col(*_, **__):
    """A definition of the name of one that has a twin: what it returns tells that it was called itself."""
    return "the definition"


@pytest.fixture
def called(monkeypatch):
    """Who answers a call of `im2col` with these arrays."""
    monkeypatch.setitem(vars(KINDS["cpu"]), "twins", types.SimpleNamespace(im2col=lambda *_, **__: "the twin"))
    return lambda *arrays: im2col(*arrays, None)


def test_who_is_called(called):
    x = np.zeros((1, 1, 2, 2), "float32")
    for choice, expected in (("auto", "the twin"), ("numba", "the twin"), ("reference", "the definition")):
        with use_kernels(choice):
            assert called(x) == expected


@pytest.mark.parametrize("dtype", ["float16", "longdouble", "complex64", "int64", "int32", "uint8", ">f4"])
def test_twins_get_only_what_they_are_compiled_for(called, dtype):
    x = np.zeros(2, dtype)
    for choice in ("auto", "numba"):
        with use_kernels(choice):
            assert called(x) == "the definition"
            assert im2col(None, x=x) == "the definition"
            assert called(np.zeros(2, "float32"), x) == (
                "the twin" if dtype in ("int32", "uint8") else "the definition"
            )


@pytest.mark.parametrize(
    ("dtype", "choice", "who"),
    [
        ("float32", "auto", "the twin of the GPU"),
        ("float32", "numba", "the twin of the GPU"),
        ("float32", "reference", "the definition"),
        ("float16", "auto", "the definition"),
    ],
)
def test_who_is_called_with_arrays_of_a_gpu(called, cupy, monkeypatch, dtype, choice, who):
    monkeypatch.setitem(vars(KINDS["cuda"]), "twins", types.SimpleNamespace(im2col=lambda *_: "the twin of the GPU"))
    here = cupy.asarray(np.zeros(2, dtype))
    with use_kernels(choice):
        assert called(here) == who
        assert called(here, np.zeros(2, "float32")) == "the definition"


def test_a_definition_without_a_twin(monkeypatch):
    @kernel
    def lonely(x):
        return x + 1

    assert lonely(np.zeros(())) == 1
    assert lonely.__wrapped__(1) == 2
    monkeypatch.setitem(vars(KINDS["cpu"]), "twins", None)
    assert im2col(np.zeros(2), None) == "the definition"


def test_the_innermost_choice_counts_and_ends_with_its_block(monkeypatch):
    monkeypatch.delenv("TINYALEX_KERNELS", raising=False)
    assert kernels_in_use() == "auto"
    with use_kernels("reference"):
        with use_kernels("numba"):
            assert kernels_in_use() == "numba"
        assert kernels_in_use() == "reference"
    with contextlib.suppress(KeyError), use_kernels("reference"):
        raise KeyError
    assert kernels_in_use() == "auto"


def test_a_choice_holds_in_its_own_thread_only(monkeypatch):
    monkeypatch.delenv("TINYALEX_KERNELS", raising=False)
    seen = []
    with use_kernels("reference"):
        thread = threading.Thread(target=lambda: seen.append(kernels_in_use()))
        thread.start()
        thread.join()
        assert kernels_in_use() == "reference"
    assert seen == ["auto"]


def test_the_environment_chooses_where_nobody_else_does(monkeypatch):
    monkeypatch.setenv("TINYALEX_KERNELS", "reference")
    assert kernels_in_use() == "reference"
    with use_kernels("auto"):
        assert kernels_in_use() == "auto"
    monkeypatch.setenv("TINYALEX_KERNELS", "")  # as if it were not there, like TINYALEX_THREADS
    assert kernels_in_use() == "auto"
    monkeypatch.setenv("TINYALEX_KERNELS", "fast")
    with pytest.raises(UsageError, match="TINYALEX_KERNELS='fast': expected one of auto, numba, reference"):
        kernels_in_use()


def test_a_choice_that_does_not_exist():
    with (
        pytest.raises(UsageError, match="kernels='numbas': expected one of auto, numba, reference"),
        use_kernels("numbas"),
    ):
        raise AssertionError("the block ran")


def test_numba_where_there_is_none(monkeypatch):
    monkeypatch.setitem(vars(KINDS["cpu"]), "twins", None)
    with pytest.raises(UsageError, match="kernels='numba' needs Numba: pip install numba"), use_kernels("numba"):
        raise AssertionError("the block ran")


def test_kernels_are_loaded_before_they_are_needed(monkeypatch):
    loaded = []
    monkeypatch.setitem(
        vars(KINDS["cpu"]), "twins", types.SimpleNamespace(load_code=lambda: loaded.append(gc.isenabled()))
    )
    with use_kernels("reference"):
        load_kernels()
    assert loaded == []
    load_kernels()
    assert loaded == [False]  # Python looks for no garbage meanwhile
    monkeypatch.setitem(vars(KINDS["cpu"]), "twins", types.SimpleNamespace(load_code=lambda: 1 // 0))
    with pytest.raises(ZeroDivisionError):
        load_kernels()
    assert gc.isenabled()
    monkeypatch.setitem(vars(KINDS["cpu"]), "twins", None)
    load_kernels()  # without Numba there is nothing to do


@pytest.mark.parametrize(
    ("kernels", "threads", "variables", "message"),
    [
        ("numbas", None, {}, "kernels='numbas'"),
        ("auto", 0, {}, "threads=0"),
        ("auto", None, {"TINYALEX_KERNELS": "x"}, "TINYALEX_KERNELS='x'"),
        ("auto", None, {"TINYALEX_THREADS": "x"}, "TINYALEX_THREADS=x"),
    ],
)
def test_choices_are_checked_without_loading_kernels(monkeypatch, kernels, threads, variables, message):
    monkeypatch.setattr(type(KINDS["cpu"]), "twins", property(lambda _: pytest.fail("it loads kernels")))
    check_choices("auto", None)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(UsageError, match=message):
        check_choices(kernels, threads)


TRAIN_ONE_STEP = """
import numpy, tinyalex
net = tinyalex.AlexNet("mini", num_classes=3, input_size=16, kernels={kernels!r})
x = numpy.random.default_rng(0).standard_normal((2, 3, 16, 16), dtype="float32")
net.loss(x, numpy.array([0, 2]), train=True)
net.backward(net.criterion.backward())
tinyalex.SGD(net).step()
print(sorted(name for name in ("numba", "threadpoolctl") if sys.modules.get(name)))
"""


@pytest.mark.parametrize(
    ("before", "kernels", "imported"),
    [
        ("import sys", "reference", "[]"),
        ("import os, sys; os.environ['TINYALEX_KERNELS'] = 'reference'", "auto", "[]"),
        ("import sys; sys.modules['numba'] = None", "auto", "[]"),
        ("import sys", "auto", "['numba', 'threadpoolctl']"),
    ],
    ids=["reference", "reference by environment", "auto without Numba", "auto"],
)
def test_whether_numba_is_imported(before, kernels, imported):
    """The reference runs on NumPy alone, and "auto" does where Numba cannot be imported."""
    script = before + TRAIN_ONE_STEP.format(kernels=kernels)
    run = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == imported
