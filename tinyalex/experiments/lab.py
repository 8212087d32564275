"""The lab: it carries out the runs of experiments, one after the other, and measures them.

A run is known by its trial and its seed. One that is finished is never trained again, whichever experiment needs it;
one that was interrupted goes on from its checkpoint. The folder of a lab holds, besides the results (see
`tinyalex.experiments.store`):

    running/   the run that is under way, as of `tinyalex train`
    nets/      the net of each finished run, in half precision
"""

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from tinyalex.data import Dataset
from tinyalex.errors import DivergenceError, Stopped
from tinyalex.experiments.experiment import Arm, Experiment
from tinyalex.experiments.measures import Finished, Measure
from tinyalex.experiments.store import RunRecord, Store
from tinyalex.experiments.trial import Trial
from tinyalex.net import AlexNet
from tinyalex.training.loop import Progress, Training
from tinyalex.training.saves import clean, holds_run, read_newest
from tinyalex.weights.checkpoint import Checkpoint, write

SEARCH_SEED = 1000  # of the runs that a learning rate is chosen by: no experiment takes so many seeds
Tell = Callable[[str], object]


@dataclass(frozen=True)
class Task:
    """An arm of an experiment, to be trained and measured for one seed."""

    experiment: Experiment
    arm: Arm
    seed: int


class Lab:
    """Carries out the runs of experiments on `train` and `val`, and keeps their results in `store`.

    base: the trial that all experiments begin with.   tell: called with a line if a checkpoint cannot be read.
    progress: makes what shows the progress of a run.
    """

    def __init__(
        self,
        store: Store,
        base: Trial,
        train: Dataset,
        val: Dataset,
        tell: Tell = lambda _: None,
        progress: Callable[[Training], AbstractContextManager[Progress]] = lambda _: nullcontext(Progress()),
    ) -> None:
        self.store, self.base, self.train, self.val = store, base, train, val
        self._tell, self._progress = tell, progress

    # ------------------------------------------------------------ experiments

    def tasks(self, experiments: Sequence[Experiment], seeds: int) -> list[Task]:
        """All tasks of the experiments: first all arms of seed 0, then those of seed 1, ...; so each seed is whole."""
        numbers = range(max(len(one.seed_numbers(seeds)) for one in experiments))
        return [
            Task(one, arm, seed)
            for seed in numbers
            for one in experiments
            for arm in one.arms
            if seed in one.seed_numbers(seeds)
        ]

    def carry_out(self, task: Task) -> None:
        """Train and measure an arm for one seed. Raises Stopped after a signal."""
        trials = candidates(task.experiment, task.arm, self.base)
        for trial in trials if len(trials) > 1 else ():
            self._measured(task.arm.measure, trial, (SEARCH_SEED,))
        found = best(self.store, task.arm, trials)
        assert found is not None  # the search is done
        self._finished(found, task.seed)
        if seeds := _due(task):
            self._measured(task.arm.measure, found, seeds)

    def done(self, task: Task) -> bool:
        """Whether a task has been carried out."""
        trial = best(self.store, task.arm, candidates(task.experiment, task.arm, self.base))
        if trial is None or (trial.key, task.seed) not in self.store.runs:
            return False
        seeds = _due(task)
        return seeds is None or (trial.key, seeds, task.arm.measure.name) in self.store.measured

    def runs_left(self, tasks: Sequence[Task]) -> int:
        """How many runs are still to be trained for the tasks; those that several tasks need count once."""
        return len(self._left(tasks))

    def images_left(self, tasks: Sequence[Task]) -> int:
        """How many images these runs take, all epochs together; one that ends at its goal takes fewer."""
        return sum(trial.settings.epochs * (trial.settings.limit or 0) for trial in self._left(tasks).values())

    def _left(self, tasks: Sequence[Task]) -> dict[tuple[str, int], Trial]:
        """The trials of the runs that are left, by key and seed; with the first rate where none is chosen yet."""
        left: dict[tuple[str, int], Trial] = {}
        for task in tasks:
            trials = candidates(task.experiment, task.arm, self.base)
            found = best(self.store, task.arm, trials)
            runs = [(found, task.seed)] if found else [(trials[0], task.seed), *((one, SEARCH_SEED) for one in trials)]
            left |= {(one.key, seed): one for one, seed in runs if (one.key, seed) not in self.store.runs}
        return left

    # ------------------------------------------------------------ runs

    def _finished(self, trial: Trial, seed: int) -> Finished:
        """The run of a trial with this seed, which is trained first if need be. Raises Stopped after a signal."""
        net = self.store.folder / "nets" / f"{trial.key}-{seed}.npz"
        record = self.store.runs.get((trial.key, seed))
        if record is None or not (record.diverged or net.is_file()):
            record = self._train(trial, seed, net)
            self.store.add_run(record)
        return Finished(record, trial, net, self.train, self.val)

    def _train(self, trial: Trial, seed: int, net: Path) -> RunRecord:
        """Train to the end; the net is written to the file `net`."""
        folder = self.store.folder / "running" / f"{trial.key}-{seed}"
        trial = replace(trial, settings=replace(trial.settings, seed=seed))
        training, diverged = self._resumed(trial, folder) if holds_run(folder) else self._started(trial, folder), None
        try:
            if not _reached(training, trial.goal):
                with suppress(_Reached), self._progress(training) as shown:
                    training.run(_UpTo(trial.goal, shown))
        except DivergenceError as error:
            diverged = str(error)
        except Stopped as stopped:
            raise Stopped("stopped; the same command goes on from here", stopped.signal) from None
        if diverged is None:
            write(Checkpoint(training.net, training.checkpoint.classes, training.statistics), net, half=True)
        history = training.history
        record = RunRecord(
            trial.key,
            seed,
            trial.described(),
            [round(epoch["train_top1_error"], 6) for epoch in history],
            round(sum(epoch["seconds"] for epoch in history), 1),
            diverged,
        )
        shutil.rmtree(folder)
        return record

    def _started(self, trial: Trial, folder: Path) -> Training:
        settings, classes = trial.settings, tuple(self.train.classes)
        made = AlexNet(
            trial.spec,
            num_classes=len(classes),
            input_size=settings.input_size,
            seed=settings.seed,
            dropout=settings.dropout,
            cross_columns=settings.cross_columns,
        )
        return Training.start(settings, self.train, self.val, folder, net=made)

    def _resumed(self, trial: Trial, folder: Path) -> Training:
        checkpoint, used = read_newest(folder, self._tell)
        training = Training.resume(checkpoint, trial.settings, self.train, self.val, folder)
        clean(folder, used)
        return training

    # ------------------------------------------------------------ measurements

    def _measured(self, measure: Measure, trial: Trial, seeds: tuple[int, ...]) -> None:
        """What is measured of the runs of these seeds together; of runs that are finished, or are trained now."""
        key = trial.key, seeds, measure.name
        if key not in self.store.measured:
            self.store.add_values(*key, measure.make([self._finished(trial, seed) for seed in seeds]))


