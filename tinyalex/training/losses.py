"""The losses of the steps: a GPU computes them, and the host reads them as rarely as it can.

With several ranks each loss is summed over all of them. The same message carries what a rank wishes to do after the
step, so that all ranks do it together.

Reading a number from a GPU means waiting until everything queued before it is done. A loop that read each loss
would leave the GPU idle between steps, so the losses stay there and are read together.
"""

from collections.abc import Callable
from typing import Any

from tinyalex.parallel.ranks import Ranks

READ_EVERY = 50  # steps on a GPU between two readings; divergence is noticed this late at worst


class UnreadLosses:
    """Losses and error counts that still lie on the device, from the oldest step to the newest.

    ranks: the processes that train together; each adds its share of a step's loss and errors.
    wishes: numbers that tell what this rank wishes to do after the step, 0 for nothing.
    """

    def __init__(self, ranks: Ranks, wishes: Callable[[], list[float]]) -> None:
        self._ranks, self._wishes = ranks, wishes
        self._unread: list[tuple[int, Any, Any]] = []  # step, loss, number of misclassified images
        self._summed: list[float] = []

    def note(self, step: int, loss: Any, wrong: Any) -> None:
        """Keep the loss of a step and its number of misclassified images: scalars on the device, this rank's share."""
        self._unread.append((step, loss, wrong))

    def due(self, device: str) -> bool:
        """Whether to read now: on the CPU and with several ranks after each step, on one GPU every READ_EVERY steps."""
        return device == "cpu" or self._ranks.size > 1 or len(self._unread) >= READ_EVERY

    def read(self) -> list[tuple[int, float, float]]:
        """(step, loss, misclassified images) of every step not read yet, summed over the ranks. Waits for a GPU."""
        read = []
        for step, loss, wrong in self._unread:
            total_loss, total_wrong, *self._summed = self._ranks.sum([float(loss), float(wrong), *self._wishes()])
            read.append((step, total_loss, total_wrong))
        self._unread.clear()
        return read

    def wishes(self) -> list[float]:
        """The wishes of all ranks, summed: the same on each. Those of several ranks are from the last reading."""
        return self._summed if self._ranks.size > 1 else self._wishes()
