"""Patterns in wrong numbers, and the mistakes that usually make them; for messages that teach.

All functions yield descriptions, the most certain first; none if they see no pattern. `equal` says whether two arrays
of the same shape agree.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Equal = Callable[[Array, Array], bool]
EDGE_SHARE = 3 / 4  # an edge with more of the image than that, such as 8 of 9 in a 3 x 3 kernel, says nothing
EDGE_PLACES = 4  # fewer wrong places than that may lie at the edge by chance


def not_finite(got: Array) -> Iterator[str]:
    """Entries that are NaN or infinite."""
    if np.isnan(got).any():
        yield "some entries are nan: 0 / 0, inf / inf after an exp of something large, or the log of a number below 0"
    elif np.isinf(got).any():
        yield "some entries are inf: a division by 0, the logarithm of 0, or an exp of something large"


def factor(got: Array, expected: Array, equal: Equal) -> Iterator[str]:
    """Zeros, the wrong sign, a common factor, or a common offset."""
    if not got.any():
        yield "every entry is 0: the array was made, but nothing was written into it"
        return
    ratio = float(np.vdot(got, expected) / max(float(np.vdot(expected, expected)), 1e-30))
    offset = float(np.mean(got - expected))
    if equal(got, -expected):
        yield "every entry has the wrong sign"
    elif got.size == 1:
        yield from _factor_of_a_number(ratio)
    elif ratio and equal(got / ratio, expected):
        if abs(ratio - 1) < 1e-3:
            yield "right to a few digits only: a part was computed in a dtype with fewer digits, such as float32"
        else:
            cause = "a sum for a mean" if ratio > 1 else "a mean for a sum"
            yield f"every entry is {ratio:.4g} times what it should be: {cause}, or a factor too many or too few"
    elif equal(got - offset, expected):
        yield f"every entry is off by the same number, {offset:.4g}"


def _factor_of_a_number(ratio: float) -> Iterator[str]:
    """A common factor. Of one number any other is a multiple, so only whole ones and those near 1 say something."""
    size = max(ratio, 1 / ratio) if ratio > 0 else 0.0
    if abs(size - 1) < 1e-6:
        yield "right to a few digits only: a part was computed in a dtype with fewer digits, such as float32"
    elif size > 1.5 and abs(size - round(size)) < 1e-6 * size:
        cause = "a sum for a mean" if ratio > 1 else "a mean for a sum"
        part = f"{round(size)} times" if ratio > 1 else f"1 / {round(size)} of"
        yield f"it is {part} what it should be: {cause}, or a factor too many or too few"


def moved(
    got: Array, expected: Array, names: Sequence[str], equal: Equal, seen: NDArray[np.bool_] | None = None
) -> Iterator[str]:
    """The right numbers at the wrong places: axes in another order, an axis reversed, or another shape.

    seen: where `expected` is known; None: everywhere. `got` is known everywhere, so each number that was seen is looked
    for at the one place where the move would have put it.
    """
    if not 1 <= expected.ndim <= 5:
        return
    at = np.nonzero(np.ones(expected.shape, bool) if seen is None else seen)  # an index of each axis for each number
    numbers = expected[at]
    if np.ptp(numbers) == 0:
        return
    for order in permutations(range(expected.ndim)):
        fits = got.shape == tuple(expected.shape[i] for i in order)
        if fits and order != tuple(range(expected.ndim)) and equal(got[tuple(at[i] for i in order)], numbers):
            yield f"the right numbers with the axes in another order: {', '.join(names[i] for i in order)}"
            return
    for axis, name in enumerate(names):
        mirrored = tuple(expected.shape[i] - 1 - index if i == axis else index for i, index in enumerate(at))
        if got.shape == expected.shape and equal(got[mirrored], numbers):
            yield f"the right numbers, reversed along {name}"
    if got.size == expected.size and got.shape != expected.shape and equal(got.reshape(expected.shape), expected):
        yield "the right numbers in the right order, in another shape"


def place(wrong: NDArray[np.bool_], names: Sequence[str], seen: NDArray[np.bool_] | None = None) -> Iterator[str]:
    """Entries that are wrong only at the edge of the image, or only at some indices of an axis.

    wrong: where the entries are wrong.   seen: where they were compared; None: everywhere.
    """
    seen = np.ones_like(wrong) if seen is None else seen
    right = seen & ~wrong
    if not wrong.any() or not right.any():
        return
    if wrong.ndim >= 2 and _at_the_edge(wrong, right):
        yield f"only entries at the edge are wrong (first or last of {names[-2]} or {names[-1]})"
    for axis, name in enumerate(names):
        others = tuple(i for i in range(wrong.ndim) if i != axis)
        bad = np.flatnonzero(wrong.any(axis=others)).tolist()
        good = np.flatnonzero(right.any(axis=others)).tolist()
        if len(bad) < len({*bad, *good}):
            yield f"only entries with {name} = {', '.join(map(str, bad))} are wrong (of 0 ... {wrong.shape[axis] - 1})"


def _at_the_edge(wrong: NDArray[np.bool_], right: NDArray[np.bool_]) -> bool:
    """Whether only the edge of the last two axes is wrong: enough of it, and not nearly the whole image."""
    height, width = wrong.shape[-2:]
    inside, size = (..., slice(1, -1), slice(1, -1)), height * width
    if size - max(height - 2, 0) * max(width - 2, 0) > EDGE_SHARE * size:
        return False
    places = wrong.reshape(-1, height, width).any(axis=0).sum()
    return places >= EDGE_PLACES and not wrong[inside].any() and bool(right[inside].any())
