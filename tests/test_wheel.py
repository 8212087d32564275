"""The package as its users have it: a wheel, in an environment without this repository."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pages import ROOT

RELEASED = "tinyalex/course/released/assignment1/assignment1.ipynb"


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The folder site-packages of a new environment, with the wheel and nothing else.

    The wheel is built in a copy, as a build leaves files behind that the next one would take in.
    """
    pytest.importorskip("setuptools", minversion="77", reason="a wheel is built by setuptools 77 or later")
    folder = tmp_path_factory.mktemp("wheel")
    copy, unwanted = folder / "copy", shutil.ignore_patterns("__pycache__", "released")
    shutil.copytree(ROOT / "tinyalex", copy / "tinyalex", ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    (copy / RELEASED).parent.mkdir(parents=True)
    (copy / RELEASED).write_text("{}")
    build = "from setuptools import build_meta; build_meta.build_wheel('..')"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "env"], check=True)
    [packages] = [path for path in (folder / "env").rglob("site-packages") if "lib64" not in path.parts]
    with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
        wheel.extractall(packages)
    return packages


def run(*words, cwd, **variables):
    environment = {**os.environ, **variables}
    return subprocess.run([sys.executable, *map(str, words)], cwd=cwd, env=environment, capture_output=True, text=True)


def test_it_holds_every_file_of_the_package(packages):
    """Pages, scripts and kernels of a GPU too, for which pyproject.toml has patterns; and no tests."""
    made = re.compile(r"__pycache__|released|\.\w+_cache")  # by Python, make wheel, mypy
    ours = {path.relative_to(ROOT) for path in (ROOT / "tinyalex").rglob("*") if path.is_file()}
    ours = {path for path in ours if not any(map(made.fullmatch, path.parts))}
    there = {path.relative_to(packages) for path in (packages / "tinyalex").rglob("*") if path.is_file()}
    assert there == ours | {Path(RELEASED)}
    assert {path.name for path in packages.iterdir() if "dist-info" not in path.name} == {"tinyalex"}


def test_mypy_sees_a_users_mistakes(packages, tmp_path):
    pytest.importorskip("mypy", reason="mypy is not installed")
    user = tmp_path / "user.py"
    user.write_text(
        "from tinyalex import AlexNet, Conv2D\n"
        'net = AlexNet("mini", num_classes=10)\n'
        'layer = Conv2D(3, 8, "five")\n'
        "net = AlexNet(classes=10)\n"
        "net.backwards(layer.params)\n"
    )
    python = next(path for path in packages.parents[2].glob("*/python*") if path.is_file())
    done = run("-m", "mypy", "--python-executable", python, "--cache-dir", os.devnull, user, cwd=tmp_path)
    found = re.findall(r"^user.py:(\d+): error: (.*?\".*?\")", done.stdout, re.MULTILINE)
    assert found == [
        ("3", 'Argument 3 to "Conv2D"'),
        ("4", 'Unexpected keyword argument "classes"'),
        ("5", '"AlexNet"'),
    ], done.stdout


def test_it_brings_the_assignments_along(packages, tmp_path):
    """And does not overwrite a student's work."""
    words = ("-m", "tinyalex", "assignments", "--out", "mine")
    notebook = tmp_path / "mine" / "assignment1" / "assignment1.ipynb"
    for told, content in (("", "{}"), (", as it was", "{} filled in")):
        done = run(*words, cwd=tmp_path, PYTHONPATH=str(packages))
        folder = Path("mine", "assignment1")
        assert (done.stdout, done.stderr) == (f"assignment1: {folder}{told}\n", "")
        if told:
            assert notebook.read_text() == content
        notebook.write_text("{} filled in")


def test_a_wheel_without_the_assignments_says_where_they_are(packages, tmp_path):
    without = shutil.copytree(packages, tmp_path / "packages", ignore=shutil.ignore_patterns("released"))
    done = run("-m", "tinyalex", "assignments", cwd=tmp_path, PYTHONPATH=str(without))
    assert (done.returncode, done.stdout) == (2, "")
    assert re.match(r"tinyalex: got no folder notebooks.*: expected .* a clone of the .* `make wheel`", done.stderr)
