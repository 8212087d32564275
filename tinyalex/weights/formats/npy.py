"""bvlc_alexnet.npy: a dictionary of layers in one .npy file of NumPy, in both its forms.

    {"conv1": {"weights": (11, 11, 3, 96), "biases": (96,)}, ..., "fc8": ...}     as caffe-tensorflow writes it
    {"conv1": [(11, 11, 3, 96), (96,)], ..., "fc8": ...}                          as it went round the world

NumPy stores a dictionary as an array of one object, and objects as a pickle, which it would run. Ours is read as data.
"""

from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import Any

from numpy.lib import format as npy
from numpy.typing import NDArray

from tinyalex.data.pickles import PickledArray, Unpickler
from tinyalex.errors import CheckpointError
from tinyalex.weights.formats import Foreign, reading, widened

LONGEST_HEADER = 1000  # letters: it is read as Python, whose parser takes its time for longer ones


def read_arrays(path: str | Path) -> Foreign:
    """The arrays of the dictionary, as "conv1.weights" or, of the other form, "conv1.0"; they lie in the mapped file.

    Raises CheckpointError for a file that is damaged, or that holds something else than such a dictionary.
    """
    with reading(path, "a dictionary of layers in a .npy file") as file:
        if npy.read_magic(file) != (1, 0):  # later versions have headers of gigabytes, and need none for a dictionary
            raise ValueError("it is of an unknown version")
        shape, _, dtype = npy.read_array_header_1_0(file, LONGEST_HEADER)
        if not dtype.hasobject or shape != ():
            raise CheckpointError(f"got an array of shape {shape} and {dtype}: expected a dictionary of layers")
        content = Unpickler(mmap(file.fileno(), 0, access=ACCESS_READ), file.tell()).read()
        if isinstance(content, PickledArray) and content.values.shape == ():
            content = content.values.item()
        return Foreign(dict(_parts(content)))


def _parts(layers: Any) -> list[tuple[str, NDArray[Any]]]:
    """Each array with the name of its layer and its own, or its number."""
    found = []
    for layer, parts in layers.items():
        named = parts.items() if isinstance(parts, dict) else enumerate(parts)
        for part, array in named:
            if not isinstance(array, PickledArray):
                raise TypeError("it holds something else than arrays")
            found.append((f"{_text(layer)}.{_text(part)}", widened(array.values)))
    return found


def _text(name: Any) -> str:
    """A name that Python 2 or 3 wrote, or a number, as text."""
    return str(name, "utf-8") if isinstance(name, bytes) else str(name)
