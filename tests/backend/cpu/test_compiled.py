"""The cache of compiled code: complete after `tinyalex warmup`, and renewed after an edit."""

import ast
import ctypes
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tinyalex
from tinyalex import cli
from tinyalex.backend import cpu

FOLDER = Path(cpu.__file__).parent
MODULES = sorted(path.stem for path in FOLDER.glob("*.py") if "compiled(" in path.read_text())

CALLED_BY_LOOPS = {
    "_weighted_sum_compiled",
    "_sum_over_rows_compiled",
    "_sort_compiled",
    "_put_back_compiled",
    "_sum_over_neighbours_compiled",
    "_negative_power_compiled",
    "_largest_compiled",
    "_transpose_compiled",
    "_lay_out_compiled",
    "_copy_panel_compiled",
}

WARM = """
import importlib
from tinyalex.backend import cpu
cpu.warm_up()
for name in {modules}:
    module = importlib.import_module("tinyalex.backend.cpu." + name)
    for key, loop in vars(module).items():
        if key.endswith("_compiled") and hasattr(loop, "signatures"):
            dtypes = [word for word in ("float32", "float64") if word in str(loop.signatures)]
            print(name, key, *dtypes)
"""


def test_warm_up_compiles_every_loop_for_both_dtypes():
    script = WARM.format(modules=MODULES)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stderr
    lines = [line.split() for line in run.stdout.splitlines()]
    loops = sum(len(re.findall(r"_compiled = compiled\(", (FOLDER / f"{name}.py").read_text())) for name in MODULES)
    assert len(lines) == loops > 12
    for _, key, *dtypes in lines:  # of a loop that only loops call, the code is kept as a part of theirs
        assert dtypes == ["float32", "float64"] or (key in CALLED_BY_LOOPS and not dtypes), key


def test_the_command(capsys):
    assert cli.main(["warmup"]) == 0
    assert capsys.readouterr().out.startswith("the kernels are compiled, in ")


def test_the_command_without_numba(capsys, monkeypatch):
    monkeypatch.setattr("tinyalex.cli.train.cpu_kernels", lambda: None)
    assert cli.main(["warmup"]) == 2
    assert "Numba is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("name", MODULES)
def test_what_a_compiled_loop_calls_is_in_its_own_file(name):
    """Numba notices edits in the file of a loop only, so a loop in another file would stay as it was."""
    tree = ast.parse((FOLDER / f"{name}.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert not [known for known in imported if known.endswith("_compiled") or known.startswith("_")]


SCALE = """
import numpy as np
from tinyalex.backend.cpu.lrn import lrn_forward
print(lrn_forward(np.full((1, 1, 1, 1), 4.0, "float32"), 1, 0.0, 1.0, 2.0, 1).item())
"""


def test_an_edit_is_seen(tmp_path):
    """An edit of an inner loop takes effect, after it and the loop that calls it were compiled and cached."""
    package = tmp_path / "tinyalex"
    shutil.copytree(Path(tinyalex.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))

    def result():
        environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
        run = subprocess.run(
            [sys.executable, "-c", SCALE], capture_output=True, text=True, timeout=120, cwd=tmp_path, env=environment
        )
        assert run.returncode == 0, run.stderr
        return float(run.stdout)

    assert result() == 2.0  # 4 / 2**1
    kept = {path.name for path in (package / "backend" / "cpu" / "__pycache__").glob("lrn*.nbc")}
    assert result() == 2.0
    assert {
        path.name for path in (package / "backend" / "cpu" / "__pycache__").glob("lrn*.nbc")
    } == kept  # nothing compiled
    file = package / "backend" / "cpu" / "lrn.py"
    text = file.read_text()
    assert "power[i] = scale[i] ** -beta" in text
    file.write_text(text.replace("power[i] = scale[i] ** -beta", "power[i] = scale[i] ** beta"))
    assert result() == 8.0  # 4 * 2**1


def without_power():
    """Take from root what lets it write where permissions forbid it, in the process that is about to start."""
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability)  # PR_CAPBSET_DROP


@pytest.fixture
def read_only(tmp_path):
    """A function that runs Python with a copy of the package, where neither its folder nor a home can be written."""
    package = tmp_path / "tinyalex"
    shutil.copytree(Path(tinyalex.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    folders = [tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)

    def run(*words, **environment):
        known = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA", "XDG"))}
        return subprocess.run(
            [sys.executable, *words],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
            env={**known, "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path), **environment},
            preexec_fn=without_power,
        )

    yield run
    for folder in folders:
        folder.chmod(0o755)


INFO, WARMUP = ("-m", "tinyalex", "info"), ("-m", "tinyalex", "warmup")


@pytest.mark.skipif(sys.platform != "linux", reason="the permissions of root are taken away as Linux does it")
def test_a_package_that_cannot_be_written(read_only, tmp_path_factory):
    """As in containers: the kernels work, and commands say where their code could be kept."""
    scale = read_only("-c", SCALE)
    assert (scale.stdout, scale.stderr) == ("2.0\n", "")
    info, warmup = read_only(*INFO), read_only(*WARMUP)
    assert (info.returncode, info.stderr) == (0, "")
    where = "compiled anew by each process, as no folder for them can be written; set NUMBA_CACHE_DIR"
    assert f"auto ({where})" in info.stdout
    told = "tinyalex: there is no folder to keep kernels in that can be written: name one in NUMBA_CACHE_DIR\n"
    assert (warmup.returncode, warmup.stdout, warmup.stderr) == (2, "", told)
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert "auto (Numba is installed)" in read_only(*INFO, NUMBA_CACHE_DIR=str(elsewhere)).stdout
