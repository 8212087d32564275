"""ONNX: the graph in an .onnx file, read without the library onnx.

A file is one protobuf message, a ModelProto. Its graph holds nodes, each an operation with named inputs, outputs and
attributes, and initializers, the arrays that are not computed. PyTorch writes the numbers of these into a file beside
it, NAME.onnx.data. What the nodes mean is in `tinyalex.weights.formats.onnx`.

Source: onnx/onnx.proto of ONNX 1.18.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.errors import CheckpointError
from tinyalex.weights.formats import BFLOAT16, widened
from tinyalex.weights.formats.protobuf import Message

# The types of numbers, and the field that holds them where they are no raw bytes.
_DTYPES: dict[int, tuple[np.dtype[Any], int]] = {
    1: (np.dtype("<f4"), 4),
    6: (np.dtype("<i4"), 5),
    7: (np.dtype("<i8"), 7),
    10: (np.dtype("<f2"), 5),
    11: (np.dtype("<f8"), 10),
    16: (BFLOAT16, 5),
}


@dataclass(frozen=True)
class Node:
    """An operation of the graph: `kind` such as "Conv", the names of its inputs and outputs, and its attributes."""

    kind: str
    inputs: list[str]
    outputs: list[str]
    attributes: Mapping[str, Message]

    def integers(self, name: str) -> list[int]:
        """An attribute that is a list of integers; empty if the node does not have it."""
        return self.attributes[name].integers(8) if name in self.attributes else []

    def integer(self, name: str, default: int) -> int:
        """An attribute that is an integer."""
        return self.attributes[name].integer(3, 0) if name in self.attributes else default

    def number(self, name: str, default: float) -> float:
        """An attribute that is a float."""
        return self.attributes[name].number(2, 0.0) if name in self.attributes else default

    def text(self, name: str) -> str:
        """An attribute that is a text, or none."""
        return self.attributes[name].text(4) if name in self.attributes else ""


class Graph:
    """The graph of a model.

    file: the .onnx file, open for reading. The numbers stay in it: arrays are views.
    nodes: in order.   made_by: the node that makes a value, by the name of the value.
    image, logits: the names of the input and of the first output.   input_size: height and width of the image, or None.
    about: what a file of tinyalex's own making says of the net, or "".
    Raises ValueError for a file that is no model.
    """

    def __init__(self, file: IO[bytes]) -> None:
        model = Message(_content(file))
        graph = model.message(7)
        self.folder = Path(file.name).parent
        self.name = graph.text(2)
        self.about = next((entry.text(2) for entry in model.messages(14) if entry.text(1) == "tinyalex"), "")
        self.nodes = [_node(node) for node in graph.messages(1)]
        self.made_by = {output: node for node in self.nodes for output in node.outputs}
        self._tensors = {view.text(8): view for view in graph.messages(5)}
        self._beside: dict[str, memoryview] = {}
        images = [value for value in graph.messages(11) if value.text(1) not in self._tensors]
        if len(images) != 1 or 12 not in graph:
            raise CheckpointError(f"got {len(images)} inputs: expected one, the image, and an output, the logits")
        self.image, self.input_size = images[0].text(1), _input_size(images[0])
        self.logits = next(graph.messages(12)).text(1)

    def constant(self, name: str) -> NDArray[Any] | None:
        """The array of that name, an initializer or a node without inputs; None if it is computed."""
        if name in self._tensors:
            return self._array(self._tensors[name])
        node = self.made_by.get(name)
        if node is not None and node.kind == "Constant" and "value" in node.attributes:
            return self._array(node.attributes["value"].message(5))
        return None

    def parameters(self) -> dict[str, NDArray[Any]]:
        """The initializers by name that are no single numbers."""
        arrays = {name: self._array(tensor) for name, tensor in self._tensors.items()}
        return {name: array for name, array in arrays.items() if array.ndim}

    def _array(self, tensor: Message) -> NDArray[Any]:
        """The numbers of a TensorProto: raw bytes, or a field by their type, or in a file beside this one."""
        shape = tensor.integers(1)
        if tensor.integer(2, 0) not in _DTYPES:
            raise CheckpointError(f"got numbers of ONNX's type {tensor.integer(2, 0)}: expected floats or integers")
        dtype, field = _DTYPES[tensor.integer(2, 0)]
        if tensor.integer(14, 0):
            numbers = np.frombuffer(self._external(tensor), dtype)
        elif 9 in tensor:
            numbers = tensor.numbers(9, dtype)
        elif field in (4, 10):
            numbers = tensor.numbers(field, dtype)
        else:
            bits = f"<u{dtype.itemsize}"
            numbers = np.array(tensor.integers(field), "<i8").astype(bits).view(dtype)  # halves are kept as integers
        if len(shape) > 4 or min(shape, default=1) < 0 or math.prod(shape) != numbers.size:
            raise ValueError(f"got an array of shape {shape[:5]} with {numbers.size} numbers: expected as many as fit")
        return widened(numbers.reshape(shape))

    def _external(self, tensor: Message) -> memoryview:
        """The bytes of an array in a file beside this one; in no other folder, whatever the file says."""
        entries = {entry.text(1): entry.text(2) for entry in tensor.messages(13)}
        name = entries.get("location", "")
        path = self.folder / name
        if Path(name).name != name or "\\" in name or not path.is_file():
            raise CheckpointError(f"expected the file {name[:100]!r} beside it, which holds its numbers")
        if name not in self._beside:
            with path.open("rb") as file:
                self._beside[name] = _content(file)
        content = self._beside[name]
        offset = int(entries.get("offset", "0"))
        length = int(entries.get("length", str(len(content) - offset)))
        if not 0 <= offset <= offset + length <= len(content):
            raise ValueError(f"got an array of {length} bytes in {name[:100]!r}: expected {len(content)} at most")
        return content[offset : offset + length]


def _content(file: IO[bytes]) -> memoryview:
    """The bytes of the file, which are read where they are looked at."""
    return memoryview(mmap(file.fileno(), 0, access=ACCESS_READ))


def _node(node: Message) -> Node:
    attributes = {attribute.text(1): attribute for attribute in node.messages(5)}
    return Node(node.text(4), node.texts(1), node.texts(2), attributes)


def _input_size(value: Message) -> int | None:
    """Height and width of an input (N, 3, S, S); None if they are not numbers."""
    sides = [side.integer(1, 0) for side in value.message(2).message(1).message(2).messages(1)]
    return sides[3] if len(sides) == 4 and sides[2] == sides[3] > 0 else None
