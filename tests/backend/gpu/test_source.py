"""The source of the kernels for GPUs, and their Python side, where there is no GPU."""

import inspect
import re
import shutil
import subprocess
import sys

import pytest

from tinyalex.backend import gpu as twins
from tinyalex.backend.gpu import launch
from twins import DEFINITIONS


def test_every_twin_takes_what_its_definition_takes():
    assert {*DEFINITIONS, "forget", "sgd_update_all", "simulated_pool", "workspace"} == set(twins.__all__)
    for name, definition in DEFINITIONS.items():
        twin, own = inspect.signature(getattr(twins, name)), inspect.signature(definition)
        assert list(twin.parameters) == list(own.parameters)
        for key, parameter in own.parameters.items():
            assert twin.parameters[key].default == parameter.default


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="no nvcc here to compile the kernels for a GPU")
@pytest.mark.parametrize("cell", ["uint8", "int32"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_kernels_compile_for_a_gpu(tmp_path, dtype, cell):
    """By nvcc, with the options that CuPy gets, to PTX; every kernel is in it, and none warns."""
    ptx = tmp_path / "gpu.ptx"
    done = subprocess.run(
        ["nvcc", "-ptx", "-Werror", "all-warnings", *launch.options(dtype, cell), "-o", ptx, launch.SOURCE],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    source = launch.SOURCE.read_text()
    kernels = re.findall(r"__global__ void (\w+)", source)
    assert len(kernels) == 17
    assert set(re.findall(r"\.entry (\w+)", ptx.read_text())) == set(kernels)


def test_the_modules_import_without_cupy():
    script = (
        "import sys; sys.modules['cupy'] = None; import tinyalex.backend.gpu, tinyalex; print('numba' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60)
    assert run.stdout.strip() == "False", run.stderr
