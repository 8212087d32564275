"""What lies where on the devices of the stand-in: CuPy's memory pool, and which array a bare pointer points into."""

import weakref
from collections import defaultdict

from standin.clocks import LOCK, learn
from tinyalex.backend.gpu.memory import SimulatedPool

POOLS = defaultdict(lambda: defaultdict(SimulatedPool))  # by device, then by stream: freed memory stays with its stream
_all = weakref.WeakSet()


class Memory:
    """The memory of a device that an array lies in: who has written it, and who has read it since."""

    def __init__(self, device, stream, held):
        self.device, self.held, self._given_back = device, held, stream.given_back
        with LOCK:
            self.written, self.read = {}, dict(self._given_back)
            self._taken = POOLS[device][stream.number].memory(held.nbytes)
            _all.add(self)

    def __del__(self):
        with LOCK:
            learn(self._given_back, self.written)
            learn(self._given_back, self.read)
            del self._taken

    @property
    def address(self):
        return self.held.ctypes.data


def at(pointer, nbytes, device):
    """The memory that `nbytes` from a pointer lie in. Fails if they lie in no array, or in none of this device."""
    with LOCK:
        for memory in list(_all):
            if memory.address <= pointer <= memory.address + memory.held.nbytes - nbytes:
                assert memory.device == device, f"a pointer to memory of device {memory.device} on device {device}"
                return memory
    raise AssertionError(f"{nbytes} bytes from a pointer on do not lie in one array")


class Pool:
    """The memory pool of the current device, as cupy.get_default_memory_pool() returns it."""

    def __init__(self, device):
        self._pools = POOLS[device]

    def total_bytes(self):
        with LOCK:
            return sum(pool.held for pool in self._pools.values())

    def free_all_blocks(self):
        with LOCK:
            for pool in self._pools.values():
                pool.free_all_blocks()
