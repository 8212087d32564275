"""The arrays of a recorded pass, packed for the page: as float32 or rounded to integers, compressed, as base64 text."""

import base64
import gzip
from typing import TypedDict

import numpy as np

from tinyalex.backend import Array

EXACT = 1 << 21  # up to so many numbers all are kept as float32, so the page shows the very numbers of the pass
MOST = 8191  # the largest rounded number, 14 bits with the sign: the page of the full-size net stays below 15 MB


class Packed(TypedDict):
    """Where an array lies among all numbers: `first` is its first number; a packed number times `unit` is the value."""

    first: int
    shape: tuple[int, ...]
    unit: float


class Numbers:
    """Packed arrays; an array that is added twice is packed once.

    Few numbers are float32. Of many, each array is scaled so that its largest magnitude becomes 8191, and rounded to
    integers: zero stays zero, and other numbers have an error of at most 6e-5 of the largest. Booleans and integers
    are not scaled.
    """

    def __init__(self) -> None:
        self._parts: list[Array] = []
        self._known: dict[int, tuple[int, Array]] = {}  # holds the array too, so that no other array gets its id

    def add(self, array: Array, *, image: int | None = None) -> int:
        """Add an array, or with `image` one image of it; returns its index in `places`."""
        if id(array) not in self._known:
            self._known[id(array)] = (len(self._parts), array)
            self._parts.append(array if image is None else array[image])
        return self._known[id(array)][0]

    @property
    def bytes_each(self) -> int:
        """The bytes of a packed number: 4 as float32, 2 as an integer."""
        return 4 if sum(part.size for part in self._parts) <= EXACT else 2

    @property
    def places(self) -> list[Packed]:
        """Where each array lies."""
        first = np.cumsum([0, *(part.size for part in self._parts)])
        return [
            {"first": int(start), "shape": part.shape, "unit": self._unit(part)}
            for start, part in zip(first, self._parts, strict=False)
        ]

    def _unit(self, part: Array) -> float:
        if self.bytes_each == 4 or part.dtype.kind in "bui":
            return 1.0
        return float(np.abs(part).max(initial=0)) / MOST or 1.0

    def text(self) -> str:
        """All numbers in base64. All lowest bytes come first, then all of the next place: that compresses better."""
        if self.bytes_each == 4:
            packed = [part.astype("<f4") for part in self._parts]
        else:
            packed = [np.rint(part / self._unit(part)).astype("<i2") for part in self._parts]
        whole = np.concatenate([part.ravel() for part in packed])
        places = np.ascontiguousarray(whole.view(np.uint8).reshape(len(whole), -1).T)  # (bytes of a number, numbers)
        return base64.b64encode(gzip.compress(places.tobytes(), 6, mtime=0)).decode()
