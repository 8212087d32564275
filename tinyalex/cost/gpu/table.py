"""The report as a page of markdown."""

from collections.abc import Sequence
from typing import Any

from tinyalex.cost.gpu.rows import Row

VERDICTS = {True: "yes", False: "NO"}


def page(report: dict[str, Any]) -> str:
    """A table of all steps, then one of the lines of each step that found any."""
    parts = [table(summary(report["steps"]))]
    for step in report["steps"]:
        if step["rows"]:
            title = f"{step['number']} {step['name']}: {step['status']}, {step['where']}"
            parts += [f"**{title}**", table(step["rows"])]
    return "\n\n".join(parts) + "\n"


def summary(steps: Sequence[dict[str, Any]]) -> list[Row]:
    """A row for each step: how it ended, after how many seconds, and where."""
    return [
        {
            "step": f"{step['number']} {step['name']}",
            "result": step["status"],
            "seconds": step["seconds"],
            "where": step["where"],
            "remark": step["said"],
        }
        for step in steps
    ]


def table(rows: Sequence[Row]) -> str:
    """Rows as a table of markdown, with a column for each key in the order of their first appearance."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns, ["---"] * len(columns), *([cell(row.get(key, "")) for key in columns] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(value: Any) -> str:
    """A verdict as a word, a number with three digits or more, text in one line."""
    if isinstance(value, bool):
        return VERDICTS[value]
    if isinstance(value, float):
        if value and abs(value) < 0.001:
            return f"{value:.0e}"
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return " ".join(str(value).replace("|", "\\|").replace("<", "\\<").split())
