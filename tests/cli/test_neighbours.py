"""The command that finds the images most like others: neighbours."""

import math

import numpy as np
import pytest
from PIL import Image

from runs import carried_out, refused
from tinyalex import viz
from tinyalex.cli import neighbours


@pytest.fixture
def index(capsys, here):  # noqa: ARG001, the working folder
    """An index of the 36 training images, by the net of run `a`."""
    assert carried_out(capsys, "features images/train --checkpoint a --out f.npz")[0] == 0
    return np.load("f.npz")


def queries(capsys):
    """The features of the validation images, and their paths."""
    assert carried_out(capsys, "features images/val --checkpoint a --out q.npz")[0] == 0
    return np.load("q.npz")


def expected(features, index, k):
    """The lines that are printed for a photograph with these features."""
    far = [math.dist(features, row) for row in index["features"].tolist()]
    nearest = sorted(range(len(far)), key=lambda i: far[i])[:k]
    return [(far[i], str(index["files"][i])) for i in nearest]


@pytest.fixture
def drawn(monkeypatch):
    """The arguments of what is drawn."""
    calls = []
    draw = viz.neighbours
    monkeypatch.setattr(viz, "neighbours", lambda *given, **more: calls.append(given) or draw(*given, **more))
    return calls


def shown(out):
    """image -> (distance, path) of its neighbours."""
    blocks = [block.splitlines() for block in out.split("\n\n")[1:-1]]
    pairs = {lines[0]: [line.split(maxsplit=1) for line in lines[1:]] for lines in blocks}
    return {name: [(float(far), path) for far, path in of_one] for name, of_one in pairs.items()}


@pytest.mark.parametrize(("k", "searched"), [(1, 64), (6, 5), (36, 64)])
def test_neighbours(capsys, here, index, drawn, monkeypatch, k, searched):
    """Those of all images, a few at a time; the first of them are drawn."""
    monkeypatch.setattr(neighbours, "SEARCHED", searched)
    monkeypatch.setattr(neighbours, "DRAWN", 3)
    monkeypatch.setattr(neighbours, "ACROSS", 5)
    found = queries(capsys)
    code, out, err = carried_out(capsys, f"neighbours images/val --index f.npz --k {k} --checkpoint a")
    assert (code, err) == (0, "")
    assert out.startswith("checkpoint a\n")
    assert out.endswith("\nneighbours/neighbours.png: the first 3 of 16 images\n")
    printed = shown(out)
    assert list(printed) == found["files"].tolist()
    for features, of_one in zip(found["features"].tolist(), printed.values(), strict=True):
        by_hand = expected(features, index, k)
        assert [path for _, path in of_one] == [path for _, path in by_hand]
        assert [far for far, _ in of_one] == pytest.approx([far for far, _ in by_hand], rel=1e-3, abs=1e-4)
    [(of_queries, of_found, captions, distances)] = drawn
    assert (len(of_queries), len(of_found), captions) == (3, 3, ["0.png", "12.png", "4.png"])
    for row, one in zip(of_found, list(printed.values())[:3], strict=True):
        assert len(row) == min(k, 5)
        for picture, (_, path) in zip(row, one, strict=False):
            np.testing.assert_array_equal(picture, np.array(Image.open(path)))
    assert [float(text) for text in distances[0]] == [far for far, _ in next(iter(printed.values()))][:5]
    assert (here / "neighbours" / "neighbours.png").is_file()


@pytest.mark.usefixtures("index")
def test_bad_images_do_not_stop_it(capsys, here):
    code, out, err = carried_out(
        capsys, "neighbours nothing.png images/val/class0 --index f.npz --checkpoint a --out n"
    )
    assert code == 2
    assert len(shown(out)) == 4
    assert err.splitlines() == [
        "tinyalex: got nothing.png (it does not exist): expected an image file",
        "tinyalex: 1 of 5 images could not be read",
    ]
    assert (here / "n" / "neighbours.png").is_file()


@pytest.mark.usefixtures("index")
def test_neighbours_that_are_not_there_any_more(capsys, here, drawn):
    """They are told, and grey in the picture."""
    image = "images/train/class0/0.png"
    (here / image).rename(here / "query.png")
    code, out, err = carried_out(capsys, "neighbours query.png --index f.npz --checkpoint a --k 2")
    assert code == 2
    assert next(path for _, path in shown(out)["query.png"]) == image
    assert f"got {image} (it does not exist)" in err
    [(_, [[lost, other]], _, _)] = drawn
    assert (lost == neighbours.LOST).all()
    assert other.shape == (20, 20, 3)


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--index f.npz --checkpoint b", "got another net than that of f.npz: expected 'checkpoint a'"),
        ("--index f.npz --checkpoint a --k 37", "got k=37: expected 1 to 36, the photographs in f.npz"),
        ("--index f.npz --checkpoint a --k 0", "got k=0: expected 1 to 36"),
        ("--index nothing.npz --checkpoint a", "got nothing.npz: expected a file of features"),
        ("--index a/checkpoint.npz --checkpoint a", "got a/checkpoint.npz, which is damaged or no file of features"),
    ],
)
def test_mistakes(capsys, here, words, told):
    assert told in refused(capsys, f"neighbours images/val {words}")
    assert not (here / "neighbours").exists()
