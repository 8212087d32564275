"""Where the images of a set come from, and which class each one has (section 2).

A set is a folder, or a tar file that is read in place. It may hold

    class folders                SRC/train/<class>/* and SRC/val/<class>/*, or SRC/<class>/* (layout.py has the rules)
    a tar file for each class    SRC/train/<class>.tar, as ILSVRC-2012's training images are distributed
    images and a table           SRC/*.jpg or SRC/images/*.jpg with SRC/labels.csv (labels.py has the forms of a table)

A split may be a tar file too: SRC/train.tar, SRC/ILSVRC2012_img_train.tar, SRC/val.tar, SRC/ILSVRC2012_img_val.tar.
Within a tar file an image's class is its folder, or else the name of the tar file that holds it.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from tinyalex.data.layout import (
    HELD_OUT,
    check_images,
    check_same_classes,
    distinct,
    image_entries,
    is_image_name,
    readable_names,
    subfolders,
)
from tinyalex.data.shards.labels import Labels, find_labels, read_labels
from tinyalex.data.shards.listing import Lister, Listing
from tinyalex.data.shards.tars import Member, members
from tinyalex.errors import DataError
from tinyalex.files import at_home, legible

PLACES = {
    "train": ("train", "train.tar", "ILSVRC2012_img_train.tar"),
    "val": ("val", "val.tar", "ILSVRC2012_img_val.tar"),
}
Splits = dict[str, Lister]  # the images found, by split; "": a split that the place does not name


@dataclass(frozen=True)
class Source:
    """The images of a set.

    root:    the folder or tar file.
    name:    of the set.
    classes: the readable names of the classes.   wnids: their WordNet numbers, if their folders are called by them.
    splits:  the images of "train" and "val".
    refused: (name, reason) of what looks like an image but is not read, such as a link that leads out of the folder.
    """

    root: Path
    name: str
    classes: tuple[str, ...]
    wnids: tuple[str, ...] | None
    splits: dict[str, Listing]
    refused: list[tuple[str, str]]

    def __len__(self) -> int:
        """The number of images."""
        return sum(map(len, self.splits.values()))


def open_source(
    source: str | Path, *, val: Path | None = None, labels: Path | None = None, follow_links: bool = False
) -> Source:
    """The images that `source` names, a folder or a tar file. No image is read.

    val:          the validation images, if they lie elsewhere.
    labels:       a table of the classes of images that lie in no class folder; None: the one in the folder.
    follow_links: also read what lies behind links that lead out of the folder.
    Raises DataError for a layout that it does not know, a class or a split without images, or a damaged tar file or
    table.
    """
    root = at_home(source)
    if not root.exists():
        raise DataError(f"got {root}, which does not exist: expected a folder or a tar file of images")
    path = labels or (find_labels(root) if root.is_dir() else None)
    table = None if path is None else read_labels(path)
    finder = _Finder(root, table, follow_links)
    try:
        train, others = _both(finder, *_places(root, val))
    except OSError as error:
        raise DataError(f"cannot read {error.filename or root} ({error.strerror}): expected images") from error
    for split, listing in (("train", train), ("val", others)):
        if len(listing) == 0:
            first = "; {} was left out: {}".format(*finder.refused[0]) if finder.refused else ""
            raise DataError(f"got {root} without images for {split}: expected one or more{legible(first)}")
    folders = list(train.classes)
    if table is None or (root / "classes.tsv").is_file():
        names = readable_names(root, folders)
    else:
        names = distinct([table.names.get(folder, folder) for folder in folders], folders)
    if len(set(names)) < len(names):
        name = next(name for name in names if names.count(name) > 1)
        raise DataError(f"got two classes called {name!r} in {root}: expected names that differ as text")
    wnids = tuple(folders) if all(re.fullmatch(r"n\d{8}", folder) for folder in folders) else None
    name = legible(re.sub(r"\.tar$", "", root.resolve().name)) or "images"
    return Source(root, name, names, wnids, {"train": train, "val": others}, finder.refused)


def _places(root: Path, val: Path | None) -> tuple[Path, Path | None]:
    """Where the training and the validation images lie; None: the training images' place has both."""
    found = {
        split: next((root / name for name in names if (root / name).exists()), None) for split, names in PLACES.items()
    }
    if not any(place is not None and _has_classes(place) for place in found.values()):
        return root, val  # a folder called train without class folders is itself a class
    train, val = found["train"], val or found["val"]
    if train is None or val is None:
        missing = "train" if train is None else "val"
        raise DataError(
            f"got {root} without {missing}: expected one of {', '.join(PLACES[missing])} in it"
            + ("; name another place with --val" if missing == "val" else "")
        )
    return train, val


