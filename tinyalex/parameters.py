"""The parameters of a net, and their gradients, by name: of the whole of it, or of one of its two columns."""

from collections.abc import Iterator, MutableMapping

from tinyalex.backend import Array, beside, device_of, to_device
from tinyalex.columns import Joined
from tinyalex.errors import ShapeError, UsageError
from tinyalex.layers import Layer


class NamedArrays(MutableMapping[str, Array]):
    """The arrays of all layers under names such as "conv1.w", in order; assigning to a name writes into the layer."""

    def __init__(self, layers: dict[str, Layer], kind: str) -> None:
        self._layers, self._kind = layers, kind

    def _arrays(self, name: str) -> tuple[dict[str, Array], str]:
        layer, _, key = name.partition(".")
        arrays = getattr(self._layers[layer], self._kind) if layer in self._layers else {}
        if key not in arrays:
            raise KeyError(name)
        return arrays, key

    def __getitem__(self, name: str) -> Array:
        arrays, key = self._arrays(name)
        return arrays[key]

    def __setitem__(self, name: str, value: Array) -> None:
        arrays, key = self._arrays(name)
        if arrays[key].shape != value.shape:
            raise ShapeError(f"got an array of shape {value.shape} for {name}: expected {arrays[key].shape}")
        if isinstance(arrays, Joined):
            arrays[key] = value
            return
        with beside(arrays[key]):
            arrays[key][...] = to_device(value, device_of(arrays[key]))

    def __delitem__(self, name: str) -> None:
        raise UsageError(f"got del of {name}: a net keeps its arrays; assign a new value to it")

    def __iter__(self) -> Iterator[str]:
        return (f"{name}.{key}" for name, layer in self._layers.items() for key in getattr(layer, self._kind))

    def __len__(self) -> int:
        return sum(len(getattr(layer, self._kind)) for layer in self._layers.values())

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{name}: {self[name].shape}' for name in self)}}}"


class Column:
    """One of the two columns of a net: its halves of the layers, and their arrays by name."""

    def __init__(self, layers: dict[str, Layer]) -> None:
        self.params, self.grads = NamedArrays(layers, "params"), NamedArrays(layers, "grads")
