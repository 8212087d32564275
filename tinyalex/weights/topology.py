"""Which net a file describes, where it tells the layers beside the parameters, as the files of Caffe and ONNX do.

A reader gives the layers in order, as layers of ours. Where the row is that of one of our variants, the net is that
variant, with the kernels, units and classes of the file. Where it is none of them, the net is what the file says.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tinyalex import spec as nets
from tinyalex.count import Row, count
from tinyalex.errors import CheckpointError, TinyAlexError
from tinyalex.files import legible
from tinyalex.spec import VARIANTS, LayerSpec, Spec
from tinyalex.weights.formats import Foreign, ForeignLayer


@dataclass(frozen=True)
class Described:
    """The net that a file describes: what `AlexNet` is built from, and where its parameters are.

    names: the name of each parameter of ours, such as "conv1.w" -> the name of its array in the file.
    """

    spec: Spec
    num_classes: int
    cross_columns: tuple[int, ...]
    names: Mapping[str, str]


def described(foreign: Foreign) -> Described:
    """The net whose layers the file describes.

    Raises CheckpointError if the layers make no net, or if the parameters do not fit them.
    """
    own = _own_spec(foreign.layers, legible(foreign.name)[:40] or "imported")
    with_arrays = [layer.arrays for layer in foreign.layers if layer.arrays]
    shapes = [foreign.arrays[weights].shape for weights, *_ in with_arrays]
    sizes = (
        [foreign.input_size] if foreign.input_size else [*dict.fromkeys(ours.input_size for ours in VARIANTS.values())]
    )
    found: list[tuple[Spec, tuple[int, ...], int]] = []
    for size in sizes:
        if rows := _fitting(own, shapes, size):
            found += [(spec, cross, size) for spec, cross in _variants(rows)] or [(own, (), size)]
    if not found:
        raise CheckpointError(
            f"got layers that do not fit their parameters on images of {' or '.join(map(str, sizes))} pixels: expected "
            "an AlexNet, from conv1 to the classes"
        )
    # Parameters may fit images of several sizes: the right size is that of the variant.
    spec, cross, size = max(found, key=lambda one: one[0].name in VARIANTS and one[0].input_size == one[2])
    ours = [key for key, layer in spec.layers.items() if isinstance(layer, nets.Conv | nets.Full)]
    names = {
        f"{key}.{part}": name
        for key, both in zip(ours, with_arrays, strict=True)
        for part, name in zip("wb", both, strict=True)
    }
    return Described(replace(spec, input_size=size), shapes[-1][0], cross, names)


# ---------------------------------------------------------------- the net as the file has it

_PREFIXES: dict[type, str] = {
    nets.Conv: "conv",
    nets.Full: "fc",
    nets.Activation: "relu",
    nets.Pool: "pool",
    nets.AveragePool: "pool",
    nets.Norm: "norm",
    nets.SpatialNorm: "spatial_norm",
    nets.Drop: "dropout",
}


def _own_spec(layers: Sequence[ForeignLayer], name: str) -> Spec:
    """The layers under names as ours, by the convolution or the fully connected layer that they follow: relu1, fc6."""
    if not layers or not isinstance(layers[-1].layer, nets.Full):
        raise CheckpointError("got a net without a fully connected layer at its end: expected one unit for each class")
    groups = {layer.groups for layer in layers} - {1}
    if len(groups) > 1:
        raise CheckpointError(f"got layers of {sorted(groups)} groups: expected one number of groups")
    specs: dict[str, LayerSpec] = {}
    number = 0
    for found in layers:
        layer = found.layer
        number += isinstance(layer, nets.Conv | nets.Full)
        if isinstance(layer, nets.Conv):
            layer = replace(layer, reads_all=found.groups == 1)
        if isinstance(layer, nets.Norm):
            layer = replace(layer, within_columns=found.groups > 1)
        key = "flatten" if isinstance(layer, nets.Flat) else f"{_PREFIXES[type(layer)]}{number}"
        while key in specs:
            key += "_again"
        specs[key] = layer
    specs[key] = nets.Full(None)
    return Spec(name, specs, columns=max(groups, default=1))


def _fitting(own: Spec, shapes: Sequence[tuple[int, ...]], size: int) -> list[Row]:
    """The rows of the net on images of this size; none if it or these shapes of its weights do not fit them."""
    try:
        rows = count(own, shapes[-1][0], size, cross_columns=())
    except TinyAlexError:
        return []
    return rows if [row.kernel for row in rows if row.kernel] == shapes else []


# ---------------------------------------------------------------- the net as one of ours


def _variants(rows: Sequence[Row]) -> list[tuple[Spec, tuple[int, ...]]]:
    """Our variants that do what the rows do, with the widths of the rows; beside each its `cross_columns`."""
    found = []
    plain = [row for row in rows if not isinstance(row.layer, nets.Drop)]
    for spec in VARIANTS.values():
        ours = {key: layer for key, layer in spec.layers.items() if not isinstance(layer, nets.Drop)}
        if len(ours) != len(plain):
            continue
        same = {key: _same(layer, row, spec.columns) for (key, layer), row in zip(ours.items(), plain, strict=True)}
        changed = {key: layer for key, layer in same.items() if layer is not None}
        if len(changed) == len(ours):
            layers = {key: changed.get(key, nets.Drop("train")) for key in spec.layers}  # other programs scale so
            found.append((replace(spec, layers=layers), _cross_columns(plain, ours, spec.columns)))
    return found


def _same(ours: LayerSpec, row: Row, columns: int) -> LayerSpec | None:
    """Our layer, of a net of `columns`, with the width of the row's; None if the row does something else."""
    match ours, row.layer:
        case nets.Full(), nets.Full(units=units):
            return replace(ours, units=units)
        case nets.Conv(), nets.Conv(kernels=kernels) if row.groups in (1, 1 if ours.reads_all else columns):
            return _same_window(replace(ours, kernels=kernels), row)
        case (nets.Pool(), nets.Pool()) | (nets.AveragePool(), nets.AveragePool()):
            return _same_window(ours, row)
        case nets.Norm(), nets.Norm() as norm:
            groups = columns if ours.within_columns else 1
            return ours if groups == row.groups and _damping(ours) == _damping(norm) else None
        case nets.SpatialNorm(), nets.SpatialNorm() as norm:
            return ours if _damping(ours) == _damping(norm) else None
    return ours if ours == row.layer else None


