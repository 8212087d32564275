"""A layer of one's own: `tinyalex check FILE.py:NAME`."""

import pytest

from runs import carried_out, refused

LAYERS = """
from tinyalex import ReLU

class Right(ReLU):
    ...

class Wrong(ReLU):
    def backward(self, dy):
        return 2 * super().backward(dy)

class Forgetful(ReLU):
    def backward(self, dy):
        super().backward(dy)

class Raising(ReLU):
    def forward(self, x, *, train=False):
        return x[5]

class Wanting(ReLU):
    def __init__(self, size):
        self.size = size

def made():
    return Right()

five = 5
"""


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Nobody", "got mine.py:Nobody: expected a layer, or a function that makes one; mine.py has no Nobody"),
        ("Wrong", "gradient of x["),
        ("Raising", "mine.py, line 17: IndexError: index 5 is out of bounds"),
        ("Wanting", "mine.py: TypeError: "),
        ("five", "mine.py: TypeError: 'int' object is not callable"),
    ],
)
def test_a_layer_that_is_wrong(capsys, tmp_path, monkeypatch, name, part):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(LAYERS)
    assert part in refused(capsys, f"check mine.py:{name}")


def test_a_forgotten_return_is_told_in_one_line(capsys, tmp_path):
    (tmp_path / "mine.py").write_text(LAYERS)
    code, out, err = carried_out(capsys, f"check {tmp_path}/mine.py:Forgetful --shape 2,5")
    assert (code, out) == (2, "")
    assert err == "tinyalex: gradient of x: got None, expected shape (2, 5); is `return dx` missing in backward?\n"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("x = 1\nraise ValueError('two\\nlines')", "mine.py, line 2: ValueError: two lines"),
        ("import nowhere_to_be_found", "mine.py, line 1: ModuleNotFoundError: "),
        ("def f(:", "SyntaxError: invalid syntax (mine.py, line 1)"),
    ],
)
def test_a_file_that_cannot_be_imported(capsys, tmp_path, monkeypatch, text, part):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(text)
    assert part in refused(capsys, "check mine.py:Layer")


def test_a_layer_that_is_a_dataclass(capsys, tmp_path):
    """Of a field whose type is a text, Python looks up the module of the class by its name."""
    text = "from __future__ import annotations\nimport dataclasses\n" + LAYERS
    text += "\n@dataclasses.dataclass\nclass Sized(Right):\n    size: int = 3\n"
    text += "    def __post_init__(self):\n        super().__init__()\n"
    (tmp_path / "mine.py").write_text(text)
    code, _, err = carried_out(capsys, f"check {tmp_path}/mine.py:Sized --shape 2,5")
    assert (code, err) == (0, "")


@pytest.mark.parametrize("name", ["Right", "made"])
def test_a_layer_that_is_right(capsys, tmp_path, name):
    (tmp_path / "mine.py").write_text(LAYERS)
    code, out, err = carried_out(capsys, f"check {tmp_path}/mine.py:{name} --shape 2,5")
    assert (code, err) == (0, "")
    assert out.split()[-4:-1] == ["x", "10", "0"]
