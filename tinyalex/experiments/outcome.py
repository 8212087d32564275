"""What came out of an experiment, from the stored results alone: the values of its arms, and what they say.

Axes: S seeds, N images.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tinyalex.experiments.experiment import Arm, Comparison, Experiment
from tinyalex.experiments.lab import SEARCH_SEED, best, candidates, searched_value
from tinyalex.experiments.statistics import Effect, Verdict, effect
from tinyalex.experiments.store import RunRecord, Store, Values
from tinyalex.experiments.trial import Trial


@dataclass(frozen=True)
class ArmOutcome:
    """An arm's trial, its runs by seed, and its values: (S, N), or (1, N) where all seeds are measured together.

    stored: what was measured, as the store has it, for each row of `values`.
    searched: the mean value for each learning rate in the search; empty where there was none.
    """

    arm: Arm
    trial: Trial
    runs: dict[int, RunRecord]
    values: NDArray[np.float64]
    stored: list[Values]
    searched: dict[float, float]

    @property
    def by_seed(self) -> list[float]:
        """The mean value of each row."""
        return [float(one) for one in self.values.mean(axis=1)]

    @property
    def mean(self) -> float:
        """The mean value of all rows."""
        return float(self.values.mean())


@dataclass(frozen=True)
class Found:
    """What a comparison found."""

    comparison: Comparison
    effect: Effect

    @property
    def verdict(self) -> Verdict:
        """What it says of the paper's claim."""
        return self.effect.verdict(self.comparison.sign)


@dataclass(frozen=True)
class Outcome:
    """What came out of an experiment for these seeds, the ones that all arms have been measured for."""

    experiment: Experiment
    seeds: tuple[int, ...]
    arms: dict[str, ArmOutcome]
    found: tuple[Found, ...]


def outcome(experiment: Experiment, store: Store) -> Outcome | None:
    """What the stored results say of an experiment; None if there is no seed that all arms have been measured for."""
    if store.setup is None:
        return None
    base = store.setup.base()
    trials: dict[str, Trial] = {}
    tried = {arm.name: candidates(experiment, arm, base) for arm in experiment.arms}
    for arm in experiment.arms:
        trial = best(store, arm, tried[arm.name])
        if trial is None:
            return None
        trials[arm.name] = trial
    rows = {arm.name: _rows(store, trials[arm.name], arm) for arm in experiment.arms}
    separate = [set(rows[arm.name]) for arm in experiment.arms if not arm.measure.together]
    seeds = sorted(set.intersection(*separate))
    if not seeds or any(arm.measure.together and experiment.together not in rows[arm.name] for arm in experiment.arms):
        return None
    arms = {
        arm.name: _arm(
            store, arm, trials[arm.name], [experiment.together] if arm.measure.together else seeds, tried[arm.name]
        )
        for arm in experiment.arms
    }
    found = [
        Found(one, effect(arms[one.of].values, arms[one.against].values, ratio=arms[one.of].arm.measure.ratio))
        for one in experiment.comparisons
    ]
    return Outcome(experiment, tuple(seed for (seed,) in seeds), arms, tuple(found))


def _rows(store: Store, trial: Trial, arm: Arm) -> list[tuple[int, ...]]:
    """The seeds of each measurement of an arm that is stored, but for those of a search."""
    return [
        seeds
        for key, seeds, measure in store.measured
        if (key, measure) == (trial.key, arm.measure.name) and max(seeds) < SEARCH_SEED
    ]


def _arm(store: Store, arm: Arm, trial: Trial, rows: list[tuple[int, ...]], tried: list[Trial]) -> ArmOutcome:
    stored = [store.measured[trial.key, row, arm.measure.name].array for row in rows]
    runs = {seed: store.runs[trial.key, seed] for row in rows for seed in row}
    values = np.stack([arm.measure.read(one) for one in stored])
    searched = {one.settings.lr: searched_value(store, arm, one) for one in tried} if len(tried) > 1 else {}
    return ArmOutcome(arm, trial, runs, values, stored, searched)
