"""A net, counted: the shape, parameters and multiply-adds of every layer (section 3.5), from its spec alone."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import assert_never

from tinyalex.errors import ShapeError, UsageError, at_least
from tinyalex.spec import Activation, AveragePool, Conv, Drop, Flat, Full, LayerSpec, Norm, Pool, SpatialNorm, Spec
from tinyalex.window import Window, pair


@dataclass(frozen=True)
class Row:
    """One layer of a net, counted.

    in_shape, out_shape: (C, H, W) or (D,), of one image.   kernel: the shape of "w", None without parameters.
    groups: the parts that a convolution, or a normalisation across maps, is divided into.
    reads_both: the layer reads the maps of both columns, so the columns meet before it (section 3.2).
    window: the window that the layer slides over its input, None for a layer without one.
    """

    name: str
    layer: LayerSpec
    in_shape: tuple[int, ...]
    out_shape: tuple[int, ...]
    kernel: tuple[int, ...] | None = None
    groups: int = 1
    reads_both: bool = False
    window: Window | None = None

    @property
    def parameters(self) -> int:
        """Weights and biases: a bias for each kernel or unit."""
        return math.prod(self.kernel) + self.kernel[0] if self.kernel else 0

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of a forward pass of one image: each weight counts once for every place where it is used."""
        return math.prod(self.kernel) * math.prod(self.out_shape[1:]) if self.kernel else 0


def conv_window(layer: Conv) -> Window:
    """The window that the kernels of a convolution slide."""
    return Window(pair(layer.size), pair(layer.stride), pair(layer.pad), layer.ceil_mode)


def count(
    spec: Spec, num_classes: int = 1000, input_size: int | None = None, cross_columns: tuple[int, ...] = (3,)
) -> list[Row]:
    """Every layer of the net with its shapes, for images of 3 x input_size x input_size (the spec's own if None).

    cross_columns: the numbers of the convolutions that read the maps of all columns; the others, but for conv1,
    read those of their own column. Raises ShapeError where an image is too small for a kernel, UsageError for
    numbers of convolutions that the net does not have, or for convolutions with other names than conv1, conv2, ...
    """
    convolutions = [name for name, layer in spec.layers.items() if isinstance(layer, Conv)]
    if [*spec.layers][:1] != ["conv1"] or not all(re.fullmatch(r"conv\d+", name) for name in convolutions):
        raise UsageError(
            f"got the net {spec.name}: expected conv1 as its first layer, then conv2, conv3, ... by these names"
        )
    numbers = {int(name.removeprefix("conv")) for name in convolutions}
    if not set(cross_columns) <= numbers:
        raise UsageError(
            f"got cross_columns={cross_columns}: expected numbers out of {sorted(numbers)}, as in {spec.name}"
        )
    at_least(1, num_classes=num_classes)
    size = spec.input_size if input_size is None else input_size
    shape: tuple[int, ...] = (3, size, size)
    rows = []
    for name, layer in spec.layers.items():
        try:
            row = _row(spec, name, layer, shape, num_classes, cross_columns)
        except ShapeError as error:
            raise ShapeError(f"{spec.name}, {name}: {error}") from None
        rows.append(row)
        shape = row.out_shape
    return rows


def _row(
    spec: Spec,
    name: str,
    layer: LayerSpec,
    shape: tuple[int, ...],
    num_classes: int,
    cross_columns: tuple[int, ...],
) -> Row:
    if isinstance(layer, Conv | Pool | AveragePool | Norm | SpatialNorm) and len(shape) != 3:
        raise ShapeError(f"got {shape[0]} features: expected maps; put it before the layer that flattens them")
    if isinstance(layer, Full) and len(shape) != 1:
        raise ShapeError(f"got maps of {_times(shape)}: expected features; put a layer that flattens them before it")
    match layer:
        case Conv():
            number = int(name.removeprefix("conv"))
            groups = 1 if layer.reads_all or number in cross_columns else spec.columns
            _check_columns(groups, shape[0], layer.kernels)
            window = conv_window(layer)
            out = (layer.kernels, *window.output_size(*shape[1:]))
            kernel = (layer.kernels, shape[0] // groups, layer.size, layer.size)
            return Row(name, layer, shape, out, kernel, groups, groups == 1 and number > 1, window)
        case Pool() | AveragePool():
            window = Window(pair(layer.size), pair(layer.stride), pair(0), layer.ceil_mode)
            return Row(name, layer, shape, (shape[0], *window.output_size(*shape[1:])), window=window)
        case SpatialNorm():
            return Row(name, layer, shape, shape, window=Window(pair(layer.size), (1, 1), pair(layer.size // 2), False))
        case Norm():
            groups = spec.columns if layer.within_columns else 1
            _check_columns(groups, shape[0])
            return Row(name, layer, shape, shape, groups=groups)
        case Flat():
            return Row(name, layer, shape, (math.prod(shape),))
        case Full():
            units = layer.units or num_classes
            return Row(name, layer, shape, (units,), (units, shape[0]), reads_both=True)
        case Activation() | Drop():
            return Row(name, layer, shape, shape)
        case _:
            assert_never(layer)


def _check_columns(groups: int, *maps: int) -> None:
    """Raise ShapeError unless each of these numbers of maps divides into the columns."""
    if uneven := [number for number in maps if number % groups]:
        raise ShapeError(f"got {uneven[0]} maps: expected a number that divides into {groups} columns")


def summary(rows: list[Row]) -> str:
    """The rows as a table: per layer the kernel or window, the output, parameters and multiply-adds, and their sums."""
    table = [("layer", "kernel", "output", "parameters", "multiply-adds")]
    table.append(("image", "", _times(rows[0].in_shape), "", ""))
    for row in rows:
        kernel = row.kernel or (row.window.kernel if row.window else ())
        numbers = (f"{row.parameters:,}", f"{row.multiply_adds:,}") if row.kernel else ("", "")
        table.append((row.name, _times(kernel), _times(row.out_shape), *numbers))
    table.append(("sum", "", "", f"{total_parameters(rows):,}", f"{sum(row.multiply_adds for row in rows):,}"))
    widths = [max(map(len, cells)) for cells in zip(*table, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) if i > 2 else cell.ljust(width) for i, (cell, width) in enumerate(cells))
        for cells in (zip(line, widths, strict=True) for line in table)
    ]
    rule = "  ".join("-" * width for width in widths)
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def parameter_shapes(rows: Sequence[Row]) -> dict[str, tuple[int, ...]]:
    """The shapes of the parameters by name, in the net's order: "conv1.w", "conv1.b", ..."""
    return {
        f"{row.name}.{key}": shape
        for row in rows
        if row.kernel
        for key, shape in (("w", row.kernel), ("b", row.kernel[:1]))
    }


def total_parameters(rows: Sequence[Row]) -> int:
    """The parameters of the whole net."""
    return sum(row.parameters for row in rows)


def across_columns(rows: Sequence[Row]) -> list[str]:
    """The names of the normalisations across the maps of both columns; a net that has one cannot be split in two."""
    return [row.name for row in rows if isinstance(row.layer, Norm) and row.groups % 2]


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))
