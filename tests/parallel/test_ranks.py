"""Data parallel training: what each rank computes, that N ranks give the result of one process, and how they fail."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import tinyalex
from runs import TINY, images, settings, write_folder
from tinyalex import Dropout, spec
from tinyalex.backend import thread_count
from tinyalex.data import Augmenter, batches, pixel_statistics
from tinyalex.errors import UsageError
from tinyalex.parallel.failure import ranks_at_work
from tinyalex.parallel.masks import RankRandom, split_masks
from tinyalex.parallel.ranks import MpiRanks, Ranks, all_ranks
from tinyalex.training.loop import Training
from tinyalex.weights.checkpoint import read

MPIEXEC = Path(sys.executable).parent / "mpiexec"
with_mpi = pytest.mark.skipif(
    not MPIEXEC.exists() or importlib.util.find_spec("mpi4py") is None, reason="mpi4py and an mpiexec are not installed"
)


class Rank(Ranks):
    """One of several ranks, without the others: it can only divide work."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size


# ---------------------------------------------------------------- one rank's part


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("count", [7, 8, 30])
def test_shares_are_the_batch(size, count):
    shares = [range(count)[Rank(rank, size).share(count)] for rank in range(size)]
    assert [index for share in shares for index in share] == list(range(count))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


def test_a_batch_too_small_to_share():
    with pytest.raises(UsageError, match="3 images for 4 ranks: use a larger batch, or fewer ranks"):
        Rank(0, 4).share(3)


def test_alone_there_is_nothing_to_wait_for():
    alone, array = Ranks(), np.ones(3)
    alone.begin_sum(array)
    alone.end_sums()
    assert alone.sum([1.0, 2.0]) == [1.0, 2.0]
    assert alone.agree("x") == "x"
    assert alone.writes
    assert array.tolist() == [1, 1, 1]
    assert not Rank(1, 2).writes


@pytest.mark.parametrize("colour", ["paper", "cuda-convnet", "off"])
@pytest.mark.parametrize("size", [2, 3])
def test_each_rank_prepares_its_part_of_every_batch(colour, size):
    """The same crops, reflections and colours as in one process, bit for bit."""
    dataset = images(20)
    augmenter = Augmenter(pixel_statistics(dataset), 14, colour=colour)

    def epoch(**given):
        return list(batches(dataset, augmenter, 8, seed=1, epoch=2, **given))

    whole, parts = epoch(), [epoch(share=Rank(rank, size).share) for rank in range(size)]
    assert len(whole) == 2
    for number, (x, labels) in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([part[number][0] for part in parts]), x)
        np.testing.assert_array_equal(np.concatenate([part[number][1] for part in parts]), labels)


def test_each_rank_keeps_its_part_of_every_mask():
    x = np.random.default_rng(0).standard_normal((8, 5), dtype="float32")
    whole, parts = Dropout(rng=np.random.default_rng(1)), []
    expected = [whole.forward(x, train=True) for _ in range(2)]
    for rank in range(3):
        share = Rank(rank, 3).share(8)
        layer = Dropout(rng=RankRandom(np.random.default_rng(1), share, 8))
        parts.append([layer.forward(x[share], train=True) for _ in range(2)])
    for number in range(2):
        np.testing.assert_array_equal(np.concatenate([part[number] for part in parts]), expected[number])


def test_all_dropout_layers_share_the_nets_masks():
    from cases import small_net

    net, _, _ = small_net()
    split_masks(net, slice(2, 4), 6)
    other, _, _ = small_net()
    drawn = [net.layers[name].rng.random((2, 5), dtype="float32") for name in ("dropout6", "dropout7")]
    for rows in drawn:
        np.testing.assert_array_equal(rows, other.mask_rng.random((6, 5), dtype="float32")[2:4])


def test_a_process_that_was_started_alone(monkeypatch, capsys):
    """It sums with nobody; an error in its block is raised, and nothing is printed."""
    for name in ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS"):
        monkeypatch.delenv(name, raising=False)
    assert type(all_ranks()) is Ranks
    with pytest.raises(UsageError, match="a mistake"), ranks_at_work():
        raise UsageError("a mistake")
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("PMI_SIZE", "1")
    assert type(all_ranks()) is Ranks


