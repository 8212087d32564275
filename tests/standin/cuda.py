"""cupy.cuda of the stand-in: devices, of which each thread has a current one, and streams, current for a device."""

import contextlib
import threading
import types

from standin.clocks import HOST, LOCK, SYNCS, Clocked, Event, elapsed_ms, learn, waited

DEVICES = 3
unreachable = set()  # pairs of devices that cannot copy from card to card
streams = []  # all, for Device.synchronize
_here = threading.local()


def current_device():
    return getattr(_here, "device", 0)


def current_stream(device):
    return getattr(_here, "streams", {}).get(device, DEFAULT[device])


class Device:
    """`with Device(1):` makes it the current one of this thread; Device() is the current one."""

    def __init__(self, device=None):
        self.id = current_device() if device is None else device
        if not 0 <= self.id < DEVICES:
            raise RuntimeError("cudaErrorInvalidDevice: invalid device ordinal")
        self._before = []

    def __enter__(self):
        self._before.append(current_device())
        _here.device = self.id
        return self

    def __exit__(self, *_):
        _here.device = self._before.pop()

    def synchronize(self):
        for stream in streams:
            if stream.device == self.id:
                waited(stream, "Device.synchronize")

    @property
    def mem_info(self):
        return 3 << 30, 4 << 30

    @property
    def compute_capability(self):
        return "90"


class Stream(Clocked):
    """A queue of work. Only non-blocking ones are made: others would wait for the default stream, and it for them."""

    def __init__(self, non_blocking=False):
        assert non_blocking, "a blocking stream works in turn with the default stream"
        super().__init__(current_device())
        self._before = threading.local()
        streams.append(self)

    def __enter__(self):
        if self.device != current_device():
            raise RuntimeError("This stream was not initialized for the current device")
        if not hasattr(_here, "streams"):
            _here.streams = {}
        self._before.stream = current_stream(self.device)
        _here.streams[self.device] = self
        return self

    def __exit__(self, *_):
        _here.streams[self.device] = self._before.stream

    def record(self, event=None):
        if self.device != current_device():
            raise RuntimeError("cudaErrorInvalidHandle: the stream is of another device than the event")
        event = event or Event()
        event.record(self)
        return event

    @property
    def ptr(self):
        return self.number

    def synchronize(self):
        waited(self, "Stream.synchronize")


class Default(Stream):
    """The default stream of a device, the same for all threads."""

    def __init__(self, device):
        Clocked.__init__(self, device)
        self._before = threading.local()
        streams.append(self)


DEFAULT = [Default(device) for device in range(DEVICES)]


def stream_for_copies(device):
    """The stream of `get` and the like for an array of `device`: the current one of the current device, as in CuPy.

    CuPy knows a default stream as stream 0, of whichever device: so if that is the current one, it is the array's own.
    """
    stream = current_stream(current_device())
    return DEFAULT[device] if isinstance(stream, Default) else stream


def forget():
    """Begin anew: nothing is running, and nothing was waited for."""
    with LOCK:
        SYNCS.clear()
        unreachable.clear()
        for stream in streams:
            learn(HOST, stream.clock)
    _here.__dict__.clear()


@contextlib.contextmanager
def unsynchronised():
    """The block must not make the host wait; yields the list of what did."""
    before = len(SYNCS)
    found = []
    yield found
    found.extend(SYNCS[before:])


def as_module():
    cuda = types.ModuleType("cupy.cuda")
    cuda.Device, cuda.Stream, cuda.Event = Device, Stream, Event
    cuda.is_available = lambda: True
    cuda.get_elapsed_time, cuda.set_allocator = elapsed_ms, lambda allocator: None
    cuda.get_cublas_handle = lambda: 100 + current_device()
    cuda.get_current_stream = lambda device_id=-1: current_stream(current_device() if device_id < 0 else device_id)
    cuda.nvrtc, cuda.cublas = types.SimpleNamespace(getVersion=lambda: (12, 9)), types.ModuleType("cublas")
    cuda.runtime = types.ModuleType("cupy.cuda.runtime")
    cuda.runtime.CUDA_R_32F, cuda.runtime.CUDA_R_64F = 0, 1
    cuda.runtime.getDeviceCount = lambda: DEVICES
    cuda.runtime.deviceCanAccessPeer = lambda device, peer: int(frozenset((device, peer)) not in unreachable)
    cuda.runtime.getDeviceProperties = lambda device: {"name": b"Stand-in GPU", "major": 9, "minor": 0}
    cuda.runtime.runtimeGetVersion = lambda: 12090
    return cuda
