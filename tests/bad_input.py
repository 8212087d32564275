"""Bad input of every kind, what each command answers, and the tables of docs/bad-input.md: `make bad-input`.

Each case makes something bad in a folder that holds `photos`, small images of two classes, the `run` of a net on them,
and a prepared `set`. Then it carries out a command.
"""

import contextlib
import io
import json
import os
import pickle
import resource
import shlex
import shutil
import struct
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from PIL import Image

from cifar_files import NAMES, as_file, batch, rows_of
from runs import write_folder
from tinyalex import cli
from tinyalex.training import report
from tinyalex.weights.checkpoint import read, write

PAGE = Path(__file__).parents[1] / "docs" / "bad-input.md"
BAD = Path("photos/train/class0/bad.jpg")
BEGIN = "<!-- make bad-input writes all from here on -->\n\n"
CHECK = "prepare --check photos"
TRAIN = "train --data photos --variant mini --batch 16 --epochs 1 --out new"
EVAL = "eval run"
SET = "train --data set --variant mini --batch 16 --out new"
CIFAR = "train --data cifar10:cifar"


class Case(NamedTuple):
    """What is bad, how it is made in the working folder, and the command that meets it."""

    what: str
    make: Callable[[], object]
    command: str


def at(place, content):
    """Write `content` there."""
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    Path(place).write_bytes(content)


def changed(place, change):
    """Change the bytes of a file, or the files that match."""
    [file] = Path().glob(place)
    content = change(file.read_bytes())
    file.unlink()  # other names of it keep what it held
    file.write_bytes(content)


def flipped(content):
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def half(content):
    return content[: len(content) // 2]


def noise(size, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8))


def picture(size=(40, 40), mode="RGB", form="JPEG"):
    """The bytes of an image file."""
    file = io.BytesIO()
    (noise(size).convert("L") if mode == "I;16" else noise(size)).convert(mode).save(file, form)
    return file.getvalue()


