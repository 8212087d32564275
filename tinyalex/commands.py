"""What each command of the command line does; `tinyalex.cli` turns words into these calls."""

import importlib.util
import os
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from json import dumps
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex import gradcheck, layers, report, viz
from tinyalex import spec as nets
from tinyalex.backend import cpu_kernels, kernels_in_use
from tinyalex.bench import Bench, roofs
from tinyalex.bench import table as bench_table
from tinyalex.checkpoint import Checkpoint, read
from tinyalex.columns import Devices, crossing
from tinyalex.count import count, total_parameters
from tinyalex.count import summary as table
from tinyalex.data import Dataset, download_cifar10, open_data, prepare_image, read_image
from tinyalex.distributed import Ranks, all_ranks
from tinyalex.errors import CheckpointError, TinyAlexError, UsageError
from tinyalex.evaluate import augmenter_for, averaged, probabilities, scores
from tinyalex.layers.loss import softmax
from tinyalex.net import AlexNet
from tinyalex.spec import stored_size
from tinyalex.terminal import Bar, counting
from tinyalex.train import CHECKPOINT, Settings, Training, saved_settings, settings_for

RUNS = Path("runs")
DEMO_EPOCHS = 15  # half of what `mini` trains on CIFAR-10: generated images are easier, and a demo is short

# ---------------------------------------------------------------- training


def demo(out: Path | None, **given: Any) -> None:
    """Train `mini` on generated images, then write its report and pictures: the whole project in one command."""
    train(out=out or _free(RUNS / "demo"), resume=None, **{"epochs": DEMO_EPOCHS, **given})


def train(out: Path | None, resume: Path | bool | None, **given: Any) -> None:
    """Begin a run, or go on with one; then write its report and pictures. Under mpiexec all ranks do it together."""
    ranks = all_ranks()
    try:
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
    train_data, val_data = _open(settings)
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
    return Training.resume(checkpoint, settings, *_open(settings), folder, ranks)


def _open(settings: Settings) -> tuple[Dataset, Dataset]:
    """The data of a run, in the size that it stores."""
    smallest = _first_kernel(nets.variant(settings.variant))
    return open_data(settings.data, size=stored_size(settings.input_size), seed=0, smallest=smallest)


def _first_kernel(spec: nets.Spec) -> int:
    """The size of the kernels of conv1, the least that an image may have."""
    first = spec.layers["conv1"]
    assert isinstance(first, nets.Conv)
    return first.size


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
        f"({values['images_per_s']:.0f} images/s)\n"
        f"in {folder}: {', '.join(sorted(path.name for path in folder.iterdir() if path.is_file()))}"
    )


def _free(folder: Path) -> Path:
    """`folder`, or the first of folder-2, folder-3, ... that does not exist."""
    candidates = (folder.with_name(f"{folder.name}-{number}") for number in range(2, 10**6))
    return folder if not folder.exists() else next(path for path in candidates if not path.exists())


# ---------------------------------------------------------------- using a trained net


def eval_(runs: list[Path], data: str | None, views: str, batch: int, out: Path | None) -> None:
    """Print and write the errors of one net, or of the average of several, on validation images."""
    checkpoints = [_checkpoint(run) for run in runs]
    settings = saved_settings(checkpoints[0])
    source = data or settings.data
    began, several, labels = time.perf_counter(), [], np.empty(0, np.int64)
    for run, checkpoint in zip(runs, checkpoints, strict=True):
        val = _open(replace(settings, data=source, input_size=checkpoint.net.input_size))[1]
        if tuple(val.classes) != checkpoint.classes:
            raise CheckpointError(
                f"{run} knows the classes {_few(checkpoint.classes)}, {source} has {_few(val.classes)}: use other data"
            )
        with counting(len(val), f"evaluating {run}") as progress:
            augmenter = augmenter_for(checkpoint)
            p = probabilities(checkpoint.net, val, augmenter, views=views, batch=batch, progress=progress)
        several.append(p)
        labels = val.labels
    result, seconds = scores(averaged(several), labels), time.perf_counter() - began
    values = {
        "runs": [str(run) for run in runs],
        "variant": settings.variant,
        "data": source,
        "views": views,
        "top1_error": result.top1_error,
        "top5_error": result.top5_error,
        "loss": result.loss,
        "epochs": [len(checkpoint.training["history"]) for checkpoint in checkpoints],
        "images": len(labels),
        "images_per_s": len(labels) * len(runs) / seconds,
        "seconds": seconds,
    }
    default = (runs[0] if runs[0].is_dir() else runs[0].parent) / "eval"
    path = report.write_report(out or default, values)
    print(
        f"top-1 error {result.top1_error:.2%}, top-5 error {result.top5_error:.2%} on {len(labels):,} images "
        f"({views} crop{'s' if views == 'ten' else ''}, {len(runs)} net{'s' if len(runs) > 1 else ''}); {path}"
    )


