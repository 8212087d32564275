"""The plan of a pass: which layers are called, in which order, and which convolution does the work of its ReLU too.

`AlexNet.forward` and `backward`, the recording of a pass and the prediction of its memory all go by this list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tinyalex.count import Row
from tinyalex.spec import Activation, Conv


@dataclass(frozen=True)
class Call:
    """One layer's turn in a forward pass; the backward pass makes the same calls in reverse.

    takes_relu: a convolution that also applies the ReLU after it, while its output is in the cache.
    taken: a ReLU whose output the convolution before it has made already; it only keeps that for its backward.
    """

    row: Row
    takes_relu: bool = False
    taken: bool = False

    @property
    def name(self) -> str:
        """The name of the layer."""
        return self.row.name


def is_relu(row: Row) -> bool:
    """Is the layer a ReLU?"""
    return isinstance(row.layer, Activation) and row.layer.kind == "relu"


def fused_relus(rows: Sequence[Row]) -> dict[str, str]:
    """The convolutions that a ReLU follows, by name, each with the name of that ReLU."""
    return {one.name: two.name for one, two in pairwise(rows) if isinstance(one.layer, Conv) and is_relu(two)}


def forward_plan(rows: Sequence[Row], fused: Mapping[str, str] | None = None) -> list[Call]:
    """A call for each of `rows`, in forward order.

    fused: the convolutions that take their ReLU along, with that ReLU; None: all `fused_relus`; {}: every layer does
    its own work only.
    """
    fused = fused_relus(rows) if fused is None else fused
    return [Call(row, row.name in fused, row.name in fused.values()) for row in rows]
