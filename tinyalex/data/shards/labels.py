"""Tables that say which class an image has, for images that lie in no class folder.

A CSV file with a line for each image, as its header says: a column filename (or file, image, ImageId) and a column wnid
(or class, label, PredictionString, whose first word counts); a column name, if there is one, has the class's readable
name. Or the development kit of ILSVRC-2012: ILSVRC2012_validation_ground_truth.txt has in line i the class's number of
ILSVRC2012_val_0000000i.JPEG, and meta.mat beside it the wnid of each number.
"""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from tinyalex.data.layout import SUFFIXES
from tinyalex.data.shards.matlab import read_structs
from tinyalex.errors import DataError
from tinyalex.files import legible
from tinyalex.typed import brief

GROUND_TRUTH = "ILSVRC2012_validation_ground_truth.txt"
FILE_COLUMNS = ("filename", "file", "image", "imageid")
CLASS_COLUMNS = ("wnid", "class", "label", "predictionstring")
LARGEST = 2**28  # bytes; ILSVRC-2012's largest table has 20 MB


@dataclass(frozen=True)
class Labels:
    """The class of each image, by its name without folder and suffix, and the readable names of classes."""

    path: Path
    classes: dict[str, str]
    names: dict[str, str]

    def class_of(self, name: str) -> str | None:
        """The class of the image in the file `name`; None if the table has none for it."""
        return self.classes.get(_stem(name))


def find_labels(folder: Path) -> Path | None:
    """The table that lies in a folder: labels.csv, or the ground truth of the development kit; None without one."""
    candidates = [folder / "labels.csv", folder / GROUND_TRUTH, *sorted(folder.glob(f"*/data/{GROUND_TRUTH}"))]
    return next((path for path in candidates if path.is_file()), None)


def read_labels(path: Path) -> Labels:
    """The table in a file. Raises DataError, naming it, if it is missing or no such table."""
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"got {path} of more than {LARGEST:,} bytes: expected a table of labels")
        if path.suffix == ".txt":
            return _ground_truth(path)
        return _table(path)
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}): expected a table of labels") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"got {path} ({error}): expected a table of labels as CSV in UTF-8") from error


def _table(path: Path) -> Labels:
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = csv.DictReader(file, skipinitialspace=True)
        columns = {(column or "").strip().lower(): column for column in rows.fieldnames or ()}
        file_column = next((columns[name] for name in FILE_COLUMNS if name in columns), None)
        class_column = next((columns[name] for name in CLASS_COLUMNS if name in columns), None)
        name_column = columns.get("name")
        if file_column is None or class_column is None:
            raise DataError(
                f"got {path} with the columns {legible(', '.join(columns))[:200] or 'of an empty file'}: "
                "expected one called filename and one called wnid or class"
            )
        classes, names = dict[str, str](), dict[str, str]()
        for row in rows:
            file_name, words = (row[file_column] or "").strip(), (row[class_column] or "").split()
            if not file_name or not words:
                raise DataError(f"got {path} line {rows.line_num} without a file or a class: expected both")
            class_name = words[0] if class_column == columns.get(CLASS_COLUMNS[-1]) else row[class_column].strip()
            classes[_stem(file_name)] = class_name
            if name_column is not None and (name := row[name_column]):
                names[class_name] = name
    return Labels(path, classes, names)


def _stem(name: str) -> str:
    """A file's name without its folder and an image's suffix."""
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in SUFFIXES else path.name


def _ground_truth(path: Path) -> Labels:
    """The labels of the validation images, from the development kit."""
    wnids, names = {}, {}
    for record in read_structs(path.with_name("meta.mat"), "synsets", ("ILSVRC2012_ID", "WNID", "words")):
        number, wnid, words = record
        wnids[number], names[str(wnid)] = str(wnid), str(words).split(",")[0]
    classes = {}
    for line, number in _numbers(path):
        if number not in wnids:
            raise DataError(f"got {path} line {line} with class {brief(number)}: expected one that meta.mat names")
        classes[f"ILSVRC2012_val_{line:08}"] = wnids[number]
    return Labels(path, classes, names)


def _numbers(path: Path) -> Iterator[tuple[int, int]]:
    """The numbers of the lines and what each says."""
    with path.open(encoding="ascii") as file:
        for line, text in enumerate(file, start=1):
            try:
                yield line, int(text)
            except ValueError:
                raise DataError(
                    f"got {path} line {line} {text[:40].strip()!r}: expected the number of a class in {GROUND_TRUTH}"
                ) from None
