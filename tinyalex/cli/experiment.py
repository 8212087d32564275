"""The command that runs the paper's experiments again: experiment."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from tinyalex import viz
from tinyalex.cli.images import examined, first_kernel
from tinyalex.cli.options import DATA, Argument, Command, Devices, Option, chosen
from tinyalex.cli.terminal import Bar
from tinyalex.data import open_data, subset
from tinyalex.errors import UsageError, at_least
from tinyalex.experiments.catalogue import EXPERIMENTS, named
from tinyalex.experiments.lab import Lab, Task
from tinyalex.experiments.outcome import outcome
from tinyalex.experiments.picture import chart
from tinyalex.experiments.store import Setup, Store
from tinyalex.experiments.text import table
from tinyalex.experiments.trial import settings
from tinyalex.files import alone_in
from tinyalex.parallel.ranks import Ranks
from tinyalex.spec import stored_size, variant
from tinyalex.training.loop import Training

EPOCHS, SEEDS = 8, 3
QUICK_EPOCHS, QUICK_SEEDS, QUICK_IMAGES, QUICK_VALIDATED = 2, 1, 1000, 500


@dataclass(frozen=True)
class Experiment(Command):
    """Run an experiment of the paper again, on a small net: what it claims, what comes out.

    The results are kept in --out: no run is trained twice, and a command that was stopped goes on where it was.
    """

    example = "experiment lrn --data cifar10:cifar-10-batches-py --out runs/experiments"
    when_stopped = "; the same command goes on from here"
    name: Annotated[str | None, Argument("the experiment, or all", metavar="NAME")] = None
    list: Annotated[bool, Option("list the experiments")] = False
    data: Annotated[str, Option("training and validation images; DIR: a folder of class folders", metavar=DATA)] = (
        "shapes"
    )
    out: Annotated[
        Path | None, Option("folder of the results (runs/experiments; with --quick runs/experiments-quick)")
    ] = None
    seeds: Annotated[
        int | None, Option(f"runs of each arm, with seeds 0, 1, ... ({SEEDS}; with --quick {QUICK_SEEDS})")
    ] = None
    epochs: Annotated[int | None, Option(f"passes over the images ({EPOCHS}; with --quick {QUICK_EPOCHS})")] = None
    size: Annotated[int, Option("height and width of the net's input", metavar="PIXELS")] = 32
    devices: Devices = None
    hours: Annotated[float | None, Option("begin no run after so many hours")] = None
    quick: Annotated[bool, Option(f"a trial of about a minute, on {QUICK_IMAGES:,} images: it shows nothing")] = False

    def run(self) -> None:
        """Train what is not trained yet, seed by seed, then print what came out."""
        if self.list:
            for experiment in EXPERIMENTS.values():
                print(f"{experiment.name:<20} {experiment.title} (section {experiment.section})")
            return
        if self.name is None:
            raise UsageError("got no experiment: expected a name, or all; tinyalex experiment --list names them")
        seeds = chosen(self.seeds, QUICK_SEEDS if self.quick else SEEDS)
        at_least(1, seeds=seeds)
        at_least(0, hours=self.hours)
        experiments = named(self.name)
        folder = chosen(self.out, Path("runs/experiments-quick" if self.quick else "runs/experiments"))
        with alone_in(folder):
            lab = self._lab(folder)
            tasks = lab.tasks(experiments, seeds)
            _carry_out(lab, tasks, self.hours)
            for experiment in experiments:
                report(lab.store, experiment.name)
        left = [task for task in tasks if not lab.done(task)]
        if left:
            names = ", ".join(dict.fromkeys(task.experiment.name for task in left))
            print(f"\nruns left: {lab.runs_left(left)}, of {names}; the same command goes on")

    def _lab(self, folder: Path) -> Lab:
        """The lab in `folder`. Raises UsageError if it holds results of another set-up. One refused leaves nothing."""
        spec = variant(Setup.variant)
        train, val = open_data(self.data, size=stored_size(self.size), smallest=first_kernel(spec))
        if self.quick:
            train, val = subset(train, min(QUICK_IMAGES, len(train))), subset(val, min(QUICK_VALIDATED, len(val)))
        epochs = chosen(self.epochs, QUICK_EPOCHS if self.quick else EPOCHS)
        setup = Setup(train.name, train.fingerprint(), len(train), len(val), self.size, epochs)
        store = Store(folder)
        if store.setup:
            _check_same(setup, store.setup, folder)
        base = settings(devices=self.devices)(setup.base())
        images = examined(train, val, base.settings, folder, Ranks())
        if store.setup is None:
            store.begin(setup)
        return Lab(store, base, images.train, images.val, print, RunBar)


def _check_same(setup: Setup, there: Setup, folder: Path) -> None:
    """Raise UsageError if `folder`, which holds results of the set-up `there`, was begun with another than `setup`."""
    for key, value in asdict(setup).items():
        if (kept := getattr(there, key)) != value:
            if key in ("fingerprint", "train_images", "val_images"):
                raise UsageError(f"got other images than {folder} began with: expected the same; use another --out")
            raise UsageError(f"got {key}={value}: expected {kept}, as {folder} has it; use another --out")


class RunBar(Bar):
    """A bar over the images left in a run, without a line for each epoch."""

    def epoch(self, training: Training) -> None:
        """Say nothing."""


def _carry_out(lab: Lab, tasks: Sequence[Task], hours: float | None) -> None:
    """Carry out what is left of the tasks, in their order, until the time is up; report when another begins."""
    began, images = time.monotonic(), lab.images_left(tasks)
    for number, task in enumerate(tasks):
        if hours is not None and time.monotonic() - began > 3600 * hours:
            return
        if not lab.done(task):
            lab.carry_out(task)
            left = lab.images_left(tasks)
            to_go = _to_go(began, images, left)
            print(f"{task.experiment.name}, {task.arm.name}, seed {task.seed}: done{to_go}", flush=True)
            if any(following.experiment != task.experiment for following in tasks[number + 1 : number + 2]):
                report(lab.store, task.experiment.name)


def _to_go(began: float, images: int, left: int) -> str:
    """The time that the images left will take, by that of the others since `began`; "" if none were trained on yet."""
    if left == images:
        return ""
    return f"; about {timedelta(seconds=round((time.monotonic() - began) * left / (images - left)))} left"


def report(store: Store, name: str) -> None:
    """Print the outcome of an experiment, if it has one yet, and draw it beside the results."""
    if found := outcome(EXPERIMENTS[name], store):
        print(f"\n{table(found)}", flush=True)
        viz.save(chart(found), store.folder / f"{name}.png")
