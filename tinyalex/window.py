"""The sliding window that convolution and pooling share: its size, stride and pad, and where its cells fall.

Arithmetic only; `tinyalex.layers.canvas` has its arrays.

Axes: H, W height and width, KH, KW window size, OH, OW output size.
"""

from collections.abc import Iterator
from numbers import Integral
from typing import NamedTuple

from tinyalex.errors import ShapeError

Pair = tuple[int, int]


def pair(value: int | Pair, name: str = "size", smallest: int = 0) -> Pair:
    """An int or (vertical, horizontal) as (vertical, horizontal). Raises ShapeError if one is below `smallest`."""
    both = value if isinstance(value, tuple | list) else (value, value)
    if len(both) != 2 or not all(isinstance(one, Integral) and one >= smallest for one in both):
        raise ShapeError(f"got {name}={value}: expected an int or (vertical, horizontal), {smallest} or more")
    return int(both[0]), int(both[1])


class Window(NamedTuple):
    """A window of kernel = (KH, KW) cells that moves by `stride` over an image with `pad` cells around it.

    ceil_mode: cuda-convnet's size rule, a last window may start inside the image and reach past its edge.
    """

    kernel: Pair
    stride: Pair
    pad: Pair
    ceil_mode: bool

    def output_size(self, height: int, width: int) -> Pair:
        """(OH, OW), the number of window positions: 1 + floor((size + 2 pad - kernel) / stride) along each axis.

        With ceil_mode the quotient is rounded up, except for a window that would start outside the image.
        Raises ShapeError when the window is larger than the padded image.
        """
        sizes = []
        for size, kernel, stride, pad in zip((height, width), self.kernel, self.stride, self.pad, strict=True):
            room = size + 2 * pad - kernel
            if size < 1 or room < 0:
                raise ShapeError(
                    f"got an image of {height} x {width}: expected at least the window of "
                    f"{self.kernel[0]} x {self.kernel[1]} (pad {self.pad[0]}, {self.pad[1]}); use a larger image"
                )
            steps = room // stride
            if self.ceil_mode and room % stride and (steps + 1) * stride < size + pad:
                steps += 1
            sizes.append(1 + steps)
        return sizes[0], sizes[1]

    def cells(self) -> Iterator[Pair]:
        """The cells (i, j) of the window, row by row."""
        return ((i, j) for i in range(self.kernel[0]) for j in range(self.kernel[1]))

    def first_numbers(self, rows: int, cols: int) -> list[list[int]]:
        """The number i*KW + j of the first cell inside the image, for each of the rows x cols windows."""
        tops = [max(0, self.pad[0] - row * self.stride[0]) for row in range(rows)]
        lefts = [max(0, self.pad[1] - col * self.stride[1]) for col in range(cols)]
        return [[i * self.kernel[1] + j for j in lefts] for i in tops]

    def cells_inside(self, height: int, width: int) -> list[list[int]]:
        """How many cells each window has in the padded image, OH rows of OW numbers: fewer where it reaches past it."""
        sides = zip(self.output_size(height, width), (height, width), self.kernel, self.stride, self.pad, strict=True)
        rows, cols = (
            [min(kernel, size + 2 * pad - number * stride) for number in range(count)]
            for count, size, kernel, stride, pad in sides
        )
        return [[row * col for col in cols] for row in rows]

    def past_edge(self, height: int, width: int) -> Pair:
        """How many rows and columns the last window reaches past the padded image: 0 unless ceil_mode rounds up."""
        ends = zip(self.output_size(height, width), (height, width), self.kernel, self.stride, self.pad, strict=True)
        rows, cols = (
            max(0, (count - 1) * stride + kernel - size - 2 * pad) for count, size, kernel, stride, pad in ends
        )
        return rows, cols

    @property
    def number_dtype(self) -> str:
        """The dtype that holds a cell's number i*KW + j: one byte is enough up to 16 x 16 cells."""
        return "uint8" if self.kernel[0] * self.kernel[1] <= 256 else "int32"
