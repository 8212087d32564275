"""An assignment as other programs want it: an autograder for Gradescope, and the tests for Otter, each in a zip."""

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from shlex import quote

from tinyalex.course import cells
from tinyalex.errors import UsageError
from tinyalex.files import replacing

# Gradescope's machines have Ubuntu, whose Python may be too old; they run this script once, as root.
SETUP = """#!/usr/bin/env bash
set -e
apt-get update
apt-get install -y software-properties-common
PYTHON=python3
if ! $PYTHON -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
  add-apt-repository -y ppa:deadsnakes/ppa
  apt-get update
  PYTHON=python3.12
fi
apt-get install -y $PYTHON $PYTHON-venv
$PYTHON -m venv /opt/tinyalex
/opt/tinyalex/bin/pip install --constraint /autograder/source/constraints.txt '/autograder/source[course]'
useradd --create-home student
chmod 700 /autograder/source
"""
RUN = """#!/usr/bin/env bash
cd {folder}
{python} -m tinyalex.course.autograders.gradescope {name} --seed {seed} --folder {folder}
"""
INSTALL = ("pyproject.toml", "constraints.txt", "README.md", "LICENSE")  # what pip needs beside the package

OTTER_TEST = '''"""The tests of {exercise}."""

from otter.test_files import test_case

OK_FORMAT = False
name = "{exercise}"
points = None
'''
OTTER_CASE = """

@test_case(name="{name}", points={points}, hidden={hidden})
def {function}(env):
    exec({source!r}, {{**env}})
"""
OTTER_NEEDS = (
    "# and this package: the wheel that make wheel makes\nnumpy\nnumba\nmatplotlib\npillow\ntqdm\nthreadpoolctl\n"
)


def gradescope(
    repository: Path, name: str, out: Path, seed: int, python: str = "/opt/tinyalex/bin/python", at: str = "/autograder"
) -> Path:
    """Write the autograder of an assignment -> the zip.

    repository: the folder with pyproject.toml.   python, at: what runs it, and Gradescope's folder on that machine.
    Raises UsageError if `repository` is not one.
    """
    missing = [file for file in INSTALL if not (repository / file).is_file()]
    if missing:
        raise UsageError(f"got {repository} without {missing[0]}: expected the repository's folder; work there")
    assignments = repository / "notebooks" / "assignments"
    files = [
        *(repository / file for file in INSTALL),
        *(path for path in (repository / "tinyalex").rglob("*") if path.is_file() and "__pycache__" not in path.parts),
        assignments / "nbgrader_config.py",
        assignments / "source" / name / f"{name}.ipynb",
    ]
    texts = {
        "setup.sh": SETUP,
        "run_autograder": RUN.format(python=quote(python), name=quote(name), seed=seed, folder=quote(at)),
    }
    contents = {path.relative_to(repository).as_posix(): path.read_bytes() for path in sorted(files)}
    return _zipped(out / f"gradescope-{name}.zip", {**{file: texts[file].encode() for file in texts}, **contents})


def otter(original: cells.Notebook, name: str, out: Path) -> Path:
    """Write the tests of an assignment for `otter run` and `otter generate` -> the zip.

    Otter runs tests in the student's own process, so they are not as safe there as with this package's marking.
    """
    files = {"otter_config.json": json.dumps({"assignment_name": None}), "requirements.txt": OTTER_NEEDS}
    for cell in original.cells:
        if cells.is_tests(cell):
            exercise = cells.exercise_of(cells.grade_id(cell))
            file = f"tests/{exercise}.py"
            files[file] = files.get(file, OTTER_TEST.format(exercise=exercise)) + OTTER_CASE.format(
                name=cells.grade_id(cell),
                function=re.sub(r"\W", "_", cells.grade_id(cell)),
                points=float(cell.metadata.nbgrader.points),
                hidden=cells.is_hidden(cell),
                source=re.sub(r"\s*### (BEGIN|END) HIDDEN TESTS", "", cell.source),
            )
    return _zipped(out / f"otter-{name}.zip", {file: text.encode() for file, text in files.items()})


def _zipped(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write a zip of these files. Those without a suffix, and scripts, may be executed."""
    with replacing(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o755 if name in ("setup.sh", "run_autograder") else 0o644) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return path
