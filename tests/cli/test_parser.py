"""The command line: its help, and that words which make no sense get one line on stderr and exit code 2."""

import gc
import inspect
import re
import shlex
import signal
import textwrap

import pytest

import tinyalex
from runs import carried_out, refused
from tinyalex import __main__, cli, spec
from tinyalex.cli import learn, measure
from tinyalex.cli.measure import Info
from tinyalex.cli.parser import GROUPS, parse
from tinyalex.cli.use import Features
from tinyalex.count import count
from tinyalex.errors import ShapeError, Stopped

COMMANDS = [place.partition(":")[2].lower() for group in GROUPS.values() for place in group]


# ---------------------------------------------------------------- help


@pytest.mark.parametrize("words", ["--help", ""])
def test_the_commands_in_their_groups(capsys, words):
    code, out, err = carried_out(capsys, words)
    assert (code, err) == (0, "")
    found = {group: [line.split()[0] for line in lines] for group, lines in listed(out).items()}
    assert found == {
        "learn": ["demo", "summary", "step", "check"],
        "train": ["prepare", "warmup", "train", "finetune", "experiment"],
        "use": ["predict", "features", "neighbours", "eval", "weights", "verify"],
        "measure": ["bench", "loader", "memory", "crossing", "plan", "info"],
        "teach": ["assignments", "grade", "bundles"],
    }
    assert max(map(len, out.splitlines())) <= 80
    assert "  summary      Count the layers of a net\n" in out


def listed(out):
    """group -> its lines in the help."""
    blocks = [block.splitlines() for block in out.split("\n\n")]
    return {block[0].removesuffix(":"): block[1:] for block in blocks if block[0].removesuffix(":") in GROUPS}


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_that_works(capsys, command):
    code, out, err = carried_out(capsys, f"{command} --help")
    assert (code, err) == (0, "")
    example = " ".join(out.partition("example: tinyalex ")[2].split())
    assert example.split()[0] == command
    assert type(parse(shlex.split(example))).__name__.lower() == command


def test_the_command_that_the_documentation_adds(capsys, monkeypatch):
    """The class in the docstring of tinyalex.cli, as it stands there, among the commands of its group."""
    code = textwrap.dedent(re.search(r"( +@dataclass.*?)\n\n\d\.", cli.__doc__, re.DOTALL)[1])
    names = vars(learn) | {"__name__": learn.__name__}
    exec(code, names)
    monkeypatch.setattr(learn, "Flops", names["Flops"], raising=False)
    monkeypatch.setitem(GROUPS, "learn", (*GROUPS["learn"], "learn:Flops"))
    total = sum(row.multiply_adds for row in count(spec.variant("mini"), 10))
    assert carried_out(capsys, "flops --variant mini --classes 10") == (0, f"{total}\n", "")
    assert "\n  flops        Print how many multiply-adds a net computes" in carried_out(capsys, "--help")[1]


def test_version(capsys):
    assert carried_out(capsys, "--version") == (0, f"tinyalex {tinyalex.__version__}\n", "")


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (ShapeError("two\n lines"), 2, "tinyalex: two lines\n"),
        (OSError(28, "No space left on device", "run/x"), 2, "tinyalex: run/x: No space left on device\n"),
        (OSError("odd"), 2, "tinyalex: odd\n"),
        (PermissionError(13, "Permission denied", b"run"), 2, "tinyalex: run: Permission denied\n"),
        (BrokenPipeError(32, "Broken pipe"), 141, ""),
        (BrokenPipeError(32, "Broken pipe", "pipe"), 2, "tinyalex: pipe: Broken pipe\n"),
        (ShapeError("\x1b[31mred\x07"), 2, "tinyalex: ?[31mred?\n"),
        (ShapeError("x" * 5566), 2, f"tinyalex: {'x' * 250} ... {'x' * 250}\n"),
        (KeyboardInterrupt(), 130, "\ntinyalex: stopped\n"),
        (Stopped("stopped; to go on: walk", signal.SIGTERM), 143, "\ntinyalex: stopped; to go on: walk\n"),
        (MemoryError(), 2, "tinyalex: there is not enough memory: ask for less, such as a smaller --batch\n"),
        (
            MemoryError("9 TiB"),
            2,
            "tinyalex: there is not enough memory (9 TiB): ask for less, such as a smaller --batch\n",
        ),
    ],
)
def test_what_ends_a_command(capsys, monkeypatch, raised, code, line):
    def run(_):
        raise raised

    monkeypatch.setattr(Info, "run", run)
    assert carried_out(capsys, "info") == (code, "", line)


