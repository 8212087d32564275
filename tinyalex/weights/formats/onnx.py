"""The nodes of an ONNX graph as layers of ours.

The way from the logits back to the image passes each layer. Where a layer is several nodes, a pattern knows them: a
normalisation that PyTorch writes out, or one that is divided into columns.

Source: docs/Operators.md of ONNX 1.18.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex import spec as nets
from tinyalex.errors import CheckpointError
from tinyalex.weights.formats import Foreign, ForeignLayer, reading
from tinyalex.weights.formats.onnx_graph import Graph, Node
from tinyalex.window import Window

ZOO = "conv1_w_0"  # only the files of the model zoo call the first kernels so


def read_arrays(path: str | Path) -> Foreign:
    """The net in an .onnx file: the parameters by the names that they have there, and the layers.

    Raises CheckpointError for a file that is damaged, or whose nodes are no row of layers that we have.
    """
    with reading(path, "an .onnx file") as file:
        graph = Graph(file)
        if graph.about:
            return Foreign(graph.parameters(), about=graph.about)
        row = _Row(graph)
        for step in _steps(graph):
            row.add(step)
        if row.factor != 1:
            raise _refused("a product that no layer with weights follows")
    return Foreign(
        row.arrays,
        tuple(row.layers),
        "ONNX model zoo" if ZOO in row.arrays else "ONNX",
        graph.name,
        input_size=graph.input_size,
    )


def _refused(what: str) -> CheckpointError:
    return CheckpointError(f"got {what}: expected the layers of an AlexNet, one after the other")


# ---------------------------------------------------------------- from the logits back to the image


def _steps(graph: Graph) -> list[Node | ForeignLayer]:
    """The nodes between image and logits in order; a normalisation that is several nodes is a layer already."""
    found: list[Node | ForeignLayer] = []
    step: Node | ForeignLayer
    at = graph.logits
    while at != graph.image:
        node = graph.made_by.get(at)
        if node is None or len(found) > len(graph.nodes):
            raise _refused(f"no way from {graph.logits[:40]!r} back to {graph.image[:40]!r}")
        if node.kind == "Div":
            step, at = _written_out(graph, node)
        elif node.kind == "Concat":
            step, at = _in_columns(graph, node)
        else:
            step, at = node, _computed(graph, node)
        found.append(step)
    return found[::-1]


def _computed(graph: Graph, node: Node) -> str:
    """The first input of the node that is no constant."""
    return next((name for name in node.inputs if graph.constant(name) is None), "")


def _norm(node: Node, groups: int = 1) -> ForeignLayer:
    """A normalisation across maps. ONNX divides alpha by the size, and puts the centre of an even window elsewhere."""
    size, k = node.integer("size", 0), node.number("bias", 1.0)
    if size % 2 == 0:
        raise _refused(f"a normalisation over {size} maps, an even number")
    norm = nets.Norm(node.number("alpha", 1e-4), k, size, node.number("beta", 0.75), True, groups > 1)
    return ForeignLayer("", norm, groups)


def _in_columns(graph: Graph, concat: Node) -> tuple[ForeignLayer, str]:
    """The same normalisation of equal parts of the maps, and the name of what is normalised."""
    parts = [graph.made_by.get(name) for name in concat.inputs]
    norms = [part for part in parts if part is not None and part.kind == "LRN"]
    split = graph.made_by.get(norms[0].inputs[0]) if norms else None
    if split is None or [norm.inputs[0] for norm in norms] != split.outputs or len(norms) != len(parts):
        raise _refused("a 'Concat' of something else than normalised parts")
    layers = {_norm(norm, len(norms)) for norm in norms}
    sizes = graph.constant(split.inputs[1]) if len(split.inputs) > 1 else None
    equal = sizes is None or len({*sizes.tolist()}) == 1
    if split.kind != "Split" or {split.integer("axis", 0), concat.integer("axis", 0)} != {1} or not equal:
        raise _refused("maps that are not split into equal columns")
    if len(layers) > 1:
        raise _refused("columns that are normalised in different ways")
    return layers.pop(), split.inputs[0]


# What changes the shape of the squares, or asks for it, where PyTorch writes a normalisation out.
_SHAPING = ("Equal", "Gather", "If", "Pad", "Reshape", "Shape", "Squeeze", "Unsqueeze")


def _written_out(graph: Graph, div: Node) -> tuple[ForeignLayer, str]:
    """A normalisation as x / (k + alpha * the mean of x**2 in a window)**beta, and the name of x."""
    x, scale = div.inputs
    base, beta = _with_number(graph, scale, "Pow")
    damping, k = _with_number(graph, base, "Add")
    mean, alpha = _with_number(graph, damping, "Mul")
    pool = _behind(graph, mean)
    square = _behind(graph, pool.inputs[0])
    partial = any(pool.integers("pads")) and not pool.integer("count_include_pad", 0)  # the mean of fewer at the edge
    if pool.kind != "AveragePool" or partial or square.kind != "Mul" or square.inputs != [x, x]:
        raise _refused("a 'Div' that is no normalisation")
    match pool.integers("kernel_shape"):
        case [size, 1, 1] | [size, 1]:  # over the maps; over rows and columns of pixels it is one cell wide
            return ForeignLayer("", nets.Norm(alpha, k, size, beta, True, False)), x
        case [size, width] if size == width and k == 1 and pool.integers("pads") == [size // 2] * 4:
            return ForeignLayer("", nets.SpatialNorm(alpha, size, beta)), x
    raise _refused("a normalisation over another window")


def _with_number(graph: Graph, name: str, kind: str) -> tuple[str, float]:
    """The two inputs of the node of that kind that makes the value: a computed one, and a number."""
    node = graph.made_by.get(name)
    if node is None or node.kind != kind:
        raise _refused("a 'Div' that is no normalisation")
    computed = _computed(graph, node)
    numbers = [graph.constant(other) for other in node.inputs if other != computed]
    if len(numbers) != 1 or numbers[0] is None or numbers[0].size != 1:
        raise _refused("a 'Div' that is no normalisation")
    return computed, float(str(numbers[0].reshape(-1)[0]))  # as it is written: 0.0001, not the float32 beside it


def _behind(graph: Graph, name: str) -> Node:
    """The node that makes the value, before its shape was changed."""
    for _ in range(len(graph.nodes)):
        node = graph.made_by.get(name)
        if node is None or not node.inputs:
            break
        if node.kind not in _SHAPING:
            return node
        name = node.inputs[0]
    raise _refused("a 'Div' that is no normalisation")


# ---------------------------------------------------------------- and forward again


class _Row:
    """The layers found so far, and their parameters by name, with our axes.

    size: of the maps, if it is known.   factor: by which the input of the next layer is multiplied.
    last: the kind of the last node.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph, self.size = graph, graph.input_size
        self.layers: list[ForeignLayer] = []
        self.arrays: dict[str, NDArray[Any]] = {}
        self.factor, self.last = 1.0, ""

    def add(self, step: Node | ForeignLayer) -> None:
        """Take the next node, or a layer of several nodes."""
        layer = step if isinstance(step, ForeignLayer) else self._layer(step)
        self.last = step.kind if isinstance(step, Node) else ""
        if self.factor != 1 and self.last != "Mul":
            raise _refused("a product that no layer with weights follows")
        if layer is not None:
            self.layers.append(layer)

    def _layer(self, node: Node) -> ForeignLayer | None:
        """The node as a layer of ours; None for one that does nothing, or belongs to the layer before."""
        match node.kind:
            case "Conv":
                return self._convolution(node)
            case "Gemm" | "MatMul":
                return self._full(node)
            case "Add" if self.last == "MatMul":
                self._biases(node)
                return None
            case "Mul":
                self.factor *= _with_number(self.graph, node.outputs[0], "Mul")[1]
                return None
            case "MaxPool" | "AveragePool":
                return self._pool(node)
            case "LRN":
                return _norm(node)
            case "Relu":
                return ForeignLayer("", nets.Activation())
            case "Tanh":
                return ForeignLayer("", nets.Activation("tanh"))
            case "Flatten" | "Reshape":
                flat = any(isinstance(layer.layer, nets.Flat) for layer in self.layers)
                return None if flat else ForeignLayer("", nets.Flat())
            case "Cast" | "Dropout" | "Identity":  # they change nothing when a net is used
                return None
            case "Softmax" | "LogSoftmax" if node.outputs[:1] == [self.graph.logits]:
                return None  # in the order of the logits
        raise _refused(f"a node {node.kind[:40]!r}")

    def _convolution(self, node: Node) -> ForeignLayer:
        weights = self._parameter(node, 1)
        window = self._window(node, [*weights.shape[2:]])
        both = self._named(node, weights, self._parameter(node, 2) if len(node.inputs) > 2 else None)
        conv = nets.Conv(len(weights), window.kernel[0], window.stride[0], window.pad[0], ceil_mode=window.ceil_mode)
        return ForeignLayer(both[0], conv, node.integer("group", 1), both)

    def _full(self, node: Node) -> ForeignLayer:
        """y = alpha * x @ w.T + beta * b, where w may be stored transposed."""
        weights = self._parameter(node, 1)
        if weights.ndim != 2 or node.integer("transA", 0):
            raise _refused(f"{node.kind} of {weights.ndim} axes, or transposed")
        alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
        weights = weights if node.integer("transB", 0) else weights.T
        biases = self._parameter(node, 2) if len(node.inputs) > 2 else None
        if (alpha, beta) != (1.0, 1.0):
            weights = weights * weights.dtype.type(alpha)
            biases = None if biases is None else biases * biases.dtype.type(beta)
        both = self._named(node, weights, biases)
        return ForeignLayer(both[0], nets.Full(len(weights)), 1, both)

    def _biases(self, node: Node) -> None:
        """The biases that follow a product, whose own are zero."""
        computed = _computed(self.graph, node)
        [place] = [number for number, name in enumerate(node.inputs) if name != computed]
        biases = self._parameter(node, place)
        name = self.layers[-1].arrays[1]
        self.arrays[name] = np.broadcast_to(biases.reshape(-1), self.arrays[name].shape)

    def _parameter(self, node: Node, place: int) -> NDArray[Any]:
        """The array that a node takes as its input number `place`."""
        array = self.graph.constant(node.inputs[place]) if place < len(node.inputs) else None
        if array is None or array.dtype.kind != "f" or array.ndim < 1:
            raise _refused(f"{node.kind} without parameters in floats")
        return array

    def _named(self, node: Node, weights: NDArray[Any], biases: NDArray[Any] | None) -> tuple[str, str]:
        """Put both into `arrays` under their names; biases that are missing are zero.

        The factor of the layer's input becomes one of its weights: it is that of dropout, where units are not scaled.
        """
        weights_name, biases_name, *_ = (*node.inputs[1:], "")
        both = (weights_name, biases_name or f"{weights_name}, no biases")
        if not self.arrays.keys().isdisjoint(both):
            raise _refused(f"the parameters {both[0][:40]!r} in two layers")
        if self.factor != 1:
            weights, self.factor = weights * weights.dtype.type(self.factor), 1.0
        biases = np.zeros(1, weights.dtype) if biases is None else biases.reshape(-1)
        self.arrays.update(zip(both, (weights, np.broadcast_to(biases, weights.shape[:1])), strict=True))
        return both

    def _pool(self, node: Node) -> ForeignLayer | None:
        window = self._window(node, node.integers("kernel_shape"))
        pads = node.integers("pads")
        if node.kind == "AveragePool" and window.kernel == window.stride == (1, 1):
            return None  # what PyTorch makes of its adaptive pooling where it changes nothing
        if window.pad != (0, 0) or (node.kind == "AveragePool" and any(pads) and node.integer("count_include_pad", 0)):
            raise _refused(f"a {node.kind} with a pad")
        kind = nets.Pool if node.kind == "MaxPool" else nets.AveragePool
        return ForeignLayer("", kind(window.kernel[0], window.stride[0], window.ceil_mode))

    def _window(self, node: Node, kernel: Sequence[int]) -> Window:
        """The window that a node moves; `size` becomes that of its output.

        ONNX may pad more behind than before: then a last window reaches past the edge of the image, as with ceil_mode.
        """
        strides, dilations = node.integers("strides") or [1, 1], node.integers("dilations") or [1, 1]
        if len({*kernel}) != 1 or len(kernel) != 2 or len({*strides}) != 1 or {*dilations} != {1} or strides[0] < 1:
            raise _refused(f"a {node.kind} with a window of {[*kernel][:4]}, {strides[:4]} apart")
        side, stride = kernel[0], strides[0]
        before, behind = self._pads(node, side, stride)
        up = bool(node.integer("ceil_mode", 0))
        window = Window((side, side), (stride, stride), (before, before), up)
        if self.size is None:
            if behind not in (before, before + stride - 1):
                raise _refused(f"a {node.kind} that pads {before} before and {behind} behind images of unknown size")
            return window._replace(ceil_mode=up or behind > before)
        room = self.size + before + behind - side
        sizes = {one: window._replace(ceil_mode=one).output_size(self.size, self.size)[0] for one in (False, True)}
        self.size = 1 + (-(-room // stride) if up else room // stride) if behind != before else sizes[up]
        fitting = [one for one in (up, True) if sizes[one] == self.size]
        if not fitting:
            raise _refused(f"a {node.kind} that pads {before} before and {behind} behind")
        return window._replace(ceil_mode=fitting[0])

    def _pads(self, node: Node, side: int, stride: int) -> tuple[int, int]:
        """The pads before and behind the image, which are the same along both axes."""
        auto, pads = node.text("auto_pad"), node.integers("pads") or [0] * 4
        if auto in ("SAME_UPPER", "SAME_LOWER") and self.size:
            both = max(0, (-(-self.size // stride) - 1) * stride + side - self.size)
            less, more = both // 2, both - both // 2
            return (less, more) if auto == "SAME_UPPER" else (more, less)
        if auto == "VALID":
            pads = [0] * 4
        elif auto not in ("", "NOTSET") or len(pads) != 4 or pads[:2] != pads[:1] * 2 or pads[2:] != pads[2:3] * 2:
            raise _refused(f"a {node.kind} with the pads {pads[:4]} {auto[:20]!r}")
        return pads[0], pads[2]
