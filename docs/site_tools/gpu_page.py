"""What has run on a GPU, as docs/howto/gpu.md tells it: written from docs/gpu-report.json, never by hand.

`make gpu-docs` writes the page again. The file is build/gpu-report/report.json of a `make gpu-report` on a GPU.
"""

import json
from pathlib import Path
from typing import Any

from site_tools.links import DOCS
from tinyalex.cost.gpu.table import summary, table

PAGE, REPORT = DOCS / "howto" / "gpu.md", DOCS / "gpu-report.json"
BEGIN, END = "<!-- written by make gpu-docs -->\n", "<!-- end -->\n"
SHOWN = (0, 4, 6, 7, 8, 9)  # the steps with figures for readers; the tables of the others are long
NOT_YET = "The report has not yet run on a card: no figure here is from one.\n"


def read_report(path: Path = REPORT) -> dict[str, Any] | None:
    """The report in a file; None if there is no file, or an empty one."""
    if not path.exists() or not path.read_text().strip():
        return None
    report: dict[str, Any] = json.loads(path.read_text())
    return report


def text(report: dict[str, Any] | None) -> str:
    """What the page says: the card and the date, the result of each step, and the tables of those in SHOWN."""
    steps = report["steps"] if report else []
    cards = sorted({step["where"] for step in steps if step["where"]})
    if report is None or not cards:
        return NOT_YET
    passed = sum(step["status"] == "passed" for step in steps)
    parts = [f"{' and '.join(cards)}, {report['date']}: {passed} of {len(steps)} steps passed.", table(summary(steps))]
    for step in steps:
        if step["number"] in SHOWN and step["rows"]:
            parts += [f"**{step['name']}**", table(step["rows"])]
    return "\n\n".join(parts) + "\n"


def updated(page: str, report: dict[str, Any] | None) -> str:
    """The page with `report` between its two marks. Raises ValueError if it lacks them."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"got a page without the marks {BEGIN.strip()} and {END.strip()}: expected both")
    return f"{before}{BEGIN}\n{text(report)}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text(), read_report()))
