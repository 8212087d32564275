"""The command `prepare`: what it writes, what it prints, and what it refuses."""

import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from runs import carried_out
from tinyalex.data import load_folder
from tinyalex.data.shards.dataset import load_prepared
from tinyalex.data.shards.index import UNFINISHED, read_index

DATA = os.environ.get("TINYALEX_DATA")
needs_data = pytest.mark.skipif(not DATA, reason="needs real images: TINYALEX_DATA names their folder")


def test_shapes_are_what_train_reads(capsys, here):
    for number, words in enumerate(("prepare shapes --out made0", "prepare shapes made1")):
        code, out, _ = carried_out(capsys, f"{words} --train 20 --val 10 --seed 5")
        assert (code, out) == (0, f"--data made{number}\n")
        train, val = load_folder(here / f"made{number}", size=18)
        assert (len(train), len(val), len(train.classes)) == (20, 10, 10)


def test_a_folder_becomes_a_set(capsys, here):
    code, out, err = carried_out(capsys, "prepare images made --size 18 --shard 10 --workers 1")
    assert (code, err) == (0, "")
    assert re.fullmatch(
        "images: 36 training and 16 validation images of 4 classes\n"
        r"on the disk: 51\.4 kB raw, about [\d.]+ kB as JPEG\n"
        "made: 52 images in 6 shards\n"
        "--data made\n",
        out,
    )
    train, val = load_prepared(here / "made", size=18)
    assert (len(train), len(val), train.classes) == (36, 16, tuple(f"class{i}" for i in range(4)))


def test_the_same_again_and_other_options(capsys, here):
    words = "prepare images made --size 18 --workers 1"
    assert carried_out(capsys, words)[0] == 0
    before = (here / "made/index.json").stat().st_mtime_ns
    code, out, _ = carried_out(capsys, words)
    assert code == 0
    assert "made is complete, with these settings and these images\n--data made\n" in out
    assert (here / "made/index.json").stat().st_mtime_ns == before
    code, _, err = carried_out(capsys, f"{words} --form jpeg")
    assert code == 2
    assert "got made, made with form raw: expected form jpeg" in err


def test_bad_images_and_the_same_in_two_classes(capsys, here):
    (here / "images/train/class1/1.png").write_bytes((here / "images/train/class2/2.png").read_bytes())
    (here / "images/val/class0/\x1b[31mred.png").write_bytes(b"text")
    code, out, _ = carried_out(capsys, "prepare --check images --workers 1")
    assert code == 2
    assert out == (
        "images/val/class0/?[31mred.png: none of JPEG, PNG, WEBP, BMP, GIF, TIFF\nimages: 53 images, 1 bad\n"
    )
    code, _, err = carried_out(capsys, "prepare images made --size 18 --workers 1 --max-rejected 0")
    assert code == 2
    assert "got 1 images that cannot be used, listed in made/rejected.csv: expected at most 0" in err
    code, out, _ = carried_out(capsys, "prepare images made --size 18 --workers 1 --max-rejected 0.1")
    assert code == 0
    assert out.splitlines()[2:] == [
        "made: 52 images in 2 shards, 1 left out (made/rejected.csv)",
        "the same image in two classes, or in training and validation: 1 (made/twice.csv)",
        "--data made",
    ]


def test_check_of_a_set(capsys, here):
    assert carried_out(capsys, "prepare images made --size 18 --workers 1")[0] == 0
    assert carried_out(capsys, "prepare made --check")[:2] == (0, "made: 52 images, all good\n")
    shard = here / "made/train/00000.raw"
    content = bytearray(shard.read_bytes())
    content[1000] ^= 1
    shard.write_bytes(content)
    code, out, _ = carried_out(capsys, "prepare --check made")
    assert code == 2
    assert "made/train/00000.raw" in out
    assert out.endswith("made: 52 images, 1 file bad\n")
    (here / "made/val/00000.raw").unlink()
    assert carried_out(capsys, "prepare --check made")[1].endswith("made: 52 images, 2 files bad\n")


def test_check_of_an_unfinished_set(capsys, here):
    assert carried_out(capsys, "prepare images made --size 18 --workers 1")[0] == 0
    (here / "made/index.json").rename(here / "made" / UNFINISHED)
    code, _, err = carried_out(capsys, "prepare --check made")
    assert code == 2
    assert "got made without index.json: expected a complete set; finish it with tinyalex prepare" in err


