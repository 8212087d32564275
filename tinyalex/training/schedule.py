"""The learning rate of an epoch (section 5), from the settings of the run and the validation errors so far."""

from collections.abc import Sequence

from tinyalex.optim import plateau_rate, stepped_rate
from tinyalex.training.settings import Settings


def learning_rate(settings: Settings, epoch: int, errors: Sequence[float]) -> float:
    """The learning rate of `epoch` (0, 1, ...) by the schedule of the settings; see `Settings`.

    errors: the validation errors measured so far, which "plateau" goes by.
    """
    if settings.schedule == "steps":
        return stepped_rate(settings.lr, epoch, settings.drops)
    if settings.schedule == "plateau":
        return plateau_rate(settings.lr, errors, settings.patience)
    if settings.schedule == "linear":
        return settings.lr * (1 - epoch / settings.epochs)
    return settings.lr