def _due(task: Task) -> tuple[int, ...] | None:
    """The seeds of the runs that can be measured once the task's own run is there; None if a later one completes them.

    A measurement of one run is due at once, that of several together with the last of them.
    """
    if not task.arm.measure.together:
        return (task.seed,)
    together = task.experiment.together
    return together if task.seed == together[-1] else None


def candidates(experiment: Experiment, arm: Arm, base: Trial) -> list[Trial]:
    """The trials that an arm chooses from, one for each of its rates; a single one if it has none."""
    trial = experiment.trial(arm, base)
    rates = arm.rates or (trial.settings.lr,)
    return [replace(trial, settings=replace(trial.settings, lr=rate)) for rate in rates]


def best(store: Store, arm: Arm, trials: Sequence[Trial]) -> Trial | None:
    """Of an arm's candidates that with the lowest value in the search, of equal ones with the lowest training error.

    One that diverged comes last. None if the search is not done.
    """
    if len(trials) == 1:
        return trials[0]
    if not all((trial.key, (SEARCH_SEED,), arm.measure.name) in store.measured for trial in trials):
        return None

    def value(trial: Trial) -> tuple[bool, float, float]:
        run = store.runs[trial.key, SEARCH_SEED]
        last = run.train_errors[-1] if run.train_errors else 1.0
        return run.diverged is not None, searched_value(store, arm, trial), last

    return min(trials, key=value)


def searched_value(store: Store, arm: Arm, trial: Trial) -> float:
    """The mean value of a trial in the search for an arm's rate."""
    return float(arm.measure.read(store.measured[trial.key, (SEARCH_SEED,), arm.measure.name].array).mean())


def _reached(training: Training, goal: float | None) -> bool:
    """Whether the training error of the last epoch is at most the goal."""
    return goal is not None and any(record["train_top1_error"] <= goal for record in training.history[-1:])


class _Reached(Exception):
    """Ends a run whose training error has reached its goal."""


class _UpTo(Progress):
    """Ends the run at the end of an epoch whose training error is at most `goal`; shows all else to another."""

    def __init__(self, goal: float | None, shown: Progress) -> None:
        self._goal, self._shown = goal, shown

    def step(self, training: Training, images: int) -> None:
        self._shown.step(training, images)

    def epoch(self, training: Training) -> None:
        self._shown.epoch(training)
        if _reached(training, self._goal):
            raise _Reached

    def warning(self, text: str) -> None:
        self._shown.warning(text)
