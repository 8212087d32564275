"""The stand-in for CuPy: what it refuses, that it has no names that CuPy lacks, what it finds kernels to do wrong."""

import gc
import importlib.util
import inspect
import re
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

    try:
        cublas = real.cuda.cublas
    except ImportError:
        pytest.skip("CuPy finds no cuBLAS, to compare names with")
    for mine, theirs in (
        (cupy, real),
        (cupy.cuda, real.cuda),
        (cupy.cuda.runtime, real.cuda.runtime),
        (cupy.cuda.cublas, cublas),
        (cupy.ndarray, real.ndarray),
        (cuda.Device, real.cuda.Device),
        (cuda.Stream, real.cuda.Stream.null),  # whose attributes are not all those of the class
        (cuda.Event, real.cuda.Event),
        (standin.cupyx, cupyx),
    ):
        own = {"memory", "work", "clock", "numbers", "record"} if mine is not cupy else set()
        for name in dir(mine):
            assert name.startswith("_") or name in own or hasattr(theirs, name), f"{theirs} has no {name}"
    for name in ("CUBLAS_COMPUTE_32F", "CUBLAS_COMPUTE_32F_FAST_TF32", "CUBLAS_COMPUTE_64F"):
        assert getattr(cupy.cuda.cublas, name) == getattr(cublas, name)
    parameters = ", ".join(inspect.signature(cupy.cuda.cublas.gemmStridedBatchedEx).parameters)
    assert re.sub(r"(\w+ )+(\w+)", r"\2", cublas.gemmStridedBatchedEx.__doc__).endswith(f"({parameters})")


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


SHARED_MEMORY = """
extern __shared__ T all[];
extern "C" __global__ void turn(const T* x, T* y, int past)
{
    all[threadIdx.x + past] = x[threadIdx.x];
    __syncthreads();
    y[threadIdx.x] = all[blockDim.x - 1 - threadIdx.x];
}
extern "C" __global__ void peek(T* y) { y[threadIdx.x] = all[threadIdx.x]; }
"""


def test_shared_memory_of_any_size():
    """It is as large as the caller says, and full of NaN for each block."""
    kernel = RawModule(code=SHARED_MEMORY, options=("-DT=float",)).get_function
    x, y = cupy.asarray(np.arange(8, dtype="float32")), cupy.empty(8, "float32")
    kernel("turn")((2,), (8,), (x, y, np.int32(0)), shared_mem=32)
    np.testing.assert_array_equal(y.get(), np.arange(8)[::-1])
    kernel("peek")((1,), (8,), (y,), shared_mem=32)
    assert np.isnan(y.get()).all()
    with pytest.raises(AssertionError, match="turn: writes past the end of shared memory"):
        kernel("turn")((1,), (8,), (x, y, np.int32(1)), shared_mem=32)
    with pytest.raises(AssertionError, match="turn: 49156 bytes of shared memory"):
        kernel("turn")((1,), (8,), (x, y, np.int32(0)), shared_mem=49156)


STRUCT = """
struct Part { T* y; long long count; };
struct Parts { Part all[2]; };
extern "C" __global__ void ones(const __grid_constant__ Parts parts, int more)
{
    for (int i = 0; i < parts.all[blockIdx.x].count + more; ++i) parts.all[blockIdx.x].y[i] = 1;
}
"""


def test_pointers_in_a_struct():
    """Who writes past the end of their arrays is found out too; a pointer into no array is told."""
    kernel = RawModule(code=STRUCT, options=("-DT=float",)).get_function("ones")
    row = np.dtype([("y", np.uintp), ("count", np.int64)])
    table, arrays = np.zeros(1, [("all", row, 2)]), [cupy.zeros(size, "float32") for size in (3, 5)]
    for number, array in enumerate(arrays):
        table["all"][0, number] = array.data.ptr, array.size
    kernel((2,), (1,), (table, np.int32(0)))
    assert [array.get().tolist() for array in arrays] == [[1] * 3, [1] * 5]
    with pytest.raises(AssertionError, match="ones writes past the end of an array"):
        kernel((2,), (1,), (table, np.int32(1)))
    with pytest.raises(AssertionError, match=r"ones takes \['struct32', 'i'\], not \['struct16', 'i'\]"):
        kernel((2,), (1,), (np.zeros(1, row), np.int32(1)))
    table["all"][0, 1]["y"] = 64
    with pytest.raises(AssertionError, match="1 bytes from a pointer on do not lie in one array"):
        kernel((2,), (1,), (table, np.int32(0)))


