"""The 1,000 classes of ILSVRC-2012: their numbers, WordNet ids and readable names.

There are two orders. Nets trained with Caffe, PyTorch and TensorFlow, and those of the ONNX zoo, number the classes in
the alphabetical order of their WordNet ids (n01440764, the tench, is 0). This is the order of `imagenet.tsv` and of all
nets here. The competition's development kit numbers them from 1 in another order, ILSVRC2012_ID. The nets of
cuda-convnet follow it, less 1. The kit's file meta.mat holds that order; `devkit_order` reads it.

    devkit_order(meta)[i]        is the class, in sorted order, that the kit calls ILSVRC2012_ID = i + 1
    w[np.argsort(order)]         puts the rows of a last layer that has the kit's order into sorted order

A readable name is the first of WordNet's synonyms. Two pairs have the same one: the cranes, which are a bird and a
machine, and the maillots, which are a pair of tights and a bathing suit; these say which is meant.
"""

from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tinyalex.data.shards.matlab import read_structs
from tinyalex.errors import DataError
from tinyalex.files import legible, one_line

TABLE = Path(__file__).with_name("imagenet.tsv")  # a class a line: number, WordNet id, name


class ImageNetClass(NamedTuple):
    """wnid: its WordNet id, such as n01440764.   name: such as tench."""

    wnid: str
    name: str


@cache
def imagenet_classes() -> tuple[ImageNetClass, ...]:
    """The 1,000 classes in sorted order; class i is at place i."""
    lines = (line.split("\t") for line in TABLE.read_text("utf-8").splitlines())
    return tuple(ImageNetClass(wnid, name) for _, wnid, name in lines)


def imagenet_names() -> tuple[str, ...]:
    """The readable names of the 1,000 classes, in sorted order."""
    return tuple(one.name for one in imagenet_classes())


def devkit_order(meta: str | Path) -> NDArray[np.int64]:
    """The classes in the order of the development kit: (1000,) numbers of the sorted order.

    meta: the kit's file ILSVRC2012_devkit_t12/data/meta.mat.
    Raises DataError if it is not readable, or does not number the same 1,000 classes from 1 to 1000.
    """
    path = Path(meta)
    ids = {number: str(wnid) for number, wnid in read_structs(path, "synsets", ("ILSVRC2012_ID", "WNID"))}
    in_sorted_order = {one.wnid: number for number, one in enumerate(imagenet_classes())}
    found = [in_sorted_order.get(ids.get(number, ""), -1) for number in range(1, len(in_sorted_order) + 1)]
    if sorted(found) != list(range(len(in_sorted_order))):
        raise DataError(f"got {path}: expected the numbers 1 to 1000 of ILSVRC-2012's classes, as in its meta.mat")
    return np.array(found, np.int64)


def names_in(path: str | Path) -> tuple[str, ...]:
    """The names of the classes in a text file with a line for each, or in the kit's meta.mat, in the file's order.

    Of a line with tabs, as in `imagenet.tsv`, the last field is the name.
    Raises DataError for a file that cannot be read or is no text.
    """
    path = Path(path)
    if path.suffix == ".mat":
        names = imagenet_names()
        return tuple(names[number] for number in devkit_order(path))
    try:
        lines = path.read_text("utf-8-sig").splitlines()  # with or without the mark that Notepad writes
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"cannot read {path} ({one_line(error)}): expected a text with a class a line") from error
    return tuple(legible(line.split("\t")[-1].strip()) for line in lines if line.strip())
