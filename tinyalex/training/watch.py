"""A run that goes wrong says so: a loss that stays where guessing is, and units that are dead.

A unit is dead if its ReLU gives 0 for every image: then its gradient is 0 too, and it can no longer learn. High rates
kill units. Of a convolution a unit is a kernel, which is dead if its whole map is 0.

Axes: N images, C maps or units of a layer.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex.backend import Array, beside, to_numpy
from tinyalex.net import AlexNet
from tinyalex.parallel.ranks import Ranks
from tinyalex.plan import is_relu
from tinyalex.training.position import Position

DEAD = 0.9  # share of a layer's units; of narrow layers some die in any run
CLOSE = 0.99  # of the loss of a guess
STUCK_EPOCHS, STUCK_STEPS = 2, 200  # both, with a loss close to that of a guess: then it is stuck
LONG_STUCK = 3000  # steps of one epoch, the same; the paper's net needs 1,000 to 2,000 to leave it on ImageNet


class UnitsAlive:
    """Which units of a net's ReLUs give more than 0 for any image.   ranks: the processes that look together."""

    def __init__(self, net: AlexNet, ranks: Ranks) -> None:
        self._relus = [row.name for row in net.rows if is_relu(row)]
        self._ranks = ranks
        self._alive: dict[str, list[Array]] = {}  # bool (C,) by ReLU; on two devices of each half

    def look(self, name: str, y: Any) -> None:
        """Note the units of the layer `name` if it is a ReLU: y (N, C, ...), or its two halves. A GPU does not wait."""
        if name not in self._relus:
            return
        alive = [_alive(half) for half in (y if isinstance(y, Sequence) else [y])]
        for now, before in zip(alive, self._alive.get(name, []), strict=False):
            with beside(now):
                now |= before
        self._alive[name] = alive

    def dead(self) -> dict[str, float]:
        """The share of dead units by ReLU, over the images of all ranks. Waits for a GPU."""
        counts = {name: [float(unit) for half in self._alive[name] for unit in to_numpy(half)] for name in self._relus}
        together = iter(self._ranks.sum([unit for units in counts.values() for unit in units]))
        return {name: round(sum(next(together) == 0 for _ in units) / len(units), 4) for name, units in counts.items()}


def _alive(y: Array) -> Array:
    """Which units gave more than 0 for an image: y (N, C, ...) -> bool (C,)."""
    with beside(y):
        alive: Array = y.max(axis=(0, *range(2, y.ndim))) > 0
    return alive


def guess(labels: NDArray[np.int64]) -> float:
    """The loss in nats of the best constant answer to labels (N,): ln(K) if K classes are equally frequent."""
    shares = np.bincount(labels)[np.unique(labels)] / len(labels)
    return float(-(shares * np.log(shares)).sum())


def stuck(losses: Sequence[float], guessing: float, steps: int) -> dict[str, str]:
    """A warning if the loss stays where guessing is, at the end of an epoch of `steps` steps.

    losses: the mean training loss of each epoch so far.   guessing: the loss of a guess.
    """
    close = [loss >= CLOSE * guessing for loss in losses]
    epochs = [*close[::-1], False].index(False)
    if epochs < STUCK_EPOCHS or epochs * steps < STUCK_STEPS:
        return {}
    return _stuck(losses[-1], guessing, epochs * steps)


def stuck_within(position: Position, guessing: float) -> dict[str, str]:
    """The same within a long epoch: after LONG_STUCK steps, whose losses have all been read."""
    loss = position.loss / position.images
    return _stuck(loss, guessing, position.step) if loss >= CLOSE * guessing else {}


def _stuck(loss: float, guessing: float, steps: int) -> dict[str, str]:
    return {
        "loss": f"the loss has stayed at {loss:.3f} for {steps:,} steps, where guessing costs {guessing:.3f}: try a "
        "learning rate (--lr) 10 times lower, or higher; check the scale of the input; on few images biases of 1, as "
        "the paper's net has, can hold the loss there"
    }


def dying(dead: dict[str, float]) -> dict[str, str]:
    """A warning for each layer of which most units are dead.   dead: as from `UnitsAlive.dead`."""
    return {
        name: f"{share:.0%} of the units of {name} are dead: they give 0 for each validation image, and cannot learn "
        "any more; use a lower learning rate (--lr), from the best checkpoint or in a new run"
        for name, share in dead.items()
        if share > DEAD
    }
