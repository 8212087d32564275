"""The lab: what is trained once, what goes on after a stop, what is kept."""

import os
import signal
from contextlib import nullcontext
from dataclasses import replace

import numpy as np
import pytest

from tinyalex.errors import DataError, Stopped
from tinyalex.experiments.experiment import Arm, Comparison, Experiment
from tinyalex.experiments.lab import SEARCH_SEED, Task
from tinyalex.experiments.measures import AVERAGED, EPOCHS, TEN_CROPS, TRAIN_ERROR
from tinyalex.experiments.outcome import outcome
from tinyalex.experiments.store import MEASURED, RUNS, Store
from tinyalex.experiments.text import table
from tinyalex.experiments.trial import both, scaled, settings
from tinyalex.training.evaluate import augmenter_for, probabilities, scores
from tinyalex.training.loop import Progress
from tinyalex.weights.checkpoint import read

TEXTS = {"section": "5", "claim": "It helps.", "varies": "A thing.", "held": "All else.", "limits": "Much."}
RATE = Experiment(
    "rate", "Rates", arms=(Arm("slow"), Arm("fast", scaled(lr=2))), comparisons=(Comparison("fast", "slow"),), **TEXTS
)
VIEWS = Experiment(
    "views",
    "Views",
    arms=(Arm("one"), Arm("ten", measure=TEN_CROPS), Arm("all", measure=AVERAGED), Arm("seen", measure=TRAIN_ERROR)),
    comparisons=(Comparison("ten", "one"), Comparison("all", "one")),
    seeds=2,
    **TEXTS,
)
GOAL = Experiment(
    "goal",
    "Goal",
    arms=(Arm("searched", measure=EPOCHS, rates=(1e-6, 0.05)), Arm("given", measure=EPOCHS)),
    comparisons=(Comparison("searched", "given"),),
    start=lambda trial: replace(both(scaled(epochs=20), settings(dropout=0.0))(trial), goal=0.6),
    **TEXTS,
)


def do_all(lab, *experiments, seeds=1):
    for task in lab.tasks(experiments, seeds):
        lab.carry_out(task)


def texts(lab):
    """The results as they are stored, but for the times."""
    runs = [replace(run, seconds=0) for run in Store(lab.store.folder).runs.values()]
    return runs, (lab.store.folder / MEASURED).read_text()


def test_a_run_that_two_experiments_need_is_trained_once(make_lab):
    lab = make_lab()
    assert lab.runs_left(lab.tasks([RATE, VIEWS], 1)) == 3  # slow with two seeds, fast with one
    assert lab.images_left(lab.tasks([RATE, VIEWS], 1)) == 3 * 36
    do_all(lab, RATE, VIEWS)
    assert len(lab.store.runs) == 3
    again = make_lab()
    assert all(again.done(task) for task in again.tasks([RATE, VIEWS], 1))
    assert again.runs_left(again.tasks([RATE, VIEWS], 2)) == 1
    before = (lab.store.folder / RUNS).read_text()
    do_all(again, RATE, VIEWS)
    assert (lab.store.folder / RUNS).read_text() == before


def test_each_seed_is_whole_before_the_next(make_lab):
    tasks = make_lab().tasks([RATE, VIEWS], 2)
    assert [(task.seed, task.arm.name) for task in tasks] == [
        (seed, name) for seed in (0, 1) for name in ("slow", "fast", "one", "ten", "all", "seen")
    ]


def test_values_are_those_of_the_kept_net(make_lab):
    lab = make_lab()
    do_all(lab, VIEWS)
    found = outcome(VIEWS, Store(lab.store.folder))
    assert found.seeds == (0, 1)
    nets = [read(lab.store.folder / "nets" / f"{lab.base.key}-{seed}.npz") for seed in (0, 1)]
    p = [probabilities(one.net, lab.val, augmenter_for(one)) for one in nets]
    ten = [probabilities(one.net, lab.val, augmenter_for(one), views="ten") for one in nets]
    for name, expected in (("one", p), ("ten", ten), ("all", [(p[0] + p[1]) / 2])):
        errors = [scores(one, lab.val.labels).top1_error for one in expected]
        assert found.arms[name].by_seed == pytest.approx(errors), name
    assert found.arms["one"].values.shape == (2, 20)
    assert found.arms["all"].values.shape == (1, 20)
    assert found.arms["seen"].values.shape == (2, 36)
    assert "ten against one: " in table(found)


class StopAfter(Progress):
    """Sends the signal of Ctrl-C after a number of steps."""

    def __init__(self, steps):
        self.left = steps

    def step(self, training, images):  # noqa: ARG002
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


