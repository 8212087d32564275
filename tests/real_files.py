"""Real images and trained parameters, which the project does not hold: tests skip where they are not."""

import os
from pathlib import Path

import pytest


def real(variable, name):
    """The file or folder of that name in the folder that the environment variable names."""
    path = Path(os.environ.get(variable, "-"), name)
    if not path.exists():
        pytest.skip(f"{variable} names no folder with {name}")
    return path


def real_weights(name):
    return real("TINYALEX_WEIGHTS", name)


def real_data(name):
    return real("TINYALEX_DATA", name)
