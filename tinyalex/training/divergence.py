"""How a run that diverges is noticed, before its state replaces a good one.

At too high a rate the numbers grow until they overflow, within a few steps. Long before NaN comes the state is lost:
weights of 1e11 are finite, but no lower rate brings them back. So a state is saved only if it is shown to be good.
"""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tinyalex import spec as nets
from tinyalex.backend import Array, beside, get_array_module, to_numpy
from tinyalex.errors import DivergenceError
from tinyalex.net import AlexNet
from tinyalex.parallel.ranks import Ranks
from tinyalex.training.saves import CHECKPOINT
from tinyalex.training.settings import Settings

LARGEST = 1e4  # a parameter of a net that learns is far below
LOOKED_AT = 32  # images, of each rank
WORST_LOSS = 20.0  # nats: on average a label has a probability of 2e-9; guessing among 1,000 classes costs 6.9


class Goodness:
    """Whether the state of a net is good.   ranks: the processes that train it."""

    def __init__(self, net: AlexNet, ranks: Ranks) -> None:
        self._net, self._ranks = net, ranks
        self._last: tuple[Array, Any] | None = None
        self._shown = False

    def note(self, images: Array, labels: Any) -> None:
        """Keep some images and labels of a step, of this rank's share; the step changes the state."""
        self._last, self._shown = (images[:LOOKED_AT], labels[:LOOKED_AT]), False

    def objection(self) -> tuple[str, str] | None:
        """What is wrong with the state, and what was expected; None for a good one. The same on all ranks.

        Good: no parameter is NaN, infinite, or beyond LARGEST, and the loss of images of the last step, computed
        anew without dropout, is at most WORST_LOSS. Waits for a GPU, once for the parameters and once for the loss.
        """
        for name, value in largest(self._net).items():
            if not np.isfinite(value):
                return f"NaN or infinity in {name}", "finite numbers"
            if value > LARGEST:
                return f"{value:.2g} in {name}", f"numbers up to {LARGEST:g}"
        if self._last and not self._shown and not (loss := self._loss(*self._last)) <= WORST_LOSS:
            return f"a loss of {loss:.3g} after the step", f"{WORST_LOSS:g} or less"
        self._shown = True
        return None

    def _loss(self, images: Array, labels: Any) -> float:
        """The mean loss of the images of all ranks."""
        with np.errstate(all="ignore"):
            own = float(self._net.loss(images, labels))
        loss, count = self._ranks.sum([own * len(labels), float(len(labels))])
        return loss / count


def largest(net: AlexNet) -> dict[str, float]:
    """The largest absolute value of each parameter by name; NaN if it contains one.

    It is found where the arrays lie: those of the paper's net take 240 MB. From a GPU it fetches a number for each.
    """
    found: dict[str, float] = {}
    for column in net.columns:
        for name, value in _largest(column.params).items():
            found[name] = float(np.maximum(found.get(name, 0.0), value))  # NaN stays
    return {name: found[name] for name in net.params}


def first_bad_gradient(net: AlexNet) -> str | None:
    """The first layer, on the way back, whose gradients hold NaN or infinity; None if all are finite."""
    bad = {name for column in net.columns for name, value in _largest(column.grads).items() if not np.isfinite(value)}
    names = [name for name in net.layers if any(f"{name}.{key}" in bad for key in ("w", "b"))]
    return names[-1] if names else None


def _largest(arrays: Mapping[str, Array]) -> dict[str, Any]:
    """The largest absolute value of each of `arrays`, which all lie on one device."""
    first = next(iter(arrays.values()))
    xp = get_array_module(first)
    with beside(first):
        values = [xp.maximum(array.max(), -array.min()).reshape(1) for array in arrays.values()]
        found = to_numpy(xp.concatenate(values))
    return dict(zip(arrays, found, strict=True))


def divergence(net: AlexNet, found: str, settings: Settings, folder: Path, died: bool) -> DivergenceError:
    """The error that ends the run in `folder`: what was found, and how the run goes on from its last good state.

    died: whether all units of a layer were dead before; then that state may not learn at any rate.
    """
    layer = first_bad_gradient(net)
    first = f"gradients are first not finite in {layer}; " if layer else ""
    lower = min(settings.lr / 10, nets.variant(settings.variant).recipe.lr)
    return DivergenceError(
        f"{found}; {first}use a lower learning rate (--lr): tinyalex train --resume {shlex.quote(str(folder))} "
        f"--lr {lower:.2g}; {folder / CHECKPOINT} holds the last good state"
        + (", in which all units of a layer are dead: if it does not learn, begin a new run" if died else "")
    )
