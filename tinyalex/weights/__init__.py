"""Nets in files: our own checkpoints, other people's nets, and the small trained net that comes with the package.

To read another file format, write a reader in a module of its own and enter it in `READERS`. A reader takes a path. It
returns a Checkpoint, or, from a file of another program, a `Foreign`: the arrays by the file's own names, of which
`tinyalex.weights.foreign` makes a Checkpoint. A reader raises CheckpointError for a file that it cannot read, and for
parameters that are not finite, with which a net would answer nonsense.
"""

import zipfile
from collections.abc import Callable
from pathlib import Path

from tinyalex.errors import CheckpointError
from tinyalex.files import legible
from tinyalex.net import AlexNet
from tinyalex.weights import checkpoint
from tinyalex.weights.checkpoint import Checkpoint
from tinyalex.weights.foreign import Given, checkpoint_of
from tinyalex.weights.formats import Foreign, torch

# The reader of a format, by the suffix of its files, in lower case.
READERS: dict[str, Callable[[Path], Checkpoint | Foreign]] = {
    ".npz": checkpoint.read,
    ".pth": torch.read_arrays,
    ".pt": torch.read_arrays,
}


def read(path: str | Path, given: Given | None = None) -> Checkpoint:
    """The contents of the file at `path`, its net on the CPU; the file's suffix names its format.

    given: what the file does not say, see `Given`.
    A suffix outside `READERS` does not matter to a checkpoint, which is recognised as a zip archive.
    Raises CheckpointError for a file that is missing, damaged, of no known format, or that does not say enough.
    """
    path = Path(path)
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        if path.is_file() and not zipfile.is_zipfile(path):
            raise CheckpointError(
                f"got {path}: expected a file with the suffix {' or '.join(READERS)}; use such a file"
            )
        reader = checkpoint.read
    contents = reader(path)
    if isinstance(contents, Checkpoint):
        return contents
    try:
        return checkpoint_of(contents, given or Given())
    except CheckpointError as error:
        raise CheckpointError(f"{legible(str(path))}: {error}") from error


def load(path: str | Path) -> AlexNet:
    """The net in the file at `path`, on the CPU. Reads what `read` reads, and raises the same errors."""
    return read(path).net


def save(net: AlexNet, path: str | Path) -> None:
    """Write the net to `path`, as a checkpoint (.npz) that `load` reads. Replaces the file in one piece.

    The name is used as it is: no suffix is added.
    Raises CheckpointError for the suffix of another format, by which `load` would take the file for one of that format.
    """
    path = Path(path)
    if READERS.get(path.suffix.lower(), checkpoint.read) is not checkpoint.read:
        raise CheckpointError(f"got {path}: expected the suffix .npz, as save writes checkpoints only; use that suffix")
    checkpoint.write(Checkpoint(net), path)
