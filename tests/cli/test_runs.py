"""A run from the command line: its folder, what it leaves, and how it goes on."""

import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from runs import carried_out, refused, report_of
from tinyalex.weights.checkpoint import read

CHECKPOINTS = ["checkpoint-best.npz", "checkpoint-previous.npz", "checkpoint.npz"]
PICTURES = ["confusion.png", "curves.png", "kernels.png", "neighbours.png", "predictions.png"]


def test_a_run_leaves_its_report_and_pictures(place):
    names = sorted(path.name for path in (place / "a").iterdir())
    assert names == sorted([*CHECKPOINTS, "history.jsonl", "report.json", *PICTURES])
    found = report_of(place / "a")
    history = [json.loads(line) for line in (place / "a" / "history.jsonl").read_text().splitlines()]
    assert found["variant"] == "tiny"
    assert found["data"] == "images"
    assert found["epochs"] == len(history) == 2
    assert found["top1_error"] == history[-1]["val_top1_error"]
    assert found["top5_error"] == history[-1]["val_top5_error"]
    assert found["train_top1_error"] == history[-1]["train_top1_error"]
    assert found["seconds"] == pytest.approx(history[0]["seconds"] + history[1]["seconds"])
    assert found["images_per_s"] == pytest.approx(72 / found["seconds"])  # 36 images twice
    assert (found["training_images"], found["validation_images"]) == (36, 16)
    weights = 8 * 3 * 9 + 8 * 4 * 9 + 8 * 8 * 9 + 16 * 32 + 16 * 16 + 4 * 16
    assert found["parameters"] == weights + 3 * 8 + 16 + 16 + 4
    assert (found["settings"]["lr"], found["settings"]["batch"]) == (0.05, 12)
    assert found["versions"]["numpy"] == np.__version__


def test_a_run_says_how_it_went(capsys, here):
    code, out, err = carried_out(capsys, "train --variant tiny --data images --epochs 1 --batch 12 --validate-every 3")
    assert (code, err) == (0, "")
    found = report_of(here / "runs" / "tiny-images")
    assert "epoch   1/1  rate 0.05  train: loss " in out
    assert f"tiny on images: top-1 error {found['top1_error']:.1%}, top-5 error 0.0% on 16 images" in out
    assert "trained for 1 epochs of 36 images in " in out
    assert f"in runs/tiny-images: {', '.join(CHECKPOINTS)}, history.jsonl, report.json\n" in out


def test_folders_that_are_taken_are_left_alone(capsys, here):
    words = "train --variant tiny --data ./images/ --epochs 1 --limit 4"
    for name in ("tiny-images", "tiny-images-2", "tiny-images-3"):
        assert carried_out(capsys, words)[0] == 0
        assert (here / "runs" / name / "report.json").is_file()


@pytest.mark.parametrize("words", ["--resume new", "--out new --resume", "--resume new --out new"])
def test_more_epochs_for_a_run(capsys, here, words):
    """The rates fall after 0.4 and 0.7 of the epochs, of however many there are by then: 1 and 2 of 3."""
    assert carried_out(capsys, "train --variant tiny --data images --epochs 1 --batch 12 --out new")[0] == 0
    assert carried_out(capsys, "train --variant tiny --data images --epochs 3 --batch 12 --out whole")[0] == 0
    code, out, _ = carried_out(capsys, f"train {words} --epochs 3")
    assert code == 0
    assert "epoch   1/" not in out
    lines = (here / "new" / "history.jsonl").read_text().splitlines()
    assert [json.loads(line)["lr"] for line in lines] == pytest.approx([0.05, 0.005, 0.0005])
    params = [read(here / run / "checkpoint.npz").net.params for run in ("new", "whole")]
    assert all(w.tobytes() == params[1][name].tobytes() for name, w in params[0].items())
    assert report_of(here / "new")["epochs"] == 3


def test_resume_begins_a_run_where_there_is_none(capsys, here):
    words = "train --variant tiny --data images --epochs 1 --limit 4 --out new --resume"
    assert carried_out(capsys, words)[0] == 0
    assert report_of(here / "new")["epochs"] == 1


@pytest.mark.usefixtures("here")
def test_a_finished_run_says_so(capsys):
    code, out, err = carried_out(capsys, "train --resume a")
    assert (code, err) == (0, "")
    told = "nothing is left to train: all 2 epochs of a are done; for more: tinyalex train --resume a --epochs N\n"
    assert out.startswith(told)
    assert "nothing is left" not in carried_out(capsys, "train --resume a --epochs 3")[1]
    assert carried_out(capsys, "train --resume a")[1].startswith(told.replace("2", "3"))


