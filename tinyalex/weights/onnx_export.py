"""A net as an .onnx file, written with the library onnx, for the programs that run such files.

The graph takes prepared images, "image" (batch, 3, S, S), and gives the logits, "logits" (batch, K), as
`AlexNet.forward` does. Parameters and outputs of layers have our names. Dropout is what it is when a net is used:
nothing, or, in the paper's form, a factor.

Source: docs/Operators.md of ONNX 1.18.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, assert_never

import numpy as np

from tinyalex import spec as nets
from tinyalex.backend import to_numpy
from tinyalex.count import Row
from tinyalex.errors import CheckpointError
from tinyalex.files import replacing
from tinyalex.net import AlexNet

OPSET, IR_VERSION = 22, 10  # of 2024: programs read files that are not newer than they are
METADATA = "tinyalex"  # the entry of the metadata that describes a net of ours


class Operation(NamedTuple):
    """A node of the graph. An input that is a number becomes a constant."""

    kind: str
    inputs: tuple[str | float, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


def write(net: AlexNet, path: str | Path, about: str = "") -> None:
    """Write the net to `path`. An existing file stays whole until the new one is complete, then is replaced.

    about: the text that describes the net in full, by which `tinyalex.load` restores it.
    Raises CheckpointError if the library is not installed, or for a layer that ONNX does not have.
    """
    try:
        from onnx import helper, numpy_helper
    except ImportError:
        raise CheckpointError(f"got {path}: expected the library onnx, which writes it; pip install onnx") from None
    arrays = {name: to_numpy(w) for name, w in net.params.items()}
    nodes = []
    for number, operation in enumerate(_operations(net)):
        constants = {f"constant{number}": value for value in operation.inputs if not isinstance(value, str)}
        arrays |= {name: np.array(value, net.dtype) for name, value in constants.items()}
        names = [name for name in operation.inputs if isinstance(name, str)] + [*constants]
        nodes.append(helper.make_node(operation.kind, names, operation.outputs, **operation.attributes))
    numbers = helper.np_dtype_to_tensor_dtype(np.dtype(net.dtype))
    image = helper.make_tensor_value_info("image", numbers, ["batch", *net.rows[0].in_shape])
    logits = helper.make_tensor_value_info("logits", numbers, ["batch", *net.rows[-1].out_shape])
    initializers = [numpy_helper.from_array(np.asarray(array, order="C"), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, net.spec.name, [image], [logits], initializers)
    opset = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=IR_VERSION, producer_name="tinyalex")
    if about:
        helper.set_model_props(model, {METADATA: about})
    with replacing(Path(path)) as file:
        file.write(model.SerializeToString())


def _operations(net: AlexNet) -> Iterator[Operation]:
    """The nodes of the graph in order."""
    rows = [row for row in net.rows if not (isinstance(row.layer, nets.Drop) and row.layer.scale_at == "train")]
    x = "image"
    for row in rows:
        y = "logits" if row is rows[-1] else row.name
        yield from _layer(row, net.dropout, x, y)
        x = y


def _layer(row: Row, dropout: float, x: str, y: str) -> Iterator[Operation]:
    """The nodes of one layer, which makes y of x."""
    parameters = (f"{row.name}.w", f"{row.name}.b")
    match row.layer:
        case nets.Conv():
            yield Operation("Conv", (x, *parameters), (y,), {**_window(row), "group": row.groups})
        case nets.Full():
            yield Operation("Gemm", (x, *parameters), (y,), {"transB": 1})
        case nets.Pool():
            yield Operation("MaxPool", (x,), (y,), _window(row))
        case nets.AveragePool():
            yield Operation("AveragePool", (x,), (y,), _window(row))
        case nets.Norm() as norm:
            yield from _norm(norm, row.groups, x, y)
        case nets.SpatialNorm() as norm:
            yield from _spatial_norm(norm, x, y)
        case nets.Activation(kind):
            yield Operation({"relu": "Relu", "tanh": "Tanh"}[kind], (x,), (y,), {})
        case nets.Flat():
            yield Operation("Flatten", (x,), (y,), {"axis": 1})
        case nets.Drop():
            yield Operation("Mul", (x, 1 - dropout), (y,), {})
        case _:
            assert_never(row.layer)


def _window(row: Row) -> dict[str, list[int]]:
    """The attributes of a window. A last one that reaches past the edge gets so much more pad behind the image.

    The pad that ONNX adds to a convolution is zeros; in a pool it does not count.
    """
    assert row.window
    past_edge = row.window.past_edge(*row.in_shape[1:])
    behind = [pad + past for pad, past in zip(row.window.pad, past_edge, strict=True)]
    return {
        "kernel_shape": list(row.window.kernel),
        "strides": list(row.window.stride),
        "pads": [*row.window.pad, *behind],
    }


def _norm(norm: nets.Norm, groups: int, x: str, y: str) -> Iterator[Operation]:
    """A normalisation across maps, or one for each column. ONNX divides alpha by the size of the window."""
    if norm.size % 2 == 0:
        raise CheckpointError(f"got {y}, over {norm.size} maps: expected an odd number, as ONNX centres windows")
    alpha = norm.alpha if norm.alpha_over_size else norm.alpha * norm.size
    settings = {"size": norm.size, "alpha": float(alpha), "beta": float(norm.beta), "bias": float(norm.k)}
    if groups == 1:
        yield Operation("LRN", (x,), (y,), settings)
        return
    columns = [f"{y}.{column}" for column in range(groups)]
    parts = [f"{column}.x" for column in columns]
    yield Operation("Split", (x,), tuple(parts), {"axis": 1, "num_outputs": groups})
    for part, column in zip(parts, columns, strict=True):
        yield Operation("LRN", (part,), (column,), settings)
    yield Operation("Concat", tuple(columns), (y,), {"axis": 1})


def _spatial_norm(norm: nets.SpatialNorm, x: str, y: str) -> Iterator[Operation]:
    """x / (1 + alpha * the mean of x**2 in the window)**beta; the mean counts the cells past the edge, as zeros."""
    window = {"kernel_shape": [norm.size] * 2, "pads": [norm.size // 2] * 4, "count_include_pad": 1}
    yield Operation("Mul", (x, x), (f"{y}.squares",), {})
    yield Operation("AveragePool", (f"{y}.squares",), (f"{y}.mean",), window)
    yield Operation("Mul", (f"{y}.mean", norm.alpha), (f"{y}.damping",), {})
    yield Operation("Add", (f"{y}.damping", 1.0), (f"{y}.base",), {})
    yield Operation("Pow", (f"{y}.base", norm.beta), (f"{y}.scale",), {})
    yield Operation("Div", (x, f"{y}.scale"), (y,), {})
