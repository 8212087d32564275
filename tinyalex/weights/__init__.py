"""Nets in files: our own checkpoints, other people's nets, and the small trained net that comes with the package.

To read another file format, write a reader in a module of its own and enter it in `READERS`. A reader takes a path. It
returns a Checkpoint, or, from a file of another program, a `Foreign`: the arrays by the file's own names, of which
`tinyalex.weights.foreign` makes a Checkpoint. A reader raises CheckpointError for a file that it cannot read, and for
parameters that are not finite, with which a net would answer nonsense.
"""

import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tinyalex.errors import CheckpointError, TinyAlexError
from tinyalex.files import legible
from tinyalex.net import AlexNet
from tinyalex.weights import checkpoint, onnx_export, safetensors_export
from tinyalex.weights.checkpoint import Checkpoint
from tinyalex.weights.foreign import checkpoint_of
from tinyalex.weights.formats import Foreign, caffe, npy, npz, onnx, safetensors, torch
from tinyalex.weights.known import locate, with_known
from tinyalex.weights.pixels import Given


def _read_npz(path: Path) -> Checkpoint | Foreign:
    """A checkpoint, or arrays that somebody has collected."""
    collected = False
    with suppress(Exception), zipfile.ZipFile(path) as archive:  # the readers tell what is wrong with a file
        collected = "conv1_w.npy" in archive.namelist()
    return npz.read_arrays(path) if collected else checkpoint.read(path)


# The reader of a format, by the suffix of its files, in lower case.
READERS: dict[str, Callable[[Path], Checkpoint | Foreign]] = {
    ".npz": _read_npz,
    ".pth": torch.read_arrays,
    ".pt": torch.read_arrays,
    ".bin": torch.read_arrays,
    ".tar": torch.read_arrays,  # no archive of Unix: PyTorch's examples write model_best.pth.tar
    ".safetensors": safetensors.read_arrays,
    ".npy": npy.read_arrays,
    ".caffemodel": caffe.read_arrays,
    ".h5": caffe.read_arrays,
    ".onnx": onnx.read_arrays,
}

# What writes the formats of other programs. It is given the net, the path, and a text that describes the net in full.
WRITERS: dict[str, Callable[[AlexNet, Path, str], None]] = {
    ".safetensors": safetensors_export.write,
    ".onnx": onnx_export.write,
}


def read(path_or_name: str | Path, given: Given | None = None) -> Checkpoint:
    """The contents of a file, its net on the CPU; the file's suffix names its format.

    path_or_name: the file, or the name of one that many people have, see `tinyalex.weights.known`.
    given: what the file does not say, see `Given`.
    A suffix outside `READERS` does not matter to a checkpoint, which is recognised as a zip archive.
    Raises CheckpointError for a file that is missing, damaged, of no known format, or that does not say enough.
    """
    path, given = locate(path_or_name), given or Given()
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        if path.is_file() and not zipfile.is_zipfile(path):
            raise CheckpointError(
                f"got {path}: expected a file with the suffix {' or '.join(READERS)}; use such a file"
            )
        reader = _read_npz
    contents = reader(path)
    if isinstance(contents, Checkpoint):
        given.check_unneeded(legible(str(path)))
        return contents
    try:
        return checkpoint_of(contents, with_known(path, given))
    except TinyAlexError as error:
        raise CheckpointError(f"{legible(str(path))}: {error}") from error


def load(path_or_name: str | Path, given: Given | None = None) -> AlexNet:
    """The net in a file, on the CPU. Reads what `read` reads; a file with a part of a net is an error too."""
    contents = read(path_or_name, given)
    contents.check_whole()
    return contents.net


def save(net: AlexNet, path: str | Path, format: str | None = None) -> None:
    """Write the net to `path`, in a file that `load` reads back exactly. Replaces the file in one piece.

    format: "npz", a checkpoint; "safetensors", for PyTorch and others; "onnx"; None: that of the suffix, else "npz".
    The name is used as it is: no suffix is added.
    Raises CheckpointError for a format that is not written, for the suffix of another one, by which `load` would choose
    the wrong reader, and if the library that writes the format is missing.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    wanted = f".{format}" if format else suffix if suffix in READERS else ".npz"
    if wanted not in (".npz", *WRITERS) or READERS.get(suffix, _read_npz) is not READERS[wanted]:
        named = f"{path}, to be written as {format}" if format else path
        raise CheckpointError(
            f"got {named}: expected the suffix of a format that is written: {', '.join(('.npz', *WRITERS))}; use that"
        )
    contents = Checkpoint(net)
    if wanted in WRITERS:
        WRITERS[wanted](net, path, checkpoint.described(contents))
    else:
        checkpoint.write(contents, path)
