"""The numbers of a recorded pass, packed for the page: as integers, compressed, as text."""

import base64
import gzip
from typing import TypedDict

import numpy as np

from tinyalex.backend import Array

MOST = 8191  # the largest packed number: 14 bits with the sign, so that the full-size net stays under 15 MB


class Packed(TypedDict):
    """Where an array lies among all numbers: its first, its shape; a number times `unit` is the value."""

    first: int
    shape: tuple[int, ...]
    unit: float


class Numbers:
    """Arrays, each packed once however often it is added.

    An array becomes integers of -8191 ... 8191, its largest magnitude 8191: a zero stays a zero, and every other
    number is right to 6e-5 of the largest. Booleans and integers stay what they are.
    """

    def __init__(self) -> None:
        self.places: list[Packed] = []
        self._parts: list[Array] = []
        self._known: dict[int, tuple[int, Array]] = {}  # the array is held, so that its id stays its own
        self._count = 0

    def add(self, array: Array, *, image: int | None = None) -> int:
        """The number of the array in `places`; with `image` only that image of it is packed."""
        if id(array) not in self._known:
            self._known[id(array)] = (self._pack(array if image is None else array[image]), array)
        return self._known[id(array)][0]

    def _pack(self, array: Array) -> int:
        largest = float(np.abs(array).max(initial=0))
        unit = 1.0 if array.dtype.kind in "bui" else largest / MOST or 1.0
        self.places.append({"first": self._count, "shape": array.shape, "unit": unit})
        self._parts.append(np.rint(array / unit).astype("<i2").ravel())
        self._count += array.size
        return len(self.places) - 1

    def text(self) -> str:
        """All numbers in base64: the low bytes of all, then their high bytes, which compresses better than in turn."""
        whole = np.concatenate(self._parts)
        halves = np.ascontiguousarray(whole.view(np.uint8).reshape(-1, 2).T)  # (low and high, numbers)
        return base64.b64encode(gzip.compress(halves.tobytes(), 6, mtime=0)).decode()
