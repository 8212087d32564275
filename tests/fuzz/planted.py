"""Readers with a mistake each, which the frame must find."""

import ctypes
import time

from fuzz.targets import Target
from tinyalex.errors import DataError

WHOLE = b"a whole file of 32 letters......"
KEPT = []


def write(folder):
    (folder / "file").write_bytes(WHOLE)


def reader(mistake):
    def read(path):
        if path.read_bytes() != WHOLE:
            mistake()

    return read


def undeclared():
    raise KeyError("what")


def declared():
    raise DataError("got a damaged file: expected a whole one")


def two_lines():
    raise DataError("got a damaged file:\nexpected a whole one")


def endless():
    time.sleep(60)


def crash():
    ctypes.string_at(0)


def greedy():
    KEPT.append(bytes(2**31))


def greedy_and_quiet():
    try:
        greedy()
    except MemoryError as error:
        raise DataError("got a damaged file: expected a whole one") from error


def refuses_all(path):
    raise DataError(f"got {path}: expected another one")


MISTAKES = (undeclared, declared, two_lines, endless, crash, greedy, greedy_and_quiet)
TARGETS = {mistake.__name__: Target(write, reader(mistake)) for mistake in MISTAKES}
TARGETS["refuses_all"] = Target(write, refuses_all)
