"""Folders of class folders, the usual layout of ImageNet (section 2): what lies where, and what a class is called.

    ROOT/train/<class>/*   ROOT/val/<class>/*      or      ROOT/<class>/*

In the second layout every tenth image of each class (the first, the eleventh, ... by name) is used for validation.
Classes are numbered in the order of their folders' names. ROOT/classes.tsv, if it exists, gives readable names: one
line for each class, "index <tab> folder <tab> name".
"""

import os
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from tinyalex.errors import DataError
from tinyalex.files import legible

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
HELD_OUT = 10  # one image in ten is for validation, unless the folder has a train and a val folder


def subfolders(folder: Path) -> list[Path]:
    """The folders in a folder, sorted by name, without hidden ones; none if the folder does not exist."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def is_image_name(name: str) -> bool:
    """Whether a file of this name is taken for an image: it has an image's suffix and is not hidden."""
    return os.path.splitext(name)[1].lower() in SUFFIXES and not name.startswith(".")  # noqa: PTH122 (a million times)


def image_entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """What lies in a folder under an image's name, sorted by name: files, and perhaps links, pipes or folders."""
    with os.scandir(folder) as entries:
        return sorted((entry for entry in entries if is_image_name(entry.name)), key=lambda entry: entry.name)


def check_images(class_folder: object, count: int, *, held_out: bool) -> None:
    """Raise DataError unless a class has an image, and two if one of them is held out for validation."""
    if count == 0:
        raise DataError(f"got class folder {class_folder} without images: expected {', '.join(sorted(SUFFIXES))}")
    if held_out and count < 2:
        raise DataError(f"got class folder {class_folder} with 1 image: expected 2 or more, one of them for validation")


def check_same_classes(train: Collection[str], val: Collection[str], train_root: object, val_root: object) -> None:
    """Raise DataError, naming the first class that is in only one of the two, unless both have the same classes."""
    if differing := sorted(set(train) ^ set(val)):
        where, other = (train_root, val_root) if differing[0] in train else (val_root, train_root)
        raise DataError(f"got class {differing[0]} in {where} but not in {other}: expected the same classes in both")


def readable_names(root: Path, folders: list[str]) -> tuple[str, ...]:
    """The names of the classes: from ROOT/classes.tsv if it exists, otherwise the names of their folders.

    Raises DataError for a file that is not such a table.
    """
    table = root / "classes.tsv"
    if not table.is_file():
        return distinct(folders, folders)
    names = {}
    try:
        text = table.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"got {table} ({error.reason} at byte {error.start}): expected UTF-8; save it as that"
        ) from error
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split("\t")
        if len(fields) != 3:
            raise DataError(f"got {table} line {number} with {len(fields)} fields: expected index, folder, name")
        if not fields[2]:
            raise DataError(f"got {table} line {number} without a name: expected index, folder, name")
        names[fields[1]] = fields[2]
    return distinct([names.get(folder, folder) for folder in folders], folders)


def distinct(names: list[str], folders: list[str]) -> tuple[str, ...]:
    """The names, with the folder added where two are equal: ImageNet has two cranes, a bird and a machine."""
    readable = [legible(name) for name in names]
    uses = Counter(readable)
    return tuple(n if uses[n] == 1 else f"{n} ({legible(f)})" for n, f in zip(readable, folders, strict=True))
