"""The stand-in for CuPy: what it refuses, that it has no names that CuPy lacks, what it finds kernels to do wrong."""

import importlib.util
import sys

import numpy as np
import pytest

import standin
from standin import cuda, cupy
from standin.host import COMPILER, RawModule


@pytest.fixture(autouse=True)
def _anew():
    standin.forget()


@pytest.fixture
def x():
    return cupy.asarray(np.arange(6.0).reshape(2, 3))


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    "use",
    [
        np.asarray,
        np.array,
        np.exp,
        np.sum,
        lambda x: np.concatenate([x, x]),
        lambda x: np.add(x, np.ones(3)),
        lambda x: np.zeros((2, 3)) + x,
        lambda x: x + np.ones((2, 3)),
        lambda x: x[np.array([0, 1])],
        lambda x: x[[0, 1]],
        lambda x: x.__setitem__(slice(None), np.ones((2, 3))),
        lambda x: cupy.where(x > 0, x, np.ones((2, 3))),
        lambda x: cupy.matmul(x, np.ones((3, 1))),
    ],
    ids=range(13),
)
def test_numpy_does_not_get_in_nor_out(x, use):
    with pytest.raises(TypeError):
        use(x)


def test_scalars_of_both_kinds_are_welcome(x):
    np.testing.assert_array_equal((2 * x + np.float64(1)).get(), 2 * np.arange(6.0).reshape(2, 3) + 1)
    np.testing.assert_array_equal((np.float64(2) - x).get(), 2 - np.arange(6.0).reshape(2, 3))
    assert (x.astype("float32") * 2).dtype == "float32"


def test_devices_do_not_mix(x):
    x.device.synchronize()
    with cupy.cuda.Device(1):
        there = cupy.asarray(x)
        assert there.device.id == 1
        assert cupy.zeros_like(x).device.id == 1  # on the current device, not on x's
        for use in (lambda: x + there, lambda: there + x, lambda: x + 1, lambda: x.sum(), lambda: x.copy()):
            with pytest.raises(ValueError, match="array device = 0 while current = 1"):
                use()
    with pytest.raises(ValueError, match="array device = 1 while current = 0"):
        there * 2
    np.testing.assert_array_equal(there.get(), x.get())


def test_what_makes_the_host_wait_is_counted(x):
    for use in (float, bool, int):
        use(x[0, 0])
    x[1].tolist(), x[0, 1].item(), x.get(), x[x > 1]
    assert standin.SYNCS == ["float", "bool", "int", "tolist", "item", "get", "an index of a mask"]


def test_new_memory_holds_nothing_of_use():
    assert np.isnan(cupy.empty((2, 3)).get()).all()
    assert (cupy.empty(3, "uint8").get() == 255).all()


@pytest.mark.parametrize("name", ["errstate", "random", "pad", "lib", "nan_to_num", "einsum"])
def test_names_that_are_not_needed_are_missing(name):
    with pytest.raises(AttributeError):
        getattr(cupy, name)


def test_cupy_has_every_name_and_parameter():
    """CuPy can be imported without a GPU; only its arrays need one."""
    if importlib.util.find_spec("cupy") is None:
        pytest.skip("CuPy is not installed, to compare names with")
    assert "cupy" not in sys.modules or sys.modules["cupy"] is not cupy
    import cupy as real
    import cupyx

    for mine, theirs in (
        (cupy, real),
        (cupy.cuda, real.cuda),
        (cupy.cuda.runtime, real.cuda.runtime),
        (cupy.ndarray, real.ndarray),
        (cuda.Device, real.cuda.Device),
        (cuda.Stream, real.cuda.Stream),
        (cuda.Event, real.cuda.Event),
        (standin.cupyx, cupyx),
    ):
        own = {"memory", "work", "clock", "numbers", "record"} if mine is not cupy else set()
        for name in dir(mine):
            assert name.startswith("_") or name in own or hasattr(theirs, name), f"{theirs} has no {name}"


# ---------------------------------------------------------------- kernels

KERNELS = """
extern "C" __global__ void shift(const T* x, T* y, long long count, int by)
{
    long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (i < count) y[i] = x[i + by];
}
extern "C" __global__ void put(T* y, int at) { y[at] = 1; }
extern "C" __global__ void reverse(const T* x, T* y)
{
    __shared__ T all[8];
    all[threadIdx.x] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = all[blockDim.x - 1 - threadIdx.x];
}
extern "C" __global__ void diverge(T* y)
{
    if (threadIdx.x) __syncthreads();
    y[threadIdx.x] = 1;
}
"""


@pytest.fixture
def kernel():
    if COMPILER is None:
        pytest.skip("no C++ compiler here to run the kernels of CUDA on the processor")
    return RawModule(code=KERNELS, options=("-DT=float",)).get_function


def test_a_kernel_runs(kernel):
    x, y = cupy.asarray(np.arange(8, dtype="float32")), cupy.empty(8, "float32")
    kernel("shift")((3,), (3,), (x, y, 8, np.int32(0)))
    np.testing.assert_array_equal(y.get(), np.arange(8))
    kernel("reverse")((2,), (8,), (x, y))
    np.testing.assert_array_equal(y.get(), np.arange(8)[::-1])


@pytest.mark.parametrize("value", [1.0, np.nan])
def test_who_writes_past_an_end_is_found_out(kernel, value):
    x, y = cupy.asarray(np.full(4, value, "float32")), cupy.empty(4, "float32")
    with pytest.raises(AssertionError, match="shift writes past the end of an array"):
        kernel("shift")((1,), (5,), (x, y, 5, np.int32(0)))


def test_who_reads_past_an_end_computes_nan(kernel):
    x, y = cupy.asarray(np.arange(4, dtype="float32")), cupy.empty(4, "float32")
    kernel("shift")((1,), (4,), (x, y, 4, np.int32(1)))
    np.testing.assert_array_equal(y.get(), [1, 2, 3, np.nan])


@pytest.mark.parametrize(
    ("name", "block", "arguments", "complaint"),
    [
        ("put", 1, lambda y: (y, np.int32(4)), "writes past the end"),
        ("put", 1, lambda y: (y, np.int32(-1)), "writes past the end"),
        ("put", 1, lambda y: (y, 3), "put takes"),
        ("put", 1, lambda y: (y, np.float32(3)), "put takes"),
        ("put", 1, lambda y: (y.astype("float64"), np.int32(0)), "put takes"),
        ("put", 1, lambda y: (y[::2], np.int32(0)), "in one piece"),
        ("put", 2000, lambda y: (y, np.int32(0)), "2000"),
        ("diverge", 4, lambda y: (y,), "wait at a barrier that others never come to"),
    ],
)
def test_what_a_kernel_or_its_caller_does_wrong(kernel, name, block, arguments, complaint):
    with pytest.raises(AssertionError, match=complaint):
        kernel(name)((1,), (block,), arguments(cupy.zeros(4, "float32")))
