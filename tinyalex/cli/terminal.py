"""What a person sees of a run while it goes on: a bar with loss, error, images a second and time left."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from tinyalex.training.loop import Progress, Training


@contextmanager
def counting(total: int, what: str) -> Iterator[Callable[[int], object]]:
    """A bar for `total` images; yields what to call with the number of images just done."""
    with tqdm(total=total, desc=what, unit="img", disable=None, leave=False, file=sys.stderr) as bar:
        yield bar.update


def together(ranks: int, waiting_share: float) -> str:
    """What is told of several ranks after their speed; of one, nothing."""
    return f" on {ranks} ranks, {waiting_share:.0%} of it waiting" if ranks > 1 else ""


class Bar(Progress):
    """A bar over all that is left of a run, and a line for every epoch. Without a terminal there are the lines only."""

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
        """Move the bar; it shows the means over the epoch, as far as losses have been read."""
        position = training.position
        self._bar.set_description_str(f"epoch {position.epoch + 1}/{training.settings.epochs}", refresh=False)
        if position.images:
            self._bar.set_postfix_str(
                f"loss {position.loss / position.images:.3f}, top-1 error {position.wrong / position.images:.1%}",
                refresh=False,
            )
        self._bar.update(images)

    def epoch(self, training: Training) -> None:
        """Print the record of the epoch that is over."""
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
