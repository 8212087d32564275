"""The cache of compiled code: complete after `tinyalex warmup`, and renewed after an edit."""

import ast
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
    f"_{name}_compiled"
    for name in ("weighted_sum", "sum_over_rows", "sort", "add_sorted", "sum_over_neighbours", "negative_power")
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
    loops = sum(len(re.findall(r"= compiled\(", (FOLDER / f"{name}.py").read_text())) for name in MODULES)
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
