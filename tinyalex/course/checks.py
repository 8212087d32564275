"""Comparisons for test cells. Their messages teach: which entry differs, by how much, in which pattern, and why."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex import patterns
from tinyalex.errors import TinyAlexError

TOLERANCES = {"float32": 1e-4, "float64": 1e-8}  # relative to the largest expected entry; other dtypes must be equal
NUMBERS = "biuf"  # the kinds of dtypes that have differences

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
