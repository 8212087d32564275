"""The dropout masks of one rank: its rows of the masks that one process would draw for the whole batch."""

from typing import Any

from numpy.random import Generator
from numpy.typing import NDArray

from tinyalex.layers import Dropout
from tinyalex.net import AlexNet


class RankRandom:
    """A generator that draws random numbers for all `count` images of a batch, and returns those of this rank.

    All ranks have the same seed and draw the same numbers, so together they use the masks of a single process.
    """

    def __init__(self, rng: Generator, share: slice, count: int) -> None:
        self._rng, self._share, self._count = rng, share, count

    def random(self, shape: tuple[int, ...], dtype: Any) -> NDArray[Any]:
        """Numbers in [0, 1) of `shape` (images of this rank, ...) and `dtype`: rows `share` of (count, ...)."""
        return self._rng.random((self._count, *shape[1:]), dtype=dtype)[self._share]


def split_masks(net: AlexNet, share: slice, count: int) -> None:
    """Make the dropout layers of `net` draw masks for `count` images and use those of the images `share`."""
    rng: Any = RankRandom(net.mask_rng, share, count)
    for layer in net.layers.values():
        whole = layer.whole
        if isinstance(whole, Dropout):
            whole.rng = rng
