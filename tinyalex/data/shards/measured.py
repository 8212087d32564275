"""statistics.npz: the statistics of a prepared set's training images, in a file whose checksum the index holds."""

import hashlib
import io
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tinyalex.data.shards.index import AGAIN
from tinyalex.data.statistics import PixelStatistics
from tinyalex.errors import DataError
from tinyalex.files import one_line, replacing

STATISTICS = "statistics.npz"


def write_statistics(folder: Path, statistics: PixelStatistics) -> str:
    """Write folder/statistics.npz, in one piece -> its sha256, for the index."""
    content = io.BytesIO()
    np.savez(content, **asdict(statistics))
    with replacing(folder / STATISTICS) as file:
        file.write(content.getvalue())
    return hashlib.sha256(content.getvalue()).hexdigest()


def read_statistics(folder: Path, sha256: str, size: int) -> PixelStatistics:
    """The statistics of images of size x size in folder/statistics.npz.

    Raises DataError if the file is missing, is not the one with this checksum, or holds something else.
    """
    path = folder / STATISTICS
    longest = size * size * 3 * 4 + 2**16  # bytes: the mean in float32, and room for the rest
    try:
        if not path.is_file() or path.stat().st_size > longest:
            raise DataError(f"got no {path} of at most {longest:,} bytes: expected one; {AGAIN}")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}): expected a file of a prepared set") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(f"got {path}, changed since it was written: expected sha256 {sha256[:16]}...; {AGAIN}")
    try:
        return _unpacked(content, size)
    except Exception as error:  # a zip file made to do harm can raise almost any exception
        raise DataError(f"cannot read {path} ({one_line(error)}): expected pixel statistics; {AGAIN}") from error


def _unpacked(content: bytes, size: int) -> PixelStatistics:
    """The statistics in the file's bytes. Raises ValueError for arrays of another shape or dtype, or with a NaN."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any(member.file_size > len(content) for member in archive.infolist()):
            raise ValueError("a member is larger than the file")  # a bomb: np.savez does not compress
    expected = PixelStatistics(np.zeros((size, size, 3), np.float32), np.zeros(3), np.zeros((3, 3)))
    arrays = {}
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        for name, array in asdict(expected).items():
            found = arrays[name] = file[name]
            if found.shape != array.shape or found.dtype != array.dtype or not np.isfinite(found).all():
                raise ValueError(f"{name} is not {array.dtype} of shape {array.shape}, all finite")
    return PixelStatistics(**arrays)
