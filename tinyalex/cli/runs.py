"""A training run from the command line: its folder, its progress on the terminal, its report."""

import math
import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any, Literal

from tinyalex import spec as nets
from tinyalex.cli.images import examined, images_of, report_rejected
from tinyalex.cli.terminal import Bar, complain, counting, shared_by
from tinyalex.count import count as count_layers
from tinyalex.count import total_parameters
from tinyalex.errors import CheckpointError, Stopped, UsageError
from tinyalex.files import alone_in, make_folder
from tinyalex.parallel.failure import ranks_at_work
from tinyalex.parallel.ranks import Ranks
from tinyalex.training import report
from tinyalex.training.loop import Training
from tinyalex.training.saves import CHECKPOINT, check_new, clean, holds_run, read_newest
from tinyalex.training.settings import Settings, saved_settings
from tinyalex.training.stop import stopping_at_once

RUNS = Path("runs")  # the folder of new runs that are given no other


def train(
    settings_of: Callable[[Settings | None], Settings],
    out: Path | None,
    resume: Path | Literal[True] | None,
    name: str | None = None,
) -> None:
    """Begin a run, or go on with one; then write its report and pictures. Under mpiexec all ranks do it together.

    settings_of: gives the settings of a new run (None), or of a run that goes on, from its saved settings.
    out: the folder of the run.   name: of the folder in runs/ where `out` is None (None: the variant's and the data's).
    resume: the run to go on with; True for the one in `out`, which begins if there is none.
    """
    with ranks_at_work() as ranks, stopping_at_once():
        folder = _named_folder(out, resume)
        goes_on = folder is not None and bool(resume) and holds_run(folder)
        if folder is not None and ranks.agree(goes_on):
            if not goes_on:
                raise CheckpointError(
                    f"got {folder}: expected the run of rank 0 here too; use a disk that all ranks share"
                )
            with alone_in(folder) if ranks.writes else nullcontext(), stopping_at_once(folder):
                _carry_out(_resumed(folder, settings_of, ranks), ranks)
            return
        settings = settings_of(None)
        name = name or f"{settings.variant}-{settings.data.partition(':')[0].strip('/').split('/')[-1]}"
        with _started(settings, folder, RUNS / name, ranks) as training, stopping_at_once(training.folder):
            _carry_out(training, ranks)


def _named_folder(out: Path | None, resume: Path | Literal[True] | None) -> Path | None:
    """The folder that the options name, or None. Raises an error where they contradict each other."""
    if resume is True and out is None:
        raise UsageError("got --resume alone: expected a run to go on with; name it by --resume RUN or by --out")
    if isinstance(resume, Path) and out not in (None, resume):
        raise UsageError(f"got --resume {resume} and --out {out}: expected one folder; give one of them")
    if isinstance(resume, Path) and not holds_run(resume):
        raise CheckpointError(f"got {resume}: expected the folder of a run; it holds no {CHECKPOINT}")
    folder = resume if isinstance(resume, Path) else out
    if folder is not None and folder.exists() and not folder.is_dir():
        raise UsageError(f"got the file {folder}: expected the folder of a run, or a new one")
    return folder


