"""The command finetune: from a net and a folder of class folders to a run that the other commands read."""

import json
import shutil

import numpy as np
import pytest

from runs import carried_out, refused, report_of
from tinyalex.weights.checkpoint import read

WORDS = "finetune --checkpoint a --data images --epochs 20"


@pytest.fixture
def other(here):
    """The folder, and in it images of two of the four classes, under other names."""
    for split in ("train", "val"):
        for old, new in (("class3", "cat"), ("class1", "dog")):
            shutil.copytree(here / "images" / split / old, here / "photos" / split / new)
    return here


def test_a_run_that_other_commands_read(capsys, other):
    code, out, err = carried_out(capsys, "finetune --checkpoint a --data photos --epochs 20 --batch 4")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[0] == "checkpoint a; a new fc8 of 2 classes reads relu7"
    assert [line.split()[1] for line in lines if line.startswith("epoch")] == [str(n) for n in range(2, 21, 2)]
    folder = other / "runs" / "finetuned"
    found = report_of(folder)
    history = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    assert found["top1_error"] == history[-1]["val_top1_error"] < 0.5
    assert (found["net"], found["variant"], found["data"], found["classes"]) == ("a", "tiny-relu7", "photos", 2)
    assert (found["training_images"], found["validation_images"], found["epochs"]) == (18, 8, 20)
    assert found["settings"]["head"]["weight_decay"] == 0.0001
    assert (
        f"top-1 error {found['top1_error']:.1%}, top-5 error 0.0% on 8 images that it never saw; 18 training images, "
        in out
    )

    code, out, _ = carried_out(capsys, "predict photos/val/cat/3.png --checkpoint runs/finetuned --json")
    assert code == 0
    assert {one["name"] for one in json.loads(out)["classes"]} == {"cat", "dog"}
    code, out, _ = carried_out(capsys, "eval runs/finetuned --data photos")
    assert code == 0
    assert f"top-1 error {found['top1_error']:.2%}" in out
    for words in ("features photos", "step photos/val/cat/3.png"):
        assert carried_out(capsys, f"{words} --checkpoint runs/finetuned")[0] == 0
    assert "expected one of a training run" in refused(capsys, "train --resume runs/finetuned")


def test_the_layers_below_are_those_of_the_net(capsys, here):
    assert carried_out(capsys, f"{WORDS} --features pool3 --out tuned --views centre")[0] == 0
    old, new = (read(here / run / "checkpoint.npz") for run in ("a", "tuned"))
    assert list(new.net.layers)[-2:] == ["flatten", "fc4"]
    for name, array in new.net.params.items():
        if not name.startswith("fc4"):
            np.testing.assert_array_equal(array, old.net.params[name])


def test_all_layers(capsys, here):
    code, out, _ = carried_out(capsys, f"{WORDS} --whole 2 --below 0.01 --out tuned")
    assert code == 0
    assert [line.split()[1] for line in out.splitlines() if line.startswith("epoch")][-3:] == ["20", "21", "22"]
    old, new = (read(here / run / "checkpoint.npz") for run in ("a", "tuned"))
    assert (old.net.params["conv1.w"] != new.net.params["conv1.w"]).any()


def test_the_example_learns_too(capsys, here):
    shutil.rmtree(here / "images" / "train" / "class0")
    shutil.rmtree(here / "images" / "val" / "class0")
    code, out, err = carried_out(capsys, "finetune --data images --epochs 3 --views centre")
    assert (code, err) == (0, "")
    assert "this is the example net" in out
    assert "a new fc8 of 3 classes reads relu7" in out


@pytest.mark.parametrize(
    ("words", "part"),
    [
        ("finetune", "the following arguments are required: --data"),
        (f"{WORDS} --features fc9", "got features=fc9: expected one of conv1, "),
        ("finetune --checkpoint a --data nowhere", "got data 'nowhere': expected shapes, "),
        ("finetune --checkpoint a --data images/train/class0", "without class folders"),
        (f"{WORDS} --limit 3", "of 3 out of 4 classes: expected images of each class"),
        (f"{WORDS} --limit 99", "got limit=99: expected 1 ... 36"),
        (f"{WORDS} --epochs 0", "got epochs=0: expected 1 or more"),
        (f"{WORDS} --lr -1", "got lr=-1"),
        (f"{WORDS} --below 0", "got whole=0, below=0.0: expected 0 or more, and a share above 0"),
        (f"{WORDS} --out b", "got b, which holds a run: expected a new folder; use another --out"),
        (f"{WORDS} --weights a", "expected one of them"),
        (f"{WORDS} --views nine", "got 'nine': expected one of centre, ten"),
        (f"{WORDS} --lr 1e38", "expected finite numbers; use a lower --lr"),
    ],
)
def test_words_that_make_no_sense(capsys, here, words, part):
    before = {path.name for path in here.iterdir()}
    assert part in refused(capsys, words)
    assert {path.name for path in here.iterdir()} - {"runs"} == before
    assert not list(here.glob("runs/*/*"))


def test_an_image_that_cannot_be_read(capsys, here):
    (here / "images" / "train" / "class1" / "5.png").write_bytes(b"no picture")
    assert "5.png" in refused(capsys, f"{WORDS} --out tuned")
    assert not (here / "tuned" / "checkpoint.npz").exists()
