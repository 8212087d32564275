"""Everything there is to find out on a GPU, in one command: whether it works, how fast it is, what it needs.

    PYTHONPATH=. python3 -m tinyalex.cost.gpu_report [--steps 0,1,2] [--budget SECONDS] [--out FOLDER] [--required]

It needs no virtual environment and no network: only CuPy, and pytest and PyTorch for the steps that use them. Each step
runs in a process of its own with a limit of time, so that a crash costs that step alone. FOLDER/report.json is written
after each step, FOLDER/report.md at the end. A step for which the budget has no time left is left out, and says so.

Without a GPU every step says "no GPU: not run". With --required the exit status is 0 only if every step passed, on a
GPU. --standin FOLDER runs tiny sizes with the module `cupy` of that folder; the tests use it.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tinyalex.cost.gpu.one_step import STAND_IN
from tinyalex.cost.gpu.steps import STEPS
from tinyalex.cost.gpu.table import page
from tinyalex.files import make_folder, write_text

BUDGET = 480.0  # seconds
LAST = 25  # lines of a failed step's log that are shown
ROOT = Path(__file__).resolve().parents[2]


@dataclass
class Report:
    """The steps of one run, each in a process of its own.

    out: the folder of the report.   budget: seconds for all steps.   standin: the folder of a module `cupy` to use in
    place of CuPy, with tiny sizes.   results: a record for each step that was reached.
    """

    out: Path
    budget: float = BUDGET
    standin: Path | None = None
    results: list[dict[str, Any]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def run(self, number: int) -> dict[str, Any]:
        """Run a step if its expected time is left, and write the report. Returns the step's record."""
        step, left = STEPS[number], self.budget - (time.monotonic() - self.began)
        result: dict[str, Any] = {"number": number, "name": step.name, "date": time.strftime("%Y-%m-%d")}
        result |= {"seconds": 0.0, "where": "", "rows": []}
        if left < step.seconds:
            result |= {"status": "left out: no time", "said": f"{left:.0f} s left, {step.seconds:.0f} s expected"}
        else:
            result |= self._in_a_process(number, min(step.limit, left))
        self.results.append(result)
        write_text(self.out / "report.json", json.dumps({"steps": self.results}, indent=1) + "\n")
        return result

    def _in_a_process(self, number: int, limit: float) -> dict[str, Any]:
        """Run a step for `limit` seconds at most: what it found, how it ended, and its seconds."""
        found, log = self.out / f"step-{number}.json", self.out / f"step-{number}.log"
        found.unlink(missing_ok=True)
        program = [sys.executable, "-m", "tinyalex.cost.gpu.one_step", str(number), "--out", str(found.resolve())]
        program += ["--limit", str(limit), *(["--tiny"] if self.standin else [])]
        began = time.monotonic()
        with log.open("w") as output:
            process = subprocess.Popen(
                program, cwd=ROOT, env=self._environment(number), stdout=output, stderr=output, start_new_session=True
            )
            ended = _wait(process, limit)
        result: dict[str, Any] = {"where": "", "status": "running", "said": "", "rows": []}
        if found.exists():
            result = json.loads(found.read_text())
        if result["status"] == "running":
            last = "".join(_last_lines(log)[-1:]).strip()
            result |= {"status": ended if ended.startswith("timed out") else "failed", "said": f"{ended}; {last}"[:200]}
        return result | {"seconds": round(time.monotonic() - began, 1)}

    def _environment(self, number: int) -> dict[str, str]:
        """The step's environment variables: where modules are found, and the precision of products."""
        folders = [str(self.standin.resolve())] if self.standin else []
        path = os.pathsep.join([*folders, str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        return {**os.environ, "PYTHONPATH": path, "CUPY_TF32": str(int(STEPS[number].tf32)), "PYTHONUNBUFFERED": "1"}

    @property
    def passed(self) -> bool:
        """Whether every step passed, and on a GPU."""
        return all(one["status"] == "passed" and one["where"] != STAND_IN for one in self.results)

    @property
    def failed(self) -> bool:
        """Whether a step failed, or did not end in time."""
        return any(_is_failure(one) for one in self.results)


def _is_failure(result: dict[str, Any]) -> bool:
    return str(result["status"]).startswith(("failed", "timed out"))


def _last_lines(log: Path) -> list[str]:
    """The end of what a step printed."""
    return ["    " + line[:200] for line in log.read_text(errors="replace").splitlines()[-LAST:]]


def _wait(process: subprocess.Popen[bytes], limit: float) -> str:
    """How the process ended. After `limit` seconds it is stopped, with all processes that it started."""
    try:
        code = process.wait(limit)
        return f"killed by signal {-code}" if code < 0 else f"exit status {code}"
    except subprocess.TimeoutExpired:
        return f"timed out after {limit:.0f} s"
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its group: also what a step that ended has left behind
        process.wait()


def _numbers(text: str) -> list[int]:
    """The numbers of steps in "0,1,2"."""
    words = text.split(",")
    if not all(word.isdecimal() and int(word) < len(STEPS) for word in words):
        raise argparse.ArgumentTypeError(f"got {text!r}: expected 0 ... {len(STEPS) - 1}, with commas between them")
    return [int(word) for word in words]


def main(words: Sequence[str] | None = None) -> int:
    """Run the steps and print the table. Returns 1 if a step failed; with --required, unless all passed on a GPU."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = ",".join(str(number) for number in range(len(STEPS)))
    parser.add_argument("--steps", type=_numbers, default=every, help=f"numbers of steps ({every})")
    parser.add_argument("--budget", type=float, default=BUDGET, help=f"seconds for all steps ({BUDGET:.0f})")
    parser.add_argument("--out", type=Path, default=Path("build/gpu-report"), help="folder (build/gpu-report)")
    parser.add_argument("--required", action="store_true", help="fail unless every step passed on a GPU")
    parser.add_argument("--standin", type=Path, help="folder of a module `cupy` that takes the place of CuPy")
    options = parser.parse_args(words)
    make_folder(options.out)
    report = Report(options.out, options.budget, options.standin)
    for number in options.steps:
        result = report.run(number)
        remark = "; ".join(filter(None, [result["where"], result["said"]]))
        print(f"{number} {result['name']}: {result['status']}, {result['seconds']:.1f} s ({remark})", flush=True)
        if _is_failure(result):
            print(*_last_lines(options.out / f"step-{number}.log"), sep="\n", flush=True)
    text = page({"steps": report.results})
    write_text(options.out / "report.md", text)
    print(f"\n{text}")
    return 1 if report.failed or (options.required and not report.passed) else 0


if __name__ == "__main__":
    sys.exit(main())
