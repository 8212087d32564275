"""Which net the arrays of a file are, by their names and shapes: a table of all ways to name them that are known."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from numpy.typing import NDArray

from tinyalex import spec as nets
from tinyalex.count import count, parameter_shapes
from tinyalex.errors import CheckpointError, TinyAlexError
from tinyalex.spec import VARIANTS, Spec, variant
from tinyalex.typed import brief
from tinyalex.weights.pixels import CAFFE, CAFFE_CIFAR, CAFFE_TENSORFLOW, TORCHVISION, Published
from tinyalex.weights.topology import Described

Arrays = Mapping[str, NDArray[Any]]


def own_names(spec: Spec) -> Iterator[str]:
    """The layers with parameters: conv1 ... fc8."""
    return (name for name, layer in spec.layers.items() if isinstance(layer, nets.Conv | nets.Full))


def positions(spec: Spec) -> Iterator[str]:
    """What PyTorch calls them: features.0 ... classifier.6, by their places before and behind the flattening."""
    part, first = "features", 0
    for place, layer in enumerate(spec.layers.values()):
        if isinstance(layer, nets.Flat):
            part, first = "classifier", place + 1
        elif isinstance(layer, nets.Conv | nets.Full):
            yield f"{part}.{place - first}"


def inner_products(spec: Spec) -> Iterator[str]:
    """What Caffe's nets for CIFAR-10 call them: conv1 ... conv3, ip1, ip2."""
    full = 0
    for name in own_names(spec):
        full += isinstance(spec.layers[name], nets.Full)
        yield f"ip{full}" if full else name


