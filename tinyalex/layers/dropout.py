"""Dropout (Krizhevsky, Sutskever & Hinton 2012, section 4.2)."""

from typing import Literal

from numpy.random import Generator, default_rng

from tinyalex.backend import Array, device_of, get_array_module, kernel, to_device
from tinyalex.errors import UsageError
from tinyalex.layers.layer import Layer


@kernel
def masked(x: Array, mask: Array, factor: float) -> Array:
    """y = factor * x where the mask is true, else 0: x and the mask of one shape."""
    return get_array_module(x, mask).where(mask, x * x.dtype.type(factor), x.dtype.type(0))


class Dropout(Layer):
    """In training each unit is set to zero with probability p, drawn anew for every image: an average over many nets.

    scale_at="test"  (the paper): y = x * mask in training,           y = x * (1 - p) else;
    scale_at="train" (inverted):  y = x * mask / (1 - p) in training, y = x else.
    Shapes: any, y like x.   dtype: that of x.   Source: section 4.2, p = 0.5 after fc6 and fc7.
    Raises: UsageError for p outside [0, 1) or another scale_at.

    p:      the probability that a unit is set to zero.
    rng:    gives one uniform number a unit, drawn on the host. A unit stays where its number is at least p.
            None: a new generator, with other numbers each time.
    scale_at: where the missing units are made up for, as above: "test" or "train".
    params, grads: empty, as there is nothing to learn.
    """

    def __init__(
        self, p: float = 0.5, *, rng: Generator | None = None, scale_at: Literal["test", "train"] = "test"
    ) -> None:
        super().__init__()
        if not 0 <= p < 1:
            raise UsageError(f"Dropout: got p={p}: expected a probability of at least 0 and below 1")
        if scale_at not in ("test", "train"):
            raise UsageError(f"Dropout: got scale_at={scale_at!r}: expected 'test' (the paper's) or 'train' (inverted)")
        self.p, self.scale_at = float(p), scale_at
        self.rng = default_rng() if rng is None else rng

    def draw(self, shape: tuple[int, ...]) -> Array:
        """Which units stay, drawn on the host: True with probability 1 - p."""
        return self.rng.random(shape, dtype="float32") >= self.p

    def forward(self, x: Array, *, train: bool = False, mask: Array | None = None) -> Array:
        """x -> y, same shape.

        train: set units to zero, and keep which for `backward`.   mask: which units stay then; None: it is drawn now.
        """
        if not train:
            self._cache = None
            return x * (1 - self.p) if self.scale_at == "test" else x
        self._cache = to_device(self.draw(x.shape), device_of(x)) if mask is None else mask
        return masked(x, self._cache, self._factor)

    def backward(self, dy: Array) -> Array:
        """dx = dy * the mask of the forward pass."""
        mask = self._take_cache()
        self._check_dy(dy, mask.shape)
        return masked(dy, mask, self._factor)

    @property
    def _factor(self) -> float:
        """The factor of the units that stay, in training."""
        return 1 / (1 - self.p) if self.scale_at == "train" else 1.0
