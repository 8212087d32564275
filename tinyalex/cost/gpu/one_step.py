"""One step of the report, in a process of its own: what it finds is written to a file line by line.

    python -m tinyalex.cost.gpu.one_step NUMBER --out FILE [--tiny] [--limit SECONDS]

A crash or a stop at any moment leaves the lines that were found before.
"""

import argparse
import json
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tinyalex.backend import gpu_library
from tinyalex.cost.gpu.rows import FULL, TINY, LeftOutError, Row, Sizes
from tinyalex.cost.gpu.steps import STEPS
from tinyalex.errors import UsageError
from tinyalex.files import write_text

STAND_IN = "on the stand-in, not a GPU"
NO_GPU = "no GPU: not run"


def where() -> str:
    """The name of the GPU, or STAND_IN. Raises UsageError if there is no GPU."""
    cupy = gpu_library()
    if cupy.__version__ == "stand-in":
        return STAND_IN
    return str(cupy.cuda.runtime.getDeviceProperties(0)["name"].decode())


def run_step(number: int, sizes: Sizes, out: Path) -> bool:
    """Run a step, and keep `out` up to date. Returns whether it passed, or could not run here for a known reason."""
    found: dict[str, Any] = {"where": "", "status": "running", "said": "", "rows": []}
    rows: dict[str, Row] = {}

    def write(**changed: Any) -> None:
        found.update(changed, rows=list(rows.values()))
        write_text(out, json.dumps(found, indent=1) + "\n")

    try:
        write(where=where())
        for row in STEPS[number].work(sizes):
            name = str(row["what"])
            rows[name] = {**rows.get(name, {}), **row}  # a line may come in parts
            write()
    except UsageError as error:
        no_gpu = not found["where"]
        write(status=NO_GPU if no_gpu else "failed", said=str(error))
        return no_gpu
    except LeftOutError as error:
        write(status="left out", said=str(error))
        return True
    except Exception as error:
        traceback.print_exc()
        reason = (str(error).splitlines() or [""])[0]
        write(status="failed", said=f"{type(error).__name__}: {reason}"[:200])
        return False
    wrong = [name for name, row in rows.items() if row.get("right") is False]
    write(status="failed" if wrong or not rows else "passed", said=f"wrong: {', '.join(wrong)}"[:200] if wrong else "")
    return not wrong and bool(rows)


def main(words: Sequence[str] | None = None) -> int:
    """Run the step that the command line names. Returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("number", type=int, choices=range(len(STEPS)))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--limit", type=float, default=600)
    options = parser.parse_args(words)
    sizes = replace(TINY if options.tiny else FULL, ends=time.monotonic() + options.limit)
    return 0 if run_step(options.number, sizes, options.out) else 1


if __name__ == "__main__":
    sys.exit(main())
