"""Comparisons for test cells. Their messages teach: which entry differs, by how much, in which pattern, and why."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex import patterns
from tinyalex.errors import TinyAlexError

TOLERANCES = {"float32": 1e-4, "float64": 1e-8}  # relative to the largest expected entry; other dtypes must be equal
NUMBERS = "biuf"  # the kinds of dtypes that have differences

CHANCE = 1e-10  # of one statistic of right random numbers to be called wrong

KEEP_DTYPE = "Give new arrays dtype=x.dtype. A NumPy number, such as np.sqrt(2), turns float32 into float64."


class CheckError(TinyAlexError, AssertionError):
    """A wrong answer. A notebook shows its message without a traceback."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


def that(condition: object, message: str) -> None:
    """Raise CheckError(message) unless `condition` is true."""
    if not condition:
        raise CheckError(message)


def same(
    name: str,
    got: Any,
    expected: Any,
    *,
    axes: str = "",
    usual: Mapping[str, Any] | None = None,
    tolerance: float | None = None,
) -> None:
    """Raise CheckError unless `got` has the shape, the dtype and the numbers of `expected`, a number or an array.

    name:      the name of the array in the message: "y", "dx", ...
    axes:      the names of the axes, such as "N C H W".
    usual:     common mistakes: a description, and the array that the mistake leads to, or a function without arguments
               that returns it. If `got` is that array, the message gives the description.
    tolerance: the largest difference, relative to the largest expected entry; by default 1e-8, for float32 1e-4.
    """
    expected = np.asarray(expected)
    if expected.ndim and type(got) is not np.ndarray:
        raise CheckError(f"{name}: got {_kind(got)}, expected a NumPy array of shape {expected.shape}")
    if not expected.ndim and not isinstance(got, int | float | np.number | np.ndarray):
        raise CheckError(f"{name}: got {_kind(got)}, expected a number")
    got = np.asarray(got)
    if (got.dtype.kind in NUMBERS) != (expected.dtype.kind in NUMBERS):
        raise CheckError(f"{name} is {got.dtype}, expected {expected.dtype}")
    if tolerance is None:
        tolerance = max(TOLERANCES.get(str(array.dtype), 0.0) for array in (got, expected))

    def equal(a: NDArray[Any], b: NDArray[Any]) -> bool:
        return a.shape == b.shape and not _differing(a, b, tolerance).any()

    lines = _difference(name, got, expected, axes, tolerance)
    other_dtype = expected.ndim > 0 and got.dtype != expected.dtype
    if not lines and other_dtype:
        raise CheckError(f"{name} has the right numbers, but is {got.dtype}, expected {expected.dtype}\n{KEEP_DTYPE}")
    if not lines:
        return
    if other_dtype:
        lines.append(f"{name} is {got.dtype}, expected {expected.dtype}")
    for cause, wrong in (usual or {}).items():
        if equal(got, np.asarray(wrong() if callable(wrong) else wrong)):
            lines.append(f"What it is: {cause}")
            raise CheckError("\n".join(lines))
    lines += [f"What it looks like: {pattern}" for pattern in _patterns(got, expected, axes.split(), equal)][:2]
    raise CheckError("\n".join(lines))


