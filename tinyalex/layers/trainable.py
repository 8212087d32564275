"""What an optimiser may ask of a layer or a net: the arrays to update, and where and how to update them."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeVar

from tinyalex.backend import Array, computing

R = TypeVar("R")


class Arrays(Protocol):
    """Parameters and their gradients, by the same names: a layer, a net, or one column of a net."""

    @property
    def params(self) -> Mapping[str, Array]:
        """Parameters by name."""

    @property
    def grads(self) -> Mapping[str, Array]:
        """Gradients by the same names, after a backward."""


class Trainable:
    """The answers of a single layer, which lies in one piece on one device; a net gives its own.

    params, grads: arrays by name.
    bias_lr: the learning rate of biases over that of weights.   bias_decay: does weight decay shrink biases too?
    """

    params: MutableMapping[str, Array]
    grads: MutableMapping[str, Array]
    bias_lr = 1.0
    bias_decay = True

    @property
    def columns(self) -> Sequence[Arrays]:
        """The parts that are updated side by side, each on its own device: the layer itself."""
        return [self]

    def each(self, work: Callable[[int], R]) -> list[R]:
        """work(number) for the number of each column, on that column's device."""
        return [work(0)]

    def joined(self, parts: Sequence[MutableMapping[str, Array]]) -> MutableMapping[str, Array]:
        """Arrays by name, of the whole, where `parts` holds those of each column."""
        return parts[0]

    def computing(self) -> AbstractContextManager[None]:
        """The block in which to compute: with these kernels, threads and device."""
        return computing()
