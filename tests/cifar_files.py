"""CIFAR-10's files, written byte by byte as Python 2 wrote them."""

import struct

import numpy as np

NAMES = [b"plane", b"car", b"bird", b"cat", b"deer", b"dog", b"frog", b"horse", b"ship", b"truck"]


def pickled(value):
    """The opcodes of pickle protocol 2 for a value, as Python 2 writes them: strings are bytes."""
    if value is None:
        return b"N"
    if isinstance(value, bool):
        return b"\x88" if value else b"\x89"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, float):
        return b"G" + struct.pack(">d", value)
    if isinstance(value, bytes):
        return b"T" + struct.pack("<i", len(value)) + value
    if isinstance(value, tuple):
        return b"(" + b"".join(map(pickled, value)) + b"t"
    if isinstance(value, list):
        return b"](" + b"".join(map(pickled, value)) + b"e"
    if isinstance(value, dict):
        return b"}(" + b"".join(pickled(key) + pickled(item) for key, item in value.items()) + b"u"
    if isinstance(value, np.ndarray):
        return array_pickle(value.shape, value.tobytes())
    raise TypeError(value)


def array_pickle(shape, content, *, code=b"u1", column_major=False):
    dtype = b"cnumpy\ndtype\n" + pickled((code, 0, 1)) + b"R" + pickled((3, b"|", None, None, None, -1, -1, 0)) + b"b"
    empty = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n" + pickled((0,)) + pickled(b"b") + b"tR"
    return empty + b"(" + pickled(1) + pickled(shape) + dtype + pickled(column_major) + pickled(content) + b"tb"


def as_file(value):
    return b"\x80\x02" + (value if isinstance(value, bytes) else pickled(value)) + b"."


def rows_of(count, seed):
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def batch(data, labels):
    return {b"batch_label": b"made by a test", b"labels": labels, b"data": data}


def with_old_names(content):
    """A pickle that NumPy 2 wrote, with the names of NumPy 1."""
    for module in (b"numpy._core.multiarray", b"numpy._core.numeric"):
        short = module.replace(b"_core", b"core")
        content = content.replace(bytes([len(module)]) + module, bytes([len(short)]) + short)  # protocols 4 and 5
        content = content.replace(module, short)
    return content
