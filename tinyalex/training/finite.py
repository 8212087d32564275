"""Whether parameters are finite, found out where they lie: those of the paper's net take 240 MB."""

from collections.abc import Mapping

from tinyalex.backend import Array, beside, get_array_module, to_numpy
from tinyalex.net import AlexNet


def not_finite(net: AlexNet) -> list[str]:
    """The names of the parameters that contain NaN or infinity, in the net's order.

    From a GPU it fetches one byte for each parameter, all at once.
    """
    found = {name for column in net.columns for name in _not_finite(column.params)}
    return [name for name in net.params if name in found]


def _not_finite(arrays: Mapping[str, Array]) -> list[str]:
    """The names of those `arrays`, all on one device, that contain NaN or infinity."""
    first = next(iter(arrays.values()))
    xp = get_array_module(first)
    with beside(first):
        finite = to_numpy(xp.concatenate([xp.isfinite(array).all().reshape(1) for array in arrays.values()]))
    return [name for name, is_finite in zip(arrays, finite, strict=True) if not is_finite]
