"""cupyx.empty_pinned of the stand-in: memory of the host that a GPU copies from while the host goes on."""

import numpy as np

from standin.clocks import HOST, LOCK, RaceError


class Pinned(np.ndarray):
    """It knows the copies from it to a GPU, and raises RaceError if the host writes before it knows them to be done."""

    def __array_finalize__(self, whole):
        self.copies = getattr(whole, "copies", {})  # stream: its tick of the last copy; shared by all views

    def copied(self, stream):
        self.copies[stream.number] = stream.clock[stream.number]

    def _check(self):
        with LOCK:
            for stream, tick in self.copies.items():
                if HOST.get(stream, 0) < tick:
                    raise RaceError(f"the host writes pinned memory that stream {stream} may still be copying")

    def __setitem__(self, index, value):
        self._check()
        super().__setitem__(index, value)

    def __array_function__(self, function, types, arguments, options):
        if function is np.copyto and isinstance(arguments[0], Pinned):
            arguments[0]._check()
        return super().__array_function__(function, types, arguments, options)


def empty_pinned(shape, dtype=float):
    return np.empty(shape, dtype).view(Pinned)
