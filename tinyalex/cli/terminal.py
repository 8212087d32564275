"""What the terminal shows of a run: a bar with loss, error, images a second and time left; a line for each epoch."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from tinyalex.training.loop import Progress, Training


@contextmanager
def counting(total: int, what: str) -> Iterator[Callable[[int], object]]:
    """A bar that fills up to `total` images; call what it yields with the number of images just done."""
    with tqdm(total=total, desc=what, unit="img", disable=None, leave=False, file=sys.stderr) as bar:
        yield bar.update


def shared_by(ranks: int, waiting_share: float) -> str:
    """What follows the speed of several ranks: their number and the share of the time that they waited."""
    return f" on {ranks} ranks, {waiting_share:.0%} of it waiting" if ranks > 1 else ""


class Bar(Progress):
    """A bar over the images left in a run, and a line after each epoch. Without a terminal there is no bar."""

    def __init__(self, training: Training) -> None:
        self._bar: Any = tqdm(
            total=training.steps_left() * training.batch,
            unit="img",
            disable=None,
            leave=False,
            file=sys.stderr,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def step(self, training: Training, images: int) -> None:
        """Move the bar on. It shows the means over the steps of the epoch whose losses have been read."""
        position = training.position
        self._bar.set_description_str(f"epoch {position.epoch + 1}/{training.settings.epochs}", refresh=False)
        if position.images:
            self._bar.set_postfix_str(
                f"loss {position.loss / position.images:.3f}, top-1 error {position.wrong / position.images:.1%}",
                refresh=False,
            )
        self._bar.update(images)

    def epoch(self, training: Training) -> None:
        """Print the record of the epoch that has just ended."""
        last = training.history[-1]
        line = (
            f"epoch {last['epoch']:>3}/{training.settings.epochs}  rate {last['lr']:.2g}  "
            f"train: loss {last['train_loss']:.3f}, top-1 error {last['train_top1_error']:6.1%}  "
        )
        if "val_loss" in last:
            line += (
                f"validation: loss {last['val_loss']:.3f}, top-1 error {last['val_top1_error']:6.1%}, "
                f"top-5 {last['val_top5_error']:6.1%}  "
            )
        with tqdm.external_write_mode(file=sys.stdout):
            print(f"{line}{last['images_per_s']:.0f} images/s", flush=True)
