"""What a person sees of a run: a bar in a terminal, a line for each epoch in any case."""

import errno
import io
import os
import re
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from runs import TINY, started
from tinyalex import spec
from tinyalex.cli.terminal import Bar, complain, counting


@pytest.fixture(autouse=True)
def _tiny(monkeypatch):
    monkeypatch.setitem(spec.VARIANTS, "tiny", TINY)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def on_a_terminal(monkeypatch):
    """A function to call in the test (a fixture itself is too early) that makes stderr a terminal, and returns it."""

    def call():
        screen = Terminal()
        monkeypatch.setattr(sys, "stderr", screen)
        return screen

    return call


RECORD = {
    **{"epoch": 3, "lr": 1e-4, "train_loss": 1.23456, "train_top1_error": 0.3456},
    **{"images_per_s": 249.7, "input_share": 0.0123},
}
VALIDATED = {"val_loss": 1.3, "val_top1_error": 0.4, "val_top5_error": 0.0816}


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (
            RECORD,
            "epoch   3/90  rate 0.0001  train: loss 1.235, top-1 error  34.6%  250 images/s, 1% waiting for them\n",
        ),
        (
            RECORD | VALIDATED,
            "epoch   3/90  rate 0.0001  train: loss 1.235, top-1 error  34.6%  "
            "validation: loss 1.300, top-1 error  40.0%, top-5   8.2%  250 images/s, 1% waiting for them\n",
        ),
    ],
)
def test_the_line_of_an_epoch(capsys, record, line):
    settings = SimpleNamespace(epochs=90)
    training = SimpleNamespace(history=[{}, {}, record], settings=settings, batch=8, steps_left=lambda: 5)
    with Bar(training) as bar:
        bar.epoch(training)
    assert capsys.readouterr() == (line, "")


def test_without_a_terminal_there_are_the_lines_only(tmp_path, capsys):
    training = started(tmp_path)
    with Bar(training) as bar:
        training.run(bar)
    out, err = capsys.readouterr()
    assert err == ""
    assert [line.split()[:2] for line in out.splitlines()] == [["epoch", f"{number}/3"] for number in (1, 2, 3)]


def test_a_terminal_shows_a_bar(tmp_path, capsys, on_a_terminal):
    screen, training = on_a_terminal(), started(tmp_path, epochs=2)
    with Bar(training) as bar:
        bar._bar.mininterval = 0  # drawn anew at every step
        training.run(bar)
    shown = screen.getvalue()
    assert "epoch 1/2" in shown
    assert "epoch 2/2" in shown
    assert " 64/64 [" in shown  # 2 epochs of 4 batches of 8 images
    assert "img/s" in shown
    assert re.search(r"top-1 error [0-9.]+%, \d+% waiting for images", shown)
    means = re.findall(r"loss (\d\.\d{3}), top-1 error (\d+\.\d)%", shown)
    for record in training.history:  # at its end an epoch shows what its record says
        assert (f"{record['train_loss']:.3f}", f"{100 * record['train_top1_error']:.1f}") in means
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_the_bar_of_a_resumed_run_is_what_is_left(tmp_path, on_a_terminal):
    screen, training = on_a_terminal(), started(tmp_path)
    training.position.epoch, training.position.step = 1, 1
    with Bar(training):
        assert "/56 [" in screen.getvalue()  # 2 epochs of 32 images, less a step


def test_counting(on_a_terminal):
    screen = on_a_terminal()
    with counting(30, "reading the images") as progress:
        progress(10)
        progress(20)
    assert "reading the images" in screen.getvalue()
    assert "/30 [" in screen.getvalue()


def test_counting_without_a_terminal(capsys, monkeypatch):
    """A line if the work takes more than 5 seconds, and then one every 30."""
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    with counting(6000, "reading the images") as progress:
        for now in (104.9, 105, 134, 135.1, 140):
            clock.now = now
            progress(1000)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "reading the images: 2,000 of 6,000 images, 400 a second, 00:10 left",
        "reading the images: 4,000 of 6,000 images, 114 a second, 00:17 left",
    ]


def test_a_complaint_is_one_line(capsys):
    complain("got\n two\tlines \udce9\x1b")
    assert capsys.readouterr() == ("", "tinyalex: got two lines ??\n")


def test_nobody_hears_a_complaint(monkeypatch):
    class Full(io.StringIO):
        def write(self, _):
            raise OSError(errno.ENOSPC, "full")

    monkeypatch.setattr(sys, "stderr", Full())
    complain("got nothing")  # raises nothing: the exit code still tells


SAY = """if True:
    import sys
    from tinyalex.cli.terminal import lost_streams, prepare_streams
    prepare_streams()
    print("out", flush=True)
    print("err", file=sys.stderr, flush=True)
    with open("file", "w") as file:
        print(file.fileno(), lost_streams(), file=file)
"""


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_streams_that_are_closed(tmp_path, closed):
    """What is printed is lost. No file takes the place of a stream: what a library prints would go into it."""
    done = subprocess.run(
        [sys.executable, "-c", SAY],
        cwd=tmp_path,
        stdout=None if 1 in closed else subprocess.PIPE,
        stderr=None if 2 in closed else subprocess.PIPE,
        timeout=60,
        preexec_fn=lambda: [os.close(number) for number in closed],
    )
    assert (done.returncode, done.stdout) == (0, None if 1 in closed else b"out\n")
    assert done.stderr == (None if 2 in closed else b"err\n")
    assert (tmp_path / "file").read_text() == "3 []\n"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")  # noqa: PTH110
@pytest.mark.parametrize("words", ["summary", "--help", "train --help", "--version"])
def test_output_that_cannot_be_written(words):
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(
            [sys.executable, "-m", "tinyalex", *words.split()],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            env=buffered,
        )
    assert (done.returncode, done.stderr) == (2, "tinyalex: standard output: No space left on device\n")
