"""State dicts of PyTorch: .pth and .pt files, in both their forms.

Since version 1.6 a file is a zip archive: NAME/data.pkl is a pickle of the tensors without their numbers, NAME/data/KEY
the numbers of the storage KEY, NAME/byteorder the order of their bytes. Before, it was a row of pickles (a magic
number, a version, what the machine was like, the tensors, the keys of the storages), and then the storages.

A tensor is a view of a storage: an offset, a shape and strides, in numbers. Several tensors may share a storage.

Source: torch/serialization.py and torch/_utils.py of PyTorch 2.
"""

import math
from collections.abc import Callable, Mapping
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import IO, Any, NamedTuple
from zipfile import ZipFile, is_zipfile

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from tinyalex.data.pickles import Name, Unpickler
from tinyalex.errors import CheckpointError
from tinyalex.weights.archive import bytes_of, read_stored, stored_entries
from tinyalex.weights.formats import BFLOAT16, Foreign, numbers_at, reading, widened

MAGIC = 0x1950A86A20F9469CFC6C
STATE_DICTS = ("state_dict", "model_state_dict", "model", "net")  # where training programs keep it, beside other things

_DTYPES: dict[str, np.dtype[Any]] = {
    "FloatStorage": np.dtype("<f4"),
    "DoubleStorage": np.dtype("<f8"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": BFLOAT16,
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}


class Storage(NamedTuple):
    """A row of numbers in a file.   length: how many."""

    key: str
    dtype: np.dtype[Any]
    length: int


class Tensor(NamedTuple):
    """A view of a storage. offset and strides count numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class StateDict(dict[Any, Any]):
    """An OrderedDict. Its attributes hold the versions of the modules, which say nothing of the parameters."""

    def build(self, _: Any) -> None:
        """Leave the attributes out."""


def read_arrays(path: str | Path) -> Foreign:
    """The tensors of the state dict in the file at `path`, of either form.

    In a dict that holds other things beside it, the state dict is the first of STATE_DICTS.
    Raises CheckpointError for a file that is damaged, or that holds a whole pickled model instead of a state dict.
    """
    with reading(path, "a state dict of PyTorch") as file:
        return Foreign(_from_zip(file) if is_zipfile(file) else _from_pickles(file))


def _from_zip(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    """The tensors in a zip archive."""
    archive = ZipFile(file)
    entries = stored_entries(archive, file)
    [root] = {name.removesuffix("data.pkl") for name in entries if name.count("/") == 1 and name.endswith("/data.pkl")}
    big = f"{root}byteorder" in entries and archive.read(f"{root}byteorder") == b"big"
    tensors = _tensors_in(_TorchUnpickler(archive.read(f"{root}data.pkl")).read())

    def numbers_of(storage: Storage) -> NDArray[Any]:
        entry = entries[f"{root}data/{storage.key}"]
        if entry.file_size != storage.length * storage.dtype.itemsize:
            raise ValueError(f"the storage {storage.key} has another size than its tensors say")
        numbers = np.empty(storage.length, storage.dtype.newbyteorder(">" if big else "<"))
        read_stored(file, entry, bytes_of(numbers))
        return numbers

    return _arrays(tensors, numbers_of)


def _from_pickles(file: IO[bytes]) -> dict[str, NDArray[Any]]:
    """The tensors in a row of pickles and storages."""
    content = mmap(file.fileno(), 0, access=ACCESS_READ)
    pickles = _TorchUnpickler(content)
    if pickles.read() != MAGIC:
        raise ValueError("it does not begin as one")
    pickles.read()  # the version, which was never changed
    machine = {_text(key): value for key, value in pickles.read().items()}
    tensors = _tensors_in(pickles.read())
    keys = [_text(key) for key in pickles.read()]
    places: dict[str, int] = {}
    place = pickles.file.place
    for key in keys:  # in this order; before each storage its length
        [length] = numbers_at(file, place, np.dtype("<i8"), 1).tolist()
        storage = pickles.storages.get(key)
        if storage is None or storage.length != length or key in places:
            raise ValueError(f"the storage {key[:40]!r} has another size than its tensors say")
        places[key] = place + 8
        place += 8 + length * storage.dtype.itemsize

    def numbers_of(storage: Storage) -> NDArray[Any]:
        dtype = storage.dtype.newbyteorder("<" if machine["little_endian"] else ">")
        return numbers_at(file, places[storage.key], dtype, storage.length)

    return _arrays(tensors, numbers_of)


def _tensors_in(value: object) -> dict[str, Tensor]:
    """The tensors of a state dict, or of the state dict in a dict with other things."""
    if not isinstance(value, dict):
        raise CheckpointError("expected a state dict; save model.state_dict()")
    for found in (*map(value.get, STATE_DICTS), value):
        if isinstance(found, dict):
            tensors = {_text(key): one for key, one in found.items() if isinstance(one, Tensor)}
            if tensors:
                return tensors
    raise CheckpointError("expected a state dict, which has tensors; save model.state_dict()")


def _arrays(tensors: Mapping[str, Tensor], numbers_of: Callable[[Storage], NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The tensors as arrays: views of their storages, each of which is read once."""
    storages = {tensor.storage: numbers_of(tensor.storage) for tensor in tensors.values()}
    return {name: widened(_view(storages[tensor.storage], tensor)) for name, tensor in tensors.items()}


def _view(numbers: NDArray[Any], tensor: Tensor) -> NDArray[Any]:
    """The tensor as a view of the numbers of its storage."""
    _, offset, shape, strides = tensor
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    size = math.prod(shape)
    if size == 0:
        return numbers[:0].reshape(shape)
    if last >= len(numbers) or size > len(numbers):  # larger: the same numbers time and again
        raise ValueError(f"a tensor of shape {shape} reaches past the end of its storage")
    return as_strided(numbers[offset:], shape, [stride * numbers.itemsize for stride in strides])


class _TorchUnpickler(Unpickler):
    """Reads tensors as descriptions of where their numbers lie.   storages: those that were referred to, by key."""

    def __init__(self, content: bytes | mmap) -> None:
        super().__init__(content)
        self.storages: dict[str, Storage] = {}

    def result(self, name: Name, arguments: tuple[Any, ...]) -> object:
        """What stands for the function `name` of `arguments`. Raises CheckpointError for what makes no tensors."""
        match (*name, arguments):
            case ("torch._utils", "_rebuild_tensor_v2" | "_rebuild_tensor", (storage, offset, shape, strides, *_)):
                return _checked(storage, offset, shape, strides)
            case ("torch._utils", "_rebuild_parameter", (Tensor() as tensor, *_)):
                return tensor
            case ("collections", "OrderedDict", ()):
                return StateDict()
            case ("collections", "OrderedDict", ([*pairs],)):  # as Python 2 writes it
                made = StateDict()
                self.stack.append(made)
                self.update([part for key, one in pairs for part in (key, one)])
                return self.pop()
            case ("torch", "Size", ((*sizes,),)):
                return tuple(sizes)
        raise CheckpointError(
            f"it asks for {name}, as a whole pickled model does, and would run it: expected a state dict; in PyTorch "
            "save model.state_dict()"
        )

    def refer(self, reference: Any) -> object:
        """The storage that a pickle refers to."""
        match reference:
            case ("storage" | b"storage", Name("torch" | "torch.cuda", kind), key, _, int(length), *rest):
                dtype = _DTYPES.get(str(kind))
                if dtype is None or length < 0 or rest not in ([], [None]):
                    raise ValueError(f"it holds a {str(kind)[:40]} of an unknown form")
                storage = Storage(_text(key), dtype, length)
                if self.storages.setdefault(storage.key, storage) != storage:
                    raise ValueError(f"the storage {storage.key[:40]!r} is described in two ways")
                return storage
        raise ValueError("it refers to something that is no storage")


def _checked(storage: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
    """A tensor, its parts of the types that they should have."""
    numbers = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or not all(type(one) is int and one >= 0 for one in numbers):
        raise ValueError("it holds a tensor of something else than a storage and numbers")
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _text(value: Any) -> str:
    """A string of Python 3, or of Python 2, as text."""
    text = str(value, "utf-8") if isinstance(value, bytes) else value
    if not isinstance(text, str):
        raise TypeError("it holds a name that is no text")
    return text