def test_check_of_a_user_s_home_who_is_unknown(capsys, here):  # noqa: ARG001
    code, _, err = carried_out(capsys, "prepare --check ~nobody-of-that-name/photos")
    assert code == 2
    assert "got ~nobody-of-that-name/photos, which does not exist" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("prepare images", "got no folder to write for images: expected prepare SRC DST"),
        ("prepare images a --out b", "got a and --out b: expected one of the two"),
        ("prepare nowhere made", "got nowhere, which does not exist: expected a folder or a tar file of images"),
        ("prepare images made --size 0", "got size=0, seed=0, shard=1024: expected size 1 ... 4096"),
        ("prepare images made --workers 0", "got --workers 0: expected 1 or more"),
        ("prepare images made --max-rejected -1", "got max_rejected=-1.0: expected a number of images, or a share"),
        ("prepare images made --train 5", "got --train for prepare images, which does not have it"),
        ("prepare images made --check", "got a second folder for prepare images --check, which does not have it"),
        ("prepare images --check --form raw", "got --form for prepare images --check"),
        ("prepare shapes made --val many", "got --val many for shapes: expected a whole number"),
        ("prepare shapes made --form raw", "got --form for prepare shapes"),
        ("prepare shapes --check", "got --check for prepare shapes"),
        ("prepare cifar10 --seed 1", "got --seed for prepare cifar10"),
        ("prepare images images/made", "got images/made within images: expected another folder"),
        ("prepare images run", "got run, which holds something else: expected a new or an empty folder"),
        ("prepare images made --val images/train/class0", "without class folders"),
    ],
)
def test_refused(capsys, here, words, message):
    (here / "run").mkdir(exist_ok=True)
    (here / "run/file").touch()
    code, _, err = carried_out(capsys, words)
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not list(here.glob("made/*"))


def command(here, *words):
    return subprocess.Popen(
        [sys.executable, "-m", "tinyalex", "prepare", *words],
        cwd=here,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGKILL])
def test_after_a_stop_the_same_command_goes_on(capsys, here, sign):
    words = ["images", "made", "--size", "18", "--shard", "2", "--workers", "2"]
    process = command(here, *words)
    while not (here / "made/train/00002.raw").exists() and process.poll() is None:
        time.sleep(0.002)
    os.killpg(process.pid, sign)  # as a terminal does, to all its processes
    _, err = process.communicate(timeout=60)
    if sign == signal.SIGINT:
        assert process.returncode == 130
        assert err.endswith("tinyalex: stopped; the same command goes on where it was\n")
        assert err.count("Traceback") == 0
    else:
        assert process.returncode == -sign
    assert not (here / "made/index.json").exists()
    assert carried_out(capsys, f"prepare {' '.join(words)}")[0] == 0
    assert carried_out(capsys, f"prepare {' '.join(words).replace('made', 'other')}")[0] == 0
    assert (here / "made/index.json").read_bytes() == (here / "other/index.json").read_bytes()


@needs_data
@pytest.mark.parametrize(
    ("name", "images", "classes"), [("caltech101-10", (700, 200), 10), ("imagenet-samples", (180, 20), 200)]
)
def test_real_images(capsys, tmp_path, name, images, classes):
    code, out, _ = carried_out(capsys, f"prepare {DATA}/{name} {tmp_path}/made --size 32 --form jpeg")
    assert code == 0
    assert out.startswith(f"{name}: {images[0]} training and {images[1]} validation images of {classes} classes\n")
    index = read_index(tmp_path / "made")
    assert (index.wnids is None) == (name == "caltech101-10")
    train, val = load_prepared(tmp_path / "made", size=32)
    assert (len(train), len(val)) == images
    assert set(Counter(train.labels.tolist()).values()) == ({70} if name == "caltech101-10" else {1})
    if name == "caltech101-10":
        whole, _ = load_folder(Path(DATA) / name, size=32)
        of_folder = whole.read(np.arange(700)).mean(axis=(0, 1, 2))
        np.testing.assert_allclose(train.read(np.arange(700)).mean(axis=(0, 1, 2)), of_folder, atol=1)


def test_a_tar_file(capsys, here):
    subprocess.run(["tar", "cf", "images.tar", "images"], cwd=here, check=True)
    for source in ("images", "images.tar"):
        assert carried_out(capsys, f"prepare {source} {source}-made --size 18 --workers 1")[0] == 0
    assert (here / "images-made/index.json").read_bytes() == (here / "images.tar-made/index.json").read_bytes()


def test_validation_images_and_labels_elsewhere(capsys, here):
    (here / "flat").mkdir()
    for number in range(4):
        Image.new("RGB", (20, 20), (number, 0, 0)).save(here / f"flat/{number}.png")
    (here / "table.csv").write_text("filename,class\n" + "".join(f"{n}.png,class{n}\n" for n in range(4)))
    words = "prepare images/train made --val flat --labels table.csv --size 18 --workers 1"
    code, out, _ = carried_out(capsys, words)
    assert code == 0
    assert out.startswith("train: 36 training and 4 validation images of 4 classes\n")
    _, val = load_prepared(here / "made", size=18)
    assert sorted(val.labels.tolist()) == [0, 1, 2, 3]
