"""Files of other programs, each read into a `Foreign`: arrays by the file's own names, and what it says of the net.

A module for each format. What the names mean, and which net it is, is another question: see `tinyalex.weights.foreign`.
Nothing that a file holds is run. What it declares is checked against its size before it takes memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tinyalex.errors import CheckpointError
from tinyalex.files import legible, one_line
from tinyalex.spec import LayerSpec

# float32 without the lower half of its bits: the sign, 8 bits of exponent, 7 of mantissa. NumPy does not have it.
BFLOAT16 = np.dtype([("bfloat16", "<u2")])


@dataclass(frozen=True)
class ForeignLayer:
    """A layer, as a file describes it, in our words: see `tinyalex.weights.topology`.

    name: in the file.   layer: what it does; its numbers of kernels and units are those of the file.
    groups: the parts that a convolution, or a normalisation across maps, is divided into.
    arrays: the names of its weights and biases in the file's arrays; they have the shapes that ours have.
    """

    name: str
    layer: LayerSpec
    groups: int = 1
    arrays: tuple[str, ...] = ()


@dataclass(frozen=True)
class Foreign:
    """The contents of a file.

    arrays: by the file's own names, with the file's own axes, read once; numbers that NumPy does not have are widened.
    layers: in order, from the image on; none from a file that holds arrays only.   name: of the net, or "".
    format: of a file that describes its layers.
    input_size: height and width of the net's input, None where the file does not say.
    mean, scale: what the file subtracts from the pixels, a number for each colour, and then multiplies them with.
    about: the JSON text in a file of tinyalex's own making that describes the net in full, or "".
    """

    arrays: dict[str, NDArray[Any]]
    layers: tuple[ForeignLayer, ...] = ()
    format: Literal["", "Caffe", "ONNX", "ONNX model zoo"] = ""
    name: str = ""
    input_size: int | None = None
    mean: tuple[float, ...] = ()
    scale: float | None = None
    about: str = ""


@contextmanager
def reading(path: str | Path, what: str) -> Iterator[IO[bytes]]:
    """The file at `path`, open for reading. Any exception in the block becomes a CheckpointError, in one line.

    what: the kind of file that is expected, with its article, such as "a file of PyTorch".
    """
    if not Path(path).is_file():  # a named pipe would wait for somebody who writes
        raise CheckpointError(f"got {legible(str(path))}, which does not exist or is no file: expected {what}")
    try:
        with Path(path).open("rb") as file:
            yield file
    except CheckpointError as error:
        raise CheckpointError(legible(f"got {path}: {error}")) from error
    except Exception as error:  # a damaged file can raise almost any exception
        raise CheckpointError(
            f"got {legible(str(path))}, which is damaged or not {what} ({one_line(error)}); use another file"
        ) from error


def numbers_at(file: IO[bytes], place: int, dtype: np.dtype[Any], count: int) -> NDArray[Any]:
    """`count` numbers that lie in the file from `place` on -> (count,).

    Raises ValueError if the file is shorter.
    """
    if place < 0 or count < 0 or place + count * dtype.itemsize > file.seek(0, 2):
        raise ValueError("it is cut short, or a size in it is wrong")
    file.seek(place)
    numbers = np.empty(count, dtype)
    if file.readinto(numbers.view("uint8").data) != numbers.nbytes:  # type: ignore[attr-defined]
        raise ValueError("it became shorter while it was read")
    return numbers


def widened(array: NDArray[Any]) -> NDArray[Any]:
    """Numbers that NumPy has: bfloat16 as float32, exactly, and big-endian ones in the machine's order."""
    if array.dtype == BFLOAT16:
        return (array["bfloat16"].astype(np.uint32) << np.uint32(16)).view(np.float32)
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))
