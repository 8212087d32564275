"""Who may touch which memory when: streams with vector clocks, and the memory that their work reads and writes.

A stream's clock says how far, as it knows, every stream has come. It learns from marks (events) that it waits for, and
from the host, which learns by waiting. Work that reads what another stream wrote, or writes what another stream read
or wrote, must know that the other is done; else it is a race, whatever the numbers are that come out. Memory that is
given up goes back to the stream it was taken for, which may use it again at once: so whatever is taken on a stream has
been touched by all that touched what it was given back.
"""

import itertools
import threading
import time

LOCK = threading.RLock()
HOST = {}  # how far the host knows every stream to have come
SYNCS = []  # what has made the host wait, in order


class RaceError(AssertionError):
    """Two streams touch the same memory, one of them writes, and nothing says which comes first."""


def learn(clock, other):
    for stream, tick in other.items():
        clock[stream] = max(clock.get(stream, 0), tick)


def waited(stream, why):
    """The host has waited for all that `stream` was given."""
    with LOCK:
        SYNCS.append(why)
        learn(HOST, stream.clock)


class Event:
    """A mark in a stream."""

    def __init__(self, disable_timing=False):
        self.clock, self.timed = None, not disable_timing

    def record(self, stream):
        with LOCK:
            self.clock, self.time = dict(stream.clock), time.perf_counter()
            self.device = stream.device

    @property
    def done(self):
        """Has the stream come as far? Asked without waiting; here it is never in a hurry."""
        with LOCK:
            return all(HOST.get(stream, 0) >= tick for stream, tick in self.clock.items())

    def synchronize(self):
        with LOCK:
            SYNCS.append("Event.synchronize")
            learn(HOST, self.clock)


def elapsed_ms(start, end):
    """Milliseconds between two events, by the host's clock. The host must have waited for both."""
    assert all(event.timed for event in (start, end)), "cudaErrorInvalidHandle: an event without timing"
    assert all(event.done for event in (start, end)), "cudaErrorNotReady: the host has not waited for the events"
    return 1e3 * (end.time - start.time)


class Clocked:
    """What is common to all streams: a number, a device, a clock, and the memory that was given back to it."""

    numbers = itertools.count()

    def __init__(self, device):
        self.number, self.device, self.clock, self.given_back = next(self.numbers), device, {}, {}

    def wait_event(self, event):
        with LOCK:
            learn(self.clock, event.clock)

    def work(self, what, reads, writes):
        """Note a piece of work on so many pieces of memory. Raises RaceError."""
        with LOCK:
            learn(self.clock, HOST)
            tick = self.clock[self.number] = self.clock.get(self.number, 0) + 1
            for memory in reads:
                self._check(what, "reads", memory, memory.written)
                memory.read[self.number] = tick
            for memory in writes:
                self._check(what, "writes", memory, memory.written)
                self._check(what, "writes", memory, memory.read)
                memory.written, memory.read = {self.number: tick}, {}

    def _check(self, what, does, memory, touched):
        for stream, tick in touched.items():
            if self.clock.get(stream, 0) < tick:
                raise RaceError(
                    f"{what} on stream {self.number} (device {self.device}) {does} memory of device {memory.device} "
                    f"that stream {stream} may still be at work on: it waits for no mark in that stream"
                )
