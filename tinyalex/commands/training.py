"""The commands that train a net: demo and train."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from tinyalex import report
from tinyalex.backend import use_threads
from tinyalex.checkpoint import read
from tinyalex.commands.images import images_of
from tinyalex.count import total_parameters
from tinyalex.distributed import Ranks, all_ranks
from tinyalex.errors import CheckpointError, UsageError
from tinyalex.terminal import Bar, counting, together
from tinyalex.train import CHECKPOINT, Settings, Training, saved_settings, settings_for

RUNS = Path("runs")
DEMO_EPOCHS = 15  # half of what `mini` trains on CIFAR-10: generated images are easier, and a demo is short


def demo(out: Path | None, **given: Any) -> None:
    """Train `mini` on generated images, then write its report and pictures: the whole project in one command."""
    train(out=out or _free(RUNS / "demo"), resume=None, **{"epochs": DEMO_EPOCHS, **given})


def train(out: Path | None, resume: Path | bool | None, **given: Any) -> None:
    """Begin a run, or go on with one; then write its report and pictures. Under mpiexec all ranks do it together."""
    ranks = all_ranks()
    try:
        with use_threads(ranks.threads):
            _train(out, resume, given, ranks)
    except Exception as error:
        ranks.fail(error)
        raise


def _train(out: Path | None, resume: Path | bool | None, given: dict[str, Any], ranks: Ranks) -> None:
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
        training = _resumed(folder, given, ranks)
    else:
        settings = settings_for(**given)
        name = f"{settings.variant}-{settings.data.partition(':')[0].strip('/').split('/')[-1]}"
        training = _started(settings, ranks.agree(folder or _free(RUNS / name)), ranks)
    if not ranks.writes:
        training.run()
        return
    with Bar(training) as bar:
        training.run(bar)
    _finish(training)


def _started(settings: Settings, folder: Path, ranks: Ranks) -> Training:
    train_data, val_data = images_of(settings)
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


def _free(folder: Path) -> Path:
    """`folder`, or the first of folder-2, folder-3, ... that does not exist."""
    candidates = (folder.with_name(f"{folder.name}-{number}") for number in range(2, 10**6))
    return folder if not folder.exists() else next(path for path in candidates if not path.exists())
