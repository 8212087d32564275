"""A run that was stopped, or killed, and resumed ends bit for bit as one that never stopped."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import numpy as np
import pytest

from runs import TIMES, TINY, images, outcome, started, write_folder
from tinyalex import AlexNet, spec
from tinyalex.errors import CheckpointError, DataError
from tinyalex.training import saves, validation
from tinyalex.training.loop import Progress, Training
from tinyalex.training.saves import Saves
from tinyalex.training.settings import saved_settings
from tinyalex.weights.checkpoint import Checkpoint, read, write


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(spec.VARIANTS, "tiny", TINY)


class Stopped(Exception):
    """Stands for whatever ends a process."""


class StopAfter(Progress):
    """Stops a run after so many steps, before the checkpoint that may follow; or after so many epochs."""

    def __init__(self, steps=0, epochs=0):
        self.steps, self.epochs = steps, epochs

    def step(self, *_):
        self.steps -= 1
        if self.steps == 0:
            raise Stopped

    def epoch(self, *_):
        self.epochs -= 1
        if self.epochs == 0:
            raise Stopped


def resumed(folder, *, train=None, val=None, **changed):
    checkpoint = read(folder / "checkpoint.npz")
    settings = replace(saved_settings(checkpoint), **changed)
    return Training.resume(checkpoint, settings, train or images(36), val or images(20, seed=1), folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The outcome of 3 epochs of 4 steps in one go, by the rates 0.05, 0.005, 0.0005, with a checkpoint each step."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(spec.VARIANTS, "tiny", TINY)
        training = started(tmp_path_factory.mktemp("whole"))
        training.run()
    return outcome(training)


@pytest.mark.parametrize(
    ("save_every", "stop"),
    [*((1, {"steps": n}) for n in range(1, 13)), (3, {"steps": 4}), (3, {"steps": 7}), (1000, {"steps": 11})]
    + [(1000, {"epochs": n}) for n in (1, 2, 3)],
    ids=str,
)
def test_a_run_stopped_anywhere_ends_as_if_it_had_not(tmp_path, whole, save_every, stop):
    with pytest.raises(Stopped):
        started(tmp_path, save_every=save_every).run(StopAfter(**stop))
    training = resumed(tmp_path)
    training.run()
    assert outcome(training) == whole
    assert outcome(resumed(tmp_path)) == whole  # what is on the disk, too
    assert len((tmp_path / "history.jsonl").read_text().splitlines()) == 3


def test_a_run_stopped_at_every_step_ends_as_if_it_had_not(tmp_path, whole):
    """A step is stopped before its checkpoint is written, so each is done twice: the second of each two is kept."""
    training, stops = started(tmp_path), 0
    while training.position.epoch < 3 and stops < 12:
        try:
            training.run(StopAfter(steps=2))
        except Stopped:
            stops += 1
        training = resumed(tmp_path)
    assert stops == 11
    assert outcome(training) == whole


@pytest.mark.parametrize("save_every", [1, None])
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_an_image_that_cannot_be_read_costs_no_step(tmp_path, whole, monkeypatch, save_every, epoch):
    """The steps of the epoch are saved; with the image repaired the run makes up for its validation."""
    probabilities, left = validation.probabilities, [epoch]

    def damaged(*given, **named):
        left[0] -= 1
        if left[0] == 0:
            raise DataError("val/7.png is damaged")
        return probabilities(*given, **named)

    monkeypatch.setattr(validation, "probabilities", damaged)
    with pytest.raises(DataError, match="is damaged"):
        started(tmp_path, save_every=save_every).run()
    position = read(tmp_path / "checkpoint.npz").training["position"]
    assert (position["epoch"], position["step"]) == (epoch - 1, 4)
    monkeypatch.setattr(validation, "probabilities", probabilities)
    training = resumed(tmp_path)
    training.run()
    assert outcome(training) == whole


class Killed(BaseException):
    """Stands for a kill: nothing is done after it."""


@pytest.mark.usefixtures("every_save")
@pytest.mark.parametrize("save", range(2, 9))
@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_run_killed_around_a_save_ends_as_if_it_had_not(tmp_path, whole, monkeypatch, save, moment):
    """With saves before and after each validation: these are saves 2 to 7, after the first of all."""
    write_it, left = Saves.write, [save]

    def killed(saves, *given, **named):
        left[0] -= 1
        if left[0] == 0 and moment == "before":
            raise Killed
        write_it(saves, *given, **named)
        if left[0] == 0:
            raise Killed

    monkeypatch.setattr(Saves, "write", killed)
    training = started(tmp_path, save_every=None)
    if save <= 7:
        with pytest.raises(Killed):
            training.run()
    else:
        training.run()  # there are not more
    training = resumed(tmp_path)
    training.run()
    assert outcome(training) == whole
    assert outcome(resumed(tmp_path)) == whole
    errors = [record["val_top1_error"] for record in training.history]
    best = read(tmp_path / "checkpoint-best.npz").training["history"]
    assert best[-1]["val_top1_error"] == min(errors)
    assert len(best) == 1 + errors.index(min(errors))


def test_minutes_without_a_save_are_over(tmp_path, monkeypatch):
    """A clock that moves by a minute a step, and a save every 2.5 minutes."""
    now = [0.0]
    monkeypatch.setattr(saves.time, "monotonic", lambda: now[0])
    positions = []

    class Clock(Progress):
        def step(self, *_):
            now[0] += 60

    write_it = Saves.write

    def noted(self, checkpoint, **named):
        positions.append((checkpoint.training["position"]["epoch"], checkpoint.training["position"]["step"]))
        write_it(self, checkpoint, **named)

    monkeypatch.setattr(Saves, "write", noted)
    started(tmp_path, epochs=1, batch=4, save_every=None, save_minutes=2.5).run(Clock())
    assert positions == [(0, 0), (0, 3), (0, 6), (0, 9), (1, 0)]


def test_plateaus_are_remembered(tmp_path):
    """At a rate that changes nothing the error stays: the rate falls after the epochs 2, 3 and 4."""
    with pytest.raises(Stopped):
        started(tmp_path, epochs=6, lr=1e-12, schedule="plateau", patience=1).run(StopAfter(epochs=3))
    training = resumed(tmp_path)
    training.run()
    assert [one["lr"] for one in training.history] == pytest.approx([1e-12, 1e-12, 1e-13, 1e-14, 1e-15, 1e-15])


def test_more_epochs(tmp_path, whole):
    """Two epochs and one more are three, where the rates are the same."""
    rates = {"drops": (1, 2)}
    started(tmp_path, epochs=2, **rates).run()
    training = resumed(tmp_path, epochs=3)
    training.run()
    assert outcome(training) == whole


@pytest.fixture
def every_save(monkeypatch):
    """A checkpoint at the end of each epoch, however fast they are."""
    monkeypatch.setattr(Saves, "cheap", lambda _: True)


@pytest.mark.usefixtures("every_save")
def test_the_rate_may_be_lowered_by_hand(tmp_path):
    """As the authors did: stop, divide the rate, go on."""
    with pytest.raises(Stopped):
        started(tmp_path, schedule="constant").run(StopAfter(epochs=2))
    training = resumed(tmp_path, lr=0.005)
    training.run()
    assert [one["lr"] for one in training.history] == pytest.approx([0.05, 0.05, 0.005])


@pytest.mark.usefixtures("every_save")
def test_the_history_file_follows_the_checkpoint(tmp_path):
    """A process may be killed between the two."""
    with pytest.raises(Stopped):
        started(tmp_path).run(StopAfter(epochs=2))
    whole_file = (tmp_path / "history.jsonl").read_text()
    (tmp_path / "history.jsonl").write_text(whole_file.splitlines(keepends=True)[0])
    with pytest.raises(Stopped):
        resumed(tmp_path).run(StopAfter(steps=1))
    assert (tmp_path / "history.jsonl").read_text() == whole_file


@pytest.mark.parametrize(
    "changed",
    [
        {"batch": 4},
        {"momentum": 0.8},
        {"weight_decay": 0.0},
        {"seed": 1},
        {"dropout": 0.4},
        {"colour": "off"},
        {"crops": False},
        {"reflections": False},
        {"cross_columns": ()},
        {"input_size": 17},
        {"variant": "mini"},
        {"data": "shapes"},
        {"limit": 30},
        {"initial": "caffe"},
        {"zoom": 0.5},
    ],
    ids=str,
)
def test_other_settings_are_refused(tmp_path, changed):
    started(tmp_path)
    (name, value), *_ = changed.items()
    with pytest.raises(CheckpointError) as raised:
        resumed(tmp_path, **changed)
    assert str(raised.value).startswith(f"got {name}={value}: expected ")
    assert str(raised.value).endswith(f", as {tmp_path} began with")


def test_fewer_epochs_are_refused(tmp_path):
    started(tmp_path)
    with pytest.raises(CheckpointError, match="got epochs=2: expected 3 or more"):
        resumed(tmp_path, epochs=2)


@pytest.mark.parametrize(
    "train",
    [images(35), images(36, seed=9), images(36, classes=3)],
    ids=["fewer images", "replaced images", "fewer classes"],
)
def test_other_images_are_refused(tmp_path, train):
    started(tmp_path)
    with pytest.raises(CheckpointError, match=r"got other images from patterns: expected those that .* began with"):
        resumed(tmp_path, train=train)


def test_a_checkpoint_of_an_older_version_knows_no_fingerprint(tmp_path, whole):
    """Its run goes on, and has one from then on."""
    with pytest.raises(Stopped):
        started(tmp_path).run(StopAfter(steps=6))
    checkpoint = read(tmp_path / "checkpoint.npz")
    del checkpoint.training["fingerprint"]
    write(checkpoint, tmp_path / "checkpoint.npz")
    training = resumed(tmp_path)
    training.run()
    assert outcome(training) == whole
    assert read(tmp_path / "checkpoint.npz").training["fingerprint"] == images(36).fingerprint()


def test_a_net_alone_is_refused(tmp_path):
    started(tmp_path)
    whole_run = read(tmp_path / "checkpoint.npz")
    net_only = Checkpoint(AlexNet(TINY, num_classes=4))
    with pytest.raises(CheckpointError, match="got a checkpoint of a net alone"):
        Training.resume(net_only, saved_settings(whole_run), images(36), images(20), tmp_path)


# ---------------------------------------------------------------- SIGKILL


COMMAND = [sys.executable, "-W", "error", "-m", "tinyalex", "train", "--input-size", "16", "--batch", "12"]
COMMAND += ["--epochs", "6", "--save-every", "1"]  # 36 images: 18 steps, and a checkpoint after each and each epoch


def arrays(path):
    with np.load(path) as file:
        return {name: file[name].tobytes() for name in file.files if name not in ("about", "checksum")}


def killed_after(process, checkpoint, saves, delay):
    """Kill the process `delay` seconds after it has replaced the checkpoint for the `saves`-th time."""
    seen = number = checkpoint.stat().st_ino if checkpoint.exists() else None
    deadline = time.monotonic() + 60
    while saves and process.poll() is None and time.monotonic() < deadline:
        number = checkpoint.stat().st_ino if checkpoint.exists() else None
        saves, seen = saves - (number != seen), number
        time.sleep(0.001)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    return process.wait()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
def test_a_run_killed_again_and_again_ends_as_if_it_had_not(tmp_path):
    rng = np.random.default_rng(2012)
    data = ["--data", str(write_folder(tmp_path / "images"))]
    environment = {**os.environ, "TINYALEX_THREADS": "1"}
    once, often = tmp_path / "once", tmp_path / "often"
    subprocess.run([*COMMAND, *data, "--out", once], check=True, capture_output=True, timeout=120, env=environment)

    command = [*COMMAND, *data, "--out", often, "--resume"]
    for count in rng.integers(1, 5, 3):  # at most half of the 25 checkpoints: there is more to do each time
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        code = killed_after(process, often / "checkpoint.npz", int(count), float(rng.uniform(0, 0.03)))
        assert code == -signal.SIGKILL
        read(often / "checkpoint.npz")  # whole, whenever it was
    done = subprocess.run(command, capture_output=True, timeout=120, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")

    assert arrays(often / "checkpoint.npz") == arrays(once / "checkpoint.npz")
    first, second = (read(folder / "checkpoint.npz") for folder in (once, often))
    assert first.net.mask_rng.bit_generator.state == second.net.mask_rng.bit_generator.state
    for one, other in zip(first.training["history"], second.training["history"], strict=True):
        assert {**one, **dict.fromkeys(TIMES)} == {**other, **dict.fromkeys(TIMES)}
    assert sorted(path.name for path in often.iterdir()) == sorted(path.name for path in once.iterdir())


def test_a_run_moves_between_one_device_and_two(tmp_path):
    """Begun on one, resumed on two, ended on one: the numbers of a run that never moved, to rounding."""
    whole = started(tmp_path / "whole")
    whole.run()
    with pytest.raises(Stopped):
        started(tmp_path / "moved").run(StopAfter(epochs=1))
    with pytest.raises(Stopped):
        resumed(tmp_path / "moved", devices=("cpu:0", "cpu:1")).run(StopAfter(epochs=1))
    last = resumed(tmp_path / "moved", devices=None)
    last.run()
    for name, array in whole.net.params.items():
        difference = np.linalg.norm(last.net.params[name] - array)
        assert difference <= 1e-4 * np.linalg.norm(array), name
    assert last.net.mask_rng.bit_generator.state == whole.net.mask_rng.bit_generator.state
    for one, other in zip(whole.history, last.history, strict=True):
        assert one["train_loss"] == pytest.approx(other["train_loss"], rel=1e-4)


@pytest.mark.parametrize("two", [False, True])
def test_a_run_on_a_gpu_ends_as_if_it_had_not_stopped(tmp_path, gpu, two):
    """Its batches travel as bytes, ahead of the net: those that were on their way are read again."""
    devices = gpu.two if two else gpu.two[:1]
    started(tmp_path / "whole", devices=devices, epochs=2).run()
    with pytest.raises(Stopped):
        started(tmp_path / "stopped", devices=devices, epochs=2, save_every=3).run(StopAfter(steps=6))
    resumed(tmp_path / "stopped").run()
    files = [read(tmp_path / name / "checkpoint.npz") for name in ("whole", "stopped")]
    for name, w in files[0].net.params.items():
        np.testing.assert_array_equal(files[1].net.params[name], w)
        np.testing.assert_array_equal(files[1].velocity[name], files[0].velocity[name])
