"""Settings and fixtures that all tests share."""

import importlib.util
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

import standin
from tinyalex.backend import use_kernels

os.environ["TINYALEX_ALGORITHMS"] = "rule"  # the same algorithms on every machine; child processes inherit it

# The same few examples on every run. No deadline, as compiling a kernel at its first use may take a second.
settings.register_profile(
    "tinyalex",
    derandomize=True,
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("tinyalex")


@pytest.fixture(scope="session", autouse=True)
def signals_of_a_terminal():
    """Tests send signals, which do nothing in a job that a shell began with & (SIGINT) or nohup (SIGHUP)."""
    usual = {"SIGINT": signal.default_int_handler, "SIGHUP": signal.SIG_DFL}
    for name, handler in usual.items():
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number and signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, handler)


@pytest.fixture(params=["reference", "numba"])
def kernels(request):
    """One test body for both: the definitions in array code, and their compiled twins."""
    with use_kernels(request.param):
        yield request.param


@pytest.fixture
def rng():
    return np.random.default_rng(2012)


@pytest.fixture
def small_disk(tmp_path):
    """A folder that is a disk of its own, of 1 MB in memory: it is soon full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("this process may not mount a disk in memory")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture(scope="session")
def chromium():
    """A browser, or the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("there is no Chromium on the PATH")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@dataclass
class Gpu:
    """CuPy, or the stand-in in its place, and the names of two devices: of two GPUs where there are two."""

    cupy: Any
    two: tuple[str, str]
    is_standin: bool


def without_gpu(why):
    """Skip the test, or let it fail if TINYALEX_REQUIRE_GPU=1 says that there must be a GPU."""
    if os.environ.get("TINYALEX_REQUIRE_GPU") == "1":
        pytest.fail(f"TINYALEX_REQUIRE_GPU is 1, and there is no GPU: {why}")
    pytest.skip(f"needs a GPU: {why}")


@pytest.fixture(params=["stand-in", pytest.param("CuPy", marks=pytest.mark.gpu)])
def gpu(request, monkeypatch):
    """One test body for the stand-in for CuPy, which runs anywhere, and for CuPy itself where it finds a GPU."""
    from tinyalex.backend.gpu import forget, launch

    launch.module.cache_clear()
    forget()
    if request.param == "stand-in":
        if standin.host.COMPILER is None:
            pytest.skip("no C++ compiler here to run the kernels of CUDA on the processor")
        for name, module in standin.forget().items():
            monkeypatch.setitem(sys.modules, name, module)
        yield Gpu(standin.cupy, ("cuda:0", "cuda:1"), True)
    else:
        if importlib.util.find_spec("cupy") is None:
            without_gpu("CuPy is not installed")
        import cupy

        if not cupy.cuda.is_available():
            without_gpu("CuPy finds none")
        yield Gpu(cupy, ("cuda:0", f"cuda:{min(1, cupy.cuda.runtime.getDeviceCount() - 1)}"), False)
    launch.module.cache_clear()
    forget()