def _has_classes(place: Path) -> bool:
    return place.is_file() or bool(subfolders(place)) or any(place.glob("*.tar"))


def _both(finder: "_Finder", train_place: Path, val_place: Path | None) -> tuple[Listing, Listing]:
    """The training and the validation images, with the classes of the training images."""
    found = finder.find(train_place)
    if val_place is None and not found.keys() >= {"train", "val"}:
        everything = _only(found, "train", train_place)
        whole = everything.listing()
        held_out = _held_out(whole, train_place, every_class=not everything.from_table)
        return whole.take(np.flatnonzero(~held_out)), whole.take(np.flatnonzero(held_out))
    validation = found["val"] if val_place is None else _only(finder.find(val_place), "val", val_place)
    train, val = _only(found, "train", train_place).listing(), validation.listing()
    # Of a table, which may name a thousand classes, a small set needs the images of a few.
    others = {*train.classes, *val.classes} if validation.from_table else val.classes
    check_same_classes(train.classes, others, f"{train_place} (train)", f"{val_place or train_place} (val)")
    numbers = np.searchsorted(train.classes, val.classes).astype(np.int32)
    return train, replace(val, classes=train.classes, labels=numbers[val.labels])


def _only(found: Splits, split: str, place: Path) -> Lister:
    """The images of a place that are not of another split."""
    lister = found.get(split) or found.get("")
    if lister is None:
        raise DataError(
            f"got {place} without images for {split}: expected images in class folders, or tar files of them"
        )
    return lister


def _held_out(whole: Listing, place: Path, *, every_class: bool) -> NDArray[np.bool_]:
    """Which images are for validation -> (N,): every tenth of each class; of all images if each has its own class.

    every_class: raise DataError for a class that has too few images.
    """
    counts = np.bincount(whole.labels, minlength=len(whole.classes))
    for name, count in zip(whole.classes, counts, strict=True):
        if every_class:
            check_images(place / name, count, held_out=True)
    by_name = np.arange(len(whole)) - (np.cumsum(counts) - counts)[whole.labels]  # 0, 1, ... within each class
    held_out: NDArray[np.bool_] = (by_name % HELD_OUT == 0) & (counts > 1)[whole.labels]
    return held_out if held_out.any() else np.arange(len(whole)) % HELD_OUT == 0


