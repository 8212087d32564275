"""Caffe's nets in HDF5 files: /data/LAYER/0 are the weights of a layer, /data/LAYER/1 its biases, and no settings.

Source: Net::ToHDF5 in src/caffe/net.cpp of Caffe.
"""

from collections.abc import Iterator
from typing import IO, Any

from numpy.typing import NDArray

from tinyalex.errors import CheckpointError

MAGIC = b"\x89HDF\r\n\x1a\n"  # the first bytes of an HDF5 file


def blobs_in(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    """The data sets /data/LAYER/0 and /data/LAYER/1 of an HDF5 file, which together are not larger than it."""
    try:
        import h5py
    except ImportError:
        raise CheckpointError("expected the library h5py, which reads it; pip install h5py") from None
    arrays: dict[str, NDArray[Any]] = {}
    left = file.seek(0, 2)
    with h5py.File(file, "r") as archive:
        layers = _members(archive["data"])
        for name, blob in ((f"{layer}/{key}", blob) for layer, blobs in layers for key, blob in _members(blobs)):
            left -= blob.nbytes
            if left < 0 or blob.dtype.kind != "f" or blob.is_virtual or blob.external:
                raise ValueError(f"got {name[:40]!r} of {blob.nbytes} bytes: expected floats that lie in the file")
            arrays[name] = blob[()]
    return arrays


def _members(group: Any) -> Iterator[tuple[str, Any]]:
    """What lies in a group of an HDF5 file. A link, which may lead into another file, is an error."""
    for name in group:
        if type(group.get(name, getlink=True)).__name__ != "HardLink":
            raise ValueError(f"got a link {name[:40]!r}: expected the data")
        yield name, group[name]
