"""The command line: `tinyalex COMMAND ...`, or `python -m tinyalex COMMAND ...`."""

import argparse
import os
import sys
import warnings
from collections.abc import Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, NoReturn

from tinyalex import __version__, spec
from tinyalex.cli import commands
from tinyalex.errors import TinyAlexError, UsageError


class Parser(argparse.ArgumentParser):
    """A parser whose complaint is one line."""

    def error(self, message: str) -> NoReturn:
        """Print what was wrong and leave with exit code 2."""
        self.exit(2, f"{self.prog}: {message} (see {self.prog} --help)\n")


def integers(text: str) -> tuple[int, ...]:
    """The text "3,5" as (3, 5), "" as ()."""
    return tuple(int(part) for part in text.split(",") if part)


def names(text: str) -> tuple[str, ...]:
    """The text "cuda:0,cuda:1" as ("cuda:0", "cuda:1")."""
    return tuple(text.split(","))


def add_devices(parser: argparse.ArgumentParser, default: Any) -> None:
    """The option --devices."""
    parser.add_argument(
        "--devices",
        type=names,
        metavar="A[,B]",
        default=default,
        help="a device for the whole net, such as cuda:0, or one for each column of it, such as cuda:0,cuda:1 or "
        "cpu:0,cpu:1 (the whole net on the CPU)",
    )


def add_data(parser: argparse.ArgumentParser, default: Any, text: str) -> None:
    """The option --data."""
    parser.add_argument(
        "--data", metavar="shapes|cifar10[:DIR]|DIR", default=default, help=f"{text}; DIR: a folder of class folders"
    )


def add_variant(parser: argparse.ArgumentParser, default: Any, shown: str) -> None:
    """The option --variant."""
    parser.add_argument(
        "--variant",
        choices=spec.VARIANTS,
        default=default,
        metavar="NAME",
        help=f"{', '.join(spec.VARIANTS)} ({shown})",
    )


def add_net(parser: argparse.ArgumentParser) -> None:
    """The options that shape a net; where one is not given the variant decides."""
    unset = argparse.SUPPRESS
    parser.add_argument("--input-size", type=int, metavar="PIXELS", default=unset, help="side of what the net sees")
    parser.add_argument(
        "--cross-columns", type=integers, metavar="3,...", default=unset, help="convolutions that read both columns (3)"
    )


