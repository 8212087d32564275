"""The photographs of an index that are most like another one: those with the nearest features (section 6.1, figure 4).

An index is a file of features, see `tinyalex.training.features`. It may be larger than the memory: it is read from
beginning to end for each search, a few rows at a time.

Axes: N photographs of the index, Q others, D features.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.errors import DataError, UsageError
from tinyalex.files import one_line
from tinyalex.training.features import fingerprint
from tinyalex.typed import brief
from tinyalex.viz.figure4 import nearest_among, rows_at_once
from tinyalex.weights.archive import Archive
from tinyalex.weights.checkpoint import Checkpoint

NAMES = 4096  # paths of the index that are read at a time


class Index:
    """The index in the file at `path`, which is open until `close`.

    N: its photographs.   layer: the layer that their features come from.   made_by: what made them.
    Raises DataError if there is no such file, or another program wrote it, or it is damaged; what is damaged further on
    is found when it is read.
    """

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            raise DataError(f"got {path}: expected a file of features; make it with tinyalex features")
        self._path, self._file = path, path.open("rb")
        try:
            self._archive = Archive(self._file)
            self.N, self._D = self._shape()
            self.layer = str(self._archive.read("layer"))
            self.made_by: dict[str, Any] = dict(json.loads(str(self._archive.read("made_by"))))
        except Exception as error:  # a damaged zip file can raise almost any exception
            self.close()
            raise self._damaged(error) from error

    def _shape(self) -> tuple[int, int]:
        """N and D. Raises ValueError for arrays of other shapes and dtypes than `features` writes."""
        headers = self._archive.headers
        features, files = headers["features"], headers["files"]
        N, D = features.shape
        if features.dtype != np.float32 or files.dtype.kind != "U" or files.shape != (N,) or D < 1:
            raise ValueError("features and files do not fit")
        return N, D

    def _damaged(self, error: Exception) -> DataError:
        return DataError(
            f"got {self._path}, which is damaged or no file of features ({one_line(error)}); make it with tinyalex "
            "features"
        )

    def check(self, trained: Checkpoint, k: int) -> None:
        """Raise UsageError unless the net `trained` made the features of the index, and k of them can be found."""
        if not 1 <= k <= self.N:
            raise UsageError(f"got k={k}: expected 1 to {self.N:,}, the photographs in {self._path}")
        if self.made_by.get("sha256") != fingerprint(trained):
            raise UsageError(
                f"got another net than that of {self._path}: expected {brief(self.made_by.get('net'))}; use that, or "
                "make the index again with tinyalex features"
            )

    def nearest(self, queries: NDArray[np.floating], k: int) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """The k photographs nearest to each query by Euclidean distance, and how far they are: (Q, k), nearest first.

        queries (Q, D). Of equally near ones the first comes first.
        Raises DataError for an index that is damaged, or not finite.
        """
        try:
            return nearest_among(queries, self._parts(), k)
        except Exception as error:
            raise self._damaged(error) from error

    def _parts(self) -> Iterable[NDArray[np.float32]]:
        for part in self._archive.parts("features", rows_at_once(self._D)):
            if not np.isfinite([part.min(), part.max()]).all():
                raise ValueError("NaN or infinity in the features")
            yield part

    def files(self, indices: NDArray[np.intp]) -> dict[int, Path]:
        """The paths of the photographs of these numbers."""
        found: dict[int, Path] = {}
        first = 0
        wanted = set(indices.ravel().tolist())
        try:
            for names in self._archive.parts("files", NAMES):
                here = wanted.intersection(range(first, first + len(names)))
                found |= {number: Path(str(names[number - first])) for number in here}
                first += len(names)
        except Exception as error:
            raise self._damaged(error) from error
        return found

    def close(self) -> None:
        """Close the file."""
        self._file.close()
