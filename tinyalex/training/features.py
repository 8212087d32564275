"""Features of photographs in files, any number of them: a layer's outputs, by which images are compared (section 6.1).

A file of features is an .npz of four arrays:

    features   (N, D) float32, a row for each photograph
    files      (N,) their paths
    layer      the name of the layer
    made_by    what made them, as JSON: the net and a sha256 of its arrays, the variant, the size of the input

While it is made, its parts lie in a folder beside it: a file for every 1,024 photographs or fewer. After a kill the
parts that are there are used again, if the same net made them from the same files.
"""

import hashlib
import json
import math
import shutil
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend import to_numpy
from tinyalex.data.photos import Seen, in_batches, photos, with_outputs
from tinyalex.errors import DataError, UsageError
from tinyalex.files import alone_in, replacing
from tinyalex.training.evaluate import augmenter_for, check_finite, outputs, preparation_for
from tinyalex.weights.checkpoint import Checkpoint

PART = 1024  # photographs of a part, at most: what a kill can cost
PART_BYTES = 1 << 26  # of the features of a part, about: those of a convolution are large
BATCH = 32  # images of a forward pass


@dataclass(frozen=True)
class Part:
    """The features of some photographs: (n, D) float32, their paths (n,), and a reason for each that was rejected."""

    features: NDArray[np.float32]
    files: NDArray[np.str_]
    rejected: list[str]