def predict(images: list[Path], checkpoint: Path | None, out: Path) -> None:
    """Print the five likeliest classes of each image, and draw them."""
    chosen = checkpoint or _newest_run()
    trained = _checkpoint(chosen)
    augmenter, size = augmenter_for(trained), stored_size(trained.net.input_size)
    pictures = [read_image(path, smallest=_first_kernel(trained.net.spec)) for path in images]
    stored = np.stack([prepare_image(picture, size) for picture in pictures])
    p = softmax(trained.net.forward(augmenter.centre(stored)))
    print(f"checkpoint {chosen}")
    for path, row in zip(images, p, strict=True):
        print(f"\n{path}\n{viz.bars(trained.classes, row)}")
    shown: list[NDArray[np.uint8]] = [np.asarray(picture) for picture in pictures]
    figure = viz.predictions(shown, None, p, trained.classes, captions=[path.name for path in images])
    print(f"\n{viz.save(figure, out / 'predictions.png')}")


def _checkpoint(path: Path) -> Checkpoint:
    """The checkpoint of a run's folder, or in a file."""
    return read(path / CHECKPOINT if path.is_dir() else path)


def _newest_run() -> Path:
    """The run in runs/ whose checkpoint was written last."""
    found = sorted(RUNS.glob(f"*/{CHECKPOINT}"), key=lambda path: path.stat().st_mtime)
    if not found:
        raise CheckpointError(f"no trained net in {RUNS}/: train one (tinyalex demo), or name one with --checkpoint")
    return found[-1].parent


def _few(names: tuple[str, ...]) -> str:
    return ", ".join(names[:3]) + (f", ... ({len(names)})" if len(names) > 3 else "")


# ---------------------------------------------------------------- data, nets, layers, the installation


def prepare(source: str, out: Path | None, train: int, val: int, seed: int) -> None:
    """Write the generated images as JPEG files, or download CIFAR-10."""
    if source == "cifar10":
        print(f"--data cifar10:{download_cifar10(out)}" if out else f"{download_cifar10()}\n--data cifar10 finds it")
        return
    from tinyalex.data.shapes import write_jpegs  # the generator is needed here only

    folder = out or Path("data/shapes")
    write_jpegs(folder, train=train, val=val, seed=seed)
    print(f"--data {folder}")


def summary(variant: str, classes: int, input_size: int | None = None, cross_columns: tuple[int, ...] = (3,)) -> None:
    """Print the layers of a net: kernels, shapes, parameters, multiply-adds."""
    print(table(count(nets.variant(variant), classes, input_size, cross_columns)))


def check(layer: str | None, shape: tuple[int, ...], seed: int) -> None:
    """Check the gradients of all layers and of a small net, or of a layer of one's own."""
    if seed < 0:
        raise UsageError(f"seed is {seed}: expected 0 or more")
    if min(shape, default=0) < 1:
        raise UsageError(f"shape is {shape}: expected sizes of 1 or more, such as 2,3,8,8")
    rng = np.random.default_rng(seed)
    if layer:
        with _told_in_one_line(Path(layer.rpartition(":")[0])):
            checked = gradcheck.check_layer(_own_layer(layer), rng.standard_normal(shape), rng=rng)
        print(gradcheck.table(layer, checked))
        return
    conv = layers.Conv2D(4, 6, (3, 2), stride=(2, 1), pad=(1, 0), groups=2, ceil_mode=True, init_std=0.3, rng=rng)
    cases: list[tuple[str, layers.Layer, tuple[int, ...]]] = [
        ("Conv2D", conv, (2, 4, 8, 7)),
        ("MaxPool2D", layers.MaxPool2D(3, 2, ceil_mode=True), (2, 4, 8, 7)),
        ("LocalResponseNorm", layers.LocalResponseNorm(alpha=0.5, groups=2), (2, 12, 3, 4)),
        ("SpatialResponseNorm", layers.SpatialResponseNorm(alpha=5.0), (2, 3, 7, 8)),
        ("ReLU", layers.ReLU(), (2, 3, 4, 5)),
        ("Tanh", layers.Tanh(), (2, 3, 4, 5)),
        ("Linear", layers.Linear(7, 5, init_std=0.3, rng=rng), (3, 7)),
        ("Dropout", layers.Dropout(rng=rng), (3, 20)),
    ]
    for name, one, input_shape in cases:
        print(gradcheck.table(name, gradcheck.check_layer(one, rng.standard_normal(input_shape), rng=rng)))
    net = AlexNet("mini", num_classes=10, input_size=16, seed=seed)
    x, labels = rng.standard_normal((4, 3, 16, 16)), rng.integers(0, 10, 4)
    print(gradcheck.table("mini, 16 x 16 images", gradcheck.check_net(net, x, labels, rng=rng)))
    print("all gradients are right")