def test_several_processes_without_mpi4py(monkeypatch):
    monkeypatch.setenv("PMI_SIZE", "2")
    monkeypatch.setitem(sys.modules, "mpi4py.MPI", None)
    with pytest.raises(UsageError, match=r"several ranks need mpi4py: pip install mpi4py mpich"):
        all_ranks()
    with pytest.raises(UsageError, match="mpi4py"):
        MpiRanks()


# ---------------------------------------------------------------- several ranks

# Training in float64, where rounding does not hide a mistake; and `tiny`, which the command line does not know.
RUN = """
import functools, os, sys
import tinyalex.training.run, tinyalex.training.evaluate, tinyalex.training.report
from runs import TINY
from tinyalex import AlexNet, cli, spec
from tinyalex.training.loop import Training
from tinyalex.training.validation import Validation

class Wide(AlexNet):
    def forward(self, x, **given):
        return super().forward(x.astype("float64"), **given)

tinyalex.training.run.AlexNet = functools.partial(Wide, dtype="float64")
tinyalex.weights.checkpoint.AlexNet = Wide
tinyalex.training.report.draw_pictures = lambda *_: []
spec.VARIANTS["tiny"] = TINY
rank = int(os.environ.get("PMI_RANK", "0"))
{extra}
sys.exit(cli.main(sys.argv[1:]))
"""


def mpiexec(count, words, where, threads="1"):
    """The finished process of `mpiexec -n count python ...`, started in the folder `where`, with this tinyalex."""
    path = os.pathsep.join(str(folder) for folder in (Path(__file__).parents[1], Path(tinyalex.__file__).parents[1]))
    environment = {**os.environ, "PYTHONPATH": path, "TINYALEX_THREADS": threads}
    command = [str(MPIEXEC), "-n", str(count), sys.executable, *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, cwd=where, env=environment)


def ranks(count, words, where, extra=""):
    """The finished process of `mpiexec -n count tinyalex ...`, in float64."""
    return mpiexec(count, ["-c", RUN.format(extra=extra), *words.split()], where)


WITHOUT_PICTURES = """
import sys
from tinyalex import cli
from tinyalex.training import report
report.draw_pictures = lambda *_: []
sys.exit(cli.main(sys.argv[1:]))
"""
TRAIN = "train --variant tiny --data images --batch 12 --dropout 0.5 --validate-every 1"


def outcome(folder):
    checkpoint = read(folder / "checkpoint.npz")
    arrays = {**checkpoint.net.params, **{f"v {name}": v for name, v in checkpoint.velocity.items()}}
    return arrays, checkpoint.training["history"], checkpoint.net.mask_rng.bit_generator.state


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with images, and `one`, the run of a single process on them: 7 epochs of 3 steps."""
    place = tmp_path_factory.mktemp("ranks")
    write_folder(place / "images")
    run = ranks(1, f"{TRAIN} --epochs 7 --out one", place)
    assert run.returncode == 0, run.stderr
    return place


def same(folder, other):
    """Assert the same parameters and velocities (to 1e-11), losses, errors, and state of the mask generator."""
    (arrays, history, masks), (arrays2, history2, masks2) = outcome(folder), outcome(other)
    for name, array in arrays.items():
        assert array.dtype == "float64"
        assert np.linalg.norm(arrays2[name] - array) <= 1e-11 * np.linalg.norm(array), name
    assert masks == masks2
    for one, two in zip(history, history2, strict=True):
        for key in ("train_loss", "train_top1_error", "val_loss", "val_top1_error", "val_top5_error"):
            assert two[key] == pytest.approx(one[key], rel=1e-9 if key.startswith("train") else 1e-6), key


@with_mpi
@pytest.mark.parametrize("count", [2, 3])
def test_ranks_end_where_one_process_does(place, count):
    """After 21 steps with dropout, crops and colours. One rank reports the result, and how long the ranks waited."""
    run = ranks(count, f"{TRAIN} --epochs 7 --out {count}", place)
    assert run.returncode == 0, run.stderr
    assert run.stdout.count("epoch   7/7") == 1
    assert run.stdout.count("in 7 epochs") + run.stdout.count("for 7 epochs") == 1
    same(place / "one", place / str(count))
    last = outcome(place / str(count))[1][-1]
    assert last["ranks"] == count
    assert 0 < last["waiting_share"] < 1
    report = json.loads((place / str(count) / "report.json").read_text())
    assert report["ranks"] == count
    assert 0 < report["waiting_share"] < 1
    assert f"images/s on {count} ranks, {report['waiting_share']:.0%} of it waiting)" in run.stdout


@with_mpi
def test_ranks_of_two_columns_each(place):
    """Two processes of two devices: a share of the images for each, a column of the net on each device."""
    run = ranks(2, f"{TRAIN} --epochs 7 --devices cpu:0,cpu:1 --out columns", place)
    assert run.returncode == 0, run.stderr
    same(place / "one", place / "columns")


@with_mpi
def test_ranks_on_the_bench(tmp_path):
    """They divide the images and wait for each other; one of them prints."""
    run = mpiexec(
        2, ["-m", "tinyalex", "bench", "--variant", "mini", "--batch", "9", "--steps", "2", "--json"], tmp_path
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout)
    assert (found["ranks"], found["batch"]) == (2, 9)
    assert 0 < found["waiting_share"] < 1


@with_mpi
def test_ranks_on_the_bench_by_layers(tmp_path):
    """All of them run what is measured; the work of a layer is that of one rank's images: 4 of 8."""
    words = "-m tinyalex bench --variant mini --batch 8 --steps 1 --layers --json"
    run = mpiexec(2, words.split(), tmp_path)
    assert run.returncode == 0, run.stderr
    first = json.loads(run.stdout)["layers"][0]
    assert (first["layer"], first["direction"]) == ("conv1", "forward")
    assert first["operations"] == 4 * 2 * 2_457_600
    assert (tmp_path / "bench" / "roofline-mini-train.png").exists()


