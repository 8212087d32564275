"""Sums of a GPU's gradients over MPI, on a simulated GPU that runs nothing until it is waited for."""

import sys
import types

import numpy as np
import pytest

from cases import assert_close, small_net
from tinyalex import SGD
from tinyalex.backend import beside, to_numpy
from tinyalex.errors import UsageError
from tinyalex.parallel.ranks import MpiRanks
from tinyalex.parallel.staging import Staging


class Stream:
    """A queue of operations. Those before an event run when the event is waited for, or is asked for `done` twice."""

    current = None  # within a `with` block

    def __init__(self, non_blocking=False):
        self.non_blocking, self.queue, self.done = non_blocking, [], 0

    def __enter__(self):
        Stream.current = self

    def __exit__(self, *_):
        Stream.current = None

    def put(self, operation):
        self.queue.append(operation)

    def record(self, event):
        event.stream, event.place = self, len(self.queue)
        return event

    def wait_event(self, event):
        self.put(event.synchronize)


class Event:
    def __init__(self, **_):
        self.asked = 0

    @property
    def done(self):
        self.asked += 1
        if self.asked == 2:
            self.synchronize()
        return self.stream.done >= self.place

    def synchronize(self):
        while self.stream.done < self.place:
            self.stream.done += 1
            self.stream.queue[self.stream.done - 1]()


class GpuArray:
    """An array that is NaN until the computing stream has run."""

    def __init__(self, gpu, values, device=0):
        self.gpu, self.shape, self.dtype = gpu, values.shape, values.dtype
        self.device = types.SimpleNamespace(id=device)
        self.numbers = np.full(values.shape, np.nan, values.dtype)
        gpu.computing(device).put(lambda: self.numbers.__setitem__(..., values))

    def get(self, stream, out, blocking):
        assert not blocking
        assert stream.non_blocking
        stream.put(lambda: out.__setitem__(..., self.numbers))

    def set(self, values, stream):
        stream.put(lambda: self.numbers.__setitem__(..., values))


GpuArray.__module__ = "cupy"  # so that the backend takes it for an array of CuPy


class Gpu(types.ModuleType):
    """The part of CuPy that the staging uses."""

    def __init__(self):
        super().__init__("cupy")
        self.current, self.streams, self.pinned = [0], {}, []
        gpu = self

        class Device:
            def __init__(self, number):
                self.number = number

            def __enter__(self):
                gpu.current.append(self.number)

            def __exit__(self, *_):
                gpu.current.pop()

        self.cuda = types.SimpleNamespace(
            Device=Device,
            Stream=Stream,
            Event=Event,
            get_current_stream=lambda: Stream.current or gpu.computing(gpu.current[-1]),
            is_available=lambda: True,
            nvrtc=types.SimpleNamespace(getVersion=lambda: (12, 9)),
            cublas=None,
            runtime=types.SimpleNamespace(getDeviceCount=lambda: 4),
        )

    def computing(self, device):
        return self.streams.setdefault(device, Stream())

    def empty_pinned(self, shape, dtype):
        self.pinned.append(np.full(shape, np.nan, dtype))
        return self.pinned[-1]


@pytest.fixture
def late(monkeypatch):
    gpu = Gpu()
    monkeypatch.setitem(sys.modules, "cupy", gpu)
    cupyx = types.ModuleType("cupyx")
    cupyx.empty_pinned = gpu.empty_pinned
    monkeypatch.setitem(sys.modules, "cupyx", cupyx)
    return gpu


class World:
    """MPI with two ranks that compute the same: a sum reads its numbers when it begins, and doubles them in Wait."""

    def __init__(self):
        self.begun = []

    def begin(self, place):
        numbers = place.numbers if isinstance(place, GpuArray) else place
        assert not np.isnan(numbers).any(), "the gradient had not arrived"
        twice = 2 * numbers
        self.begun.append(place.shape)
        return types.SimpleNamespace(Wait=lambda: numbers.__setitem__(..., twice))


def gradients(rng, sizes=((3, 4), (4,), (5, 2), (5,), (2, 2))):
    return [rng.standard_normal(size).astype("float32") for size in sizes]


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("devices", [(0, 0, 0, 0, 0), (0, 1, 0, 1, 1), (2, 2, 2, 2, 2)])
def test_gradients_are_added_up(late, rng, direct, devices):
    """In two steps, each sum begins in order and when its gradient has arrived."""
    world = World()
    staged = Staging(world.begin, direct)
    for _ in range(2):
        values = gradients(rng)
        world.begun.clear()
        arrays = []
        for value, device in zip(values, devices, strict=True):
            arrays.append(GpuArray(late, value, device))
            staged.add(arrays[-1])
        staged.finish()
        assert world.begun == [value.shape for value in values]
        for array, value in zip(arrays, values, strict=True):
            late.computing(array.device.id).record(Event()).synchronize()  # what is computed next begins here
            np.testing.assert_array_equal(array.numbers, 2 * value)
    assert len(late.pinned) == (0 if direct else 5)  # the host's memory is used again
    assert late.current == [0]