@contextmanager
def _started(settings: Settings, out: Path | None, default: Path, ranks: Ranks) -> Iterator[Training]:
    """A new run in the folder `out`, or in `default` or the next free one. No other process trains there meanwhile."""
    _check_memory(settings)
    opened = images_of(settings)
    with ExitStack() as stack:
        folder = out
        if ranks.writes:
            folder = out or stack.enter_context(new_folder(default))
            stack.enter_context(alone_in(folder))
        agreed: Path = ranks.agree(folder)  # rank 0 tells the others
        check_new(agreed, ranks)  # before the images take their time
        images = examined(*opened, settings, agreed, ranks)
        shown = ranks.writes and images.statistics is None
        with counting(len(images.train), "reading the training images") if shown else nullcontext() as progress:
            training = Training.start(
                settings, images.train, images.val, agreed, progress, ranks, statistics=images.statistics
            )
        if ranks.writes:
            report_rejected(images, agreed)
        yield training


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Make `folder`, or the first of folder-2, folder-3, ... that does not exist; remove it if it stays empty.

    It is made at once, so that no other process takes it in the meantime.
    """
    make_folder(folder.parent)
    for number in count(1):
        made = folder if number == 1 else folder.with_name(f"{folder.name}-{number}")
        with suppress(FileExistsError):
            made.mkdir()
            break
    try:
        yield made
    finally:
        with suppress(OSError):  # it is not empty
            made.rmdir()


def _resumed(folder: Path, settings_of: Callable[[Settings | None], Settings], ranks: Ranks) -> Training:
    checkpoint, used = read_newest(folder, complain if ranks.writes else lambda _: None)
    settings = settings_of(saved_settings(checkpoint))
    _check_memory(settings)
    images = examined(*images_of(settings), settings, folder, ranks)
    if ranks.writes:
        report_rejected(images, folder)
    training = Training.resume(checkpoint, settings, images.train, images.val, folder, ranks)
    if ranks.writes:
        clean(folder, used)
    return training


def _check_memory(settings: Settings) -> None:
    """Raise UsageError if this machine has less memory than the net takes with a single image a step."""
    if settings.devices or not hasattr(os, "sysconf"):
        return
    rows = count_layers(nets.variant(settings.variant), 2, settings.input_size, settings.cross_columns)
    activations = sum(math.prod(row.out_shape) for row in rows)
    needed = 4 * (3 * sum(row.parameters for row in rows) + activations)  # float32: weights, gradients, velocities
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > there:
        raise UsageError(
            f"got input_size={settings.input_size}: the net takes {needed / 2**30:,.0f} GiB with one image a step, and "
            f"this machine has {there / 2**30:,.0f} GiB; use a smaller --input-size"
        )


def _carry_out(training: Training, ranks: Ranks) -> None:
    """Train to the last epoch; then rank 0 writes the report and the pictures."""
    if not ranks.writes:
        try:
            training.run()
        except Stopped as stopped:  # rank 0 says so
            raise SystemExit(stopped.exit_code) from None
        return
    settings, folder = training.settings, training.folder
    if training.position.epoch >= settings.epochs:
        command = f"tinyalex train --resume {shlex.quote(str(folder))} --epochs N"
        print(f"nothing is left to train: all {settings.epochs} epochs of {folder} are done; for more: {command}")
    if training.batch < settings.batch:
        complain(f"got a batch of {settings.batch:,} images: there are {training.batch:,}, all in each step")
    with Bar(training) as bar:
        training.run(bar)
    _finish(training)


def _finish(training: Training) -> None:
    """Write report.json and the pictures, and print what the run reached."""
    settings, history, folder = training.settings, training.history, training.folder
    values = _report(training)
    report.write_report(folder, values)
    print("drawing the pictures ...", flush=True)
    report.draw_pictures(folder, training.checkpoint, training.train, training.val, history)
    print(
        f"{settings.variant} on {settings.data}: top-1 error {values['top1_error']:.1%}, top-5 error "
        f"{values['top5_error']:.1%} on {len(training.val):,} images that it never saw\n"
        f"trained for {len(history)} epochs of {len(training.train):,} images in {values['seconds']:.0f} s "
        f"({values['images_per_s']:.0f} images/s{shared_by(training.ranks.size, values['waiting_share'])})\n"
        f"in {folder}: {', '.join(sorted(path.name for path in folder.iterdir() if path.is_file()))}"
    )


def _report(training: Training) -> dict[str, Any]:
    """The values of report.json. Errors are those of the last epoch, speed and waiting the means over all epochs."""
    settings, history = training.settings, training.history
    last, seconds = history[-1], sum(record["seconds"] for record in history)
    return {
        "variant": settings.variant,
        "data": settings.data,
        "top1_error": last["val_top1_error"],
        "top5_error": last["val_top5_error"],
        "train_top1_error": last["train_top1_error"],
        "epochs": len(history),
        "seconds": seconds,
        "images_per_s": sum(record["images_per_s"] * record["seconds"] for record in history) / seconds,
        "ranks": training.ranks.size,
        "waiting_share": sum(record.get("waiting_share", 0) * record["seconds"] for record in history) / seconds,
        "training_images": len(training.train),
        "validation_images": len(training.val),
        "parameters": total_parameters(training.net.rows),
        "settings": asdict(settings),
    }