@dataclass(frozen=True)
class Layout:
    """A way to name parameters in a file, and to order their axes.

    layers: the names of the layers with parameters, in order.   parts: what follows for the weights and the biases.
    conv:   which axes of the file's array our (OC, C, KH, KW) are.   full: the same for our (U, D).
    channels_last: the first fully connected layer reads maps that were flattened as (H, W, C); ours (C, H, W).
    partial: a file may have a part of the parameters, conv1's among them, and other arrays.
    published: what is known of the nets that have such names in a file, by variant.
    usual:  of these the one that a file holds, unless somebody says otherwise; "" if that is open.
    """

    layers: Callable[[Spec], Iterable[str]] = own_names
    parts: tuple[str, str] = (".weight", ".bias")
    conv: tuple[int, ...] = (0, 1, 2, 3)
    full: tuple[int, ...] = (0, 1)
    channels_last: bool = False
    partial: bool = False
    published: Mapping[str, Published] = field(default_factory=dict)
    usual: str = ""

    def names(self, spec: Spec) -> dict[str, str]:
        """The name of each parameter of ours, such as "conv1.w" -> its name in the file."""
        theirs = zip(own_names(spec), self.layers(spec), strict=True)
        return {f"{a}.{x}": f"{b}{y}" for a, b in theirs for x, y in zip("wb", self.parts, strict=True)}

    def names_in(self, arrays: Arrays, spec: Spec) -> dict[str, str]:
        """The same, of the parameters that the arrays have; none if the arrays are not those of this layout and net."""
        names = self.names(spec)
        if self.partial:
            found = {ours: theirs for ours, theirs in names.items() if theirs in arrays}
            return found if "conv1.w" in found else {}
        return names if set(names.values()) == arrays.keys() else {}

    def ours(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view of the array with our axes; of a vector, itself."""
        axes = {4: self.conv, 2: self.full}.get(array.ndim)
        return array if axes is None else array.transpose(axes)


_BVLC = {"caffe": CAFFE, "caffenet": CAFFE}
_CAFFE_TENSORFLOW = Layout(
    parts=(".weights", ".biases"),
    conv=(3, 2, 0, 1),
    full=(1, 0),
    channels_last=True,
    published={"caffe": CAFFE_TENSORFLOW, "caffenet": CAFFE_TENSORFLOW},
    usual="caffe",
)
LAYOUTS = (
    Layout(positions, published={"torchvision": TORCHVISION}),  # of torchvision, and of PyTorch's nn.Sequential
    Layout(),  # of PyTorch, where each layer has a name
    _CAFFE_TENSORFLOW,  # of bvlc_alexnet.npy
    replace(_CAFFE_TENSORFLOW, parts=(".0", ".1")),  # of its other form
    Layout(parts=("/0", "/1"), published=_BVLC),  # of Caffe's files in HDF5, which do not describe their layers
    Layout(inner_products, ("/0", "/1"), published={"cifar10-full": CAFFE_CIFAR, "cifar10-quick": CAFFE_CIFAR}),
    Layout(parts=("_w", "_b"), partial=True, published=_BVLC),  # of arrays that somebody has collected
)
OWN = (Layout(positions), Layout(parts=(".w", ".b")))  # of the files that tinyalex writes


def found_in(arrays: Arrays, name: str | None) -> tuple[Layout, Described]:
    """The net that has these names and shapes, and their layout.

    Its kernels, units and classes are those of the arrays, not always the variant's.
    name: of the variant, where several fit.
    Raises CheckpointError if none fits, or several, and UsageError for a name that is none.
    """
    wanted = list(VARIANTS.values()) if name is None else [variant(name)]
    named = [(layout, spec) for layout in LAYOUTS for spec in wanted if layout.names_in(arrays, spec)]
    if not named:
        raise CheckpointError(
            f"got arrays named {', '.join(map(brief, list(arrays)[:3]))}, ...: expected those of "
            f"{name or 'an AlexNet'}, such as features.0.weight; use another file"
        )
    fitting = [(layout, net) for layout, spec in named if (net := _fitted(spec, layout, arrays))]
    exact = [(layout, net) for layout, net in fitting if net.spec == VARIANTS[net.spec.name]]
    published = [(layout, net) for layout, net in exact or fitting if net.spec.name in layout.published]
    usual = [(layout, net) for layout, net in published if net.spec.name == layout.usual]
    found = usual or published or exact or fitting
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(net.spec.name for _, net in found)
        raise CheckpointError(f"got parameters that fit several nets: expected one; choose it by --variant: {names}")
    shapes = ", ".join(f"{brief(key)} {array.shape[:5]}" for key, array in list(arrays.items())[:3])
    raise CheckpointError(f"got {shapes}, ...: expected the shapes of {name or 'an AlexNet'}; use another file")


def _fitted(spec: Spec, layout: Layout, arrays: Arrays) -> Described | None:
    """The net that is `spec` with the kernels, units and classes of these arrays; None if they do not fit it."""
    names = layout.names_in(arrays, spec)
    shapes = {ours: layout.ours(arrays[theirs]).shape for ours, theirs in names.items()}
    if min(map(math.prod, shapes.values())) == 0:
        return None
    layers, crossing, maps = dict(spec.layers), [], 3
    classes = 1000
    for name in own_names(spec):
        layer, shape = spec.layers[name], shapes.get(f"{name}.w", ())
        if isinstance(layer, nets.Conv):
            if name != "conv1" and (shape[1:2] == (maps,) if shape else name == "conv3"):
                crossing.append(int(name.removeprefix("conv")))
            layers[name] = layer = replace(layer, kernels=shape[0] if shape else layer.kernels)
            maps = layer.kernels
        elif isinstance(layer, nets.Full) and shape:
            layers[name] = replace(layer, units=layer.units and shape[0])
            classes = shape[0]
    changed = replace(spec, layers=layers)
    cross_columns = tuple(crossing) if spec.columns > 1 else (3,)
    try:
        rows = count(changed, classes, cross_columns=cross_columns)
    except TinyAlexError:
        return None
    expected = parameter_shapes(rows)
    if any(expected[ours] != shape for ours, shape in shapes.items()):
        return None
    # The outputs of layers, if the file has some, tell nets apart in which the same layers have another order.
    if any(arrays[row.name].shape[-len(row.out_shape) :] != row.out_shape for row in rows if row.name in arrays):
        return None
    return Described(changed, classes, cross_columns, names)
