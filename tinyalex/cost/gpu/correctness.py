"""What is installed, whether the tests that need a GPU pass, and whether a kernel reads or writes where it must not."""

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tinyalex.backend import gpu_library, gpus
from tinyalex.cost.gpu.rows import LeftOutError, Row, Sizes
from tinyalex.training.report import versions

ROOT = Path(__file__).resolve().parents[3]
USES_THE_GPU = re.compile(r'def test_\w+\([^)]*\bgpu\b[^)]*\)|usefixtures\("gpu"\)|def place\(request, gpu\)')
FAILING = re.compile(r"^\[gw\d+\].* FAILED (\S+::.+)|^(?:(\S+::.+) FAILED)")
PLUGINS = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"  # a plugin that warns would fail every test, as warnings are errors
REQUIRE = "TINYALEX_REQUIRE_GPU"  # tests/conftest.py fails the tests that need a GPU if there is none


def info(_: Sizes) -> Iterator[Row]:
    """A row for each library, for CUDA and its driver, and for each GPU."""
    found = versions()
    for package in ("torch", "triton", "pytest", "pytest-xdist", "hypothesis"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    runtime = gpu_library().cuda.runtime
    found["CUDA runtime"] = str(runtime.runtimeGetVersion())
    with suppress(AttributeError):  # the tests' stand-in for CuPy has no driver
        found["CUDA driver"] = str(runtime.driverGetVersion())
    found["cores"] = str(os.cpu_count())
    yield from ({"what": name, "is": number} for name, number in found.items())
    yield from ({"what": f"GPU {number}", "is": line} for number, line in enumerate(gpus()))


def test_files() -> list[str]:
    """The files with tests that use the fixture `gpu`."""
    files = sorted((ROOT / "tests").rglob("test_*.py"))
    return [str(file.relative_to(ROOT)) for file in files if USES_THE_GPU.search(file.read_text(encoding="utf-8"))]


def test_command(options: tuple[str, ...]) -> list[str]:
    """What runs those tests: in 8 processes, or one for each core, if pytest-xdist is installed."""
    processes = str(min(8, os.cpu_count() or 1))
    xdist = importlib.util.find_spec("xdist") is not None
    plugins = (
        "-p",
        "no:benchmark",
        "-p",
        "no:cacheprovider",
        *(("-p", "xdist.plugin", "-n", processes) if xdist else ()),
    )
    return [sys.executable, "-m", "pytest", "-v", "--tb=short", "-W", "default", *plugins, *options, *test_files()]


def gpu_tests(sizes: Sizes) -> Iterator[Row]:
    """How many passed, failed and were skipped; right if none failed and enough of them passed."""
    if not (ROOT / "tests").is_dir():
        raise LeftOutError(f"there are no tests in {ROOT}")
    if importlib.util.find_spec("pytest") is None:
        raise LeftOutError("pytest is not installed")
    environment = {**os.environ, PLUGINS: "1", **({REQUIRE: "1"} if "gpu" in sizes.tests else {})}
    lines: list[str] = []
    code = yield from printed(test_command(sizes.tests), environment, lines)
    counts = counted(lines)
    found: Row = {kind: counts.get(kind, 0) for kind in ("passed", "failed", "error", "skipped")}
    yield {"what": "tests", **found, "right": code == 0 and found["passed"] >= sizes.passed}
    for line in lines:
        if line.startswith("ERROR "):
            yield {"what": line[:200], "right": False}


def printed(command: Sequence[str], environment: Mapping[str, str], lines: list[str]) -> Generator[Row, None, int]:
    """Run a program, print its lines at once and add them to `lines`. Returns its exit status.

    Each test that pytest reports as failed while it goes on is yielded: if the time runs out it is known.
    """
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
            if test := FAILING.search(line):
                yield {"what": f"FAILED {(test[1] or test[2]).strip()}", "right": False}
    return process.returncode


def counted(lines: Sequence[str]) -> dict[str, int]:
    """The numbers in the last line that pytest prints, by word: {"passed": 190, "skipped": 12}."""
    last = [line for line in lines if re.search(r" in [\d.]+s", line)][-1:]
    found = re.findall(r"(\d+) (passed|failed|error|skipped)", "".join(last))
    return {kind: int(number) for number, kind in found}


def sanitizer() -> str:
    """The program compute-sanitizer. Raises LeftOutError if it is not here."""
    places = [shutil.which("compute-sanitizer"), *map(str, Path("/usr/local").glob("cuda*/bin/compute-sanitizer"))]
    for place in places:
        if place:
            return place
    raise LeftOutError("compute-sanitizer is not here")


def memcheck(sizes: Sizes) -> Iterator[Row]:
    """Every kernel once under compute-sanitizer, which finds accesses outside of allocations."""
    program = [sys.executable, "-m", "tinyalex.cost.gpu.kernels", "--side", str(min(sizes.side, 13))]
    command = [sanitizer(), "--tool", "memcheck", "--error-exitcode", "9", *program]
    lines: list[str] = []
    code = yield from printed(command, os.environ, lines)
    summary = [line.strip("= ") for line in lines if "ERROR SUMMARY" in line]
    yield {"what": "memcheck", "said": summary[-1] if summary else "no summary", "right": code == 0}
