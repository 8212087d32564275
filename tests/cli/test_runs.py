"""A run from the command line: its folder, what it leaves, and how it goes on."""

import json

import numpy as np
import pytest

from runs import carried_out, report_of
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


def test_a_finished_run_is_reported_anew(capsys, here):
    before = (here / "a" / "checkpoint.npz").read_bytes()
    (here / "a" / "report.json").unlink()
    assert carried_out(capsys, "train --resume a")[0] == 0
    assert (here / "a" / "checkpoint.npz").read_bytes() == before
    assert report_of(here / "a")["epochs"] == 2


def test_a_run_on_two_devices(capsys, here):
    assert (
        carried_out(capsys, "train --variant tiny --data images --epochs 1 --batch 12 --devices cpu:0,cpu:1 --out c")[0]
        == 0
    )
    assert report_of(here / "c")["settings"]["devices"] == ["cpu:0", "cpu:1"]
    code, _, err = carried_out(capsys, "train --variant tiny --data images --devices cpu:0,tpu --out d")
    assert (code, err) == (2, "tinyalex: no device is called 'tpu': expected 'cpu', 'cpu:0', 'cuda:0', 'cuda:1', ...\n")
