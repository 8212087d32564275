"""The experiments as data: what is promised is there, arms differ in what they say, figures are those of the paper."""

from itertools import combinations

import pytest

from tinyalex.count import count
from tinyalex.errors import UsageError
from tinyalex.experiments.catalogue import EXPERIMENTS, named
from tinyalex.experiments.lab import candidates
from tinyalex.experiments.store import Setup
from tinyalex.experiments.trial import both, settings, without
from tinyalex.optim import drop_epochs

NAMES = """
    relu-vs-tanh lrn overlapping-pooling two-columns cross-columns dropout colour-noise crops-and-flips weight-decay
    momentum batch-size depth ten-crop averaging kernels neighbours alpha order images
"""
BASE = Setup("cifar10", "", 20_000, 4000, 32, 8).base()


def trial(name, arm):
    experiment = EXPERIMENTS[name]
    return candidates(experiment, experiment.arm(arm), BASE)[0]


def kernels(name, arm):
    """The shapes of an arm's kernels, by layer."""
    one = trial(name, arm)
    rows = count(one.spec, 10, 32, one.settings.cross_columns)
    return {row.name: row.kernel for row in rows if row.kernel}


def test_all_are_there():
    assert set(EXPERIMENTS) == set(NAMES.split())
    assert named("all") == list(EXPERIMENTS.values())
    assert named("lrn") == [EXPERIMENTS["lrn"]]
    with pytest.raises(UsageError, match=r"got the experiment 'lnr': expected all or one of .*lrn"):
        named("lnr")


@pytest.mark.parametrize("experiment", EXPERIMENTS.values(), ids=EXPERIMENTS)
def test_arms_are_nets_that_differ(experiment):
    names = [arm.name for arm in experiment.arms]
    assert len(set(names)) == len(names) >= 2
    for one in experiment.comparisons:
        assert {one.of, one.against} <= set(names)
        assert one.of != one.against
    known = [(candidates(experiment, arm, BASE)[0].key, arm.measure.name) for arm in experiment.arms]
    assert len(set(known)) == len(known)
    for arm in experiment.arms:
        one = experiment.trial(arm, BASE)
        count(one.spec, 10, 32, one.settings.cross_columns)  # raises for a net that cannot be
    for one, other in combinations(experiment.arms, 2):  # compared by the same kind of value
        assert one.measure.ratio == other.measure.ratio


def test_the_first_run_is_shared():
    """All experiments but that of figure 1 have the arm in which nothing is changed."""
    have = [name for name, one in EXPERIMENTS.items() if BASE.key in {one.trial(arm, BASE).key for arm in one.arms}]
    assert set(EXPERIMENTS) - set(have) == {"relu-vs-tanh"}


def test_keys_tell_orders_and_settings_apart():
    """A key goes by all that a result depends on, and by nothing else."""
    swapped = trial("order", "before in layer 1, as run")
    assert list(swapped.spec.layers)[:4] == ["conv1", "norm1", "relu1", "pool1"]
    assert set(swapped.spec.layers) == set(BASE.spec.layers)
    assert swapped.key != BASE.key
    assert Setup("other", "x", 20_000, 4000, 32, 8).base().key == BASE.key
    for changed in ((10_000, 4000, 32, 8), (20_000, 4000, 32, 9), (20_000, 4000, 48, 8)):
        assert Setup("cifar10", "", *changed).base().key != BASE.key


def test_nets_are_what_their_names_say():
    base = kernels("lrn", "with LRN")
    assert kernels("two-columns", "one full column")["conv2"] == (64, 32, 5, 5)
    half = kernels("two-columns", "half a column")
    assert [half[f"conv{n}"][:2] for n in range(1, 6)] == [(16, 3), (32, 16), (48, 32), (48, 48), (64, 48)]
    assert kernels("cross-columns", "nowhere")["conv3"][1] == base["conv3"][1] // 2
    assert kernels("cross-columns", "in conv4")["conv4"][1] == 2 * base["conv4"][1]
    assert kernels("overlapping-pooling", "2 x 2, pool5 4 x 4")["fc6"] == base["fc6"] == (512, 1024)
    assert kernels("overlapping-pooling", "3 x 3, pool5 3 x 3")["fc6"] == (512, 576)
    for arm in EXPERIMENTS["depth"].arms[1:]:
        one = trial("depth", arm.name)
        rows = count(one.spec, 10, 32, one.settings.cross_columns)
        assert sum(row.name.startswith("conv") for row in rows) == 4
        assert next(row for row in rows if row.name == "pool5").out_shape[1:] == (4, 4)
        assert any(row.reads_both for row in rows if row.name.startswith("conv"))


def test_without_conv3_or_without_conv4_is_the_same_net():
    def convolutions(change):
        one = change(BASE)
        rows = count(one.spec, 10, 32, one.settings.cross_columns)
        return [(row.kernel, row.out_shape, row.reads_both) for row in rows if row.name.startswith("conv")]

    without_conv3 = both(without("conv3", "relu3"), settings(cross_columns=(4,)))
    assert convolutions(without_conv3) == convolutions(without("conv4", "relu4"))


def test_what_is_scaled():
    fewer = trial("images", "1/4").settings
    assert (fewer.limit, fewer.epochs, fewer.drops) == (5000, 32, (24, 28))
    assert tuple(drop_epochs(8, (0.7, 0.9))) == (6, 7)
    smaller = trial("batch-size", "32, 1/4 of the rate").settings
    assert (smaller.batch, smaller.lr) == (32, 0.005)
    figure1 = trial("relu-vs-tanh", "tanh")
    assert (figure1.goal, figure1.settings.epochs, figure1.settings.weight_decay) == (0.25, 16, 0)


def test_the_figures_are_the_papers():
    """The paper's differences, from its tables, and those of the log files to two digits."""
    said = {
        (name, one.of): (one.paper, one.released)
        for name, found in EXPERIMENTS.items()
        for one in found.comparisons[:1]
    }
    assert said["lrn", "with LRN"] == (-1.4, pytest.approx(40.664 - 42.034, abs=0.005))
    assert said["overlapping-pooling", "3 x 3, pool5 4 x 4"] == (-0.4, pytest.approx(40.664 - 41.058, abs=0.005))
    assert said["two-columns", "two columns"] == (-1.7, pytest.approx(37.4727 - 39.168, abs=0.005))
    assert said["cross-columns", "in conv3"] == (None, pytest.approx(40.664 - 41.828, abs=0.005))
    assert said["ten-crop", "ten crops"][0] == 37.5 - 39.0
    assert said["averaging", "five nets averaged"][0] == pytest.approx(38.1 - 40.7)