@dataclass
class _Finder:
    """Finds the images below `root`.

    table:        of the classes of images that lie in no class folder.
    follow_links: whether a link may lead out of `inside`: `root`, or the place searched if it lies elsewhere.
    refused:      (name, reason) of what looks like an image but is not read.
    """

    root: Path
    table: Labels | None
    follow_links: bool
    refused: list[tuple[str, str]] = field(default_factory=list)
    inside: Path = field(init=False)

    def find(self, place: Path) -> Splits:
        """The images in a folder or a tar file."""
        splits: Splits = defaultdict(Lister)
        self.inside = self.root if place.is_relative_to(self.root) else place
        if place.is_file():
            self._in_tar(splits, place, members(place))
        else:
            self._in_place(splits, place)
        self._check_left_out(place, splits)
        return splits

    def _in_place(self, splits: Splits, place: Path) -> None:
        """Add the images of a folder: class folders, tar files, or images whose classes the table has."""
        classes, tars = subfolders(place), sorted(place.glob("*.tar"))
        if self.table is not None and not tars and [folder.name for folder in classes] in ([], ["images"]):
            self._in_folder(splits[""], classes[0] if classes else place, None)
        elif not classes and not tars:
            raise DataError(
                f"got {place} without class folders: expected one folder of images for each class, or a table of the "
                "images' classes; name it with --labels"
            )
        else:
            for folder in classes:
                self._in_folder(splits[""], folder, folder.name)
            for tar in tars:
                self._in_tar(splits, tar, members(tar), tar.stem)

    def _in_folder(self, lister: Lister, folder: Path, class_name: str | None) -> None:
        """Add the images of a folder: of one class, or None: of the classes in the table."""
        if self._leads_out(folder):
            raise DataError(f"got {folder}, a link that leads out of {self.inside}: read it with --follow-links")
        entries = image_entries(folder)
        check_images(folder, len(entries), held_out=False)
        for entry in entries:
            if not entry.is_file():
                self._leave_out(lister, class_name, entry.path, "not a file, or a link to nothing")
            elif entry.is_symlink() and self._leads_out(Path(entry.path)):
                self._leave_out(lister, class_name, entry.path, f"a link that leads out of {self.inside}")
            else:
                self._add(lister, (str(folder), ""), entry.name, class_name, entry.stat().st_size)

    def _leads_out(self, path: Path) -> bool:
        """Whether a path lies behind a link out of the source that is not to be followed."""
        return not self.follow_links and not path.resolve().is_relative_to(self.inside.resolve())

    def _in_tar(
        self,
        splits: Splits,
        path: Path,
        found: Iterator[Member],
        class_name: str | None = None,
        inner: Member | None = None,
    ) -> None:
        """Add the images of a tar file, or of the tar file `inner` in it.

        class_name: of those that lie in no class folder; None: the table has it.
        """
        loose = self.table is not None or class_name is not None  # else a folder called train is itself a class
        for member in found:
            path_in_tar = PurePosixPath(member.name)
            folder = path_in_tar.parent
            above, own = ("", "", *folder.parts)[-2:]
            if path_in_tar.suffix == ".tar" and member.plain and inner is None:
                self._in_tar(splits, path, members(path, member), path_in_tar.stem, member)
            elif is_image_name(path_in_tar.name):
                split = above if above in PLACES else own if own in PLACES and loose else ""
                named = class_name if not own or (own == split and above != split) else own
                if not member.plain:
                    reason = "a link, or another thing without bytes of its own"
                    self._leave_out(splits[split], named, f"{path}/{member.name}", reason)
                    continue
                place = (str(path), "/".join((*((inner.name,) if inner else ()), *folder.parts)))
                self._add(splits[split], place, path_in_tar.name, named, member.size, member.offset)

    def _add(
        self, lister: Lister, place: tuple[str, str], name: str, class_name: str | None, size: int, offset: int = -1
    ) -> None:
        """Add an image of a class; None: of the class that the table has for it."""
        if class_name is not None:
            lister.add(place, name, class_name, size, offset)
            return
        if self.table is None:
            raise DataError(
                f"got {place[0]} with images that lie in no class folder: expected a table of their classes; name it "
                "with --labels"
            )
        lister.from_table = True
        known = self.table.class_of(name)
        if known is None:
            self._refuse("/".join(part for part in (*place, name) if part), f"{self.table.path} has no class for it")
        else:
            lister.add(place, name, known, size, offset)

    def _leave_out(self, lister: Lister, class_name: str | None, name: str, reason: str) -> None:
        """Refuse an image of a class; None: the table has its class."""
        self._refuse(name, reason)
        if class_name is not None:
            lister.left_out[class_name] = (name, reason)

    def _check_left_out(self, place: Path, splits: Splits) -> None:
        """Raise DataError for a class of which nothing is left: it must not vanish."""
        for lister in splits.values():
            for class_name in lister.without_images():
                name, reason = lister.left_out[class_name]
                links = "; --follow-links reads what lies behind links" if place.is_dir() else ""
                raise DataError(
                    f"got the class {class_name!r} in {place} with nothing but what is left out, the last {name} "
                    f"({reason}): expected one or more images{links}"
                )

    def _refuse(self, name: str, reason: str) -> None:
        self.refused.append((name, reason))