def test_a_run_that_was_stopped_goes_on_to_the_same_end(make_lab):
    whole = make_lab("whole")
    do_all(whole, RATE)
    progress = StopAfter(7)  # of 2 x 5 steps
    lab = make_lab("stopped", progress=lambda _: nullcontext(progress))
    with pytest.raises(Stopped, match="the same command goes on from here"):
        do_all(lab, RATE)
    assert len(lab.store.runs) == 1
    again = make_lab("stopped")
    do_all(again, RATE)
    assert texts(again) == texts(whole)
    for path in sorted((whole.store.folder / "nets").iterdir()):
        other = read(again.store.folder / "nets" / path.name).net.params
        for name, array in read(path).net.params.items():
            np.testing.assert_array_equal(array, other[name])
    assert list((again.store.folder / "running").iterdir()) == []


def test_a_net_that_was_removed_is_trained_again(make_lab):
    lab = make_lab()
    do_all(lab, RATE)
    before = texts(lab)
    (lab.store.folder / "nets" / f"{lab.base.key}-0.npz").unlink()
    lab.carry_out(Task(VIEWS, VIEWS.arm("ten"), 0))
    assert texts(lab)[0] == before[0]
    assert texts(lab)[1].startswith(before[1])


def test_a_search_chooses_the_rate_and_the_goal_ends_the_run(make_lab):
    lab = make_lab()
    task = Task(GOAL, GOAL.arm("searched"), 0)
    assert not lab.done(task)
    assert lab.runs_left([task]) == 3  # both rates, and the run itself
    do_all(lab, GOAL, seeds=2)
    assert lab.done(task)
    found = outcome(GOAL, lab.store)
    searched = found.arms["searched"]
    assert searched.trial.settings.lr == 0.05
    assert sorted(seed for _, seed in lab.store.runs) == [0, 1, SEARCH_SEED, SEARCH_SEED]
    assert found.seeds == (0, 1)
    for run in searched.runs.values():
        assert run.train_errors[-1] <= 0.6 < min(run.train_errors[:-1])
        assert len(run.train_errors) < 20


def test_a_rate_that_diverges_is_never_chosen(make_lab):
    lab = make_lab()
    wild = replace(GOAL, arms=(Arm("searched", measure=EPOCHS, rates=(1e9, 0.05)), GOAL.arm("given")))
    with np.errstate(all="ignore"):
        do_all(lab, wild)
    assert outcome(wild, lab.store).arms["searched"].trial.settings.lr == 0.05


def test_nets_are_averaged_with_the_seeds_of_the_experiment_however_many_are_run(make_lab):
    lab = make_lab()
    do_all(lab, VIEWS, seeds=4)
    found = outcome(VIEWS, lab.store)
    assert found.arms["one"].values.shape == (4, 20)
    assert list(found.arms["all"].runs) == [0, 1]
    assert [seeds for _, seeds, measure in lab.store.measured if measure == AVERAGED.name] == [(0, 1)]


def test_a_run_that_diverges_is_a_result(make_lab):
    lab = make_lab()
    wild = replace(RATE, arms=(Arm("slow"), Arm("fast", scaled(lr=1e9))))
    with np.errstate(all="ignore"):
        do_all(lab, wild, seeds=3)
    found = outcome(wild, lab.store)
    assert found.arms["fast"].by_seed == [1, 1, 1]
    assert "expected" in found.arms["fast"].runs[0].diverged
    assert found.found[0].verdict == "other sign"


def test_no_outcome_before_all_arms_have_a_seed(make_lab):
    lab = make_lab()
    assert outcome(RATE, lab.store) is None
    lab.carry_out(Task(RATE, RATE.arm("slow"), 0))
    lab.carry_out(Task(RATE, RATE.arm("fast"), 1))
    assert outcome(RATE, lab.store) is None
    lab.carry_out(Task(RATE, RATE.arm("slow"), 1))
    assert outcome(RATE, lab.store).seeds == (1,)
    assert outcome(GOAL, lab.store) is None


def test_files_of_others_are_refused(tmp_path, make_lab):
    lab = make_lab()
    for name, text in ((RUNS, "{"), (RUNS, '{"trial": 1}\n'), (MEASURED, "[]\n")):
        path = lab.store.folder / name
        path.write_text(text)
        with pytest.raises(DataError, match="expected the results of experiments"):
            Store(lab.store.folder)
        path.unlink()
    assert Store(tmp_path / "nothing").setup is None
