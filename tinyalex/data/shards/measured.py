"""statistics.npz: the statistics of a prepared set's training images, in a file whose checksum the index holds."""

import hashlib
import io
import zipfile
from dataclasses import asdict
from pathlib import Path

import numpy as np

from tinyalex.data.statistics import PixelStatistics
from tinyalex.errors import DataError
from tinyalex.files import replacing

STATISTICS = "statistics.npz"


def write_statistics(folder: Path, statistics: PixelStatistics) -> str:
    """Write folder/statistics.npz, in one piece -> its sha256, for the index."""
    content = _packed(statistics)
    with replacing(folder / STATISTICS) as file:
        file.write(content)
    return hashlib.sha256(content).hexdigest()


def read_statistics(folder: Path, sha256: str, size: int) -> PixelStatistics:
    """The statistics of images of size x size in folder/statistics.npz.

    Raises DataError if the file is missing, is not the one with this checksum, or holds something else.
    """
    path = folder / STATISTICS
    expected = PixelStatistics(np.zeros((size, size, 3), np.float32), np.zeros(3), np.zeros((3, 3)))
    length = len(_packed(expected))
    try:
        if not path.is_file() or path.stat().st_size != length:
            raise DataError(f"got no {path} of {length:,} bytes: expected one; prepare the set again")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"cannot read {path} ({error.strerror}): expected a file of a prepared set") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise DataError(
            f"got {path}, which has changed since it was written: expected sha256 {sha256[:16]}...; "
            "prepare the set again"
        )
    try:
        return _unpacked(content, expected)
    except Exception as error:  # a zip file made to do harm can raise almost any exception
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"cannot read {path} ({reason}): expected pixel statistics; prepare the set again") from error


def _packed(statistics: PixelStatistics) -> bytes:
    """The content of the file. Its length depends on the size of the images alone."""
    content = io.BytesIO()
    np.savez(content, **asdict(statistics))
    return content.getvalue()


def _unpacked(content: bytes, expected: PixelStatistics) -> PixelStatistics:
    """The statistics in the file's bytes. Raises ValueError unless they are as `expected` in shape and dtype."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        if any(member.file_size > len(content) for member in archive.infolist()):
            raise ValueError("a member is larger than the file")
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        arrays = {name: file[name] for name in asdict(expected)}
    for name, array in asdict(expected).items():
        found = arrays[name]
        if found.shape != array.shape or found.dtype != array.dtype or not np.isfinite(found).all():
            raise ValueError(f"{name} is not {array.dtype} of shape {array.shape}, all finite")
    return PixelStatistics(**arrays)