def add_training(parser: argparse.ArgumentParser) -> None:
    """The options of a run; what is not given is left out of the namespace, and taken from the variant's recipe."""
    unset = argparse.SUPPRESS
    number: dict[str, Any] = {"type": int, "metavar": "N", "default": unset}
    rate: dict[str, Any] = {"type": float, "metavar": "X", "default": unset}
    parser.add_argument("--epochs", **number, help="passes over the training images")
    parser.add_argument("--batch", **number, help="images a step (128)")
    parser.add_argument("--lr", **rate, help="learning rate at the start")
    parser.add_argument("--momentum", **rate, help="momentum (0.9)")
    parser.add_argument("--weight-decay", **rate, help="weight decay (0.0005)")
    parser.add_argument("--dropout", **rate, help="probability to drop a hidden unit of fc6 and fc7 (0.5)")
    parser.add_argument(
        "--schedule",
        choices=("steps", "plateau", "constant"),
        default=unset,
        help="when the rate is divided by 10: after the epochs in --drops (default), when the validation error has "
        "not improved for --patience epochs, or never",
    )
    parser.add_argument("--drops", type=integers, metavar="E,E,...", default=unset, help="epochs after which it is")
    parser.add_argument("--patience", **number, help="epochs without improvement that --schedule plateau waits (5)")
    parser.add_argument("--no-crops", dest="crops", action="store_false", default=unset, help="central crops only")
    parser.add_argument(
        "--no-reflections", dest="reflections", action="store_false", default=unset, help="no mirror images"
    )
    parser.add_argument(
        "--colour",
        choices=("paper", "cuda-convnet", "off"),
        default=unset,
        help="colour noise: the paper's formula (default), the released code's, or none",
    )
    parser.add_argument("--limit", **number, help="train on N images only, as many of each class")
    parser.add_argument("--seed", **number, help="seed of all random numbers (0)")
    parser.add_argument("--validate-every", **number, help="epochs between validations (1)")
    parser.add_argument("--save-every", **number, help="steps between checkpoints within an epoch (1000)")


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands; each sets `command` to the function that carries it out."""
    parser = Parser(prog="tinyalex", description="AlexNet (2012), whole and by hand, in NumPy.")
    parser.add_argument("--version", action="version", version=f"tinyalex {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=Parser)

    def add(command: Any, text: str, example: str) -> argparse.ArgumentParser:
        added = subparsers.add_parser(
            command.__name__.rstrip("_"),
            help=text,
            description=f"{text[0].upper()}{text[1:]}.",
            epilog=f"example: tinyalex {example}",
        )
        added.set_defaults(command=command)
        return added

    demo = add(
        commands.demo, "train a small net on generated images, and draw what it learned", "demo --out runs/first"
    )
    demo.add_argument("--out", type=Path, help="folder of the run (runs/demo, or the next that is free)")
    demo.add_argument("--epochs", type=int, default=argparse.SUPPRESS, metavar="N", help="passes over the images (15)")
    demo.add_argument("--seed", type=int, default=argparse.SUPPRESS, metavar="N", help="seed of all random numbers (0)")

    train = add(
        commands.train, "train a net", "train --data cifar10:cifar-10-batches-py --variant mini --out runs/cifar"
    )
    add_data(train, argparse.SUPPRESS, "training and validation images (shapes)")
    add_variant(train, argparse.SUPPRESS, "mini")
    train.add_argument("--out", type=Path, help="folder of the run (runs/VARIANT-DATA, or the next that is free)")
    train.add_argument(
        "--resume",
        nargs="?",
        type=Path,
        const=True,
        metavar="RUN",
        help="go on with the run in RUN, or in --out if it holds one, with its own settings; --epochs may be raised, "
        "the learning rate and its schedule changed",
    )
    add_net(train)
    add_devices(train, argparse.SUPPRESS)
    add_training(train)

    evaluate = add(commands.eval_, "measure the top-1 and top-5 error of trained nets", "eval runs/cifar --views ten")
    evaluate.add_argument("runs", nargs="+", type=Path, metavar="RUN", help="runs or checkpoints; several are averaged")
    add_data(evaluate, None, "validation images (those of the first run)")
    evaluate.add_argument("--views", choices=("centre", "ten"), default="centre", help="centre crop, or ten crops")
    add_devices(evaluate, None)
    evaluate.add_argument("--batch", type=int, default=128, metavar="N", help="images at a time (128)")
    evaluate.add_argument("--out", type=Path, help="folder for report.json (RUN/eval)")

    predict = add(commands.predict, "name what is in images", "predict cat.jpg dog.png --checkpoint runs/cifar")
    predict.add_argument("images", nargs="+", type=Path, metavar="IMAGE", help="image files")
    predict.add_argument("--checkpoint", type=Path, help="run or checkpoint (the newest in runs/, else the example)")
    add_devices(predict, None)
    predict.add_argument("--out", type=Path, default=Path("predictions"), help="folder for predictions.png")

    step = add(
        commands.step,
        "write a page to step through a net's pass over an image, forward and backward",
        "step cat.jpg --checkpoint runs/cifar --label cat --out step.html",
    )
    step.add_argument("image", type=Path, metavar="IMAGE", help="image file")
    step.add_argument("--checkpoint", type=Path, help="run or checkpoint (the newest in runs/, else the example)")
    step.add_argument("--label", metavar="CLASS", help="what it shows, for the loss (what the net says)")
    step.add_argument("--out", type=Path, default=Path("step.html"), metavar="FILE", help="file to write (step.html)")

    prepare = add(commands.prepare, "put a data set on disk", "prepare shapes --out data/shapes")
    prepare.add_argument(
        "source", choices=("shapes", "cifar10"), help="shapes: JPEGs in class folders; cifar10: download"
    )
    prepare.add_argument("--out", type=Path, help="folder to write (data/shapes, or the download cache for cifar10)")
    prepare.add_argument("--train", type=int, default=6000, metavar="N", help="training images of shapes (6000)")
    prepare.add_argument("--val", type=int, default=1000, metavar="N", help="validation images of shapes (1000)")
    prepare.add_argument("--seed", type=int, default=0, metavar="N", help="seed of shapes (0)")

    summary = add(commands.summary, "count the layers of a net", "summary --variant paper --input-size 227")
    add_variant(summary, "paper", "paper")
    summary.add_argument("--classes", type=int, default=1000, metavar="N", help="number of classes (1000)")
    add_net(summary)

    check = add(commands.check, "check gradients numerically", "check mylayers.py:MyLayer --shape 2,3,8,8")
    check.add_argument(
        "layer", nargs="?", metavar="FILE.py:NAME", help="a layer of one's own, or a function that makes one"
    )
    check.add_argument("--shape", type=integers, default=(2, 3, 8, 8), metavar="N,C,H,W", help="its input (2,3,8,8)")
    check.add_argument("--seed", type=int, default=0, metavar="N", help="seed of the inputs (0)")

    bench = add(
        commands.bench, "measure how fast a net trains or infers", "bench --variant paper --mode train --layers"
    )
    add_variant(bench, "paper", "paper")
    bench.add_argument("--mode", choices=("train", "infer"), default="train", help="whole steps (default), or forward")
    bench.add_argument("--batch", type=int, default=64, metavar="N", help="images a step (64)")
    add_devices(bench, None)
    bench.add_argument("--threads", type=int, metavar="N", help="threads (the cores this process may use)")
    bench.add_argument("--steps", type=int, default=5, metavar="N", help="steps to measure, after two that warm up (5)")
    bench.add_argument("--layers", action="store_true", help="also each layer's time, against what the machine can do")
    bench.add_argument("--json", action="store_true", help="one line of JSON instead of text")
    bench.add_argument("--out", type=Path, default=Path("bench"), help="folder for the picture of --layers (bench)")

    add(commands.warmup, "compile all kernels, for later runs to find on disk", "warmup")
    info = add(
        commands.info,
        "show what is installed and in use, or what training takes of memory, or what crosses between two devices",
        "info --memory --variant paper --batch 128 --devices cpu:0,cpu:1",
    )
    add_devices(info, None)
    add_variant(info, "paper", "paper")
    info.add_argument(
        "--batch", type=int, default=128, metavar="N", help="images a step, for --memory and --devices (128)"
    )
    info.add_argument("--memory", action="store_true", help="bytes that training takes, by device and by what for")
    info.add_argument("--measure", action="store_true", help="besides, train a few steps, and count what they take")

    plan = add(
        commands.plan,
        "predict how fast several devices train together",
        "plan --devices 1,2,4,8 --rate 2500 --bandwidth 12.5",
    )
    add_variant(plan, "paper", "paper")
    rate: dict[str, Any] = {"type": float, "metavar": "X"}
    plan.add_argument(
        "--devices", type=integers, default=(1, 2, 4, 8, 16, 32, 64), metavar="K,K,...", help="how many (1,2,4,...,64)"
    )
    plan.add_argument("--batch", type=int, default=128, metavar="N", help="images a step, all devices together (128)")
    plan.add_argument("--per-device", action="store_true", help="let --batch be the images of each device")
    plan.add_argument("--rate", **rate, help="images a second that one device computes (measured here)")
    plan.add_argument(
        "--update", **rate, help="milliseconds of an update of all parameters (0; measured if the rate is)"
    )
    plan.add_argument("--bandwidth", **rate, default=12.5, help="GB/s that a device sends (12.5)")
    plan.add_argument("--latency", **rate, default=20.0, help="microseconds that a message takes besides (20)")
    plan.add_argument(
        "--loading", **rate, default=float("inf"), help="images a second that a process prepares (no bound)"
    )
    plan.add_argument(
        "--no-overlap", dest="overlap", action="store_false", help="gradients are added up after the backward pass only"
    )
    plan.add_argument("--out", type=Path, default=Path("plan"), help="folder for the picture (plan)")

    sources = Path("notebooks/assignments/source")
    assignments = add(
        commands.assignments, "make the student versions of the assignments", "assignments --out build/assignments"
    )
    grade = add(commands.grade, "mark what students handed in", "grade hand-ins --out runs/marks")
    grade.add_argument("submissions", type=Path, metavar="DIR", help="hand-ins: STUDENT/assignment1.ipynb, ...")
    for course, folder in ((assignments, Path("build/assignments")), (grade, Path("runs/marks"))):
        course.add_argument("--source", type=Path, default=sources, help=f"folder of the assignments ({sources})")
        course.add_argument("--out", type=Path, default=folder, help=f"folder to write ({folder})")
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one command. Returns 0, or 2 for a mistake of the user's, told in one line.

    130 when interrupted, 141 when nobody reads the output any more, as of a program that the signals SIGINT and
    SIGPIPE end.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that lacks a character of a bar or a name shows "?"
    given = vars(build_parser().parse_args(arguments))
    command = given.pop("command")
    try:
        with warnings.catch_warnings():
            for harmless in ("Image size", "Glyph"):  # a large picture, a name in letters that a figure's font lacks
                warnings.filterwarnings("ignore", harmless)
            command(**given)
        if sys.stdout:
            sys.stdout.flush()
    except TinyAlexError as error:
        return _complain(error)
    except MemoryError as error:
        reason = f" ({error})" if str(error) else ""
        return _complain(UsageError(f"there is not enough memory{reason}: ask for less, such as a smaller --batch"))
    except BrokenPipeError:  # `tinyalex ... | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python complains when it ends
        return 141
    except OSError as error:  # a disk that is full, a folder that may not be written, ...
        return _complain(UsageError(f"{error.filename or 'file'}: {error.strerror or error}"))
    except KeyboardInterrupt:
        training = command in (commands.demo, commands.train)
        goes_on = "; tinyalex train --resume RUN goes on from the last checkpoint" if training else ""
        print(f"\ntinyalex: stopped{goes_on}", file=sys.stderr)
        return 130
    return 0


def _complain(error: TinyAlexError) -> int:
    print(f"tinyalex: {' '.join(str(error).split())}", file=sys.stderr)
    return 2
