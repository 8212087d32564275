"""The format safetensors: the length of a header, the header as JSON, and the numbers of all arrays in a row.

    {"features.0.weight": {"dtype": "F32", "shape": [64, 3, 11, 11], "data_offsets": [0, 92928]}, ...,
     "__metadata__": {"format": "pt"}}

Source: the format's description in the readme of github.com/huggingface/safetensors.
"""

import json
import math
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.typed import brief
from tinyalex.weights.formats import BFLOAT16, Foreign, numbers_at, reading, widened

LARGEST_HEADER = 2**22  # bytes; that of an AlexNet has 1,500
METADATA = "__metadata__"
ABOUT = "tinyalex"  # the entry of the metadata that describes a net of ours

_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "BF16": BFLOAT16,
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "I8": np.dtype("i1"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}


def read_arrays(path: str | Path) -> Foreign:
    """The arrays in the file at `path`. Raises CheckpointError for a file that is damaged."""
    with reading(path, "a .safetensors file") as file:
        header, place = _header(file)
        metadata = header.pop(METADATA, {})
        spans = sorted(((*entry["data_offsets"], name) for name, entry in header.items()), key=lambda span: span[:2])
        arrays, end = {}, 0
        for begin, stop, name in spans:  # in the order of the file: no two overlap, and there is nothing in between
            if begin != end:
                raise ValueError(f"the numbers of {brief(name)} do not begin where others end")
            arrays[name] = _array(file, place + begin, stop - begin, header[name])
            end = stop
        if place + end != file.seek(0, 2):
            raise ValueError("it is cut short, or longer than its header says")
        return Foreign(arrays, about=str(metadata.get(ABOUT, "")))


def _header(file: IO[bytes]) -> tuple[dict[str, Any], int]:
    """The header, and where the numbers begin."""
    size = file.seek(0, 2)
    [length] = numbers_at(file, 0, np.dtype("<u8"), 1).tolist()
    if length > min(size - 8, LARGEST_HEADER):
        raise ValueError(f"it announces a header of {length:,} bytes")
    file.seek(8)
    header = json.loads(file.read(length).decode(), object_pairs_hook=_without_doubles)
    if not isinstance(header, dict) or not all(isinstance(entry, dict) for entry in header.values()):
        raise ValueError("its header does not describe arrays")
    return header, 8 + length


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("its header has the same name twice")
    return found


def _array(file: IO[bytes], place: int, length: int, entry: dict[str, Any]) -> NDArray[Any]:
    """The array that lies in `length` bytes from `place` on."""
    shape = entry["shape"]
    dtype = _DTYPES.get(str(entry["dtype"]))
    if dtype is None:
        raise ValueError(f"it has numbers of the kind {brief(entry['dtype'])}")
    if not all(type(size) is int and size >= 0 for size in shape) or math.prod(shape) * dtype.itemsize != length:
        raise ValueError(f"{length:,} bytes do not fit the shape {brief(shape)}")
    return widened(numbers_at(file, place, dtype, math.prod(shape))).reshape(shape)
