"""The command line: its help, and that words which make no sense get one line on stderr and exit code 2."""

import shlex

import pytest

import tinyalex
from runs import carried_out, refused
from tinyalex import __main__, cli
from tinyalex.cli import commands
from tinyalex.errors import ShapeError
from tinyalex.training.settings import settings_for

COMMANDS = (
    *("demo", "train", "eval", "predict", "step", "prepare", "summary", "check", "bench", "warmup", "info", "plan"),
    *("assignments", "grade"),
)


# ---------------------------------------------------------------- help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_that_works(capsys, command):
    code, out, err = carried_out(capsys, f"{command} --help")
    assert (code, err) == (0, "")
    example = " ".join(out.partition("example: tinyalex ")[2].split())
    assert example.split()[0] == command
    assert cli.build_parser().parse_args(shlex.split(example)).command.__name__.rstrip("_") == command


def test_help_lists_all_commands(capsys):
    code, out, _ = carried_out(capsys, "--help")
    assert code == 0
    assert all(f"\n    {command}" in out for command in COMMANDS)


def test_version(capsys):
    assert carried_out(capsys, "--version") == (0, f"tinyalex {tinyalex.__version__}\n", "")


def test_every_option_of_a_run_is_one_of_its_settings():
    words = """train --data d --variant paper --out o --resume r --input-size 64 --cross-columns 3,5 --epochs 7
        --batch 9 --lr 0.5 --momentum 0.6 --weight-decay 0.7 --dropout 0.8 --schedule plateau --drops 2,4 --patience 3
        --no-crops --no-reflections --colour off --limit 11 --seed 12 --save-every 13 --validate-every 14
        --devices cuda:0,cpu"""
    given = vars(cli.build_parser().parse_args(shlex.split(words)))
    assert str(given.pop("resume")) == "r"
    assert str(given.pop("out")) == "o"
    assert given.pop("command") is commands.train
    made = settings_for(**given)
    assert vars(made) == {
        **{"data": "d", "variant": "paper", "input_size": 64, "cross_columns": (3, 5), "epochs": 7, "batch": 9},
        **{"lr": 0.5, "momentum": 0.6, "weight_decay": 0.7, "dropout": 0.8, "schedule": "plateau", "drops": (2, 4)},
        **{"patience": 3, "crops": False, "reflections": False, "colour": "off", "limit": 11, "seed": 12},
        **{"save_every": 13, "validate_every": 14, "devices": ("cuda:0", "cpu")},
    }


@pytest.mark.parametrize(
    ("raised", "code", "line"),
    [
        (ShapeError("two\n lines"), 2, "tinyalex: two lines\n"),
        (OSError(28, "No space left on device", "run/x"), 2, "tinyalex: run/x: No space left on device\n"),
        (OSError("odd"), 2, "tinyalex: file: odd\n"),
        (KeyboardInterrupt(), 130, "\ntinyalex: stopped\n"),
        (MemoryError(), 2, "tinyalex: there is not enough memory: ask for less, such as a smaller --batch\n"),
        (
            MemoryError("9 TiB"),
            2,
            "tinyalex: there is not enough memory (9 TiB): ask for less, such as a smaller --batch\n",
        ),
    ],
)
def test_what_ends_a_command(capsys, monkeypatch, raised, code, line):
    def info(**_):
        raise raised

    monkeypatch.setattr(commands, "info", info)
    assert carried_out(capsys, "info") == (code, "", line)


@pytest.mark.parametrize("command", ["train", "demo"])
def test_a_run_that_is_stopped_can_go_on(capsys, monkeypatch, command):
    def stopped(**_):
        raise KeyboardInterrupt

    stopped.__name__ = command
    monkeypatch.setattr(commands, command, stopped)
    told = "\ntinyalex: stopped; tinyalex train --resume RUN goes on from the last checkpoint\n"
    assert carried_out(capsys, command) == (130, "", told)


def test_stopped_while_modules_are_loaded(monkeypatch):
    def stopped():
        raise KeyboardInterrupt

    monkeypatch.setattr(cli, "main", stopped)
    assert __main__.main() == 130


def test_bugs_are_not_hidden(monkeypatch):
    def info(**_):
        raise ZeroDivisionError

    monkeypatch.setattr(commands, "info", info)
    with pytest.raises(ZeroDivisionError):
        cli.main(["info"])


