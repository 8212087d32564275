"""Arrays in an .npz file of NumPy, by names such as conv1_w and conv1_b; some of a net's may be missing.

Beside parameters such a file may hold an image and what another program computed of it: relu1, pool1, ... Where the
weights are 8-bit integers, all numbers stand for value / 128. Convolutions are (OC, C/G, KH, KW), matrices
(D_out, D_in), as in Caffe.
"""

from pathlib import Path

import numpy as np

from tinyalex.weights.archive import Archive
from tinyalex.weights.formats import Foreign, reading

GROWTH = 20  # how many times as large as the file its arrays may be: weights do not become much smaller by compression
UNIT = np.float32(1 / 128)  # of 8-bit integers


def read_arrays(path: str | Path) -> Foreign:
    """The arrays of an .npz file.

    Raises CheckpointError for a file that is damaged, or whose arrays are out of proportion to it.
    """
    with reading(path, "an .npz file of NumPy") as file:
        archive = Archive(file, GROWTH)
        arrays = {name: archive.read(name) for name in archive.headers}
        if any(array.dtype == np.int8 for array in arrays.values()):
            arrays = {name: array * UNIT for name, array in arrays.items()}
        return Foreign(arrays)