# ---------------------------------------------------------------- streams, memory and products


def test_what_makes_the_host_wait_waits_for_the_current_stream():
    """As in CuPy: not for the stream that is at work on the array, unless both are default streams."""
    with cupy.cuda.Stream(non_blocking=True):
        x = cupy.ones(3)
        assert float(x[0]) == 1
        x += 1
    for use in (lambda: x.get(), lambda: float(x[0]), lambda: x.tolist()):
        with pytest.raises(standin.RaceError, match="may still be at work on"):
            use()
    with cupy.cuda.Device(1):
        there = cupy.ones(3)
    there.get()
    with cupy.cuda.Device(1), cupy.cuda.Stream(non_blocking=True):
        there = cupy.ones(3)
    with pytest.raises(standin.RaceError, match="may still be at work on"):
        there.get()


def test_the_memory_pool():
    """Freed memory is used again by the stream that had it, and by no other; the rest goes back to the device."""
    pool = cupy.get_default_memory_pool()
    gc.collect()  # arrays of earlier tests that the collector frees later would give their memory to this one
    pool.free_all_blocks()
    before = pool.total_bytes()
    x = cupy.empty(1000, "float32")
    assert pool.total_bytes() == before + 4096
    view = x[3:]
    del x
    y = cupy.empty(1000, "float32")
    assert pool.total_bytes() == before + 2 * 4096  # the view keeps it
    del view
    with cupy.cuda.Stream(non_blocking=True):
        other = cupy.empty(1000, "float32")
    assert pool.total_bytes() == before + 3 * 4096
    again = cupy.empty(1024, "float32")
    assert pool.total_bytes() == before + 3 * 4096
    del y, other, again
    pool.free_all_blocks()
    assert pool.total_bytes() == before


def test_copies_of_operands_are_counted():
    rows, batch = cupy.zeros((4, 6)), cupy.zeros((2, 3, 4))
    for a, b in ((rows.T, rows), (rows, rows.T), (batch, rows), (rows[:2].T, rows[:2])):
        cupy.matmul(a, b)
    assert standin.COPIES == []
    cupy.matmul(rows[:, :4], rows)
    cupy.matmul(batch.swapaxes(1, 2), batch)
    assert standin.COPIES == [(4, 4), (2, 4, 3)]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"lda": 2}, "3 rows, but columns are 2 numbers apart"),
        ({"m": 30}, "30 rows, but columns are 3"),
        ({"n": 30}, "do not lie in one array"),
        ({"computeType": 70}, "compute type 70 for float32"),
        ({"Btype": 1}, "matrices of two dtypes"),
        ({"A": "C"}, "a product in place of an operand"),
        ({"handle": 101}, "a handle of another device"),
    ],
    ids=str,
)
def test_products_that_cublas_would_get_wrong(change, complaint):
    a, b, c = (cupy.ones(shape, "float32") for shape in ((2, 3), (4, 2), (4, 3)))  # by columns: 3 x 2, 2 x 4, 3 x 4
    one, zero = np.float32([1]), np.float32([0])
    given = {
        "handle": 100, "transa": 0, "transb": 0, "m": 3, "n": 4, "k": 2, "alpha": one.ctypes.data,
        "A": a.data.ptr, "Atype": 0, "lda": 3, "strideA": 6, "B": b.data.ptr, "Btype": 0, "ldb": 2, "strideB": 8,
        "beta": zero.ctypes.data, "C": c.data.ptr, "Ctype": 0, "ldc": 3, "strideC": 12, "batchCount": 1,
        "computeType": 68, "algo": 99,
    }  # fmt: skip
    cupy.cuda.cublas.gemmStridedBatchedEx(**given)
    np.testing.assert_array_equal(c.get(), np.full((4, 3), 2))
    given |= {key: given[value] if isinstance(value, str) else value for key, value in change.items()}
    with pytest.raises(AssertionError, match=complaint):
        cupy.cuda.cublas.gemmStridedBatchedEx(**given)