# ---------------------------------------------------------------- mistakes


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("", "required: COMMAND"),
        ("fly", "invalid choice: 'fly'"),
        ("train --variant vgg", "invalid choice: 'vgg'"),
        ("summary --variant vgg", "invalid choice: 'vgg'"),
        ("train --epochs many", "invalid int value: 'many'"),
        ("train --epochs 1.5", "invalid int value: '1.5'"),
        ("train --lr fast", "invalid float value: 'fast'"),
        ("train --drops 1,x", "--drops: invalid integers value: '1,x'"),
        ("train --schedule cosine", "invalid choice: 'cosine'"),
        ("train --colour sepia", "invalid choice: 'sepia'"),
        ("train --unknown", "unrecognized arguments: --unknown"),
        ("train --epochs 0", "epochs is 0: expected 1 or more"),
        ("train --batch -4", "batch is -4: expected 1 or more"),
        ("train --save-every 0", "save_every is 0: expected 1 or more"),
        ("train --limit 0", "limit is 0: expected 1 or more"),
        ("train --seed -1", "seed is -1: expected 0 or more"),
        ("train --input-size 0", "input_size is 0: expected 1 or more"),
        ("train --resume", "name the run to go on with, as --resume RUN or by --out"),
        ("train --resume nowhere", "nowhere holds no checkpoint.npz: expected the folder of a run"),
        ("train --resume one --out two", "name two folders: give one of them"),
        ("train --data nowhere", "no data 'nowhere'; expected shapes, cifar10[:DIR], or a folder of class folders"),
        ("train --data cifar10:nowhere", "there is no folder nowhere"),
        ("demo --epochs 0", "epochs is 0: expected 1 or more"),
        ("demo --seed -1", "seed is -1: expected 0 or more"),
        ("eval", "required: RUN"),
        ("eval nowhere", "no checkpoint nowhere: expected a .npz file"),
        ("eval x --views nine", "invalid choice: 'nine'"),
        ("predict", "required: IMAGE"),
        ("predict cat.jpg", "there is no image cat.jpg; expected a file"),
        ("prepare photos", "invalid choice: 'photos'"),
        ("prepare shapes --train 0", "count >= 1"),
        ("prepare shapes --seed -1", "seed >= 0"),
        ("summary --classes 0", "num_classes=0: expected 1 or more"),
        ("summary --input-size 10", "paper, conv1: an image of 10 x 10 is smaller than the window of 11 x 11"),
        ("summary --input-size 0", "paper, conv1: an image of 0 x 0 is smaller"),
        ("summary --cross-columns 3,9", "paper has the convolutions [1, 2, 3, 4, 5]"),
        ("info --devices cpu:0,cpu:1 --batch 0", "batch is 0: expected 1 image or more"),
        ("info --memory --batch 0", "batch=0: expected 1 image or more"),
        ("plan --rate inf", "rate is inf images/s: expected 0.001 ... 1e+09"),
        ("plan --bandwidth 0", "bandwidth is 0 bytes/s"),  # told before anything is measured
        ("plan --update -5", "update is -0.005 s: expected 0 ... 1000"),
        ("plan --devices 1,99999999999", "devices is 99999999999: expected 1 ... 1,000,000"),
        ("plan --batch 2 --devices 4", "2 images for 4 devices: use a larger batch, or fewer devices"),
        ("check --seed -1", "seed is -1: expected 0 or more"),
        ("check --shape 2,0", "shape is (2, 0): expected sizes of 1 or more"),
        ("check nowhere.py:Layer", "nowhere.py:Layer: expected FILE.py:NAME"),
        ("check Layer", "Layer: expected FILE.py:NAME"),
    ],
)
def test_words_that_make_no_sense(capsys, tmp_path, monkeypatch, words, part):
    monkeypatch.chdir(tmp_path)
    assert part in refused(capsys, words)
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- a layer of one's own


LAYERS = """
from tinyalex import ReLU

class Right(ReLU):
    ...

class Wrong(ReLU):
    def backward(self, dy):
        return 2 * super().backward(dy)

class Raising(ReLU):
    def forward(self, x, *, train=False):
        return x[5]

class Wanting(ReLU):
    def __init__(self, size):
        self.size = size

def made():
    return Right()

five = 5
"""


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("Nobody", "mine.py has no Nobody: expected the name of a layer"),
        ("Wrong", "gradient of x["),
        ("Raising", "mine.py, line 13: IndexError: index 5 is out of bounds"),
        ("Wanting", "mine.py: TypeError: "),
        ("five", "mine.py: TypeError: 'int' object is not callable"),
    ],
)
def test_a_layer_that_is_wrong(capsys, tmp_path, monkeypatch, name, part):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(LAYERS)
    assert part in refused(capsys, f"check mine.py:{name}")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("x = 1\nraise ValueError('two\\nlines')", "mine.py, line 2: ValueError: two lines"),
        ("import nowhere_to_be_found", "mine.py, line 1: ModuleNotFoundError: "),
        ("def f(:", "SyntaxError: invalid syntax (mine.py, line 1)"),
    ],
)
def test_a_file_that_cannot_be_imported(capsys, tmp_path, monkeypatch, text, part):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text(text)
    assert part in refused(capsys, "check mine.py:Layer")


def test_a_layer_that_is_a_dataclass(capsys, tmp_path):
    """Of a field whose type is a text, Python looks up the module of the class by its name."""
    text = "from __future__ import annotations\nimport dataclasses\n" + LAYERS
    text += "\n@dataclasses.dataclass\nclass Sized(Right):\n    size: int = 3\n"
    text += "    def __post_init__(self):\n        super().__init__()\n"
    (tmp_path / "mine.py").write_text(text)
    code, _, err = carried_out(capsys, f"check {tmp_path}/mine.py:Sized --shape 2,5")
    assert (code, err) == (0, "")


@pytest.mark.parametrize("name", ["Right", "made"])
def test_a_layer_that_is_right(capsys, tmp_path, name):
    (tmp_path / "mine.py").write_text(LAYERS)
    code, out, err = carried_out(capsys, f"check {tmp_path}/mine.py:{name} --shape 2,5")
    assert (code, err) == (0, "")
    assert out.split()[-4:-1] == ["x", "10", "0"]