def test_a_finished_run_is_reported_anew(capsys, here):
    before = (here / "a" / "checkpoint.npz").read_bytes()
    (here / "a" / "report.json").unlink()
    assert carried_out(capsys, "train --resume a")[0] == 0
    assert (here / "a" / "checkpoint.npz").read_bytes() == before
    assert report_of(here / "a")["epochs"] == 2


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.unlink()  # its other names keep their bytes
    path.write_bytes(content)


def test_a_damaged_checkpoint_is_told_and_the_one_before_it_is_used(capsys, here):
    words = "train --variant tiny --data images --batch 12"
    assert carried_out(capsys, f"{words} --epochs 2 --out new")[0] == 0
    assert carried_out(capsys, f"{words} --epochs 2 --out whole")[0] == 0
    damage(here / "new" / "checkpoint.npz")
    told = r"tinyalex: got new/checkpoint.npz, which .*: new/checkpoint-previous.npz is used instead, which is older\n"
    for command in ("eval new --out report", "predict images/val/class0/0.png --checkpoint new", "train --resume new"):
        code, _, err = carried_out(capsys, command)
        assert code == 0
        assert re.fullmatch(told, err)
    assert carried_out(capsys, "eval new --out report")[::2] == (0, "")  # the run has written a new one
    params = [read(here / run / "checkpoint.npz").net.params for run in ("new", "whole")]
    assert all(w.tobytes() == params[1][name].tobytes() for name, w in params[0].items())


def test_a_run_goes_on_without_its_newest_checkpoint(capsys, here):
    (here / "a" / "checkpoint.npz").unlink()
    code, _, err = carried_out(capsys, "train --resume a")
    assert code == 0
    assert err.startswith("tinyalex: got a/checkpoint.npz: expected a .npz file")


def test_replaced_images_are_refused(capsys, here):
    for number, path in enumerate(sorted((here / "images" / "train").rglob("*.png"))):
        Image.fromarray(np.full((20, 20, 3), number, np.uint8)).save(path)
    assert refused(capsys, "train --resume a --epochs 3") == (
        "tinyalex: got other images from images: expected those that a began with\n"
    )


def test_one_damaged_validation_image_costs_nothing(capsys, here):
    """Told after an epoch, as only its header was checked; the epoch's steps are kept."""
    path = here / "images" / "val" / "class1" / "5.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    words = "train --variant tiny --data images --batch 12 --epochs 1 --check header --out new"
    assert "5.png" in refused(capsys, words)
    position = read(here / "new" / "checkpoint.npz").training["position"]
    assert (position["epoch"], position["step"]) == (0, 3)
    path.write_bytes(whole)
    assert carried_out(capsys, "train --resume new")[0] == 0
    assert report_of(here / "new")["epochs"] == 1


@pytest.mark.usefixtures("here")
def test_more_images_a_step_than_there_are(capsys):
    code, _, err = carried_out(capsys, "train --variant tiny --data images --epochs 1 --batch 1000 --out new")
    assert (code, err) == (0, "tinyalex: got a batch of 1,000 images: there are 36, all in each step\n")


@pytest.mark.parametrize("variant", ["tiny", "paper", "mini"])
def test_a_net_too_large_for_the_machine(capsys, here, variant):
    """Told before any image is read, and the batch is not blamed."""
    line = refused(capsys, f"train --variant {variant} --data images --input-size 100000 --out new")
    assert line.startswith("tinyalex: got input_size=100000: the net takes ")
    assert line.endswith(" GiB; use a smaller --input-size\n")
    assert not (here / "new").exists()


def test_images_of_one_class(capsys, here):
    for split in ("train", "val"):
        for number in (1, 2, 3):
            shutil.rmtree(here / "images" / split / f"class{number}")
    assert "got training images of one class" in refused(capsys, "train --variant tiny --data images --out new")
    assert not list((here / "new").iterdir())


def test_a_run_on_two_devices(capsys, here):
    assert (
        carried_out(capsys, "train --variant tiny --data images --epochs 1 --batch 12 --devices cpu:0,cpu:1 --out c")[0]
        == 0
    )
    assert report_of(here / "c")["settings"]["devices"] == ["cpu:0", "cpu:1"]
    code, _, err = carried_out(capsys, "train --variant tiny --data images --devices cpu:0,tpu --out d")
    assert (code, err) == (2, "tinyalex: no device is called 'tpu': expected 'cpu', 'cpu:0', 'cuda:0', 'cuda:1', ...\n")
