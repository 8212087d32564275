"""Files of PyTorch in both their forms, written byte by byte: as it writes them, or as no program would."""

import io
import struct
import zipfile

import numpy as np

from cifar_files import pickled

MAGIC = 0x1950A86A20F9469CFC6C
MACHINE = {b"protocol_version": 1001, b"little_endian": True, b"type_sizes": {b"short": 2, b"int": 4, b"long": 4}}
KINDS = {
    "f4": "Float",
    "f8": "Double",
    "f2": "Half",
    "i8": "Long",
    "i4": "Int",
    "i2": "Short",
    "i1": "Char",
    "u1": "Byte",
    "b1": "Bool",
}
ORDERED = b"ccollections\nOrderedDict\n"


def text(word):
    return b"X" + struct.pack("<I", len(word.encode())) + word.encode()


def whole(number):
    content = number.to_bytes(9, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content


def row(numbers):
    return b"(" + b"".join(map(whole, numbers)) + b"t"


def storage(key, kind, length, *, module="torch", legacy=False):
    """A reference to a storage."""
    end = b"N" if legacy else b""
    name = f"c{module}\n{kind}Storage\n".encode()
    return b"(" + text("storage") + name + text(key) + text("cpu") + whole(length) + end + b"tQ"


def tensor(stored, shape, strides=None, offset=0, *, name="_rebuild_tensor_v2"):
    """A call that makes a tensor of a storage, given by its opcodes."""
    if strides is None:
        strides = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    end = b"\x89" + ORDERED + b")R" if name.endswith("v2") else b""
    return f"ctorch._utils\n{name}\n".encode() + b"(" + stored + whole(offset) + row(shape) + row(strides) + end + b"tR"


def state(tensors):
    """An OrderedDict with attributes, as the state dict of a module is one."""
    items = b"".join(text(name) + one for name, one in tensors.items())
    return ORDERED + b")R(" + items + b"u}(" + text("_metadata") + ORDERED + b")Rub"


def state_of(arrays, *, legacy=False):
    """The state dict of contiguous arrays, a storage for each, and the storages."""
    keys = {name: str(number) for number, name in enumerate(arrays)}
    made = {
        name: tensor(storage(keys[name], KINDS[array.dtype.str[1:]], array.size, legacy=legacy), array.shape)
        for name, array in arrays.items()
    }
    return state(made), {keys[name]: array.tobytes() for name, array in arrays.items()}


def as_pickle(body):
    return b"\x80\x02" + body + b"."


def zip_form(body, storages, *, root="archive/", order=b"little", compression=zipfile.ZIP_STORED):
    """The bytes of a file of the newer form."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr(f"{root}data.pkl", as_pickle(body))
        if order:
            archive.writestr(f"{root}byteorder", order)
        for key, content in storages.items():
            archive.writestr(f"{root}data/{key}", content)
        archive.writestr(f"{root}version", b"3\n")
    return file.getvalue()


def old_form(body, storages, itemsize=4, *, magic=MAGIC, machine=MACHINE, keys=None, lengths=None):
    """The bytes of a file of the older form."""
    keys = list(storages) if keys is None else keys
    head = [whole_of_any_size(magic), whole(1001), pickled(machine), body, b"](" + b"".join(map(text, keys)) + b"e"]
    lengths = lengths or {key: len(content) // itemsize for key, content in storages.items()}
    tail = [struct.pack("<q", lengths[key]) + content for key, content in storages.items()]
    return b"".join(map(as_pickle, head)) + b"".join(tail)


def whole_of_any_size(number):
    content = number.to_bytes(11, "little", signed=True)
    return b"\x8a" + bytes([len(content)]) + content
