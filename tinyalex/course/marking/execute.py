"""Runs a notebook for marking; survives cells that never end, exhaust memory or kill the kernel.

The student's cells run in a kernel, a process of their own. The tests run in this process: see `judge`.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from nbclient.util import run_sync
from nbgrader.preprocessors import Execute
from traitlets import Bool, Integer, Unicode, default
from traitlets.config import Config

from tinyalex.course.cells import is_tests
from tinyalex.course.judging.judge import SILENT, Judge, line
from tinyalex.course.marking.limits import Room
from tinyalex.course.marking.place import place
from tinyalex.course.seeds import YEAR, use_seed

# Run in the student's kernel for each test cell: it answers the judge, and leaves no name behind.
SERVE = """
__import__("tinyalex.course.judging.serve", fromlist=["serve"]).serve({address!r}, "{token}", get_ipython().user_ns);
"""

# In a notebook exit() ends Python only after its cell, and the next cell would be blamed. Here it raises an error.
EXIT_FAILS = """
get_ipython().ask_exit = lambda: __import__("sys").exit("exit() and quit() end Python: leave them out")
""".strip()


class MarkingExecute(Execute):  # type: ignore[misc]
    """A cell that kills the kernel loses only its own points: a new kernel runs the cells before it, except tests."""

    memory = Integer(
        4096, help="memory limit of a notebook, and of its tests, in units of 2**20 bytes; 0: no limit"
    ).tag(config=True)

    total = Integer(600, help="time limit of a notebook, in seconds; later cells are not run").tag(config=True)

    seed = Integer(YEAR, help="seed of hidden data").tag(config=True)

    text = Integer(100_000, help="limit of a cell's text, and of its errors', in characters; the rest is cut off").tag(
        config=True
    )

    pictures = Integer(3_000_000, help="limit of a cell's pictures, in characters as a notebook encodes them").tag(
        config=True
    )

    store_widget_state = Bool(False)  # pages do not show it

    user = Unicode(help="the user that students' code runs as, if this process is root's; empty: this one").tag(
        config=True
    )

    bubblewrap = Bool(help="whether students' code runs in bubblewrap's sandbox").tag(config=True)

    inside = Unicode(help="where to make the temporary folder; empty: where the system has them").tag(config=True)

    @default("extra_arguments")
    def _extra_arguments(self) -> list[str]:
        return [f"--IPKernelApp.exec_lines={EXIT_FAILS}"]

    def preprocess(self, notebook: Any, resources: Any = None, km: Any = None) -> Any:
        """Run all cells, in order, in a temporary folder with the files that lie beside the notebook."""
        self.kc: Any
        self.end = time.monotonic() + self.total
        use_seed(self.seed)
        self.judge = Judge(notebook)
        self.fatal: set[int] = set()  # cells that killed a kernel, and must not run again
        self.kernels = 0
        beside = (resources or {}).get("metadata", {}).get("path")
        files = (
            [path for path in Path(beside).iterdir() if path.is_file() and path.suffix != ".ipynb"] if beside else []
        )
        limited = memory_limit(self.memory << 20)
        with place(files, self.user, self.bubblewrap, self.inside) as self.place, limited:
            notebook, resources = super().preprocess(notebook, resources, km)
        for cell in notebook.cells:  # once more: the judge's outputs, and displays that were changed afterwards
            if cell.cell_type == "code":
                room = self._room()
                cell.outputs = [output for output in cell.outputs if room.keep(output)]
        return notebook, resources

    def _room(self) -> Room:
        return Room(self.text, self.text, self.pictures)

    def create_kernel_manager(self) -> Any:
        """The manager of a kernel that runs in the notebook's place, and listens there, where the system allows."""
        manager = super().create_kernel_manager()
        manager.kernel_spec.argv = [*self.place.command, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        manager.kernel_spec.interrupt_mode = "message"  # a signal would end the sandbox
        self.kernels += 1
        manager.connection_file = str(self.place.folder / f"kernel-{self.kernels}.json")
        if sys.platform != "win32":
            manager.transport, manager.ip = "ipc", str(self.place.work / f".k{self.kernels}")
        return manager

    async def async_start_new_kernel(self, **kwargs: Any) -> None:
        """Start a kernel with the memory limit, which imports this copy of the package."""
        kwargs["env"] = self.place.environment
        kwargs["cwd"] = str(self.place.work)
        kwargs["stdout"] = kwargs["stderr"] = subprocess.DEVNULL  # its own log; what cells print goes to the notebook
        if sys.platform != "win32":
            self.km.write_connection_file()
            self.place.give(Path(self.km.connection_file))
            kwargs["preexec_fn"] = self._enter
        await super().async_start_new_kernel(**kwargs)

    start_new_kernel = run_sync(async_start_new_kernel)

    def _enter(self) -> None:
        """Limit the memory of the process that will be the kernel, and make it the student's."""
        if sys.platform == "linux" and self.memory:
            import resource

            resource.setrlimit(resource.RLIMIT_AS, (self.memory << 20, self.memory << 20))
        self.place.enter()

    def preprocess_cell(self, cell: Any, resources: Any, index: int) -> Any:
        """Run one cell."""
        if time.monotonic() > self.end:
            if cell.cell_type == "code":
                cell.outputs = [_error(f"not run: the notebook had taken more than {self.total} s")]
            return cell, resources
        try:
            if is_tests(cell):
                self._judge_cell(cell, index)
            else:
                cell, resources = super().preprocess_cell(cell, resources, index)
        except (DeadKernelError, CellTimeoutError) as error:
            self.fatal.add(index)
            died = isinstance(error, DeadKernelError)
            cell.outputs.append(_error("the cell ended Python" if died else f"stopped after {self.timeout} s"))
            self._start_again(index)
        if any(output.get("ename") == "CellTimeoutError" for output in cell.get("outputs", [])):
            self.fatal.add(index)
        return cell, resources

    def _judge_cell(self, cell: Any, index: int) -> None:
        """Run a test in this process, while the kernel answers its calls of the student's functions."""
        path = self.place.folder / "judge"
        with line(self.timeout, path) as called, ThreadPoolExecutor(1) as thread:
            self.place.give(path)
            judged = thread.submit(self.judge.outputs, cell.source, called)
            served: list[Any] = []
            try:
                served = self._run_aside(index, SERVE.format(address=called.address, token=called.token)).outputs
            finally:
                called.hang_up()
                printed = [output for output in served if output.output_type == "stream"]
                for output in printed:
                    output.name = "stdout"  # a log, say; nbgrader takes a test that prints to stderr for a failed one
                cell.outputs = [*printed, *judged.result()]
        for output in cell.outputs:
            if output.get("evalue") == SILENT:
                reasons = [f"{one.ename}: {one.evalue}" for one in served if one.output_type == "error"]
                output.evalue = " ".join([SILENT, *reasons])
                output.traceback = [output.evalue]

    def output(self, outs: list[Any], *args: Any) -> Any:
        """Keep an output of a cell, up to the limits."""
        out = super().output(outs, *args)
        if out:
            if len(outs) == 1:
                self.room = self._room()
            if not self.room.keep(out) and out.output_type == "stream":
                outs.pop()  # displays are found by their place
        return out

    async def async_execute_cell(self, *args: Any, **kwargs: Any) -> Any:
        """Run one cell. Raises CellTimeoutError if the kernel lives but does not answer, as after closing stdout."""
        try:
            return await asyncio.wait_for(super().async_execute_cell(*args, **kwargs), self.timeout + 10)
        except TimeoutError:
            raise CellTimeoutError("no answer") from None

    execute_cell = run_sync(async_execute_cell)

    def _run_aside(self, index: int, source: str) -> Any:
        """Run code that leaves no trace in the notebook -> a cell with its outputs."""
        cell = self.nb.cells[index]
        aside = nbformat.v4.new_code_cell(source)
        try:
            return self.execute_cell(aside, index, store_history=False)
        finally:
            self.nb.cells[index] = cell
            self.clear_display_id_mapping(index)  # else later displays would write into outputs of this cell

    def _start_again(self, index: int) -> None:
        """Start a new kernel and run the cells before `index` again, except tests and fatal cells."""
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


@contextmanager
def memory_limit(more: int) -> Iterator[None]:
    """Within the block, on Linux, this process may take at most `more` bytes beyond what it has; 0: no limit.

    What a student's function asks a test's function to do happens in this process.
    """
    if sys.platform != "linux" or not more:
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    data = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    limits = [data + more, *(limit for limit in before if limit != resource.RLIM_INFINITY)]
    resource.setrlimit(resource.RLIMIT_DATA, (min(limits), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def executed(path: Path, config: Config) -> str:
    """The notebook in a file after it was run, as text. config: limits and settings, for MarkingExecute."""
    notebook = nbformat.read(path, as_version=4)
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook, _ = MarkingExecute(config=config).preprocess(notebook, {"metadata": {"path": str(path.parent)}})
    return str(nbformat.writes(notebook))


def _error(text: str) -> Any:
    """The output of a cell that was stopped, with `text` as its error."""
    return nbformat.v4.new_output(
        "error",
        ename="CellTimeoutError",
        evalue=text,
        traceback=[f"{text}: a loop that never ends, or too much memory?"],
    )