def _same_window(ours: Any, row: Row) -> LayerSpec | None:
    """Our layer, if its window moves over the row's input as the row's; it is rounded as ours unless that matters."""
    theirs: Any = row.layer
    if (theirs.size, theirs.stride, getattr(theirs, "pad", 0)) != (ours.size, ours.stride, getattr(ours, "pad", 0)):
        return None
    window = row.window._replace(ceil_mode=ours.ceil_mode) if row.window else None
    rounded = window.output_size(*row.in_shape[1:]) if window else ()
    same: LayerSpec = replace(ours, ceil_mode=ours.ceil_mode if rounded == row.out_shape[1:] else theirs.ceil_mode)
    return same


def _damping(norm: nets.Norm | nets.SpatialNorm) -> tuple[str, ...]:
    """The numbers of the formula, alpha as it multiplies the sum; rounded, as files keep fewer digits."""
    match norm:
        case nets.Norm():
            alpha = norm.alpha / norm.size if norm.alpha_over_size else norm.alpha
            numbers = (norm.size, alpha, norm.beta, norm.k)
        case _:
            numbers = (norm.size, norm.alpha, norm.beta, 1)
    return tuple(f"{number:.6g}" for number in numbers)


def _cross_columns(rows: Sequence[Row], ours: Mapping[str, LayerSpec], columns: int) -> tuple[int, ...]:
    """The numbers of the convolutions that read the maps of all columns, though our layer does not say so itself."""
    if columns == 1:
        return (3,)  # as by default: it makes no difference
    convolutions = [(key, row) for (key, layer), row in zip(ours.items(), rows, strict=True) if _reads_own(layer)]
    return tuple(int(key.removeprefix("conv")) for key, row in convolutions if row.groups == 1)


def _reads_own(layer: LayerSpec) -> bool:
    return isinstance(layer, nets.Conv) and not layer.reads_all