@with_mpi
def test_resumed_with_another_number_of_ranks(place):
    for count, words in (
        (3, f"{TRAIN} --epochs 2"),
        (1, "train --resume --epochs 4"),
        (2, "train --resume --epochs 7"),
    ):
        run = ranks(count, f"{words} --drops 3,5 --out moved", place)
        assert run.returncode == 0, run.stderr
    whole = ranks(1, f"{TRAIN} --epochs 7 --drops 3,5 --out whole", place)
    assert whole.returncode == 0, whole.stderr
    same(place / "whole", place / "moved")


@with_mpi
def test_a_mistake_is_told_once(place):
    run = ranks(2, f"{TRAIN} --batch 1 --out small", place)
    assert run.returncode != 0
    complaints = [line for line in run.stderr.splitlines() if line.startswith("tinyalex")]
    assert complaints == ["tinyalex: rank 0 of 2: 1 images for 2 ranks: use a larger batch, or fewer ranks"]
    assert "Traceback" not in run.stderr


def test_too_few_images_for_all_ranks_are_told_before_anything_is_trained(tmp_path, monkeypatch):
    monkeypatch.setitem(spec.VARIANTS, "tiny", TINY)
    for train, val, told in ((2, 8, "2 images for 3 ranks"), (8, 2, "2 images for 3 ranks")):
        with pytest.raises(UsageError, match=told):
            Training.start(settings(), images(train), images(val), tmp_path, ranks=Rank(0, 3))
    assert not list(tmp_path.iterdir())


@with_mpi
def test_mini_in_float32(tmp_path):
    """20 steps: the parameters, as one vector, to 1e-5.

    At the small rate that rounding needs: at mini's own a unit that is cut off here and not there moves all others.
    """
    write_folder(tmp_path / "images", train=64, size=40)
    words = "train --data images --variant mini --batch 16 --epochs 5 --lr 0.001 --out"
    for count in (1, 2):
        run = mpiexec(count, ["-c", WITHOUT_PICTURES, *words.split(), str(count)], tmp_path)
        assert run.returncode == 0, run.stderr
    one, two = (read(tmp_path / str(count) / "checkpoint.npz") for count in (1, 2))
    assert two.training["history"][-1]["ranks"] == 2
    difference = sum(float(np.sum((one.net.params[name] - w) ** 2)) for name, w in two.net.params.items())
    size = sum(float(np.sum(w**2)) for w in two.net.params.values())
    assert 0 < math.sqrt(difference / size) < 1e-5


