"""The commands that train a net: demo and train."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import asdict
from itertools import count
from pathlib import Path
from typing import Any

from tinyalex.cli.images import images_of
from tinyalex.cli.terminal import Bar, counting, together
from tinyalex.count import total_parameters
from tinyalex.data import Dataset
from tinyalex.errors import CheckpointError, UsageError
from tinyalex.files import alone_in, make_folder
from tinyalex.parallel.ranks import Ranks, ranks_at_work
from tinyalex.training import report
from tinyalex.training.loop import CHECKPOINT, Training
from tinyalex.training.settings import Settings, saved_settings, settings_for
from tinyalex.weights.checkpoint import read

RUNS = Path("runs")
DEMO_EPOCHS = 15  # half of what `mini` trains on CIFAR-10: generated images are easier, and a demo is short


def demo(out: Path | None, **given: Any) -> None:
    """Train `mini` on generated images, then write its report and pictures: the whole project in one command."""
    train(out, None, "demo", **{"epochs": DEMO_EPOCHS, **given})


def train(out: Path | None, resume: Path | bool | None, name: str | None = None, **given: Any) -> None:
    """Begin a run, or go on with one; then write its report and pictures. Under mpiexec all ranks do it together.

    name: of a new run's folder in runs/, where `out` names none (None: the variant's and the data's).
    """
    with ranks_at_work() as ranks:
        _train(out, resume, name, given, ranks)


def _train(out: Path | None, resume: Path | bool | None, name: str | None, given: dict[str, Any], ranks: Ranks) -> None:
    folder = resume if isinstance(resume, Path) else out
    if resume is True and out is None:
        raise UsageError("--resume: name the run to go on with, as --resume RUN or by --out")
    if isinstance(resume, Path) and out not in (None, resume):
        raise UsageError(f"--resume {resume} and --out {out} name two folders: give one of them")
    if isinstance(resume, Path) and not (resume / CHECKPOINT).is_file():
        raise CheckpointError(f"{resume} holds no {CHECKPOINT}: expected the folder of a run")
    if folder is not None and folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder} is a file: expected the folder of a run, or a new one")
    if folder is not None and resume and (folder / CHECKPOINT).is_file():
        with alone_in(folder) if ranks.writes else nullcontext():
            _carry_out(_resumed(folder, given, ranks), ranks)
    else:
        settings = settings_for(**given)
        data = images_of(settings)
        name = name or f"{settings.variant}-{settings.data.partition(':')[0].strip('/').split('/')[-1]}"
        with _own_folder(folder, RUNS / name, ranks) as own:
            _carry_out(_started(settings, data, own, ranks), ranks)


@contextmanager
def _own_folder(given: Path | None, default: Path, ranks: Ranks) -> Iterator[Path]:
    """The folder of a new run, in which no other process trains: the one given, else `default` or the next free one."""
    with ExitStack() as stack:
        folder = given
        if ranks.writes:
            folder = given or stack.enter_context(_new_folder(default))
            stack.enter_context(alone_in(folder))
        yield ranks.agree(folder)


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """`folder`, or the first of folder-2, folder-3, ... that does not exist; it goes again if nothing comes into it.

    It is made at once, so that no other process takes it meanwhile.
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


def _carry_out(training: Training, ranks: Ranks) -> None:
    """Train to the end, then write what is to be read of the run."""
    if not ranks.writes:
        training.run()
        return
    with Bar(training) as bar:
        training.run(bar)
    _finish(training)


def _started(settings: Settings, data: tuple[Dataset, Dataset], folder: Path, ranks: Ranks) -> Training:
    train_data, val_data = data
    if not ranks.writes:
        return Training.start(settings, train_data, val_data, folder, ranks=ranks)
    with counting(settings.limit or len(train_data), "reading the training images") as progress:
        return Training.start(settings, train_data, val_data, folder, progress, ranks)


def _resumed(folder: Path, given: dict[str, Any], ranks: Ranks) -> Training:
    checkpoint = read(folder / CHECKPOINT)
    saved = asdict(saved_settings(checkpoint))
    if given.get("epochs", saved["epochs"]) != saved["epochs"] and "drops" not in given:
        del saved["drops"]  # they are shares of the epochs: worked out again
    settings = settings_for(**{**saved, **given})
    return Training.resume(checkpoint, settings, *images_of(settings), folder, ranks)


def _finish(training: Training) -> None:
    """Write report.json and the pictures, and print what matters of them."""
    settings, history, folder = training.settings, training.history, training.folder
    last = history[-1]
    seconds = sum(record["seconds"] for record in history)
    values = {
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
    report.write_report(folder, values)
    print("drawing the pictures ...", flush=True)
    report.draw_pictures(folder, training.checkpoint, training.train, training.val, history)
    print(
        f"{settings.variant} on {settings.data}: top-1 error {values['top1_error']:.1%}, top-5 error "
        f"{values['top5_error']:.1%} on {len(training.val):,} images that it never saw\n"
        f"trained for {len(history)} epochs of {len(training.train):,} images in {seconds:.0f} s "
        f"({values['images_per_s']:.0f} images/s{together(training.ranks.size, values['waiting_share'])})\n"
        f"in {folder}: {', '.join(sorted(path.name for path in folder.iterdir() if path.is_file()))}"
    )