def independent(name: str, draws: NDArray[Any], axes: str, hint: str) -> None:
    """Raise CheckError unless `draws` look as if each was drawn by itself, whatever the generator and the order.

    draws: numbers of one distribution, symmetric about its mean: masks of p = 0.5, places, normal numbers.
    axes:  a word for each axis, such as "image unit".   hint: what to do; ends the message.
    Compares any two slices along each axis, all draws with those any distance away, and the sums of the slices with
    what chance makes of them: a fixed number in each slice is too even.
    """
    draws = np.asarray(draws, np.float64)
    words = axes.split()
    that(draws.std() > 0, f"{name}: all draws are equal: {hint}")
    numbers = (draws - draws.mean()) / draws.std()

    def largest(pairs: int, terms: int) -> float:
        """The largest mean of so many products of independent numbers, in so many pairs: Hoeffding's bound."""
        return math.sqrt(2 * math.log(2 * pairs / CHANCE) / terms)

    for axis, word in enumerate(words):
        slices = np.moveaxis(numbers, axis, 0).reshape(draws.shape[axis], -1)  # (K, the others)
        K, terms = slices.shape
        if K > 1 and largest(K * K // 2, terms) < 1:  # else chance may make two of them equal
            together = np.abs(slices @ slices.T / terms - np.diag((slices**2).mean(axis=1)))
            for one, other in np.argwhere(together > largest(K * K // 2, terms)):
                raise CheckError(f"{name}: {word} {other} depends on {word} {one}: {hint}")
    spectrum = np.abs(np.fft.fftn(numbers)) ** 2
    repeats = np.abs(np.fft.ifftn(spectrum).real) / numbers.size  # at each distance, round the edges
    repeats = repeats[: len(repeats) // 2 + 1]  # the rest are the same distances in the other direction
    repeats.flat[0] = 0
    for nearest in np.argwhere(repeats > largest(numbers.size, numbers.size)):
        distance = zip(nearest, words, strict=True)
        away = " and ".join(f"{steps} {word if steps == 1 else word + 's'}" for steps, word in distance if steps)
        raise CheckError(f"{name}: the draws depend on those that are {away} away: {hint}")
    for axis, word in enumerate(words):
        sums = np.moveaxis(numbers, axis, 0).reshape(draws.shape[axis], -1).sum(axis=1)
        if len(sums) < 2 or len(sums) == draws.size:
            continue
        ratio = max(float(sums.var(ddof=1)) * len(sums) / draws.size, 1e-300)  # 1 on average
        if ratio - 1 - math.log(ratio) > 2 * math.log(1 / CHANCE) / (len(sums) - 1):  # Chernoff's bound of chi-square
            how = "too even" if ratio < 1 else "too uneven"
            raise CheckError(f"{name}: the sum for each {word} is {how} for chance: {hint}")


def evenly(name: str, counts: Any, hint: str) -> None:
    """Raise CheckError if one of `counts`, of outcomes that are equally likely, is above or below what chance makes.

    counts: how often each outcome came, in any shape, with 0 for one that never came.   hint: ends the message.
    """
    counts = np.asarray(counts)
    mean, far = float(counts.mean()), math.log(2 * counts.size / CHANCE)
    most = mean + far / 3 + math.sqrt(far**2 / 9 + 2 * mean * far)  # Bernstein's bound
    least = mean - math.sqrt(2 * mean * far)  # Chernoff's, for counts that cannot be negative
    for worst in (counts.max(), counts.min()):
        that(least <= worst <= most, f"{name} came {worst} times, expected about {mean:.0f}: {hint}")


def _kind(value: object) -> str:
    return "None (is there a return?)" if value is None else f"type {type(value).__name__}"


def _differing(got: NDArray[Any], expected: NDArray[Any], tolerance: float) -> NDArray[np.bool_]:
    """Where two arrays of one shape differ; a NaN differs from everything."""
    if not tolerance:
        return np.asarray(got != expected)
    with np.errstate(all="ignore"):
        return np.asarray(~(np.abs(got - expected) <= tolerance * np.max(np.abs(expected), initial=1e-30)))


def _difference(name: str, got: NDArray[Any], expected: NDArray[Any], axes: str, tolerance: float) -> list[str]:
    """The first lines of the message, which say what is wrong; none if the arrays agree."""
    named = f" ({axes})" if axes else ""
    if got.shape != expected.shape:
        return [f"{name} has the shape {got.shape}, expected {expected.shape}{named}"]
    wrong = _differing(got, expected, tolerance)
    if wrong.any():
        index = tuple(int(i) for i in np.argwhere(wrong)[0])
        where = f"{name}[{', '.join(map(str, index))}]" if index else name
        one, other = got[index].item(), expected[index].item()
        by = "" if expected.dtype == bool else f", a difference of {_number(one - other)}"
        differ = "differs" if wrong.sum() == 1 else "differ"
        count = [f"{wrong.sum()} of {wrong.size} entries {differ}{named}"] if index else []
        return [f"{where} is {_number(one)}, expected {_number(other)}{by}", *count]
    return []


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _patterns(got: NDArray[Any], expected: NDArray[Any], axes: list[str], equal: patterns.Equal) -> Iterator[str]:
    """Descriptions of the pattern that the wrong entries form, the most certain first."""
    names = axes if len(axes) == expected.ndim else [f"axis {i}" for i in range(expected.ndim)]
    if got.dtype.kind not in "fiu" or expected.dtype.kind not in "fiu" or not got.size:
        return
    if got.shape == expected.shape:
        if not np.isfinite(got).all():
            yield from patterns.not_finite(got)
            return
        if got.dtype.kind in "iu" and expected.dtype.kind == "f" and equal(got, np.trunc(expected)):
            yield "the digits after the point are missing: the array was made for integers"
            return
        yield from patterns.factor(got, expected, equal)
        if not got.any():
            return
    yield from patterns.moved(got, expected, names, equal)
    if got.shape == expected.shape:
        yield from patterns.place(~np.isclose(got, expected, rtol=1e-4, atol=1e-6), names)
