"""The facts of a step as text: shapes, parameters, time, memory and statistics."""

import math
from typing import TypedDict

from tinyalex.step.steps import Step

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


class Facts(TypedDict):
    """facts: pairs of a name and a value.   statistics: per array (name, min, max, mean, norm, percentage of 0)."""

    facts: list[tuple[str, str]]
    statistics: list[tuple[str, ...]]


def facts(step: Step) -> Facts:
    """All facts of a step."""
    lines = [(name, times(shape)) for name, shape in step.shapes.items()]
    row = step.row
    if row and (window := row.window):
        what = "kernels" if row.kernel else "window"
        lines.append((what, times(row.kernel or window.kernel)))
        lines.append(("stride, pad", f"{window.stride[0]}, {window.pad[0]}"))
    if row and row.kernel and row.groups > 1:
        lines.append(("columns", f"{row.groups}; each kernel reads the maps of its own column (section 3.2)"))
    if row and row.parameters:
        lines.append(("parameters", f"{row.parameters:,}"))
    if step.operations:
        lines.append(("multiply-adds", f"{step.operations:,}"))
    lines.append(("time", duration(step.seconds)))
    if step.kept:
        kept = ", ".join(f"{name} ({size(count)})" for name, count in step.kept.items())
        lines.append(("kept for backward", kept))
    table = [
        (name, *(number(value) for value in found[:-1]), f"{100 * found.zeros:.1f} %")
        for name, found in step.statistics.items()
    ]
    return {"facts": lines, "statistics": table}


def number(value: float) -> str:
    """A number in about four digits, with the sign − of print: 0.03172, −1.25, 40,823, 2.80·10⁻⁷, −inf, nan."""
    if value == 0:
        return "0"
    if not math.isfinite(value):
        text = str(float(value))
    elif 1e-4 <= abs(value) < 1e6:
        text = f"{value:,.0f}" if abs(value) >= 1e4 else f"{value:.4g}"
    else:
        mantissa, exponent = f"{value:.2e}".split("e")
        text = f"{mantissa}·10{str(int(exponent)).translate(RAISED)}"
    return text.replace("-", "−")


def times(shape: tuple[int, ...]) -> str:
    """(96, 55, 55) as "96 × 55 × 55"."""
    return " × ".join(f"{side:,}" for side in shape)


def size(count: int) -> str:
    """A count of bytes as text in bytes, KB or MB."""
    if count < 1 << 10:
        return f"{count} bytes"
    return f"{count / 2**10:.1f} KB" if count < 1 << 20 else f"{count / 2**20:.1f} MB"


def duration(seconds: float) -> str:
    """Seconds as text in s, ms or µs."""
    if seconds >= 1:
        return f"{seconds:.3g} s"
    return f"{seconds * 1e6:.0f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.3g} ms"
