"""Nets in files: our own checkpoints, and the small trained net that comes with the package.

To read another file format, write a reader in a module of its own in this folder and enter it in `READERS`. A reader
takes a path and returns a Checkpoint; it raises CheckpointError for a file that it cannot read.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path

from tinyalex.errors import CheckpointError
from tinyalex.net import AlexNet
from tinyalex.weights import checkpoint
from tinyalex.weights.checkpoint import Checkpoint

# The reader of a format, by the suffix of its files, in lower case.
READERS: dict[str, Callable[[Path], Checkpoint]] = {".npz": checkpoint.read}


def load(path: str | Path) -> AlexNet:
    """The net in the file at `path`, on the CPU; the file's suffix names its format.

    A checkpoint is read under any name that `save` wrote it to: it is a zip archive, which a suffix outside `READERS`
    cannot hide.
    Raises CheckpointError for a file that is missing, damaged, or of no known format.
    """
    path = Path(path)
    read = READERS.get(path.suffix.lower())
    if read is None:
        if path.is_file() and not zipfile.is_zipfile(path):
            raise CheckpointError(
                f"got {path}: expected a file with the suffix {' or '.join(READERS)}; use such a file"
            )
        read = checkpoint.read
    return read(path).net


def save(net: AlexNet, path: str | Path) -> None:
    """Write the net to `path`, as a checkpoint (.npz) that `load` reads. Replaces the file in one piece.

    The name is used as it is: no suffix is added.
    """
    checkpoint.write(Checkpoint(net), path)