def test_a_command_that_can_go_on_says_so(capsys, monkeypatch):
    def stopped(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Features, "run", stopped)
    assert carried_out(capsys, "features x") == (130, "", "\ntinyalex: stopped; the same command goes on\n")


def test_stopped_while_modules_are_loaded(monkeypatch):
    def stopped():
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", stopped)
    before = signal.getsignal(signal.SIGINT)
    try:
        assert __main__.main() == 130
        assert signal.getsignal(signal.SIGINT) is signal.SIG_DFL  # Python ends without a traceback
    finally:  # here Python does not end, and what other tests leave behind must be collected
        signal.signal(signal.SIGINT, before)
        gc.unfreeze()


def test_a_bug_is_told_in_a_line_with_its_place(capsys, monkeypatch):
    monkeypatch.setattr(measure.report, "versions", lambda: 1 // 0)
    code, out, err = carried_out(capsys, "info")
    line = inspect.getsourcelines(Info.run)[1] + 2  # of ours, the last one that the error went through
    assert (code, out) == (1, "")
    assert err == (
        f"tinyalex: this is a bug in tinyalex: ZeroDivisionError: integer division or modulo by zero (measure.py, line "
        f"{line}); run again with --debug and report it\n"
    )


@pytest.mark.parametrize(("raised", "code"), [(ZeroDivisionError(), 1), (ShapeError("two rows"), 2), (OSError("x"), 2)])
def test_debug_shows_the_traceback(capsys, monkeypatch, raised, code):
    def run(_):
        raise raised

    monkeypatch.setattr(Info, "run", run)
    assert carried_out(capsys, "info")[2].count("\n") == 1
    found, _, err = carried_out(capsys, "info --debug")
    assert found == code
    assert err.startswith("Traceback (most recent call last):\n")
    assert type(raised).__name__ in err
    assert err.splitlines()[-1].startswith("tinyalex: ")


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("TINYALEX_THREADS", "x", "TINYALEX_THREADS=x: expected a number of threads, 1 or more"),
        ("TINYALEX_THREADS", "0", "TINYALEX_THREADS=0: expected a number of threads, 1 or more"),
        ("TINYALEX_KERNELS", "y", "TINYALEX_KERNELS='y': expected one of auto, numba, reference"),
    ],
)
@pytest.mark.parametrize("words", ["predict nothing.jpg", "info", "summary"])
def test_a_mistake_in_the_environment_names_its_variable(capsys, monkeypatch, name, value, line, words):
    monkeypatch.setenv(name, value)
    assert refused(capsys, words) == f"tinyalex: {line}\n"


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("--debug", "required: COMMAND"),
        ("fly", "invalid choice: 'fly'"),
        ("train --variant vgg", "--variant: got 'vgg': expected one of paper, "),
        ("summary --variant vgg", "--variant: got 'vgg': expected one of paper, "),
        ("train --epochs many", "--epochs: got 'many': expected a whole number; see tinyalex train --help"),
        ("train --epochs 1.5", "--epochs: got '1.5': expected a whole number"),
        ("train --lr fast", "--lr: got 'fast': expected a number"),
        ("train --drops 1,x", "--drops: got '1,x': expected whole numbers with commas between them, such as 3,5"),
        ("train --schedule cosine", "--schedule: got 'cosine': expected one of steps, plateau, linear, constant"),
        ("train --colour sepia", "--colour: got 'sepia': expected one of paper, cuda-convnet, off"),
        ("train --unknown", "unrecognized arguments: --unknown"),
        ("train --epochs 0", "got epochs=0: expected 1 or more"),
        ("train --batch -4", "got batch=-4: expected 1 or more"),
        ("train --save-every 0", "got save_every=0: expected 1 or more"),
        ("train --limit 0", "got limit=0: expected 1 or more"),
        ("train --seed -1", "got seed=-1: expected 0 or more"),
        ("train --input-size 0", "got input_size=0: expected 1 or more"),
        ("train --resume", "got --resume alone: expected a run to go on with; name it by --resume RUN or by --out"),
        ("train --resume nowhere", "got nowhere: expected the folder of a run; it holds no checkpoint.npz"),
        ("train --resume one --out two", "got --resume one and --out two: expected one folder"),
        ("train --data nowhere", "got data 'nowhere': expected shapes, cifar10[:DIR], cifar100[:DIR], or a folder of"),
        ("train --data cifar10:nowhere", "got nowhere: expected CIFAR-10's folder cifar-10-batches-py"),
        ("demo --epochs 0", "got epochs=0: expected 1 or more"),
        ("demo --seed -1", "got seed=-1: expected 0 or more"),
        ("eval", "required: RUN"),
        ("eval nowhere", "got nowhere, which does not exist: expected a file, or one of "),
        ("eval x --views nine", "--views: got 'nine': expected one of centre, ten"),
        ("predict", "required: IMAGE"),
        ("predict cat.jpg", "got cat.jpg (it does not exist): expected an image file"),
        ("prepare photos", "got no folder to write for photos: expected prepare SRC DST"),
        ("prepare shapes --train 0", "got count=0, seed=0, size=36: expected count >= 1"),
        ("prepare shapes --seed -1", "got count=6000, seed=-1, size=36: expected count >= 1, seed >= 0"),
        ("summary --classes 0", "got num_classes=0: expected 1 or more"),
        ("summary --input-size 10", "paper, conv1: got an image of 10 x 10: expected at least the window of 11 x 11"),
        ("summary --input-size 0", "paper, conv1: got an image of 0 x 0: expected at least"),
        ("summary --cross-columns 3,9", "got cross_columns=(3, 9): expected numbers out of [1, 2, 3, 4, 5]"),
        ("crossing --batch 0", "got batch=0: expected 1 or more"),
        ("memory --batch 9999999999", "got '9999999999': expected a whole number up to 1,000,000,000"),
        ("memory --batch 0", "batch=0: expected 1 or more"),
        ("plan --rate inf", "rate=inf images/s: expected 0.001 ... 1e+09"),
        ("plan --bandwidth 0", "got bandwidth=0 bytes/s: expected 1 ... inf"),  # told before anything is measured
        ("plan --update -5", "got update=-0.005 s: expected 0 ... 1000"),
        ("plan --devices 1,99999999999", "got devices=99999999999: expected 1 ... 1,000,000"),
        ("plan --batch 2 --devices 4", "got 2 images for 4 devices: expected 1 or more each; use a larger batch"),
        ("check --shape 2,3,8,8", "got shape=(2, 3, 8, 8) without a layer: expected FILE.py:NAME before it; add it"),
        ("features", "required: IMAGE"),
        ("features cat.jpg --layer fc9", "got layer=fc9: expected one of conv1, "),
        ("features cat.jpg", "got cat.jpg (it does not exist): expected an image file"),
        (f"summary --variant {'x' * 5000}", "xxx ... xxx"),
        (f"fly{'x' * 5000}", "xxx ... "),
        ("check --seed -1", "got seed=-1: expected 0 or more"),
        ("check --shape 2,0", "got shape=(2, 0): expected sizes of 1 or more"),
        ("check nowhere.py:Layer", "got nowhere.py:Layer: expected FILE.py:NAME"),
        ("check Layer", "got Layer: expected FILE.py:NAME"),
    ],
)
def test_words_that_make_no_sense(capsys, tmp_path, monkeypatch, words, part):
    monkeypatch.chdir(tmp_path)
    assert part in refused(capsys, words)
    assert list(tmp_path.iterdir()) == []
