"""The package as a whole: its public names, what importing it costs, and which module knows which."""

import ast
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import tinyalex

PROMISED = """
    AlexNet Conv2D ReLU Tanh LocalResponseNorm MaxPool2D Linear Dropout Flatten SoftmaxCrossEntropy SGD
    check_layer check_net load save
"""
ROOT = Path(tinyalex.__file__).parent


def test_public_names():
    """What tutorials, coursework and outside tests rely on."""
    assert set(PROMISED.split()) <= set(tinyalex.__all__)
    for name in tinyalex.__all__:
        assert getattr(tinyalex, name).__doc__, name
    assert tinyalex.__version__ == metadata.version("tinyalex")


def test_import_brings_in_nothing_slow():
    """Numba and matplotlib come with the first call that needs them."""
    script = "import sys, tinyalex; print([m for m in ('numba', 'matplotlib', 'cupy', 'torch') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, timeout=60)
    assert (run.stdout.strip(), run.stderr) == ("[]", "")


def modules():
    """Every module's dotted name below tinyalex ("" for the package itself), with its syntax tree."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(part for part in parts if part != "__init__")] = ast.parse(path.read_text())
    return found


MODULES = modules()


def known_to(name):
    """The modules of tinyalex that the module imports, anywhere in it; the package itself as ""."""
    known = set()
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Import):
            known |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name}: a relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                known.add(full if full.removeprefix("tinyalex.") in MODULES else node.module)
    return {full.removeprefix("tinyalex").removeprefix(".") for full in known if full.split(".")[0] == "tinyalex"}


def within(name, *packages):
    return any(name == package or name.startswith(package + ".") for package in packages)


# What each part may know besides itself; the parts that read in a student's order come first.
ARROWS = {
    "errors": [],
    "devices": ["errors", "kernels.memory"],  # whose memory: known without Numba
    "backend": ["devices", "errors", "kernels.threads", "kernels.memory"],  # and how many threads
    "window": ["backend", "errors"],
    "layers": ["backend", "window", "errors"],
    "kernels": ["window", "errors"],
    "spec": ["errors"],
    "count": ["spec", "window", "errors"],
    "columns": ["count", "layers", "backend", "devices", "errors"],
    "parameters": ["columns", "layers", "backend", "errors"],
    "net": ["spec", "count", "parameters", "columns", "layers", "backend", "errors", "step"],  # for net.record alone
    "step": ["net", "spec", "count", "columns", "layers", "backend", "window", "viz", "files", "errors"],
    "optim": ["backend", "errors"],
    "gradcheck": ["net", "errors"],
    "inside": ["layers", "columns", "optim", "backend", "window", "viz.canvas", "errors"],
}


@pytest.mark.parametrize("part", list(ARROWS))
def test_arrows_point_one_way(part):
    members = [name for name in MODULES if within(name, part)]
    assert members
    for name in members:
        unknown = {known for known in known_to(name) if not within(known, part, *ARROWS[part])}
        assert not unknown, f"{name} imports {unknown}"


def test_kernels_are_known_to_the_backend_only():
    """By name: a layer calls its own definition, and the backend finds the twin."""
    for name, tree in MODULES.items():
        if name != "backend" and not within(name, "kernels"):
            known = known_to(name) - ({"kernels.memory"} if name == "devices" else set())
            assert not any(within(one, "kernels") for one in known), name
            texts = [
                node.value
                for node in ast.walk(tree)
                if isinstance(node, ast.Constant) and "kernels." in str(node.value)
            ]
            assert not any(text.startswith("tinyalex.kernels") for text in texts), name


def test_data_and_layers_do_not_know_each_other():
    for name in MODULES:
        if within(name, "data"):
            assert not any(within(known, "layers", "net", "kernels", "train") for known in known_to(name)), name


def test_only_the_entry_point_knows_the_command_line():
    for name in MODULES:
        if name not in ("__main__", "cli"):
            assert not any(within(known, "cli") for known in known_to(name)), name