def _own_layer(place: str) -> Any:
    """The layer at "FILE.py:NAME": an object with `forward`, or what calling NAME without arguments gives."""
    file, _, name = place.rpartition(":")
    if not Path(file).is_file():
        raise UsageError(f"{place}: expected FILE.py:NAME, a file that there is and a layer in it")
    module = _imported(Path(file))
    if not hasattr(module, name):
        raise UsageError(f"{file} has no {name}: expected the name of a layer, or of a function that makes one")
    found = getattr(module, name)
    return found() if isinstance(found, type) or not hasattr(found, "forward") else found


@contextmanager
def _told_in_one_line(file: Path) -> Iterator[None]:
    """What the code in `file` raises becomes a UsageError that names the error and the line of the file."""
    try:
        yield
    except TinyAlexError:
        raise
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if Path(frame.filename) == file.absolute()]
        where = f"{file}, line {lines[-1]}" if lines else file
        raise UsageError(f"{where}: {type(error).__name__}: {error}") from error


def _imported(file: Path) -> ModuleType:
    found = importlib.util.spec_from_file_location(file.stem, file)
    if found is None or found.loader is None:
        raise UsageError(f"{file}: expected a Python file, its name ending in .py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module


def bench(
    variant: str,
    mode: str,
    batch: int,
    threads: int | None,
    devices: tuple[str, ...] | None,
    steps: int,
    layers: bool,
    json: bool,
    out: Path,
) -> None:
    """Print how many images a second a net trains or infers; with `layers` also where the time goes, and draw it."""
    at_work = Bench(variant, mode, batch, threads, devices)
    pace = at_work.pace(steps)
    record = {"variant": variant, "mode": mode, "batch": batch, "threads": threads, "devices": devices, **asdict(pace)}
    if layers:
        costs, peak = at_work.costs(steps), roofs(threads)
        out.mkdir(parents=True, exist_ok=True)
        picture = out / f"roofline-{variant}-{mode}.png"
        viz.save(viz.roofline(costs, peak), picture)
        record["layers"] = [asdict(cost) for cost in costs]
        if not json:
            print(f"{bench_table(costs, peak)}\n\ndrawn: {picture}\n")
    if json:
        print(dumps(record))
    else:
        memory = f", {pace.peak_rss_mb:,.0f} MB at most" if pace.peak_rss_mb is not None else ""
        print(
            f"{variant}, {mode}, batch {batch}: {pace.median_images_per_s:,.1f} images a second "
            f"(median of {steps} steps; the best {pace.images_per_s:,.1f}){memory}"
        )


def warmup() -> None:
    """Compile all kernels, for float32 and float64, and keep them on disk: the first training then begins at once."""
    begun = time.perf_counter()
    twins = cpu_kernels()
    if twins is None:
        raise UsageError("there is nothing to compile, as Numba is not installed: pip install numba")
    twins.warm_up()
    print(f"the kernels are compiled, in {time.perf_counter() - begun:.1f} s; later runs load them from disk")


def info(devices: tuple[str, ...] | None, variant: str, batch: int) -> None:
    """Print what is installed, which kernels are in use and why; with `devices`, what crosses between the columns."""
    if devices is not None:
        _print_crossing(nets.variant(variant), Devices(devices), batch)
        return
    for name, number in report.versions().items():
        print(f"{name:<12} {number}")
    twins = cpu_kernels()
    reason = "Numba is installed" if twins else "Numba is not installed: the definitions run instead"
    asked = os.environ.get("TINYALEX_KERNELS")
    print(f"{'kernels':<12} {kernels_in_use()} ({'TINYALEX_KERNELS' if asked else reason})")
    if twins:
        print(f"{'threads':<12} {twins.thread_count()} (TINYALEX_THREADS, else the cores of this process)")
    print(
        f"{'images':<12} {os.environ.get('TINYALEX_DATA', 'TINYALEX_DATA is not set: tests and demos generate theirs')}"
    )


def _print_crossing(spec: nets.Spec, devices: Devices, batch: int) -> None:
    """The bytes that go between the devices in one step of training, by the layer before which they go."""
    one, two = devices.names
    print(
        f"{spec.name} in two columns, {one} and {two}: bytes that cross in a step of {batch} images, half of them back"
    )
    meets = crossing(count(spec), batch)
    for name, size in {**meets, "all": sum(meets.values())}.items():
        print(f"{name:<8}{size:>16,}")
