"""Every mistake gets one line on stderr, exit code 2 and no traceback, and costs nothing that was there."""

import errno
import os
import pickle
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import tinyalex
from runs import TINY, refused, working_copy, write_folder
from tinyalex import cli, spec
from tinyalex.files import alone_in
from tinyalex.training import report
from tinyalex.training.loop import Training
from tinyalex.weights.checkpoint import read, write


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `images` of four classes, `other` of three, and the run of `tiny` on each: `run`, `other-run`."""
    place = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(spec.VARIANTS, "tiny", TINY)
        patch.setattr(report, "draw_pictures", lambda *_: [])
        patch.chdir(place)
        for data, run, classes in (("images", "run", 4), ("other", "other-run", 3)):
            write_folder(place / data, classes=classes)
            words = f"train --variant tiny --data {data} --out {run} --epochs 1"
            assert cli.main(words.split()) == 0
    return place


@pytest.fixture
def here(place, tmp_path, monkeypatch):
    """A copy of that folder as the working folder, and `tiny` among the variants."""
    return working_copy(place, tmp_path, monkeypatch)


def contents(folder):
    """name -> bytes of all files, without what is kept of images that were examined."""
    files = [path for path in folder.rglob("*") if path.is_file() and ".examined" not in path.parts]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


DAMAGE = {  # what is wrong with checkpoints of the run
    "nan.npz": lambda checkpoint: checkpoint.net.params["fc8.b"].fill(np.nan),
    "large.npz": lambda checkpoint: blow_up(checkpoint),
    "newer.npz": lambda checkpoint: checkpoint.training["settings"].update(colours=4),
    "renamed.npz": lambda checkpoint: setattr(checkpoint, "classes", ("cat", "dog")),
    "dark.npz": lambda checkpoint: checkpoint.statistics.mean.fill(np.nan),
}
TRAIN = "train --variant tiny --data images --epochs 2"


def blow_up(checkpoint):
    """Numbers that are finite, whose products are not."""
    for name in checkpoint.net.params:
        checkpoint.net.params[name] *= 1e15


def prepared(here):
    """Put what is wrong in the folder."""
    (here / "file").write_text("not a folder")
    (here / "empty").mkdir()
    (here / "letter.jpg").write_text("Dear all")
    Image.new("RGB", (2, 9)).save(here / "narrow.png")
    for name in ("empty-class", "no-image", "too-small"):
        shutil.copytree(here / "images", here / name)
    shutil.rmtree(here / "empty-class" / "train" / "class2")
    (here / "empty-class" / "train" / "class2").mkdir()
    (here / "no-image" / "train" / "class1" / "5.jpg").write_text("Dear all")
    Image.new("RGB", (2, 9)).save(here / "too-small" / "val" / "class1" / "1.png")
    tinyalex.save(tinyalex.AlexNet(TINY, num_classes=4), here / "net.npz")
    for name, change in DAMAGE.items():
        checkpoint = read(here / "run" / "checkpoint.npz")
        change(checkpoint)
        write(checkpoint, here / name)
    shutil.copytree(here / "images", here / "latin1")
    (here / "latin1" / "classes.tsv").write_bytes(b"0\tclass0\tn\xe9\n")
    whole = (here / "run" / "checkpoint.npz").read_bytes()
    (here / "cut.npz").write_bytes(whole[: len(whole) // 2])
    (here / "pickle.npz").write_bytes(pickle.dumps([1, 2, 3]))
    (here / "cifar").mkdir()
    labels = {"data_batch_1": [0, 1, 2, 1], "test_batch": [0, 1, 10, 1]}  # there are classes 0 ... 9
    for name, of_file in labels.items():
        batch = pickle.dumps({b"data": np.zeros((4, 3072), np.uint8), b"labels": of_file}, protocol=3)
        (here / "cifar" / name).write_bytes(batch.replace(b"numpy._core.", b"numpy.core."))  # as the real files have it
    names = {b"label_names": [f"class{i}".encode() for i in range(10)]}
    (here / "cifar" / "batches.meta").write_bytes(pickle.dumps(names, protocol=3))


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (f"{TRAIN} --data empty", ["got empty without class folders"]),
        (f"{TRAIN} --data file", ["got data 'file'"]),
        (f"{TRAIN} --data empty-class", ["empty-class/train/class2 without images"]),
        (f"{TRAIN} --data no-image", ["no-image/train/class1/5.jpg (none of JPEG, PNG"]),
        (f"{TRAIN} --variant mini --data cifar:cifar", ["got data 'cifar:cifar'"]),
        (f"{TRAIN} --variant mini --data cifar10:cifar", ["got label 10: expected 0 ... 9"]),
        (f"{TRAIN} --limit 37", ["got limit=37: expected 1 ... 36"]),
        (f"{TRAIN} --lr -1", ["lr=-1.0", "expected 0 or more"]),
        (f"{TRAIN} --dropout 1", ["dropout=1.0", "less than 1"]),
        (f"{TRAIN} --cross-columns 7", ["got cross_columns=(7,): expected numbers out of [1, 2, 3]"]),
        (f"{TRAIN} --variant paper --input-size 9", ["conv1: got an image of 9 x 9: expected at least the window"]),
        (f"{TRAIN} --out file", ["got the file file: expected the folder of a run"]),
        (f"{TRAIN} --out file/run", ["got file/run, where a file is in the way: expected a folder"]),
        (f"{TRAIN} --out run", ["got run, which holds a run: expected a new folder; use --resume, or another --out"]),
        ("train --resume empty", ["got empty: expected the folder of a run; it holds no checkpoint.npz"]),
        ("train --resume run --epochs 2 --momentum 0.5", ["got momentum=0.5: expected 0.9, as run began with"]),
        ("train --resume run --epochs 2 --variant mini", ["got variant=mini: expected tiny, as run began with"]),
        ("train --resume run --epochs 2 --data other", ["got data=other: expected images, as run began with"]),
        ("train --out run --resume --epochs 2 --seed 3", ["got seed=3: expected 0, as run began with"]),
        ("eval empty", ["got empty/checkpoint.npz: expected a .npz file"]),
        ("eval cut.npz", ["got cut.npz, which is cut short"]),
        ("eval pickle.npz", ["got pickle.npz, which is cut short or not a checkpoint of tinyalex"]),
        ("eval net.npz", ["got net.npz, which does not say what it was trained on: expected --data"]),
        ("eval other-run --data images", ["in images: expected class0, class1, class2, as other-run was trained on"]),
        ("eval run other-run", ["in images: expected class0, class1, class2, as other-run was trained on"]),
        ("eval run --data empty", ["got empty without class folders"]),
        ("eval run --data too-small", ["too-small/val/class1/1.png (2 x 9 pixels: fewer than the 3 x 3 of the net's"]),
        ("eval run --batch 0", ["got batch_size=0: expected 1 or more"]),
        ("eval run --out file", ["got file, where a file is in the way: expected a folder"]),
        (
            "eval nan.npz",
            ["got nan.npz, which cannot be used (got NaN or infinity in params/fc8.b: expected finite numbers); use"],
        ),
        ("eval newer.npz", ["got settings of another version of tinyalex", "colours"]),
        ("eval renamed.npz", ["got renamed.npz, which cannot be used (got 2 names", "4 classes"]),
        (
            "eval dark.npz",
            ["got dark.npz, which cannot be used (got NaN or infinity in mean: expected finite numbers)"],
        ),
        ("eval run --data latin1", ["got latin1/classes.tsv ("]),
        ("predict empty --checkpoint run", ["got empty, a folder without images: expected files that end in .bmp, "]),
        ("features empty --checkpoint run", ["got empty, a folder without images: expected files that end in .bmp, "]),
        ("features letter.jpg --checkpoint run", ["got letter.jpg (none of JPEG, PNG"]),
        ("features images --checkpoint run --layer conv9", ["got layer=conv9: expected one of conv1, relu1, norm1, "]),
        ("features images --checkpoint run --out empty", ["got empty, a folder: expected a file to write"]),
        ("features images --checkpoint run --out file/f.npz", ["where a file is in the way: expected a folder"]),
        ("features images --checkpoint net.npz", ["got a checkpoint without a mean image"]),
        ("features images --checkpoint nan.npz", ["got NaN or infinity in params/fc8.b"]),
        ("predict images/val --checkpoint large.npz", ["got NaN or infinity from the net: expected finite numbers"]),
        ("features images --checkpoint large.npz", ["got NaN or infinity from the net: expected finite numbers"]),
        ("eval large.npz", ["got NaN or infinity from the net: expected finite numbers; its parameters are too large"]),
        ("step images/val/class0/0.png --checkpoint large.npz", ["got NaN or infinity from the net"]),
        ("predict images/val/class0/0.png --checkpoint nan.npz", ["got NaN or infinity in params/fc8.b"]),
        ("step images/val/class0/0.png --checkpoint nan.npz", ["got NaN or infinity in params/fc8.b"]),
        ("predict letter.jpg --checkpoint run", ["got letter.jpg (none of JPEG, PNG"]),
        ("predict nothing.jpg --checkpoint run", ["got nothing.jpg (it does not exist)"]),
        ("predict narrow.png --checkpoint run", ["narrow.png (2 x 9 pixels: fewer than the 3 x 3 of the net's"]),
        ("predict images/val/class0/0.png --checkpoint net.npz", ["got a checkpoint without a mean image"]),
        ("predict images/val/class0/0.png --checkpoint cut.npz", ["got cut.npz, which is cut short"]),
        (
            "predict images/val/class0/0.png --checkpoint run --out file",
            ["got file, where a file is in the way: expected a folder"],
        ),
        ("step --checkpoint run", ["got no picture: expected an image file, or --shapes N"]),
        ("step nothing.jpg --shapes 3 --checkpoint run", ["got both: expected an image file, or --shapes N"]),
        ("step --shapes 0 --checkpoint run", ["got shapes=0: expected 1 ... 1000"]),
        ("step --shapes 1001 --checkpoint run", ["got shapes=1001: expected 1 ... 1000"]),
        ("step nothing.jpg --checkpoint run", ["got nothing.jpg (it does not exist)"]),
        ("step narrow.png --checkpoint run", ["narrow.png (2 x 9 pixels: fewer than the 3 x 3 of the net's"]),
        ("step images/val/class0/0.png --checkpoint net.npz", ["got a checkpoint without a mean image"]),
        (
            "step images/val/class0/0.png --checkpoint run --label cat",
            ["got the label 'cat': expected one of class0, class1, class2, ... (4)"],
        ),
        (
            "step images/val/class0/0.png --checkpoint run --out file/step.html",
            ["got file, where a file is in the way"],
        ),
        (
            "step images/val/class0/0.png --checkpoint run --out empty",
            ["got empty, a folder: expected a file to write"],
        ),
        ("step images/val/class0/0.png --checkpoint run --out .", ["got ., a folder: expected a file to write"]),
        ("plan --rate 9 --out file", ["got file, where a file is in the way"]),
        ("bench --variant tiny --layers --out file", ["got file, where a file is in the way"]),
        ("prepare shapes --out images", ["got images, which is not empty"]),
        ("prepare shapes --out file", ["got file, which is not empty"]),
    ],
)
def test_mistakes_cost_nothing(capsys, here, words, parts):
    prepared(here)
    before = contents(here)
    line = refused(capsys, words)
    assert all(part in line for part in parts), line
    assert contents(here) == before


def test_divergence_keeps_the_checkpoint(capsys, here):
    """Of a run that goes on to ten epochs at a rate that is too high from there on."""
    diverging = f"{TRAIN} --epochs 9 --lr 1e20 --out wild"
    line = refused(capsys, diverging)
    assert "got a loss of nan in epoch 1, step 2: expected finite numbers; use a lower learning rate (--lr)" in line
    params = tinyalex.load(here / "wild" / "checkpoint.npz").params
    assert all(np.isfinite(w).all() for w in params.values())
    assert sorted(path.name for path in (here / "wild").iterdir()) == ["checkpoint.npz", "history.jsonl"]


# ---------------------------------------------------------------- as a process of its own


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("train --data nowhere", 2),
        ("train --data images --input-size 16 --batch 12 --lr 1e20", 2),
        ("predict images/val/class0/0.png --checkpoint run", 0),
    ],
)
@pytest.mark.usefixtures("here")
def test_as_a_process(words, code):
    """No warning and no traceback: where the loss leaves the numbers, or a terminal knows no blocks to draw bars of."""
    done = subprocess.run(
        [sys.executable, "-m", "tinyalex", *words.split()],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == code
    assert len(done.stderr.splitlines()) == (1 if code else 0), done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has names of files in UTF-16")
@pytest.mark.usefixtures("here")
def test_names_that_are_no_text():
    """A file's and a class's name in Latin-1, as old disks have them: drawn, printed and kept with a "?"."""
    name = os.fsdecode(b"caf\xe9")
    shutil.copy("images/val/class0/0.png", f"{name}.png")
    for split in ("train", "val"):
        shutil.move(f"images/{split}/class0", f"images/{split}/{name}")
    assert cli.main(["predict", f"{name}.png", "--checkpoint", "run"]) == 0
    assert cli.main(["train", "--variant", "tiny", "--data", "images", "--epochs", "1", "--out", "latin"]) == 0
    assert read("latin/checkpoint.npz").classes == ("caf?", "class1", "class2", "class3")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGPIPE")
def test_nobody_reads_the_output(tmp_path):
    """`tinyalex summary | head -1`, where head is gone before the output comes."""
    reader, writer = os.pipe()
    os.close(reader)
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(
        [sys.executable, "-m", "tinyalex", "summary"],
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=60,
        cwd=tmp_path,
        env=buffered,
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, b"")


def test_a_full_disk_is_told_with_the_file_that_did_not_fit(capsys, here, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    words = "step images/val/class0/0.png --checkpoint run"
    assert refused(capsys, words) == "tinyalex: step.html: No space left on device\n"
    assert not list(here.glob("*step*"))


# ---------------------------------------------------------------- several at once


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_a_folder_that_another_process_trains_in_is_left_alone(capsys, here):
    before = contents(here)
    with alone_in(here / "run"), alone_in(here / "new"):
        assert "got run, which another process uses" in refused(capsys, "train --resume run --epochs 2")
        assert "got new, which another process uses" in refused(capsys, f"{TRAIN} --out new")
    assert contents(here) == before
    assert cli.main(shlex.split(f"{TRAIN} --out new")) == 0


NEW = ("tiny-images", "tiny-images-2")


def test_of_two_runs_without_a_name_each_has_a_folder(here, monkeypatch):
    """The second begins before the first has written anything."""
    words = shlex.split("train --variant tiny --data images --epochs 1")
    begun = Training.start

    def begin(*given, **more):
        monkeypatch.setattr(Training, "start", begun)
        assert cli.main([*words, "--seed", "1"]) == 0
        return begun(*given, **more)

    monkeypatch.setattr(Training, "start", begin)
    assert cli.main(words) == 0
    seeds = [read(here / "runs" / name / "checkpoint.npz").training["settings"]["seed"] for name in NEW]
    assert seeds == [0, 1]


def test_a_run_that_fails_leaves_no_folder(capsys, here):
    (here / "images" / "train" / "class1" / "5.jpg").write_text("Dear all")
    refused(capsys, TRAIN)
    assert [path.name for path in (here / "runs").iterdir()] == [".examined"]
