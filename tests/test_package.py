"""The package as a whole: its public names, and which module may import which. cli/test_start.py: what it loads."""

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from importlib import metadata
from pathlib import Path

import pytest

import tinyalex
from site_tools import rooms

PROMISED = """
    AlexNet Conv2D ReLU Tanh LocalResponseNorm MaxPool2D AveragePool2D Linear Dropout Flatten SoftmaxCrossEntropy SGD
    check_layer check_net GradientError load save record
"""
PACKAGE = Path(tinyalex.__file__).parent
ARROWS = rooms.imports(rooms.modules(PACKAGE))
FLOORS = rooms.floors_on(rooms.PAGE)
ROOMS = [room for floor in FLOORS for room in floor]


def test_public_names():
    """What tutorials, coursework and outside tests rely on."""
    assert set(PROMISED.split()) <= set(tinyalex.__all__)
    for name in tinyalex.__all__:
        assert getattr(tinyalex, name).__doc__, name
    assert tinyalex.__version__ == metadata.version("tinyalex")


# ---------------------------------------------------------------- the rooms of docs/design.md


def test_every_module_has_a_room_and_every_room_has_modules():
    assert Counter(ROOMS) == Counter({rooms.room_of(module) for module in ARROWS})


def test_arrows_lead_to_lower_floors_only():
    assert rooms.not_down(ARROWS, FLOORS) == []


def test_no_circles():
    assert rooms.circles(ARROWS) == []


def test_twins_are_known_to_the_backend_only():
    """A layer calls its own definition, and the backend finds the twin by name."""
    twins = ("tinyalex.backend.cpu", "tinyalex.backend.gpu")
    for module, known in ARROWS.items():
        if rooms.room_of(module) != "backend":
            assert not any(other.startswith(twins) for other in known), module


def test_data_and_layers_do_not_know_each_other():
    (floor,) = (floor for floor in FLOORS if "data" in floor)
    assert "layers" in floor  # rooms on one floor do not import each other


# ---------------------------------------------------------------- what finds the arrows


def package(folder, **files):
    """A package `house` with these modules; the name a__b is the file a/b.py."""
    for name, text in {"__init__": "", **files}.items():
        path = folder / "house" / (name.replace("__", "/") + ".py" if name != "__init__" else "__init__.py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return rooms.imports(rooms.modules(folder / "house"))


@pytest.mark.parametrize(
    "text",
    [
        "import house.b",
        "import os, house.b as b",
        "from house import b",
        "from house.b import x",
        "def f():\n    from house.b import x",
        "if TYPE_CHECKING:\n    import house.b",
        "import_module('house.b')",
        "class C:\n    def m(self):\n        importlib.import_module('house.b')",
    ],
)
def test_no_import_is_missed(tmp_path, text):
    assert package(tmp_path, a=text, b="")["house.a"] == {"house.b"}


def test_the_package_of_a_module_counts(tmp_path):
    arrows = package(tmp_path, room__a="from house.room import b, x\nfrom house import y", room__b="")
    (tmp_path / "house" / "room" / "__init__.py").write_text("from house.room.a import x")
    arrows = rooms.imports(rooms.modules(tmp_path / "house"))
    assert arrows["house.room.a"] == {"house.room", "house.room.b", "house"}
    assert rooms.circles(arrows) == [{"house.room", "house.room.a"}]


@pytest.mark.parametrize("text", ["from . import b", "from .b import x", "import_module(f'house.{b}')"])
def test_imports_that_cannot_be_followed_are_refused(tmp_path, text):
    with pytest.raises(ValueError, match=r"house\.a, line 1: got"):
        package(tmp_path, a=text, b="")


def test_arrows_up_and_sideways_are_found(tmp_path):
    arrows = package(tmp_path, low="import house.high", side="import house.low", high="")
    floors = [["house"], ["low", "side"], ["high"]]
    assert rooms.not_down(arrows, floors) == [("house.low", "house.high"), ("house.side", "house.low")]
    assert rooms.floors_from(rooms.room_arrows(arrows)) == [["high", "house"], ["low"], ["side"]]


def test_circles_of_three_are_found(tmp_path):
    arrows = package(tmp_path, a="import house.b", b="import house.c", c="import house.a", d="import house.a")
    assert rooms.circles(arrows) == [{"house.a", "house.b", "house.c"}]


def test_the_floors_are_those_of_the_page(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# House\n\n```text\nroof\nleft right\nground\n```\n\n```text\nother\n```\n")
    assert rooms.floors_on(page) == [["ground"], ["left", "right"], ["roof"]]


# ---------------------------------------------------------------- as it is installed


def test_a_folder_of_the_same_name_does_not_hide_the_package(tmp_path):
    """As in the folder above a clone: Python takes a folder without code for a package if it finds no other."""
    (tmp_path / "tinyalex").mkdir()
    words = [sys.executable, "-c", "import tinyalex; print(tinyalex.AlexNet.__name__)"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("AlexNet\n", "")


def test_make_lists_its_targets():
    """By awk, which is the same on macOS; sed there knows no tab."""
    if shutil.which("make") is None:
        pytest.skip("there is no make here")
    # not as a part of `make test`, which says in the environment how it was called
    alone = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    done = subprocess.run(["make"], cwd=PACKAGE.parent, capture_output=True, text=True, env=alone)
    targets = re.findall(r"^([a-z-]+):.*## (.+)$", (PACKAGE.parent / "Makefile").read_text(), re.MULTILINE)
    assert done.stdout.splitlines() == [f"{name:<18}{what}" for name, what in targets]
    assert len(targets) > 20


def test_no_message_sends_users_to_an_index_for_this_package():
    """It is on none, so `pip install tinyalex[gpu]` would find nothing, or a stranger's package."""
    found = [(path, path.read_text(encoding="utf-8")) for path in PACKAGE.rglob("*.py")]
    assert any("pip install" in text for _, text in found)
    assert [path.name for path, text in found if re.search(r"pip install\W+tinyalex", text)] == []
