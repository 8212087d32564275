"""The arrays of a recorded pass, packed for the page: rounded to integers, compressed, as base64 text."""

import base64
import gzip
from typing import TypedDict

import numpy as np

from tinyalex.backend import Array

MOST = 8191  # the largest packed number, 14 bits with the sign: the page of the full-size net stays below 15 MB


class Packed(TypedDict):
    """Where an array lies among all numbers: `first` is its first number; a packed number times `unit` is the value."""

    first: int
    shape: tuple[int, ...]
    unit: float


class Numbers:
    """Packed arrays; an array that is added twice is packed once.

    Each array is scaled so that its largest magnitude becomes 8191, and rounded to integers. Zero stays zero; other
    numbers have an error of at most 6e-5 of the largest. Booleans and integers are not scaled.
    """

    def __init__(self) -> None:
        self.places: list[Packed] = []
        self._parts: list[Array] = []
        self._known: dict[int, tuple[int, Array]] = {}  # holds the array too, so that no other array gets its id
        self._count = 0

    def add(self, array: Array, *, image: int | None = None) -> int:
        """Pack an array, or with `image` one image of it; returns its index in `places`."""
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
        """All numbers in base64. All low bytes come first, then all high bytes: that compresses better."""
        whole = np.concatenate(self._parts)
        halves = np.ascontiguousarray(whole.view(np.uint8).reshape(-1, 2).T)  # (low and high, numbers)
        return base64.b64encode(gzip.compress(halves.tobytes(), 6, mtime=0)).decode()
