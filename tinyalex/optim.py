"""Stochastic gradient descent with momentum and weight decay, and its schedules (section 5)."""

from collections.abc import Mapping, Sequence

from tinyalex.backend import Array, beside, get_array_module, kernel
from tinyalex.errors import ShapeError, UsageError
from tinyalex.layers.trainable import Arrays, Trainable


@kernel
def sgd_update(w: Array, v: Array, g: Array, lr: float, momentum: float, decay: float) -> None:
    """v = momentum v - lr (g + decay w), then w = w + v, both in place; w, v and the gradient g of one shape."""
    v *= momentum
    v -= lr * (g + decay * w)
    w += v


@kernel
def sgd_update_all(
    ws: list[Array], vs: list[Array], gs: list[Array], lrs: list[float], momentum: float, decays: list[float]
) -> None:
    """`sgd_update` of each parameter in turn; a GPU does it for all of them in one launch."""
    for w, v, g, lr, decay in zip(ws, vs, gs, lrs, decays, strict=True):
        sgd_update(w, v, g, lr, momentum, decay)


class SGD:
    """The paper's rule:  v = momentum v - weight_decay lr w - lr dL/dw,   w = w + v.

    net: a net, a layer, or anything with `params` and `grads`.
    lr: the learning rate; set it between steps as the schedule asks.
    rates: layers of a net that learn at another rate, as a multiple of lr: {"fc8": 10.0}.
    velocity: v by parameter name, of the parameters' shapes and dtype; zeros at first.
    A net whose spec says so trains its biases at `bias_lr` times the rate, and without decay (the released code).
    Raises UsageError for a negative setting, a momentum of 1 and more, or the rate of a layer without parameters.
    """

    def __init__(
        self,
        net: Arrays,
        *,
        lr: float = 0.01,
        momentum: float = 0.9,
        weight_decay: float = 0.0005,
        rates: Mapping[str, float] | None = None,
    ) -> None:
        if not (lr >= 0 and weight_decay >= 0 and 0 <= momentum < 1):  # NaN fails each of these
            raise UsageError(
                f"SGD: got lr={lr}, momentum={momentum}, weight_decay={weight_decay}: "
                f"expected 0 or more, and a momentum below 1"
            )
        self.net, self.lr, self.momentum, self.weight_decay = net, lr, momentum, weight_decay
        self.rates = {} if rates is None else dict(rates)
        layers = {_layer(name): None for name in net.params}
        for layer, rate in self.rates.items():
            if layer not in layers or not rate >= 0:
                raise UsageError(f"SGD: got a rate of {rate} for {layer}: expected 0 or more, for {', '.join(layers)}")
        self._trained = net if isinstance(net, Trainable) else _Alone(net)
        self._columns = self._trained.columns
        self._velocities = self._trained.each(self._zeros)
        self.velocity = self._trained.joined(self._velocities)

    def step(self) -> None:
        """Update every parameter, in place, from the gradients of the last backward.

        Raises UsageError for a missing gradient, ShapeError for one of another shape than its parameter.
        """
        with self._trained.computing():
            self._trained.each(self._update)

    def _zeros(self, column: int) -> dict[str, Array]:
        """Velocities for the parameters of a column."""
        return {name: _zeros_like(w) for name, w in self._columns[column].params.items()}

    def _update(self, column: int) -> None:
        """Update the parameters of a column."""
        params, grads = self._columns[column].params, self._columns[column].grads
        for name, w in params.items():
            if name not in grads:
                raise UsageError(f"got no gradient of {name}: expected one of shape {w.shape}; backward must set it")
            if grads[name].shape != w.shape:
                raise ShapeError(f"got a gradient of {name} of shape {grads[name].shape}: expected {w.shape}")
        biases = [name.endswith("b") for name in params]
        lrs = [
            self.lr * self.rates.get(_layer(name), 1.0) * (self._trained.bias_lr if bias else 1.0)
            for name, bias in zip(params, biases, strict=True)
        ]
        decays = [self.weight_decay if self._trained.bias_decay or not bias else 0.0 for bias in biases]
        ws, vs, gs = ([arrays[name] for name in params] for arrays in (params, self._velocities[column], grads))
        sgd_update_all(ws, vs, gs, lrs, self.momentum, decays)


class _Alone(Trainable):
    """Arrays that know nothing of optimisers, as a Trainable."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays

    @property
    def columns(self) -> Sequence[Arrays]:
        """The arrays themselves."""
        return [self._arrays]


def _layer(name: str) -> str:
    """The layer of a net's parameter: "fc8" of "fc8.w"."""
    return name.partition(".")[0]


def _zeros_like(w: Array) -> Array:
    with beside(w):
        return get_array_module(w).zeros_like(w)


def stepped_rate(lr: float, epoch: int, drops: Sequence[int]) -> float:
    """The learning rate of `epoch` (0, 1, ...): lr, divided by 10 after each number of epochs in `drops`."""
    return lr * 0.1 ** sum(epoch >= drop for drop in drops)


def plateau_rate(lr: float, errors: Sequence[float], patience: int = 5, most: int = 3) -> float:
    """The paper's heuristic: lr, divided by 10 whenever the validation error has stopped improving, `most` times.

    errors: the validation error after each epoch so far. "Stopped": no new minimum for `patience` epochs in a row,
    counted again from zero after each division. It depends on the past errors only, so a resumed run needs no state.
    """
    best, waited, divided = float("inf"), 0, 0
    for error in errors:
        best, waited = (error, 0) if error < best else (best, waited + 1)
        if waited == patience and divided < most:
            divided, waited = divided + 1, 0
    return lr * 0.1**divided


def drop_epochs(epochs: int, shares: Sequence[float]) -> list[int]:
    """The epochs after which the rate drops, given as shares of the whole: 90 and 0.5 -> 45; never before the first."""
    return [max(1, round(share * epochs)) for share in shares]
