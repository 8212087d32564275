"""What has run on a GPU, as docs/howto/gpu.md tells it: written from docs/gpu-report.json, never by hand.

`make gpu-docs` writes the page again. `make gpu-docs REPORTS='build/gpu-report/report.json ...'` first takes the steps
of these reports into the file, in place of the same steps that are there.
"""

import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from site_tools.links import DOCS
from tinyalex.cost.gpu.table import summary, table

PAGE, REPORT = DOCS / "howto" / "gpu.md", DOCS / "gpu-report.json"
BEGIN, END = "<!-- written by make gpu-docs -->\n", "<!-- end -->\n"
SHOWN = (0, 2, 4, 6, 7, 8, 9)  # the steps with figures for readers; the tables of the others are long
NOT_YET = "The report has not yet run on a card: no figure here is from one.\n"


def read_report(path: Path | None = None) -> dict[str, Any] | None:
    """The report in a file, docs/gpu-report.json by default; None if there is no file, or an empty one."""
    path = path or REPORT
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
    dates = " and ".join(sorted({step["date"] for step in steps if step["where"]}))
    passed = sum(step["status"] == "passed" for step in steps)
    parts = [f"{' and '.join(cards)}, {dates}: {passed} of {len(steps)} steps passed.", table(summary(steps))]
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


def merged(reports: Iterable[dict[str, Any] | None]) -> dict[str, Any]:
    """All steps of several reports, by number; of a step that is in two, the later one."""
    steps = {step["number"]: step for report in reports if report for step in report["steps"]}
    return {"steps": [steps[number] for number in sorted(steps)]}


def main(files: Sequence[str]) -> None:
    """Take the reports in `files` into docs/gpu-report.json, and write the page."""
    if files:
        report = merged([read_report(), *(read_report(Path(file)) for file in files)])
        REPORT.write_text(json.dumps(report, indent=1) + "\n")
    PAGE.write_text(updated(PAGE.read_text(), read_report()))


if __name__ == "__main__":
    main(sys.argv[1:])
