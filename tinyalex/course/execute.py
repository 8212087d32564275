"""How marking runs a notebook: nbgrader's way, and on where a cell never ends, eats the memory or kills the kernel."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbclient.util import run_sync
from nbgrader.preprocessors import Execute
from traitlets import Integer, default

import tinyalex
from tinyalex.course.cells import is_tests

# Whatever a student's cells have put in place of the checks, each test cell imports them anew; no name is left behind.
FRESH_CHECKS = """
(lambda loaded: [loaded.pop(name) for name in list(loaded) if name.startswith("tinyalex.course")])(
    __import__("sys").modules
);
"""

# A student's `!pip install`, right on Colab, would change the packages that all others are marked with.
NO_INSTALLS = {"PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1"}

# In a notebook exit() ends Python behind its cell, and the next cell would be blamed; here it is an error of its own.
EXIT_FAILS = """
get_ipython().ask_exit = lambda: __import__("sys").exit("exit() and quit() end Python: leave them out")
""".strip()


class MarkingExecute(Execute):  # type: ignore[misc]
    """A cell that fails costs itself: after a kernel's death the cells before it, but for the tests, are run again."""

    memory = Integer(4096, help="the memory that a notebook may use, in MB of 2**20 bytes; 0: no limit").tag(
        config=True
    )

    total = Integer(600, help="the seconds that a notebook may take; cells that are left over then are not run").tag(
        config=True
    )

    text = Integer(100_000, help="the characters of a cell's printed output that are kept").tag(config=True)

    @default("extra_arguments")
    def _extra_arguments(self) -> list[str]:
        return [f"--IPKernelApp.exec_lines={EXIT_FAILS}"]

    def preprocess(self, notebook: Any, resources: Any = None, km: Any = None) -> Any:
        """Run all cells, in order."""
        self.kc: Any
        self.end = time.monotonic() + self.total
        self.fatal: set[int] = set()  # the cells that must not run again
        return super().preprocess(notebook, resources, km)

    async def async_start_new_kernel(self, **kwargs: Any) -> None:
        """Start a kernel that may use so much memory, and imports this very package."""
        paths = [str(Path(tinyalex.__file__).parents[1]), *os.environ.get("PYTHONPATH", "").split(os.pathsep)]
        kwargs["env"] = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in paths if path), **NO_INSTALLS}
        kwargs["stderr"] = subprocess.DEVNULL  # the kernel's own log; what cells write there is in the notebook
        if sys.platform == "linux" and self.memory:
            kwargs["preexec_fn"] = self._limit_memory
        await super().async_start_new_kernel(**kwargs)

    start_new_kernel = run_sync(async_start_new_kernel)

    def _limit_memory(self) -> None:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (self.memory << 20, self.memory << 20))

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> Any:
        """Run one cell."""
        if time.monotonic() > self.end:
            if cell.cell_type == "code":
                cell.outputs = [_error(f"not run: the notebook had taken more than {self.total} s")]
            return cell, resources
        try:
            if is_tests(cell):
                self._run_aside(index, FRESH_CHECKS)
            cell, resources = super().preprocess_cell(cell, resources, index)
        except (DeadKernelError, CellTimeoutError) as error:
            self.fatal.add(index)
            died = isinstance(error, DeadKernelError)
            cell.outputs.append(_error("the cell ended Python" if died else f"stopped after {self.timeout} s"))
            self._start_again(index)
        if any(output.get("ename") == "CellTimeoutError" for output in cell.get("outputs", [])):
            self.fatal.add(index)
        return cell, resources

    def output(self, outs: list[Any], *args: Any) -> Any:
        """Keep an output of a cell; of what it prints only the beginning."""
        out = super().output(outs, *args)
        if out and out.output_type == "stream":
            printed = sum(len(one.text) for one in outs if one.output_type == "stream") - len(out.text)
            out.text = out.text[: max(0, self.text - printed)]
            if not out.text and out.name == "stdout":  # stderr stays, if empty: it fails a test
                outs.pop()
        return out

    async def async_execute_cell(self, *args: Any, **kwargs: Any) -> Any:
        """Run one cell. Where Python lives but answers no more, as one that has closed stdout, it is given up."""
        try:
            return await asyncio.wait_for(super().async_execute_cell(*args, **kwargs), self.timeout + 10)
        except TimeoutError:
            raise CellTimeoutError("no answer") from None

    execute_cell = run_sync(async_execute_cell)

    def _run_aside(self, index: int, source: str) -> None:
        """Run some code that leaves no trace in the notebook."""
        cell = self.nb.cells[index]
        self.execute_cell(nbformat.v4.new_code_cell(source), index, store_history=False)
        self.nb.cells[index] = cell

    def _start_again(self, index: int) -> None:
        """A new kernel, brought to where the old one was before cell `index`."""
        self._cleanup_kernel()
        self.km = self.create_kernel_manager()
        self.start_new_kernel()
        self.start_new_kernel_client()
        for before, cell in enumerate(self.nb.cells[:index]):
            if cell.cell_type != "code" or is_tests(cell) or before in self.fatal:
                continue
            if time.monotonic() > self.end:
                return
            try:
                self._run_aside(before, cell.source)
            except (DeadKernelError, CellTimeoutError):
                self.fatal.add(before)
                self._start_again(index)
                return


def _error(text: str) -> Any:
    return nbformat.v4.new_output(
        "error",
        ename="CellTimeoutError",
        evalue=text,
        traceback=[f"{text}: a loop that never ends, or too much memory?"],
    )