def test_sums_begin_while_others_are_computed(late, rng):
    """Some sums begin before `finish` is called."""
    world = World()
    staged = Staging(world.begin, direct=False)
    values = gradients(rng, [(2, size) for size in range(1, 9)])
    for value in values:
        staged.add(GpuArray(late, value))
    assert 3 <= len(world.begun) < 8
    staged.finish()
    assert len(world.begun) == 8


def test_another_net_gets_memory_of_its_own(late, rng):
    staged = Staging(World().begin, direct=False)
    for sizes in ([(2, 3), (4,)], [(3, 3), (4,), (1,)]):
        arrays = [GpuArray(late, value) for value in gradients(rng, sizes)]
        for array in arrays:
            staged.add(array)
        staged.finish()
    assert [place.shape for place in late.pinned] == [(2, 3), (4,), (3, 3), (1,)]


# ---------------------------------------------------------------- which GPU a rank has


class FakeMpi(types.ModuleType):
    """mpi4py.MPI for rank `here` of one machine. twice: a sum doubles its array, as if two ranks had the same one."""

    IN_PLACE, COMM_TYPE_SHARED = "in place", 1

    def __init__(self, here, size=4, twice=False):
        super().__init__("mpi4py.MPI")
        begun = self.begun = []

        class Communicator:
            def __init__(self, rank, size):
                self.rank, self.size = rank, size

            def Split_type(self, kind):
                assert kind == 1
                return Communicator(here, size)

            def allgather(self, value):
                return [value] * self.size

            def Iallreduce(self, place, array):
                assert place == "in place"
                begun.append(array)
                if twice:
                    with beside(array):
                        array *= 2
                return types.SimpleNamespace(Wait=lambda: None)

        self.COMM_WORLD = Communicator(here + 5, 16)
        self.Request = types.SimpleNamespace(Testall=lambda _: False, Waitall=lambda _: None)


@pytest.mark.parametrize(
    ("here", "asked", "expected"),
    [
        (0, ("cuda",), ("cuda:0",)),
        (3, ("cuda:0",), ("cuda:3",)),
        (5, ("cuda",), ("cuda:1",)),
        (0, ("cuda", "cuda"), ("cuda:0", "cuda:1")),
        (1, ("cuda:0", "cuda:1"), ("cuda:2", "cuda:3")),
        (2, ("cuda", "cuda"), ("cuda:0", "cuda:1")),
        (3, ("cpu:0", "cpu:1"), ("cpu:0", "cpu:1")),
        (3, None, None),
    ],
)
@pytest.mark.usefixtures("late")
def test_each_rank_has_gpus_of_its_own(monkeypatch, here, asked, expected):
    """The four GPUs of its machine are dealt out to its ranks."""
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", FakeMpi(here))
    assert MpiRanks().devices(asked) == expected


@pytest.mark.usefixtures("late")
def test_a_name_of_no_device(monkeypatch):
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", FakeMpi(0))
    with pytest.raises(UsageError, match="no device is called 'gpu'"):
        MpiRanks().devices(("gpu",))


@pytest.mark.parametrize(("aware", "direct"), [(None, False), ("", False), ("0", False), ("1", True)])
def test_what_the_environment_says_of_mpi(late, rng, monkeypatch, aware, direct):
    """With TINYALEX_GPU_AWARE_MPI=1 MPI sums the array on the GPU, else its copy on the host."""
    mpi = FakeMpi(0)
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", mpi)
    if aware is None:
        monkeypatch.delenv("TINYALEX_GPU_AWARE_MPI", raising=False)
    else:
        monkeypatch.setenv("TINYALEX_GPU_AWARE_MPI", aware)
    ranks, array = MpiRanks(), GpuArray(late, gradients(rng)[0])
    ranks.begin_sum(array)
    ranks.end_sums()
    (added,) = mpi.begun
    assert (added is array) == direct
    assert isinstance(added, np.ndarray) != direct
    assert ranks.waited > 0


# ---------------------------------------------------------------- a net


@pytest.mark.parametrize("aware", ["0", "1"])
@pytest.mark.parametrize("devices", [("cuda",), ("cuda", "cuda"), None])
def test_a_net_trains_on_sums(gpu, monkeypatch, devices, aware):
    """Like a net on the CPU with doubled gradients, which is the sum over two ranks with the same images."""
    if not gpu.is_standin:
        aware = "0"
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", FakeMpi(0, twice=True))
    monkeypatch.setenv("TINYALEX_GPU_AWARE_MPI", aware)
    ranks = MpiRanks()
    nets = [small_net(dtype="float64", devices=where) for where in (ranks.devices(devices), None)]
    for (net, x, labels), done in zip(nets, (ranks.begin_sums, doubled), strict=True):
        sgd = SGD(net)
        for _ in range(3):
            net.loss(x, labels, train=True)
            net.backward(net.criterion.backward(), input_gradient=False, done=done)
            ranks.end_sums()
            sgd.step()
    for name, w in nets[1][0].params.items():
        assert_close(to_numpy(nets[0][0].params[name]), w)


def doubled(layer):
    for grad in layer.grads.values():
        grad *= 2
