"""What the terminal shows: complaints, and how far a command is; of a run a bar with loss, error and time left."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import TextIOWrapper
from types import TracebackType
from typing import Any, Self

from tqdm import tqdm

from tinyalex.files import legible
from tinyalex.training.loop import Progress, Training

LONGEST = 500  # characters of a complaint; what is longer loses its middle
FIRST_LINE, NEXT_LINE = 5.0, 30.0  # seconds until the lines that stand for a bar where there is no terminal


def prepare_streams() -> None:
    """Make the standard streams usable: one that is closed leads to nowhere, a character that one lacks becomes "?"."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed; the next file would get its number, and what is printed into it
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115, PTH123 (open to the end)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")


def lost_streams() -> list[str]:
    """The names of the output streams that cannot be written, which from then on lead to nowhere."""
    lost = []
    for name, stream in (("standard output", sys.stdout), ("standard error", sys.stderr)):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())  # else Python complains when it ends
            lost.append(name)
    return lost


def complain(message: str, program: str = "tinyalex") -> None:
    """Print a message as one line on stderr, above a bar if there is one; a long one without its middle."""
    text = legible(" ".join(message.split()))
    if len(text) > LONGEST:
        text = f"{text[: LONGEST // 2]} ... {text[-LONGEST // 2 :]}"
    with tqdm.external_write_mode(file=sys.stderr), suppress(OSError):  # nobody may read stderr any more
        print(f"{program}: {text}", file=sys.stderr, flush=True)


@contextmanager
def counting(total: int, what: str) -> Iterator[Callable[[int], object]]:
    """A bar that fills up to `total` images; call what it yields with the number of images just done.

    Without a terminal it is a line now and then, if the work takes more than a few seconds.
    """
    if not sys.stderr.isatty():
        yield Lines(total, what).update
        return
    with tqdm(total=total, desc=what, unit="img", leave=False, file=sys.stderr) as bar:
        yield bar.update


class Lines:
    """What stands for a bar in a file of output: a line on stderr now and then."""

    def __init__(self, total: int, what: str) -> None:
        self._total, self._what, self._done = total, what, 0
        self._began = time.monotonic()
        self._due = self._began + FIRST_LINE

    def update(self, images: int) -> None:
        """Note that some more images are done; print a line if one is due."""
        self._done += images
        now = time.monotonic()
        if now < self._due or not self._done:
            return
        self._due = now + NEXT_LINE
        rate = self._done / (now - self._began)
        left = tqdm.format_interval(max(0, self._total - self._done) / rate)
        text = f"{self._what}: {self._done:,} of {self._total:,} images, {rate:,.0f} a second, {left} left"
        print(text, file=sys.stderr, flush=True)


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
                f"loss {position.loss / position.images:.3f}, top-1 error {position.wrong / position.images:.1%}, "
                f"{position.waited / position.seconds:.0%} waiting for images",
                refresh=False,
            )
        self._bar.update(images)

    def warning(self, text: str) -> None:
        """Print what goes wrong, and what usually helps."""
        complain(text)

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
            print(f"{line}{last['images_per_s']:.0f} images/s, {last['input_share']:.0%} waiting for them", flush=True)