def announced(width, height):
    """A PNG that says that it has so many pixels, and has none of them."""
    head = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (head, b"IDAT" + zlib.compress(b""), b"IEND")
    packed = (struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


def cifar(first_batch):
    """CIFAR-10's files, the first with this content."""
    at("cifar/data_batch_1", first_batch)
    at("cifar/test_batch", as_file(batch(rows_of(20, 1), [i % 10 for i in range(20)])))
    at("cifar/batches.meta", as_file({b"label_names": NAMES}))


class Harmful:
    def __reduce__(self):
        return os.system, ("touch harmed",)


def newer_index():
    index = json.loads(Path("set/index.json").read_text())
    at("set/index.json", json.dumps({**index, "format": 99}).encode())


def escaping_tar():
    with tarfile.open("photos.tar", "w") as tar:
        for name in ("class0/1.jpg", "../../class1/2.jpg"):
            member = tarfile.TarInfo(name)
            member.size = len(picture())
            tar.addfile(member, io.BytesIO(picture()))


def spoiled_checkpoint(spoil):
    checkpoint = read("run/checkpoint.npz")
    spoil(checkpoint)
    write(checkpoint, Path("run/checkpoint.npz"))
    for name in ("previous", "best"):
        Path(f"run/checkpoint-{name}.npz").unlink(missing_ok=True)


def only_checkpoint(change):
    changed("run/checkpoint.npz", change)
    for name in ("previous", "best"):
        Path(f"run/checkpoint-{name}.npz").unlink(missing_ok=True)


def empty_class():
    Path("photos/train/class2").mkdir()


def twice():
    shutil.copy("photos/train/class0/0.png", "photos/train/class1/again.png")


def animation():
    first, *others = (noise((40, 40), seed) for seed in range(3))
    first.save(BAD.with_suffix(".gif"), save_all=True, append_images=others)


def limit_files():
    """As on a full disk: no file may have more than 64 kB."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


def nothing():
    pass


CASES = (
    Case("an image of zero bytes", lambda: at(BAD, b""), CHECK),
    Case("a JPEG that is cut short", lambda: at(BAD, half(picture())), CHECK),
    Case("a text that is called `bad.jpg`", lambda: at(BAD, b"Dear all"), CHECK),
    Case("a PNG of 65 bytes that announces 30,000 x 30,000 pixels", lambda: at(BAD, announced(30000, 30000)), CHECK),
    Case("an image of 1 x 10,000 pixels", lambda: at(BAD, picture((1, 10_000))), CHECK),
    Case("an image of 20 x 10,000 pixels", lambda: at(BAD, picture((20, 10_000))), CHECK),
    Case("a named pipe", lambda: os.mkfifo(BAD), CHECK),
    Case("a link that leads nowhere", lambda: BAD.symlink_to("nowhere.jpg"), CHECK),
    Case("a link out of the folder", lambda: (at("other.jpg", picture()), BAD.symlink_to("../../../other.jpg")), CHECK),
    Case("a JPEG in CMYK", lambda: at(BAD, picture(mode="CMYK")), CHECK),
    Case("a PNG of 16 bits", lambda: at(BAD, picture(mode="I;16", form="PNG")), CHECK),
    Case("an animated GIF: its first frame is read", animation, CHECK),
    Case(
        "a bad image whose name is not UTF-8", lambda: at(os.fsdecode(b"photos/train/class0/\xe9.jpg"), b"none"), CHECK
    ),
    Case("a bad image among those to train on", lambda: at(BAD, b"Dear all"), TRAIN),
    Case("a bad image, which is to be left out", lambda: at(BAD, b"Dear all"), f"{TRAIN} --skip-bad"),
    Case("more bad images than may be left out", lambda: at(BAD, b""), "prepare photos new --max-rejected 0"),
    Case("a class folder without images", empty_class, TRAIN),
    Case("the same image in two classes", twice, TRAIN),
    Case("images of one class only", lambda: [shutil.rmtree(f"photos/{s}/class1") for s in ("train", "val")], TRAIN),
    Case("a folder of other classes than the net's", lambda: Path("photos/val/class1").rename("photos/val/cat"), EVAL),
    Case(
        "a CIFAR pickle that names a function", lambda: cifar(pickle.dumps(Harmful(), 2)), "train --data cifar10:cifar"
    ),
    Case(
        "a CIFAR batch that is cut short",
        lambda: cifar(half(as_file(batch(rows_of(4, 1), [0, 1, 2, 3])))),
        CIFAR,
    ),
    Case(
        "a CIFAR batch with a label that is no class",
        lambda: cifar(as_file(batch(rows_of(4, 1), [0, 1, 10, 3]))),
        CIFAR,
    ),
    Case("a prepared set of a newer version", newer_index, SET),
    Case(
        "a shard that is cut short",
        lambda: changed("set/train/00000.raw", half),
        SET,
    ),
    Case("a shard with one flipped bit", lambda: changed("set/train/00000.raw", flipped), "prepare --check set"),
    Case(
        "a shard with one flipped bit",
        lambda: changed("set/train/00000.raw", flipped),
        SET,
    ),
    Case(
        "a shard that is missing",
        lambda: Path("set/train/00000.raw").unlink(),
        SET,
    ),
    Case("a tar file with a member `../../class1/2.jpg`", escaping_tar, "prepare photos.tar new"),
    Case("a checkpoint that is cut short", lambda: only_checkpoint(half), EVAL),
    Case("a checkpoint with one flipped bit", lambda: only_checkpoint(flipped), EVAL),
    Case(
        "a damaged checkpoint, and the one before it is whole",
        lambda: changed("run/checkpoint.npz", flipped),
        "train --resume run --epochs 3",
    ),
    Case(
        "NaN among the parameters",
        lambda: spoiled_checkpoint(lambda checkpoint: checkpoint.net.params["fc8.b"].fill(np.nan)),
        EVAL,
    ),
    Case(
        "NaN in the mean image",
        lambda: spoiled_checkpoint(lambda checkpoint: checkpoint.statistics.mean.fill(np.nan)),
        EVAL,
    ),
    Case("a learning rate that is too high", nothing, f"{TRAIN} --lr 1e9"),
    Case("other images than the run began with", lambda: at(BAD, picture()), "train --resume run --epochs 3"),
    Case("a disk that is full", limit_files, TRAIN),
    Case("a disk that is full", limit_files, "prepare photos new"),
)


def make_place(folder):
    """What every case finds."""
    with contextlib.chdir(folder):
        write_folder(Path("photos"), train=24, val=8, size=40, classes=2)
        for command in (
            TRAIN.replace("new", "run").replace("--epochs 1", "--epochs 2"),
            "prepare photos set --size 36",
        ):
            code, said = answer(command)
            assert code == 0, said


def carried_out(case, place, folder):
    """(exit code, lines that it prints) of the case in a copy of the place."""
    shutil.copytree(place, folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        with contextlib.chdir(folder):
            case.make()
            return answer(case.command)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def answer(command):
    """(exit code, lines that it prints) of a command; it draws no pictures."""
    said = io.StringIO()
    words = [*shlex.split(command), *(["--workers", "1"] if command.startswith("prepare") else [])]
    with (
        contextlib.redirect_stdout(said),
        contextlib.redirect_stderr(said),
        patch.object(report, "draw_pictures", lambda *_: []),
    ):
        code = cli.main(words)
    return code, said.getvalue().splitlines()


def row(case, code, lines):
    """The line of the table: what complains is the line of `tinyalex:`, or the first."""
    line = next((line for line in lines if line.startswith("tinyalex: ")), lines[0])
    return f"| {case.what} | {code} | `{line}` |"


def tables(place, scratch):
    """The tables of the page: for each command the cases that meet it."""
    found = {}
    for number, case in enumerate(CASES):
        code, lines = carried_out(case, place, scratch / str(number))
        found.setdefault(case.command, []).append(row(case, code, lines))
    head = "| what is bad | exit code | what it prints |\n|---|--:|---|\n"
    return "\n\n".join(f"`tinyalex {command}`\n\n{head}" + "\n".join(rows) for command, rows in found.items())


def main():
    with tempfile.TemporaryDirectory() as name:
        place = Path(name, "place")
        place.mkdir()
        make_place(place)
        before, _ = page()
        PAGE.write_text(before + BEGIN + tables(place, Path(name)) + "\n")


def page():
    """The page before the tables, and the tables."""
    before, _, written = PAGE.read_text().partition(BEGIN)
    return before, written.rstrip("\n")


if __name__ == "__main__":
    main()
