"""The comparison of one gradient with differences, entry by entry, and the error that shows what is wrong."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex import patterns
from tinyalex.errors import TinyAlexError

Floats = NDArray[np.float64]
STEP = 1e-5  # h, for entries up to 1: the truncation error of a central difference grows as h**2, rounding as 1/h
MAP = 16, 40  # rows and columns of the largest map of an array that an error shows


@dataclass(frozen=True)
class Checked:
    """The result of checking one array.

    name: of the array.   entries: how many were compared.   error: the largest relative error among them.
    kinks: how many further entries lie at a kink (a ReLU at 0, a tie in max-pooling). There the slopes on the two
    sides differ, and the analytic gradient lies between them.
    """

    name: str
    entries: int
    kinks: int
    error: float


class GradientError(TinyAlexError, AssertionError):
    """An analytic gradient that is not the derivative. The message shows how many entries are wrong, and a pattern.

    name: of the array.   index: of the first wrong entry.   analytic, numerical: the two gradients of that entry.
    wrong: the number of wrong entries.   right: the names of the arrays whose gradients are right.
    rounding: whether all arrays are right but for rounding, as in a dtype with few digits.
    summary: the first line of the message.   details: the other lines.
    """

    def __init__(self, compared: "Compared", right: Sequence[str], *, rounding: bool = False) -> None:
        self.name, self.index, self.right, self.rounding = compared.name, compared.first_wrong, tuple(right), rounding
        self.analytic, self.numerical = float(compared.analytic[self.index]), float(compared.numerical[self.index])
        self.wrong = int(compared.wrong.sum())
        where = f"{self.name}[{', '.join(map(str, self.index))}]"
        self.summary = (
            f"gradient of {where}: got {self.analytic:.9g} from backward, expected {self.numerical:.9g} (numerical)"
        )
        self.details = [
            f"{self.name}: {self.wrong} of {int(compared.seen.sum())} compared entries are wrong",
            *(f"What it looks like: {pattern}" for pattern in compared.patterns()),
            *compared.map(),
            *([f"Right: {', '.join(right)}"] if right else []),
        ]
        super().__init__("\n".join([self.summary, *self.details]))


@dataclass
class Compared:
    """The gradients of one array. All fields but the name have its shape.

    seen: which entries were compared.   wrong: which of them are not the derivative.   kinks: which lie at a kink.
    """

    name: str
    analytic: Floats
    numerical: Floats
    seen: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    kinks: NDArray[np.bool_]

    @property
    def first_wrong(self) -> tuple[int, ...]:
        """The index of the first wrong entry, in reading order."""
        return tuple(int(i) for i in np.argwhere(self.wrong)[0])

    @property
    def nearly_right(self) -> bool:
        """Whether the compared entries have two correct digits: float16 has three, and a sum of many loses some."""
        compared = self.seen & ~self.kinks
        got, expected = self.analytic[compared], self.numerical[compared]
        return bool(np.allclose(got, expected, rtol=1e-2, atol=1e-2 * float(np.abs(expected).max(initial=0.0))))

    def patterns(self) -> list[str]:
        """At most two descriptions of the pattern that the wrong entries form."""
        names = [f"axis {axis}" for axis in range(self.wrong.ndim)]
        compared = self.seen & ~self.kinks
        got, expected = self.analytic[compared], self.numerical[compared]
        found = [*patterns.not_finite(got)]
        if not found:
            found += patterns.factor(got, expected, _equal)
            if compared.all() and got.any():
                found += patterns.moved(self.analytic, self.numerical, names, _equal)
            found += patterns.place(self.wrong, names, compared)
        return found[:2]

    def map(self) -> list[str]:
        """The last two axes as text: x wrong, . right, ~ at a kink, blank where nothing was compared.

        A place shows the worst of all entries there along the other axes. No lines for an array that is too large.
        """
        shape = (1, 1, *self.wrong.shape)[-2:]
        if shape[0] > MAP[0] or shape[1] > MAP[1] or self.wrong.size == 1:
            return []
        wrong, kinks, seen = (
            mask.reshape(-1, *shape).any(axis=0) for mask in (self.wrong, self.kinks, self.seen & ~self.kinks)
        )
        marks = np.where(wrong, "x", np.where(seen, ".", np.where(kinks, "~", " ")))
        return [f"    {' '.join(row)}".rstrip() for row in marks]


def _equal(a: Floats, b: Floats) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-4, atol=1e-6 * float(np.abs(b).max(initial=0.0))))


def check_all(
    evaluate: Callable[[], Floats],
    arrays: Mapping[str, Floats],
    analytic: Mapping[str, Any],
    rng: np.random.Generator,
    entries: int,
    tolerance: float,
) -> list[Checked]:
    """Check every array.   evaluate: returns the terms of the sum L for the current values of the arrays.

    The other arguments are as for `check_layer`. Raises GradientError for the first array with a wrong entry, after
    all have been compared.
    """
    found, compared = [], []
    for name, array in arrays.items():
        if name not in analytic or np.shape(analytic[name]) != array.shape:
            found_shape = f"shape {np.shape(analytic[name])}" if name in analytic else "none"
            raise TinyAlexError(f"gradient of {name}: got {found_shape}, expected shape {array.shape}")
        gradient = np.asarray(analytic[name], np.float64)
        one, error = _compare(name, evaluate, array, gradient, rng, entries, tolerance)
        compared.append(one)
        found.append(Checked(name, int(one.seen.sum() - one.kinks.sum()), int(one.kinks.sum()), error))
    wrong = [one for one in compared if one.wrong.any()]
    if wrong:
        right = [one.name for one in compared if not one.wrong.any()]
        raise GradientError(wrong[0], right, rounding=all(one.nearly_right for one in wrong))
    for checked in found:
        if not checked.entries and checked.kinks:
            raise TinyAlexError(
                f"{checked.name}: got kinks at all {checked.kinks} entries: expected some without; use another input"
            )
    return found


def _compare(
    name: str,
    evaluate: Callable[[], Floats],
    array: Floats,
    analytic: Floats,
    rng: np.random.Generator,
    entries: int,
    tolerance: float,
) -> tuple[Compared, float]:
    """Compare up to `entries` entries of one array -> what was found, and the largest error of a right entry."""
    places = np.arange(array.size) if array.size <= entries else rng.choice(array.size, entries, replace=False)
    floor = 1e-3 * float(np.abs(analytic).max(initial=0.0))  # errors of smaller entries are relative to this
    seen, wrong, kinks = (np.zeros(array.shape, bool) for _ in range(3))
    numerical, largest = np.zeros(array.shape), 0.0
    for at in places:
        index = tuple(int(i) for i in np.unravel_index(at, array.shape))
        seen[index] = True
        numerical[index], error = _compare_entry(evaluate, array, index, float(analytic[index]), floor, tolerance)
        kinks[index], wrong[index] = error is None, error is not None and not error <= tolerance
        if error is not None and error <= tolerance:
            largest = max(largest, error)
    return Compared(name, analytic, numerical, seen, wrong, kinks), largest


def _compare_entry(
    evaluate: Callable[[], Floats],
    array: Floats,
    index: tuple[int, ...],
    analytic: float,
    floor: float,
    tolerance: float,
) -> tuple[float, float | None]:
    """The numerical gradient of one entry, and its relative error: at most `tolerance` if right, None at a kink."""
    value = array[index]

    def terms_at(shifted: float) -> Floats:
        array[index] = shifted
        try:
            return evaluate()
        finally:
            array[index] = value

    here = terms_at(value)
    for h in STEP * max(1.0, abs(value)) * np.array([1.0, 0.1, 0.01]):  # a smaller step may avoid a kink nearby
        above, below = terms_at(value + h), terms_at(value - h)
        right, left = float((above - here).sum() / h), float((here - below).sum() / h)
        numerical = float((above - below).sum() / (2 * h))
        rounding = 1e-15 * float(np.abs(here[above != below]).sum() / h)
        size = max(abs(analytic), abs(numerical), floor)
        if math.isfinite(size) and abs(analytic - numerical) <= tolerance * size + rounding:
            return numerical, min(tolerance, abs(analytic - numerical) / size) if size else 0.0
    slack = 1e-3 * max(abs(right), abs(left)) + rounding
    if abs(right - left) > slack and min(right, left) - slack <= analytic <= max(right, left) + slack:
        return numerical, None
    return numerical, np.inf
