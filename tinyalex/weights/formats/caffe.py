"""Caffe: nets in .caffemodel and .caffemodel.h5 files, mean images in .binaryproto files.

A .caffemodel is one protobuf message: the layers of the net with their settings, and in each its blobs, the weights and
then the biases. There are two generations of layers, "layers" (V1, whose type is a number) and "layer" (V2, a word). A
.caffemodel.h5 has the blobs only.

Caffe does not turn kernels round, and its axes are ours: (OC, C/G, KH, KW) and (D_out, D_in).

Source: src/caffe/proto/caffe.proto, layers/lrn_layer.cpp and layers/pooling_layer.cpp of Caffe.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from mmap import ACCESS_READ, mmap
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tinyalex import spec as nets
from tinyalex.errors import CheckpointError
from tinyalex.weights.formats import Foreign, ForeignLayer, reading
from tinyalex.weights.formats.caffe_hdf5 import MAGIC, blobs_in
from tinyalex.weights.formats.protobuf import Message


def read_arrays(path: str | Path) -> Foreign:
    """The net in a .caffemodel: the blobs as "conv1/0" and "conv1/1", and the layers; from HDF5 the blobs alone.

    Raises CheckpointError for a file that is damaged, or whose layers are no row of layers that we have.
    """
    with reading(path, "a .caffemodel of Caffe") as file:
        if file.read(len(MAGIC)) == MAGIC:
            return Foreign(blobs_in(file))
        return _net(_message(file))


def read_mean(path: str | Path) -> NDArray[np.float32]:
    """The mean of the training images in a .binaryproto or .npy file: (3, S, S), or (3,) for a mean colour.

    Values in 0 ... 255; the colours are in the order of the net's own: in Caffe's nets for ImageNet blue comes first.
    Raises CheckpointError for a file that holds something else.
    """
    with reading(path, "a mean image or colour in a .binaryproto or .npy file") as file:
        is_npy = file.read(6) == b"\x93NUMPY"
        mean = np.load(path, mmap_mode="r", allow_pickle=False) if is_npy else _blob(_message(file))
        if mean.ndim == 4 and len(mean) == 1:
            mean = mean[0]  # (1, 3, S, S) -> (3, S, S)
        if mean.dtype.kind not in "fiu" or mean.shape != (3, *mean.shape[1:2] * 2):
            raise ValueError(f"got {mean.dtype} of shape {mean.shape}: expected (3, S, S) or (3,)")
        mean = mean.astype(np.float32)
        if not np.isfinite([mean.min(), mean.max()]).all():
            raise ValueError("got NaN or infinity: expected 0 ... 255")
        return mean


def _message(file: IO[bytes]) -> Message:
    """The message that fills the file, its bytes not read yet."""
    return Message(memoryview(mmap(file.fileno(), 0, access=ACCESS_READ)))


def _blob(blob: Message) -> NDArray[Any]:
    """The numbers of a BlobProto, in a shape of any number of axes, or in the four of old files."""
    numbers = blob.numbers(5) if 5 in blob else blob.numbers(8, "<f8")
    shape = blob.message(7).integers(1) if 7 in blob else [blob.integer(axis, 0) for axis in (1, 2, 3, 4)]
    if len(shape) > 4 or min(shape, default=1) < 1 or math.prod(shape) != numbers.size:
        raise ValueError(
            f"got a blob of shape {shape[:5]} with {numbers.size} numbers: expected as many as it has room for"
        )
    return numbers.reshape(shape)


# ---------------------------------------------------------------- the layers, of both generations


@dataclass(frozen=True)
class _Layer:
    """A layer of either generation: its name, type, inputs and outputs, and its message.

    fields: the numbers of the fields that hold the blobs, and the settings of each type.
    """

    name: str
    kind: str
    bottoms: list[str]
    tops: list[str]
    message: Message
    fields: Mapping[str, int]

    def settings(self, kind: str) -> Message:
        """The settings of a type, or of the "transform" that a source of images makes."""
        return self.message.message(self.fields[kind])


_V1 = {
    "blobs": 6,
    "Convolution": 10,
    "Data": 11,
    "InnerProduct": 17,
    "LRN": 18,
    "Pooling": 19,
    "ReLU": 30,
    "transform": 36,
    "Input": 143,
}
_V2 = {
    "blobs": 7,
    "transform": 100,
    "Convolution": 106,
    "Data": 107,
    "InnerProduct": 117,
    "LRN": 118,
    "Pooling": 121,
    "ReLU": 123,
    "Input": 143,
}
_V1_KINDS = {
    1: "Accuracy",
    4: "Convolution",
    5: "Data",
    6: "Dropout",
    8: "Flatten",
    9: "HDF5Data",
    12: "ImageData",
    14: "InnerProduct",
    15: "LRN",
    17: "Pooling",
    18: "ReLU",
    20: "Softmax",
    21: "SoftmaxWithLoss",
    22: "Split",
    23: "TanH",
    24: "WindowData",
    29: "MemoryData",
    30: "ArgMax",
    32: "DummyData",
    36: "Silence",
}
_SOURCES = ("Data", "DummyData", "HDF5Data", "ImageData", "Input", "MemoryData", "WindowData")
_ENDS = ("Accuracy", "ArgMax", "Silence", "Softmax", "SoftmaxWithLoss")


def _layers(net: Message) -> Iterator[_Layer]:
    """The layers of the net in the order of the file."""
    for v1 in net.messages(2):
        if 1 in v1:
            raise CheckpointError(
                "expected layers as of 2014 or later; convert it with upgrade_net_proto_binary of Caffe"
            )
        number = v1.integer(5, 0)
        yield _Layer(v1.text(4), _V1_KINDS.get(number, f"type {number}"), v1.texts(2), v1.texts(3), v1, _V1)
    for v2 in net.messages(100):
        yield _Layer(v2.text(1), v2.text(2), v2.texts(3), v2.texts(4), v2, _V2)


def _row(net: Message) -> Iterator[_Layer]:
    """The layers between the image and the logits, one after the other."""
    at = {*net.texts(3)[:1]}  # the names of what the last layer has made; Split gives it several
    for layer in _layers(net):
        if layer.kind in _SOURCES:
            at = at or {*layer.tops[:1]}
        elif not at or not at.isdisjoint(layer.bottoms[:1]):
            if layer.kind == "Split":
                at |= {*layer.tops}
            elif layer.kind not in _ENDS:
                yield layer
                at = {*layer.tops[:1]}
        elif layer.fields["blobs"] in layer.message:
            raise CheckpointError(f"expected layers in one row; {layer.name[:40]!r} stands beside it")


# ---------------------------------------------------------------- as layers of ours


def _net(net: Message) -> Foreign:
    """The net of a NetParameter."""
    arrays: dict[str, NDArray[Any]] = {}
    layers: list[ForeignLayer] = []
    for layer in _row(net):
        if layer.kind == "InnerProduct" and not any(isinstance(one.layer, nets.Flat) for one in layers):
            layers.append(ForeignLayer("", nets.Flat()))  # Caffe's inner product does it itself
        layers.append(_ours(layer, arrays))
    source = next((layer for layer in _layers(net) if layer.kind in _SOURCES), None)
    return Foreign(
        arrays,
        tuple(layers),
        "Caffe",
        net.text(1),
        input_size=_input_size(net) or (_crop(source) if source else 0) or None,
        mean=_mean_colour(source) if source else (),
        scale=_scale(source) if source else None,
    )


_EMPTY = Message(memoryview(b""))


def _input_size(net: Message) -> int:
    """Height and width of the images, where a net for use says them; 0 for a net as it was trained."""
    shapes = [net.integers(4), net.message(8).integers(1)]
    shapes += [layer.settings("Input").message(1).integers(1) for layer in _layers(net) if layer.kind == "Input"]
    return next((shape[3] for shape in shapes if len(shape) == 4 and shape[2] == shape[3] > 0), 0)


def _crop(source: _Layer) -> int:
    """Height and width of the crops that a source of images makes; 0 for whole images. Old files have it elsewhere."""
    return source.settings("transform").integer(3, source.settings("Data").integer(5, 0))


def _mean_colour(source: _Layer) -> tuple[float, ...]:
    """What a source of images subtracts from the colours; nothing if it has a mean image, in a file of its own."""
    found = tuple(source.settings("transform").numbers(5).tolist())
    if len(found) not in (0, 1, 3):
        raise CheckpointError(f"got a mean of {len(found)} colours: expected 3")
    return found * 3 if len(found) == 1 else found


def _scale(source: _Layer) -> float:
    """What a source of images then multiplies them with."""
    scale = source.settings("transform").number(1, source.settings("Data").number(2, 1.0))
    if not 0 < scale < math.inf:
        raise CheckpointError(f"got pixels multiplied with {scale}: expected a number above 0")
    return scale


def _ours(layer: _Layer, arrays: dict[str, NDArray[Any]]) -> ForeignLayer:
    """The layer as one of ours; its blobs go into `arrays`. Raises CheckpointError for a layer that we do not have."""
    name, settings = layer.name, layer.settings(layer.kind) if layer.kind in layer.fields else _EMPTY
    match layer.kind:
        case "Convolution":
            weights, both = _parameters(layer, arrays, settings)
            if {*settings.integers(18)} - {1}:
                raise CheckpointError(f"got dilated kernels in {name[:40]!r}: expected dense ones")
            window = (_side(settings, 4, 11), _side(settings, 6, 13, 1), _side(settings, 3, 9, 0))
            return ForeignLayer(name, nets.Conv(len(weights), *window), settings.integer(5, 1), both)
        case "InnerProduct":
            weights, both = _parameters(layer, arrays, settings)
            return ForeignLayer(name, nets.Full(len(weights)), 1, both)
        case "Pooling":
            return ForeignLayer(name, _pool(name, settings))
        case "LRN":
            size, alpha, beta = settings.integer(1, 5), settings.number(2, 1.0), settings.number(3, 0.75)
            if settings.integer(4, 0) == 1:  # WITHIN_CHANNEL; k is 1
                return ForeignLayer(name, nets.SpatialNorm(alpha, size, beta))
            k = settings.number(5, 1.0)
            return ForeignLayer(name, nets.Norm(alpha, k, size, beta, alpha_over_size=True, within_columns=False))
        case "ReLU" if settings.number(1, 0.0) == 0.0:
            return ForeignLayer(name, nets.Activation())
        case "TanH":
            return ForeignLayer(name, nets.Activation("tanh"))
        case "Dropout":
            return ForeignLayer(name, nets.Drop("train"))
        case "Flatten":
            return ForeignLayer(name, nets.Flat())
    raise CheckpointError(f"got a layer of type {layer.kind[:40]!r}: expected the layers of an AlexNet")


def _parameters(
    layer: _Layer, arrays: dict[str, NDArray[Any]], settings: Message
) -> tuple[NDArray[Any], tuple[str, str]]:
    """The weights, in our shape, and the names of weights and biases in `arrays`, where this puts both."""
    both = (f"{layer.name}/0", f"{layer.name}/1")
    blobs = [_blob(blob) for blob in layer.message.messages(layer.fields["blobs"])]
    if not blobs or both[0] in arrays:
        raise CheckpointError(
            f"got {len(blobs)} blobs in {layer.name[:40]!r}: expected weights and biases, each name once"
        )
    weights = blobs[0]
    if layer.kind == "InnerProduct":
        weights = weights.reshape(weights.shape[-2:]) if weights.ndim > 1 else weights  # (1, 1, D_out, D_in)
        weights = weights.T if settings.integer(6, 0) else weights
    biases = blobs[1] if len(blobs) > 1 else np.zeros(len(weights), weights.dtype)
    if biases.size != len(weights):
        raise CheckpointError(
            f"got {biases.size} biases in {layer.name[:40]!r}: expected {len(weights)}, one a kernel or unit"
        )
    arrays.update(zip(both, (weights, biases.reshape(-1)), strict=True))
    return weights, both


def _pool(name: str, settings: Message) -> nets.Pool | nets.AveragePool:
    """Pooling. Caffe rounds the number of windows up, later versions down if they are told to."""
    method, pad, whole = settings.integer(1, 0), _side(settings, 4, 9, 0), settings.integer(12, 0)
    if method not in (0, 1) or pad or whole:
        raise CheckpointError(f"got the pooling {name[:40]!r} of another kind: expected MAX or AVE, without a pad")
    window = (_side(settings, 2, 5), _side(settings, 3, 7, 1))
    return (nets.AveragePool if method else nets.Pool)(*window, ceil_mode=settings.integer(13, 0) == 0)


def _side(settings: Message, both: int, height: int, default: int | None = None) -> int:
    """A size that is the same along both axes: in the field `both`, or in the field `height` and the next."""
    found = settings.integers(both) + settings.integers(height) + settings.integers(height + 1)
    if not found and default is not None:
        return default
    if len({*found}) != 1:
        raise CheckpointError(f"got the sides {found[:4]}: expected one number, as all are square")
    return found[0]