class Extractor:
    """What makes features of photographs: the output of a layer of a trained net for their central crops.

    layer: its name; None: the last hidden layer.   smallest: the least width and height of a photograph, in pixels.
    D: how many features a photograph has.
    Raises UsageError for a layer that the net does not have, and CheckpointError as `augmenter_for` does.
    """

    def __init__(self, trained: Checkpoint, layer: str | None = None, *, smallest: int = 1) -> None:
        net = trained.net
        self.layer = layer or net.last_hidden
        if self.layer not in net.layers:
            raise UsageError(f"got layer={layer}: expected one of {', '.join(net.layers)}")
        trained.check_whole(self.layer)
        self.trained, self.net, self.augmenter, self.smallest = trained, net, augmenter_for(trained), smallest
        [self.D] = [math.prod(row.out_shape) for row in net.rows if row.name == self.layer]

    def read(self, paths: Iterable[Path], pictures: int = 0) -> Iterator[Seen]:
        """Each photograph in the files `paths` with its features (D,).

        pictures: as for `tinyalex.data.photos.photos`. Raises CheckpointError if the net's outputs are not finite.
        """
        preparation = preparation_for(self.trained)
        return with_outputs(
            photos(paths, preparation, smallest=self.smallest, pictures=pictures), self._features, BATCH
        )

    def _features(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        made = outputs(self.net, self.augmenter, images, self.layer)
        check_finite(made)
        return made


class FeatureFile:
    """The file `out` of the features that an extractor makes of photographs.

    source: where the net comes from, to be noted.
    """

    def __init__(self, extractor: Extractor, out: Path, *, source: str) -> None:
        self.extractor, self.out = extractor, out
        self.part = max(BATCH, min(PART, PART_BYTES // (4 * extractor.D)))
        self.parts = out.with_name(f"{out.name}.parts")
        net = extractor.net
        self.made_by = {
            "net": source,
            "sha256": fingerprint(extractor.trained),
            "variant": net.spec.name,
            "input_size": net.input_size,
        }

    def write(self, paths: Iterable[Path], done: Callable[[int, list[str]], object]) -> None:
        """Write the features of the photographs in the files `paths`; those that cannot be read are left out.

        If none can be read there is no file.
        done: called now and then with the number of files just done, and a reason for each that was rejected.
        Raises UsageError if `out` is a folder.
        """
        if self.out.is_dir():
            raise UsageError(f"got {self.out}, a folder: expected a file to write")
        with alone_in(self.parts):
            count = 0
            for count, in_part in enumerate(in_batches(paths, self.part), start=1):
                self._make(count, in_part, done)
            self._join(count)
            shutil.rmtree(self.parts)

    def _make(self, number: int, paths: list[Path], done: Callable[[int, list[str]], object]) -> None:
        """Make part `number` from the files `paths`, unless it is there."""
        identity, path = self._identity(paths), self._path(number)
        kept = _read(path, identity)
        if kept is not None:
            done(len(paths), kept.rejected)
            return
        rows, files, rejected = [], [], []
        for photo, row in self.extractor.read(paths):
            if row is None:
                rejected.append(photo.error)
            else:
                rows.append(row)
                files.append(str(photo.path))
            done(1, rejected[-1:] if row is None else [])
        made = np.stack(rows).astype(np.float32) if rows else np.empty((0, 0), np.float32)
        with replacing(path) as file:
            np.savez(file, features=made, files=np.array(files, str), rejected=json.dumps(rejected), identity=identity)

    def _path(self, number: int) -> Path:
        return self.parts / f"{number:05}.npz"

    def _identity(self, paths: list[Path]) -> str:
        """A text that is another one if the net, the layer or a file is: its name, its size, when it was written."""
        known = [self.extractor.layer, self.made_by, [[str(path), *_stamp(path)] for path in paths]]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()

    def _join(self, count: int) -> None:
        """Write the file from its `count` parts, of which one is in memory at a time."""
        sizes = [(part.features.shape, part.files.itemsize) for part in self._read_parts(count)]
        N, D = sum(shape[0] for shape, _ in sizes), max((shape[1] for shape, _ in sizes), default=0)
        if N == 0:
            return
        longest = f"<U{max(itemsize for _, itemsize in sizes) // 4}"  # 4 bytes a character
        with replacing(self.out) as file, zipfile.ZipFile(file, "w") as archive:
            made = (part.features for part in self._read_parts(count) if len(part.files))
            _write_array(archive, "features", (N, D), "<f4", made)
            names = (part.files.astype(longest) for part in self._read_parts(count))
            _write_array(archive, "files", (N,), longest, names)
            for name, text in (("layer", self.extractor.layer), ("made_by", json.dumps(self.made_by))):
                _write_array(archive, name, (), f"<U{len(text)}", [np.array(text)])

    def _read_parts(self, count: int) -> Iterator[Part]:
        for number in range(1, count + 1):
            part = _read(self._path(number))
            if part is None:
                raise DataError(f"got {self._path(number)}, which is damaged: run the same command again")
            yield part


def _read(path: Path, identity: str | None = None) -> Part | None:
    """The part in the file at `path`; None if there is none, it is damaged, or it is not the one of that identity."""
    try:
        with path.open("rb") as opened, np.load(opened) as file:
            if identity not in (None, str(file["identity"])):
                return None
            return Part(file["features"], file["files"], json.loads(str(file["rejected"])))
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def _write_array(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: str, parts: Iterable[NDArray[Any]]
) -> None:
    """Add an array to an .npz archive, part after part along its first axis."""
    with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
        _write_header(entry, shape, dtype)
        for part in parts:
            entry.write(np.ascontiguousarray(part).tobytes())


def _write_header(entry: IO[bytes], shape: tuple[int, ...], dtype: str) -> None:
    np.lib.format.write_array_header_1_0(entry, {"descr": dtype, "fortran_order": False, "shape": shape})


def _stamp(path: Path) -> tuple[int, int]:
    """The size of a file in bytes, and when it was written, in nanoseconds; zeros if there is none."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def fingerprint(trained: Checkpoint) -> str:
    """The SHA-256 of all that a net's outputs depend on: its layers and parameters, and how an image becomes input."""
    net = trained.net
    settings = (net.spec.layers, net.input_size, net.cross_columns, preparation_for(trained))
    digest = hashlib.sha256(repr(settings).encode())
    mean = augmenter_for(trained).mean
    for name, array in {**net.params, "mean": mean}.items():
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(to_numpy(array)).data)
    return digest.hexdigest()
