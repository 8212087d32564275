"""Signals: a run finishes its step, saves and says how it goes on; nothing else is touched."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from runs import TINY, images, outcome, settings, started, write_folder
from tinyalex import spec
from tinyalex.errors import Stopped
from tinyalex.training import validation
from tinyalex.training.loop import Progress, Training
from tinyalex.training.stop import SIGNALS, StopSignals, stopping_at_once
from tinyalex.weights.checkpoint import read

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(spec.VARIANTS, "tiny", TINY)
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    assert [signal.getsignal(number) for number in SIGNALS] == before  # the handlers are those from before


class SignalAfter(Progress):
    """Sends this process a signal after so many steps: while the step is not quite over."""

    def __init__(self, number, steps):
        self.number, self.steps = number, steps

    def step(self, *_):
        self.steps -= 1
        if self.steps == 0:
            os.kill(os.getpid(), self.number)


def resumed(folder):
    return Training.resume(read(folder / "checkpoint.npz"), quiet(), images(36), images(20, seed=1), folder)


def quiet(**given):
    """Settings without saves after steps."""
    return settings(save_every=None, **given)


def begun(folder, **given):
    return started(folder, save_every=None, **given)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The outcome of 3 epochs of 4 steps that nobody stopped."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(spec.VARIANTS, "tiny", TINY)
        training = begun(tmp_path_factory.mktemp("whole"))
        training.run()
    return outcome(training)


@pytest.mark.parametrize("number", CODES)
@pytest.mark.parametrize("steps", [2, 4, 7])
def test_a_run_stops_after_its_step_and_goes_on(tmp_path, whole, number, steps):
    """Step 4 is the last of the first epoch: it stops before the validation."""
    with pytest.raises(Stopped) as raised:
        begun(tmp_path).run(SignalAfter(number, steps))
    assert isinstance(raised.value, KeyboardInterrupt)  # as in a notebook
    assert raised.value.exit_code == CODES[number]
    assert str(raised.value).endswith(f"to go on from the last checkpoint: tinyalex train --resume {tmp_path}")
    position = read(tmp_path / "checkpoint.npz").training["position"]
    assert 4 * position["epoch"] + position["step"] == steps
    training = resumed(tmp_path)
    training.run()
    assert outcome(training) == whole


def test_a_run_stops_during_validation(tmp_path, whole, monkeypatch):
    """After the batch at hand; the steps of the epoch are not lost, and the validation is made up for."""
    probabilities = validation.probabilities

    def signalled(*given, **named):
        os.kill(os.getpid(), signal.SIGTERM)
        return probabilities(*given, **named)

    monkeypatch.setattr(validation, "probabilities", signalled)
    with pytest.raises(Stopped):
        begun(tmp_path).run()
    position = read(tmp_path / "checkpoint.npz").training["position"]
    assert (position["epoch"], position["step"]) == (0, 4)
    monkeypatch.setattr(validation, "probabilities", probabilities)
    training = resumed(tmp_path)
    training.run()
    assert outcome(training) == whole


def test_a_signal_between_two_runs_of_the_same_training_is_forgotten(tmp_path):
    training = begun(tmp_path)
    with pytest.raises(Stopped):
        training.run(SignalAfter(signal.SIGTERM, 1))
    training.run()
    assert len(training.history) == 3


def test_the_first_signal_counts_and_a_second_sigint_stops_at_once():
    with StopSignals() as stop:
        assert not stop.came
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)
        assert (stop.came, stop.signal) == (True, signal.SIGTERM)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_ignored_signals_stay_ignored():
    """As under nohup."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopSignals() as stop, stopping_at_once():
            os.kill(os.getpid(), signal.SIGHUP)
            assert not stop.came
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_run_in_another_thread_leaves_signals_alone(tmp_path):
    """Python lets only the main thread handle them."""
    done = []
    training = begun(tmp_path, epochs=1)
    thread = threading.Thread(target=lambda: done.append(training.run()))
    thread.start()
    thread.join()
    assert done == [None]


@pytest.mark.parametrize("saved", [True, False])
@pytest.mark.parametrize("number", CODES)
def test_a_signal_outside_the_loop(tmp_path, number, saved):
    """While images are examined or pictures drawn: it stops there, and promises no checkpoint that there is none of."""
    folder = tmp_path / "a run"
    if saved:
        begun(folder)
    with pytest.raises(Stopped) as raised, stopping_at_once(folder):
        os.kill(os.getpid(), number)
    told = f"stopped; to go on from the last checkpoint: tinyalex train --resume '{folder}'"
    assert str(raised.value) == (told if saved else "stopped before anything was saved")
    assert raised.value.exit_code == CODES[number]


def test_an_interrupt_that_python_raises_itself(tmp_path):
    begun(tmp_path)
    with pytest.raises(Stopped, match="--resume") as raised, stopping_at_once(tmp_path):
        raise KeyboardInterrupt
    assert raised.value.exit_code == 130


@pytest.mark.parametrize("number", CODES)
def test_the_command_line(tmp_path, number):
    """The exit code, the line that says how to go on, and that it does."""
    write_folder(tmp_path / "images")
    command = [sys.executable, "-W", "error", "-m", "tinyalex", "train", "--input-size", "16", "--batch", "12"]
    process = subprocess.Popen(
        [*command, "--data", "images", "--epochs", "100000", "--out", "run"],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "checkpoint-best.npz").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(number)
    told = process.communicate(timeout=60)[1]
    assert process.returncode == CODES[number], told
    assert told.splitlines()[-1] == (
        "tinyalex: stopped; to go on from the last checkpoint: tinyalex train --resume run"
    )
    assert "Traceback" not in told
    assert read(tmp_path / "run" / "checkpoint.npz").training["position"]["epoch"] > 0
