"""The comparison of one gradient with differences, entry by entry, and the error that shows what is wrong."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex import patterns
from tinyalex.errors import TinyAlexError, at_least

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
    """A gradient that is not the derivative, is missing, or has another shape than its array; the message shows which.

    name: of the first wrong array.   index: of its first wrong entry.   analytic, numerical: that entry's gradients.
    wrong: the number of its wrong entries. For a gradient that is missing or has another shape, wrong is the size of
    the array, index is () and both gradients are nan.
    also_wrong: the names of the other wrong arrays.   right: the names of the arrays whose gradients are right.
    rounding: whether all arrays are right but for rounding, as in a dtype with few digits.
    summary: the first line of the message.   details: the other lines.
    """

    def __init__(
        self,
        first: "Compared | Unfit",
        right: Sequence[str],
        *,
        also_wrong: Sequence[str] = (),
        rounding: bool = False,
    ) -> None:
        self.name, self.index, self.analytic, self.numerical = first.name, first.index, *first.both
        self.wrong, self.also_wrong, self.right, self.rounding = first.count, tuple(also_wrong), tuple(right), rounding
        self.summary = first.summary()
        self.details = [
            *first.details(),
            *([f"Also wrong: {', '.join(also_wrong)}"] if also_wrong else []),
            *([f"Right: {', '.join(right)}"] if right else []),
        ]
        super().__init__("\n".join([self.summary, *self.details]))


@dataclass
class Unfit:
    """A gradient that cannot be compared: it is missing, or has another shape than its array.

    got: what there is instead, in words.   shape: of the array.   cure: what to do.
    """

    name: str
    got: str
    shape: tuple[int, ...]
    cure: str
    index: tuple[int, ...] = ()
    both: tuple[float, float] = (math.nan, math.nan)
    nearly_right: bool = False

    @property
    def count(self) -> int:
        """The number of wrong entries: all."""
        return math.prod(self.shape)

    def summary(self) -> str:
        """What is wrong, and what to do."""
        return f"gradient of {self.name}: got {self.got}, expected shape {self.shape}; {self.cure}"

    def details(self) -> list[str]:
        """No further lines."""
        return []


@dataclass
class Compared:
    """The gradients of one array. All fields but the name and the axes have its shape.

    axes: the names of its axes.   seen: which entries were compared.   wrong: which of them are not the derivative.
    kinks: which lie at a kink.
    """

    name: str
    axes: Sequence[str]
    analytic: Floats
    numerical: Floats
    seen: NDArray[np.bool_]
    wrong: NDArray[np.bool_]
    kinks: NDArray[np.bool_]

    @property
    def index(self) -> tuple[int, ...]:
        """The index of the first wrong entry, in reading order."""
        return tuple(int(i) for i in np.argwhere(self.wrong)[0])

    @property
    def both(self) -> tuple[float, float]:
        """The analytic and the numerical gradient of the first wrong entry."""
        return float(self.analytic[self.index]), float(self.numerical[self.index])

    @property
    def count(self) -> int:
        """The number of wrong entries."""
        return int(self.wrong.sum())

    @property
    def nearly_right(self) -> bool:
        """Whether the compared entries have two correct digits: float16 has three, and a sum of many loses some."""
        compared = self.seen & ~self.kinks
        got, expected = self.analytic[compared], self.numerical[compared]
        return bool(np.allclose(got, expected, rtol=1e-2, atol=1e-2 * float(np.abs(expected).max(initial=0.0))))

    def summary(self) -> str:
        """The first wrong entry, and both of its gradients."""
        where, (analytic, numerical) = _entry(self.name, self.index), self.both
        return f"gradient of {where}: got {analytic:.9g} from backward, expected {numerical:.9g} (numerical)"

    def details(self) -> list[str]:
        """How many entries are wrong, the pattern that they form, and a map."""
        verb = "is" if self.count == 1 else "are"
        return [
            f"{self.name}: {self.count} of {int(self.seen.sum())} compared entries {verb} wrong",
            *(f"What it looks like: {pattern}" for pattern in self.patterns()),
            *self.map(),
        ]

    def patterns(self) -> list[str]:
        """At most two descriptions of the pattern that the wrong entries form."""
        compared = self.seen & ~self.kinks
        got, expected = self.analytic[compared], self.numerical[compared]
        found = [*patterns.not_finite(got)]
        if not found:
            found += patterns.factor(got, expected, _equal)
            if got.any():
                found += patterns.moved(self.analytic, self.numerical, self.axes, _equal, compared)
            found += patterns.place(self.wrong, self.axes, compared)
        return found[:2]

    def map(self) -> list[str]:
        """The last two axes as text: x wrong, . right, ~ at a kink, blank where nothing was compared.

        Of an array with more axes, the one slice that has wrong entries, or all slices in one map: a place then shows
        the worst entry there. A line before the map says which. No lines for an array that is too large.
        """
        shape = (1, 1, *self.wrong.shape)[-2:]
        if shape[0] > MAP[0] or shape[1] > MAP[1] or self.wrong.size == 1:
            return []
        slices = [mask.reshape(-1, *shape) for mask in (self.wrong, self.kinks, self.seen & ~self.kinks)]
        title = []
        if self.wrong.ndim > 2:
            wrong_slices = np.flatnonzero(slices[0].any(axis=(1, 2)))
            if len(wrong_slices) == 1:
                slices = [mask[wrong_slices] for mask in slices]
                title = [f"{_entry(self.name, self.index[:-2])}:"]
            else:
                one = _entry(self.name, "ijklmn"[: self.wrong.ndim - 2])
                title = [f"all {one} laid over one another, x where any of them is wrong:"]
        wrong, kinks, seen = (mask.any(axis=0) for mask in slices)
        marks = np.where(wrong, "x", np.where(seen, ".", np.where(kinks, "~", " ")))
        return title + [f"    {' '.join(row)}".rstrip() for row in marks]


def _entry(name: str, index: Iterable[int | str]) -> str:
    return f"{name}[{', '.join(map(str, index))}]"


def _equal(a: Floats, b: Floats) -> bool:
    return a.shape == b.shape and bool(np.allclose(a, b, rtol=1e-4, atol=1e-6 * float(np.abs(b).max(initial=0.0))))


def check_all(
    evaluate: Callable[[], Floats],
    arrays: Mapping[str, Floats],
    analytic: Mapping[str, Any],
    rng: np.random.Generator,
    entries: int,
    tolerance: float,
    cure: Callable[[str], str],
    axes: Mapping[str, str],
) -> list[Checked]:
    """Check every array.   evaluate: returns the terms of the sum L for the current values of the arrays.

    cure: what to do where the gradient of the named array is missing.   axes: the names of the axes, such as "N C H W",
    of the arrays whose axes have names. The other arguments are as for `check_layer`.
    Raises GradientError for the first array with a wrong entry or an unfit gradient, after all have been compared;
    UsageError for fewer than one entry, TinyAlexError for an array of which nothing can be compared.
    """
    at_least(1, entries=entries)
    found, wrong, right = [], list[Compared | Unfit](), []
    for name, array in arrays.items():
        unfit = _unfit(name, analytic, array.shape, cure)
        if unfit:
            wrong.append(unfit)
            continue
        gradient = np.asarray(analytic[name], np.float64)
        named = axes[name].split() if name in axes else [f"axis {axis}" for axis in range(array.ndim)]
        one, error = _compare(name, named, evaluate, array, gradient, rng, entries, tolerance)
        found.append(Checked(name, int(one.seen.sum() - one.kinks.sum()), int(one.kinks.sum()), error))
        if one.wrong.any():
            wrong.append(one)
        else:
            right.append(name)
    if wrong:
        also_wrong = [one.name for one in wrong[1:]]
        rounding = all(one.nearly_right for one in wrong)
        raise GradientError(wrong[0], right, also_wrong=also_wrong, rounding=rounding)
    for checked in found:
        if checked.entries:
            continue
        if checked.kinks:
            raise TinyAlexError(
                f"{checked.name}: got kinks at all {checked.kinks} entries: expected some without; use another input"
            )
        raise TinyAlexError(f"{checked.name}: got no entries: expected some to compare; use a larger input")
    return found


def _unfit(name: str, analytic: Mapping[str, Any], shape: tuple[int, ...], cure: Callable[[str], str]) -> Unfit | None:
    """What is wrong with a gradient that cannot be compared with differences; None if it can."""
    if analytic.get(name) is None:
        return Unfit(name, "None" if name in analytic else "none", shape, cure(name))
    try:
        got = np.asarray(analytic[name], np.float64).shape
    except (TypeError, ValueError):
        return Unfit(name, f"a {type(analytic[name]).__name__}", shape, "make it one array of numbers")
    return None if got == shape else Unfit(name, f"shape {got}", shape, f"give it the shape of {name}")


def _compare(
    name: str,
    axes: Sequence[str],
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
    return Compared(name, axes, analytic, numerical, seen, wrong, kinks), largest


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
