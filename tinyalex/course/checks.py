"""Comparisons for test cells. Their messages teach: which entry differs, by how much, in which pattern, and why."""

from collections.abc import Callable, Iterator, Mapping
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.errors import TinyAlexError

TOLERANCES = {"float32": 1e-4, "float64": 1e-8}  # relative to the largest expected entry; other dtypes must be equal


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
    if tolerance is None:
        tolerance = max(TOLERANCES.get(str(array.dtype), 0.0) for array in (got, expected))

    def equal(a: NDArray[Any], b: NDArray[Any]) -> bool:
        return a.shape == b.shape and not _differing(a, b, tolerance).any()

    lines = _difference(name, got, expected, axes, tolerance)
    if not lines:
        return
    for cause, wrong in (usual or {}).items():
        if equal(got, np.asarray(wrong() if callable(wrong) else wrong)):
            lines.append(f"What it is: {cause}")
            raise CheckError("\n".join(lines))
    lines += [f"What it looks like: {pattern}" for pattern in _patterns(got, expected, axes.split(), equal)][:2]
    raise CheckError("\n".join(lines))


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
        count = [f"{wrong.sum()} of {wrong.size} entries differ{named}"] if index else []
        return [f"{where} is {_number(one)}, expected {_number(other)}{by}", *count]
    if expected.ndim and got.dtype != expected.dtype:
        return [
            f"{name} has the right numbers, but is {got.dtype}, expected {expected.dtype}",
            "Give new arrays dtype=x.dtype. A NumPy number, such as np.sqrt(2), turns float32 into float64.",
        ]
    return []


def _number(value: Any) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


Equal = Callable[[NDArray[Any], NDArray[Any]], bool]


def _patterns(got: NDArray[Any], expected: NDArray[Any], axes: list[str], equal: Equal) -> Iterator[str]:
    """Descriptions of the pattern that the wrong entries form, the most certain first."""
    names = axes if len(axes) == expected.ndim else [f"axis {i}" for i in range(expected.ndim)]
    if got.dtype.kind not in "fiu" or expected.dtype.kind not in "fiu" or not got.size:
        return
    if got.shape == expected.shape:
        if not np.isfinite(got).all():
            yield "some entries are nan or inf: a division by 0, a logarithm of 0, or an exp of something large"
            return
        if not got.any():
            yield "every entry is 0: the array was made, but nothing was written into it"
            return
        yield from _factor(got, expected, equal)
    yield from _moved(got, expected, names, equal)
    if got.shape == expected.shape:
        yield from _place(~np.isclose(got, expected, rtol=1e-4, atol=1e-6), names)


def _factor(got: NDArray[Any], expected: NDArray[Any], equal: Equal) -> Iterator[str]:
    """The wrong sign, a common factor, or a common offset."""
    factor = float(np.vdot(got, expected) / max(float(np.vdot(expected, expected)), 1e-30))
    offset = float(np.mean(got - expected))
    if equal(got, -expected):
        yield "every entry has the wrong sign"
    elif factor and equal(got / factor, expected):
        yield f"every entry is {factor:.4g} times what it should be: a mean for a sum, or a factor too many or too few"
    elif got.size > 1 and equal(got - offset, expected):
        yield f"every entry is off by the same number, {offset:.4g}"


def _moved(got: NDArray[Any], expected: NDArray[Any], names: list[str], equal: Equal) -> Iterator[str]:
    """The right numbers at the wrong places: axes in another order, an axis reversed, or another shape."""
    if expected.ndim > 5 or np.ptp(expected) == 0:
        return
    for order in permutations(range(expected.ndim)):
        if order != tuple(range(expected.ndim)) and equal(got, expected.transpose(order)):
            yield f"the right numbers with the axes in another order: {', '.join(names[i] for i in order)}"
            return
    for axis, name in enumerate(names):
        if equal(got, np.flip(expected, axis)):
            yield f"the right numbers, reversed along {name}"
    if got.size == expected.size and got.shape != expected.shape and equal(got.reshape(expected.shape), expected):
        yield "the right numbers in the right order, in another shape"


def _place(wrong: NDArray[np.bool_], names: list[str]) -> Iterator[str]:
    """The wrong entries lie only at some indices of an axis, or only at the edge of the image."""
    if wrong.all() or not wrong.any():
        return
    if wrong.ndim >= 2 and min(wrong.shape[-2:]) > 2 and not wrong[..., 1:-1, 1:-1].any():
        yield f"only entries at the edge are wrong (first or last of {names[-2]} or {names[-1]})"
    for axis, name in enumerate(names):
        others = tuple(i for i in range(wrong.ndim) if i != axis)
        bad = np.flatnonzero(wrong.any(axis=others)).tolist()
        if len(bad) < wrong.shape[axis]:
            yield f"only entries with {name} = {', '.join(map(str, bad))} are wrong (of 0 ... {wrong.shape[axis] - 1})"