@with_mpi
def test_ranks_share_the_cores(tmp_path, monkeypatch):
    """Each has a part of the threads, unless TINYALEX_THREADS gives their number."""
    monkeypatch.delenv("TINYALEX_THREADS", raising=False)
    script = "from tinyalex.parallel.ranks import all_ranks; print(f'<{all_ranks().threads}>', end='')"
    for wanted, expected in (("", thread_count() // 2 or 1), ("3", None)):
        run = mpiexec(2, ["-c", script], tmp_path, threads=wanted)
        assert run.stdout == 2 * f"<{expected}>", run.stderr


# A rank that dies in its call number `call` of a function.
DYING = """
import numpy, signal, time
from tinyalex.weights import checkpoint
calls, whole = 0, {method}
def dying(*given, **named):
    global calls
    calls += 1
    if rank == {rank} and calls == {call}:
        {death}
    return whole(*given, **named)
{method} = dying
"""


SIGNALLED = """
import signal
whole_step = Training._step
def step(training, x, labels):
    if rank in {ranks} and training.position.epoch == 1 and training.position.step == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    whole_step(training, x, labels)
Training._step = step
"""


@with_mpi
@pytest.mark.parametrize("who", [(0,), (1,), (0, 1)])
def test_all_ranks_stop_together(place, who):
    """After the same step, whichever of them a signal has reached; they go on from there."""
    name = f"stopped-{len(who)}-{who[0]}"
    run = ranks(2, f"{TRAIN} --epochs 7 --out {name}", place, SIGNALLED.format(ranks=who))
    told = f"tinyalex: stopped; to go on from the last checkpoint: tinyalex train --resume {name}"
    assert (run.returncode, run.stderr.split("\n")) == (143, ["", told, ""])
    assert run.stdout.count("epoch   1/7") == 1
    found = read(place / name / "checkpoint.npz").training["position"]
    assert (found["epoch"], found["step"]) == (1, 2)
    resumed = ranks(2, f"train --resume {name}", place)
    assert resumed.returncode == 0, resumed.stderr
    same(place / "one", place / name)


INTERRUPTED = """
import signal
from tinyalex.training import run as module
whole_check = module.images_to_train_on
def check(*given):
    if rank == 1:
        os.kill(os.getpid(), signal.SIGTERM)
    return whole_check(*given)
module.images_to_train_on = check
"""


@with_mpi
def test_a_rank_that_is_stopped_before_the_first_step_takes_the_others_along(place):
    run = ranks(2, f"{TRAIN} --epochs 7 --out early", place, INTERRUPTED)
    assert run.returncode != 0
    assert "tinyalex: rank 1 of 2: stopped before anything was saved" in run.stderr
    assert "Traceback" not in run.stderr


@with_mpi
def test_a_rank_that_fails_takes_the_run_down(place):
    """There is one message and no traceback, and the last checkpoint is complete."""
    dying = DYING.format(rank=1, call=5, method="Training._step", death="raise OSError(28, 'No space left on device')")
    run = ranks(2, f"{TRAIN} --epochs 7 --out failed", place, dying)
    assert run.returncode != 0
    complaints = [line for line in run.stderr.splitlines() if line.startswith("tinyalex")]
    assert complaints == ["tinyalex: rank 1 of 2: [Errno 28] No space left on device"]
    assert "Traceback" not in run.stderr
    assert read(place / "failed" / "checkpoint.npz").training["position"]["epoch"] == 1


@with_mpi
@pytest.mark.parametrize(
    ("rank", "method", "call", "first", "position"),
    [
        (1, "Training._step", 5, "", (1, 0)),  # while the other adds up; checkpoints only after epochs
        (0, "checkpoint.write_arrays", 3, "given[0].write(b'half a checkpoint'); given[0].flush(); ", (0, 3)),
        (1, "Training.save", 4, "time.sleep(1); ", (0, 2)),  # while the other waits for the loss of this rank's images
        (1, "Validation.record", 2, "", (1, 3)),
    ],
)
def test_a_rank_that_is_killed_takes_the_run_down(place, rank, method, call, first, position):
    """As by kill -9: mpiexec reports it once and ends the others; the run resumes from the last complete checkpoint."""
    name = f"killed-{method}"
    dying = DYING.format(rank=rank, call=call, method=method, death=f"{first}os.kill(os.getpid(), signal.SIGKILL)")
    every = " --save-every 1" if method == "Training.save" else ""
    run = ranks(2, f"{TRAIN} --epochs 7{every} --out {name}", place, dying)
    assert run.returncode != 0
    assert (run.stdout + run.stderr).count("BAD TERMINATION") == 1
    assert "Traceback" not in run.stderr
    found = read(place / name / "checkpoint.npz").training["position"]
    assert (found["epoch"], found["step"]) == position
    resumed = ranks(1, f"train --resume {name}", place)
    assert resumed.returncode == 0, resumed.stderr
    assert not list((place / name).glob(".*"))
    same(place / "one", place / name)
