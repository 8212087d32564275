"""The file a picture ends in, what is imported on the way, and mistakes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tinyalex import viz
from tinyalex.errors import TinyAlexError, UsageError
from tinyalex.viz import canvas


def test_importing_the_pictures_imports_no_matplotlib():
    code = "import sys, tinyalex, tinyalex.viz; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_drawing_and_saving_imports_no_pyplot(tmp_path):
    code = (
        "import sys; from tinyalex import viz; viz.save(viz.confusion([[1]], ['a']), sys.argv[1]);"
        "sys.exit('matplotlib.pyplot' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=False).returncode == 0


def test_save_writes_a_png_of_150_dots_an_inch_into_a_new_folder(tmp_path):
    figure = canvas.new_figure(3, 2)
    path = viz.save(figure, str(tmp_path / "new" / "folder" / "a.png"))
    assert [p.name for p in path.parent.iterdir()] == ["a.png"]  # the temporary file is gone
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (450, 300))


def test_a_picture_is_replaced_whole(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    written = []

    class Drawing:
        def savefig(self, file, **_):
            assert path.read_bytes() == b"old"
            written.append(Path(file.name))
            file.write(b"new")

    viz.save(Drawing(), path)
    assert path.read_bytes() == b"new"
    assert [file.parent for file in written] == [tmp_path]  # once, beside it: a rename within one folder is atomic


def test_a_failed_save_keeps_the_old_picture(tmp_path):
    class Broken:
        def savefig(self, file, **_):
            file.write(b"half")
            raise OSError(28, "No space left on device")

    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with pytest.raises(UsageError, match=r"a\.png.*No space left"):
        viz.save(Broken(), path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_save_where_a_file_is_in_the_way_is_the_users_mistake(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="a file is in the way") as caught:
        viz.save(canvas.new_figure(1, 1), tmp_path / "file" / "a.png")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "limit", "short"),
    [
        ("tench", 5, "tench"),
        ("tench, Tinca tinca", 30, "tench, Tinca tinca"),
        ("tench, Tinca tinca", 17, "tench"),
        ("abcdefgh", 6, "abcde…"),
        ("European fire salamander, Salamandra", 10, "European…"),
    ],
)
def test_long_names_lose_their_synonyms_then_their_ends(name, limit, short):
    assert canvas.shorten(name, limit) == short


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: viz.learning_curves([]),
        lambda: viz.kernels(np.ones((4, 1, 3, 3))),
        lambda: viz.predictions([], [], np.ones((0, 1)), ["a"]),
        lambda: viz.neighbours([], [], [], []),
        lambda: viz.nearest(np.ones((1, 2)), np.ones((1, 3))),
        lambda: viz.confusion_matrix([5], [0], 3),
        lambda: viz.confusion([[1]], []),
        lambda: viz.bars([], [1.0]),
    ],
)
def test_a_mistake_is_told_in_one_line(mistake):
    with pytest.raises(TinyAlexError) as caught:
        mistake()
    assert "\n" not in str(caught.value)
    assert "expected" in str(caught.value)
