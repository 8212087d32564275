"""The 1,000 classes, in the two orders in which nets number them."""

import os
from pathlib import Path

import numpy as np
import pytest

from devkit_files import meta
from tinyalex.errors import DataError
from tinyalex.weights.names import devkit_order, imagenet_classes, imagenet_names, names_in


def test_the_order_is_that_of_the_ids():
    classes = imagenet_classes()
    wnids = [one.wnid for one in classes]
    assert len(classes) == 1000
    assert wnids == sorted(wnids)
    assert classes[0] == ("n01440764", "tench")
    assert classes[281] == ("n02123045", "tabby")
    assert classes[999] == ("n15075141", "toilet tissue")


def test_each_name_is_that_of_one_class():
    names = imagenet_names()
    assert len(set(names)) == 1000
    assert [name for name in names if name.startswith(("crane", "maillot"))] == [
        "crane (bird)",
        "crane (machine)",
        "maillot",
        "maillot (tank suit)",
    ]
    assert not any(name != name.strip() or "_" in name for name in names)


def test_it_is_the_table_of_the_data_set():
    table = Path(os.environ.get("TINYALEX_DATA", "-"), "imagenet-samples", "synsets_1000.tsv")
    if not table.is_file():
        pytest.skip("TINYALEX_DATA names no folder with imagenet-samples")
    rows = [line.split("\t") for line in table.read_text().splitlines()]
    assert [(wnid, name.replace("_", " ")) for _, wnid, name in rows] == [
        (one.wnid, one.name.split(" (")[0]) for one in imagenet_classes()
    ]


@pytest.fixture
def kit(rng):
    """A kit's numbering: place i holds the sorted number of ILSVRC2012_ID = i + 1."""
    return rng.permutation(1000)


def records(kit):
    classes = imagenet_classes()
    numbered = [(i + 1, *classes[number]) for i, number in enumerate(kit)]
    return [*numbered, (1001, "n00001740", "entity, which is no class of the competition")]


def test_the_order_of_the_development_kit(tmp_path, kit):
    order = devkit_order(meta(tmp_path / "meta.mat", records(kit)))
    np.testing.assert_array_equal(order, kit)
    wnids = np.array([one.wnid for one in imagenet_classes()])
    in_kits_order = wnids[kit]
    np.testing.assert_array_equal(in_kits_order[np.argsort(order)], wnids)  # as the docstring says


@pytest.mark.parametrize(
    "change", [lambda r: r[:500], lambda r: [(2, *r[0][1:]), *r[1:]], lambda r: [(1, "n1", "x"), *r[1:]]]
)
def test_another_numbering_is_refused(tmp_path, kit, change):
    path = meta(tmp_path / "meta.mat", change(records(kit)))
    with pytest.raises(DataError, match=r"got .*meta\.mat: expected the numbers 1 to 1000"):
        devkit_order(path)


@pytest.mark.parametrize(
    "text",
    ["cat\ndog\n", "0\tn1\tcat\n1\tn2\tdog", "\n  \ncat \r\n\n dog\n", "\ufeffcat\ndog"],
    ids=["plain", "tabs", "empty lines", "the mark that Notepad writes"],
)
def test_names_in_a_text(tmp_path, text):
    path = tmp_path / "classes.txt"
    path.write_bytes(text.encode())
    assert names_in(path) == ("cat", "dog")


def test_names_in_the_development_kit(tmp_path, kit):
    names = imagenet_names()
    assert names_in(meta(tmp_path / "meta.mat", records(kit))) == tuple(names[number] for number in kit)


def test_names_in_a_file_that_is_no_text(tmp_path):
    path = tmp_path / "classes.txt"
    path.write_bytes(b"\x89PNG\xff")
    for wrong in (path, tmp_path / "missing.txt"):
        with pytest.raises(DataError, match=r"cannot read .*\.txt .*: expected a text with a class a line"):
            names_in(wrong)
