"""What a start loads. Modules are counted: seconds would depend on the machine."""

import json
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from PIL import Image

LIBRARIES = {"PIL", "cffi", "llvmlite", "numba", "numpy", "pycparser", "yaml"}  # their releases load what they like
OPTIONAL = ["IPython", "cupy", "h5py", "mpi4py", "nbgrader", "onnx", "pooch", "requests", "safetensors", "torch"]
STARTS = {
    "import": "tinyalex.AlexNet('mini', seed=None)",
    "help": "cli.build_parser().format_help()",
    "predict": "assert cli.main(['predict', 'image.png', '--json']) == 0",
}


@pytest.fixture(scope="module")
def loaded(tmp_path_factory):
    """The modules that are loaded after each start: the last two follow the first, in a process each."""
    folder = tmp_path_factory.mktemp("start")
    Image.fromarray(np.zeros((40, 40, 3), "uint8")).save(folder / "image.png")
    found = {}
    for start in ("help", "predict"):
        script = f"""if True:
            import json, sys, tinyalex
            {STARTS["import"]}
            before = list(sys.modules)
            from tinyalex import cli
            {STARTS[start]}
            print(json.dumps([before, list(sys.modules)]))
        """
        words = [sys.executable, "-W", "error", "-c", script]
        done = subprocess.run(words, cwd=folder, capture_output=True, text=True, timeout=300)
        assert (done.returncode, done.stderr) == (0, "")
        found["import"], found[start] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize(
    ("start", "forbidden"),
    [
        ("import", "llvmlite matplotlib multiprocessing numba subprocess threadpoolctl tqdm"),
        ("help", "llvmlite matplotlib numba threadpoolctl"),
        ("predict", "matplotlib"),
    ],
)
def test_nothing_that_only_others_need(loaded, start, forbidden):
    packages = {name.partition(".")[0] for name in loaded[start]}
    assert not packages & {*forbidden.split(), *OPTIONAL}


@pytest.mark.parametrize(("start", "ours", "others"), [("import", 108, 176), ("help", 209, 246), ("predict", 170, 245)])
def test_the_number_of_modules(loaded, start, ours, others):
    """A tenth more than there were when this was written; a new module of ours may well need a larger bound."""
    found = Counter(name.partition(".")[0] for name in loaded[start])
    assert found["tinyalex"] <= ours
    assert found.total() - found["tinyalex"] - sum(found[name] for name in LIBRARIES) <= others


def test_a_command_loads_its_own_module_only(loaded):
    assert "tinyalex.cli.use" in loaded["predict"]
    assert not {"tinyalex.cli.measure", "tinyalex.cost", "tinyalex.course"} & set(loaded["predict"])
    assert {"tinyalex.cli.measure", "tinyalex.cost"} < set(loaded["help"])


def test_a_net_is_made_without_the_kernels(loaded):
    """So that it can be made while they are loaded. Numbers are drawn only for a net that has a seed."""
    assert "tinyalex.net" in loaded["import"]
    assert "tinyalex.backend.cpu" not in loaded["import"]
    assert "tinyalex.backend.cpu.conv" in loaded["predict"]
