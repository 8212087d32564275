"""All images of a folder looked at before a run, by threads: what cannot be used, and the sums for the mean image.

A run that reads a damaged image after hours loses them. So all images are decoded once, and all that are damaged are
named at once. The same pass adds up the pixels of the others, and leaves the prepared images in memory if they fit.

The result can be kept in a file, which the next run on the same images reads instead.
"""

import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from hashlib import blake2b, sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend import thread_count
from tinyalex.data.ahead import prepared_ahead
from tinyalex.data.folder import FolderDataset
from tinyalex.data.prepare import check_header, regular_file
from tinyalex.data.statistics import PixelSums
from tinyalex.errors import DataError, ImageError, UsageError
from tinyalex.files import replacing, write_table

CHUNK = 64  # images that a thread looks at before it reports
FORMAT = 1  # of the kept files; another number makes them all be written anew


@dataclass(frozen=True)
class Examination:
    """What was found in N images.

    bad:     the reason why an image cannot be used, for each index of such an image, in order.
    digests: (N,) uint64, equal for files of the same bytes; 0 where the file was not read.
    sums:    of the prepared images that can be used; None if only the beginnings of the files were read.
    """

    bad: dict[int, str]
    digests: NDArray[np.uint64]
    sums: PixelSums | None


def examine(
    dataset: FolderDataset, *, decode: bool = True, progress: Callable[[int], object] | None = None
) -> Examination:
    """Look at all images of a set, in as many threads as the net uses.

    decode:   if False, only the beginnings of the files are read: quick, and blind to what is cut short or damaged.
    progress: called now and then with the number of images just looked at.
    """
    found = Examination({}, np.zeros(len(dataset), np.uint64), PixelSums(dataset.size) if decode else None)
    chunks = [range(first, min(first + CHUNK, len(dataset))) for first in range(0, len(dataset), CHUNK)]
    workers = thread_count()
    with closing(prepared_ahead(lambda chunk: _look(dataset, chunk, decode), chunks, workers, 2 * workers)) as parts:
        for chunk, part in zip(chunks, parts, strict=True):
            found.bad.update(part.bad)
            found.digests[chunk.start : chunk.stop] = part.digests
            if found.sums is not None and part.sums is not None:
                found.sums.merge(part.sums)
            if progress is not None:
                progress(len(chunk))
    return found


def _look(dataset: FolderDataset, chunk: range, decode: bool) -> Examination:
    """Look at the images in `chunk`. The digests are those of the chunk; the indices in `bad` those of the set."""
    found = Examination({}, np.zeros(len(chunk), np.uint64), PixelSums(dataset.size) if decode else None)
    for place, index in enumerate(chunk):
        try:
            if found.sums is None:
                check_header(dataset.paths[index], smallest=dataset.smallest)
            else:
                found.sums.add(dataset.read(np.array([index])))
                found.digests[place] = _digest(dataset.paths[index])
        except ImageError as error:
            found.bad[index] = error.reason
    return found


def _digest(path: str) -> int:
    """A number made of all bytes of a file, or 0 if it has vanished."""
    digest = blake2b(digest_size=8)
    with suppress(OSError, ValueError), regular_file(path) as file:
        while content := file.read(2**20):
            digest.update(content)
        return int.from_bytes(digest.digest())
    return 0


def in_two_classes(sets: Sequence[tuple[FolderDataset, Examination]]) -> list[tuple[str, str]]:
    """Pairs of files that hold the same bytes and lie in different classes, in one of the sets or in two."""
    paths = [path for dataset, _ in sets for path in dataset.paths]
    labels = np.concatenate([dataset.labels for dataset, _ in sets])
    digests = np.concatenate([found.digests for _, found in sets])
    return [(paths[one], paths[other]) for one, other in same_but_for(digests, labels)]


def same_but_for(digests: NDArray[np.uint64], labels: NDArray[np.integer]) -> list[list[int]]:
    """Pairs of images with the same digest (N,) but different labels (N,). The digest 0 says nothing."""
    order = np.argsort(digests, kind="stable")
    digests, labels = digests[order], labels[order]
    pairs = np.flatnonzero((digests[1:] == digests[:-1]) & (labels[1:] != labels[:-1]) & (digests[1:] != 0))
    both: list[list[int]] = np.stack([order[pairs], order[pairs + 1]], axis=1).tolist()
    return both


def write_rejected(path: Path, rejected: Iterable[tuple[str, str]]) -> None:
    """Write a CSV file with the columns path and reason: the images that are left out, and why."""
    write_table(path, ("path", "reason"), rejected)


# ---------------------------------------------------------------- kept for the next run


def kept_or_examined(
    dataset: FolderDataset, folder: Path, *, decode: bool = True, progress: Callable[[int], object] | None = None
) -> Examination:
    """The examination of these images that an earlier call left in `folder`, or a new one, which is left there.

    A kept file that is damaged, or knows only the beginnings if `decode`, is not used. Where nothing can be written,
    nothing is kept.
    """
    asked = f"{FORMAT} {dataset.fingerprint()} {dataset.smallest}"
    path = folder / f"{sha256(asked.encode()).hexdigest()[:32]}.npz"
    with suppress(Exception):  # whatever is wrong with the file, the images can be looked at again
        found = _read(path, dataset, decode)
        if progress is not None:
            progress(len(dataset))
        return found
    found = examine(dataset, decode=decode, progress=progress)
    with suppress(OSError, UsageError):
        _write(path, found)
    return found


def _write(path: Path, found: Examination) -> None:
    reasons = json.dumps(list(found.bad.values())).encode()
    arrays: dict[str, NDArray[Any]] = {
        "bad": np.array(list(found.bad), np.int64),
        "reasons": np.frombuffer(reasons, np.uint8),
        "digests": found.digests,
        **(found.sums.arrays() if found.sums is not None else {}),
    }
    with replacing(path) as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def _read(path: Path, dataset: FolderDataset, decode: bool) -> Examination:
    """Raises almost any exception if the file is missing or damaged: NumPy's, zipfile's or zlib's; or a DataError."""
    with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
        arrays = dict(file)
    bad = arrays["bad"].tolist()
    reasons = json.loads(arrays["reasons"].tobytes())
    digests = arrays["digests"]
    sums = PixelSums.from_arrays(arrays, dataset.size) if decode else None
    fits = digests.shape == (len(dataset),) and digests.dtype == np.uint64
    fits = fits and bad == sorted(set(bad) & set(range(len(dataset)))) and all(isinstance(r, str) for r in reasons)
    if not fits or (sums is not None and sums.count != len(dataset) - len(bad)):
        raise DataError(f"got {path}, which does not fit the images: expected an examination of them")
    return Examination(dict(zip(bad, reasons, strict=True)), digests, sums)
