"""What the commands do when all is well: the files they leave, and the numbers in them."""

import base64
import io
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from runs import TINY, carried_out, images, working_copy, write_folder
from tinyalex import AlexNet, cli, spec
from tinyalex.cli import commands
from tinyalex.data import PixelStatistics, load_folder, prepare_image, read_image
from tinyalex.training import report
from tinyalex.training.evaluate import augmenter_for, probabilities
from tinyalex.weights.checkpoint import Checkpoint, read, write
from tinyalex.weights.example import load_example

PICTURES = ["confusion.png", "curves.png", "kernels.png", "neighbours.png", "predictions.png"]


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with `images` and two runs of `tiny` on them, of other seeds: `a`, with its pictures, and `b`."""
    place = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(spec.VARIANTS, "tiny", TINY)
        patch.chdir(place)
        write_folder(place / "images")
        words = "train --variant tiny --data images --epochs 2 --batch 12 --out"
        assert cli.main(f"{words} a".split()) == 0
        patch.setattr(report, "draw_pictures", lambda *_: [])
        assert cli.main(f"{words} b --seed 1".split()) == 0
    return place


@pytest.fixture
def here(place, tmp_path, monkeypatch):
    """A copy of that folder as the working folder, `tiny` among the variants, and no time spent on pictures."""
    return working_copy(place, tmp_path, monkeypatch)


def report_of(folder):
    return json.loads((folder / "report.json").read_text())


# ---------------------------------------------------------------- train, demo


def test_a_run_leaves_its_report_and_pictures(place):
    names = sorted(path.name for path in (place / "a").iterdir())
    assert names == sorted(["checkpoint.npz", "history.jsonl", "report.json", *PICTURES])
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
    assert "in runs/tiny-images: checkpoint.npz, history.jsonl, report.json\n" in out


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


def test_the_demo_trains_mini_on_shapes(capsys, here, monkeypatch):
    asked = []

    def few(source, **given):
        asked.append((source, given["size"]))
        return images(20, size=36, classes=10), images(20, size=36, classes=10, seed=1)

    monkeypatch.setattr(commands.images, "open_data", few)
    for name in ("demo", "demo-2"):
        assert carried_out(capsys, "demo --epochs 1 --seed 3")[0] == 0
        found = report_of(here / "runs" / name)
        assert (found["variant"], found["data"], found["settings"]["seed"]) == ("mini", "shapes", 3)
    assert asked == [("shapes", 36)] * 2


# ---------------------------------------------------------------- eval


def errors(p, labels):
    """Top-1 error by a loop; no two classes tie here."""
    return sum(max(range(4), key=lambda k: row[k]) != label for row, label in zip(p, labels, strict=True)) / len(labels)


def by_hand(here, run, views):
    checkpoint = read(here / run / "checkpoint.npz")
    val = load_folder(here / "images", size=checkpoint.statistics.mean.shape[0])[1]
    return probabilities(checkpoint.net, val, augmenter_for(checkpoint), views=views), val.labels


@pytest.mark.parametrize("views", ["centre", "ten"])
def test_eval(capsys, here, views):
    code, out, err = carried_out(capsys, f"eval a --views {views} --batch 5")
    assert (code, err) == (0, "")
    p, labels = by_hand(here, "a", views)
    found = report_of(here / "a" / "eval")
    assert found["top1_error"] == pytest.approx(errors(p, labels))
    assert found["loss"] == pytest.approx(-np.log(p[range(16), labels]).mean(), rel=1e-5)
    assert found["top5_error"] == 0
    assert (found["variant"], found["data"], found["views"], found["runs"]) == ("tiny", "images", views, ["a"])
    assert (found["images"], found["epochs"]) == (16, [2])
    assert found["images_per_s"] == pytest.approx(16 / found["seconds"])
    assert "versions" in found
    assert f"top-1 error {found['top1_error']:.2%}, top-5 error 0.00% on 16 images ({views} crop" in out
    if views == "centre":
        assert found["top1_error"] == report_of(here / "a")["top1_error"]


def test_eval_of_two_nets_averages_their_probabilities(capsys, here):
    code, out, _ = carried_out(capsys, "eval a b/checkpoint.npz --out both --data images")
    assert code == 0
    assert "2 nets" in out
    (first, labels), (second, _) = (by_hand(here, run, "centre") for run in "ab")
    mean = (first + second) / 2
    found = report_of(here / "both")
    assert found["top1_error"] == pytest.approx(errors(mean, labels))
    assert found["loss"] == pytest.approx(-np.log(mean[range(16), labels]).mean(), rel=1e-5)
    assert found["epochs"] == [2, 2]
    assert not (here / "a" / "eval").exists()


def test_eval_of_a_file_reports_beside_it(capsys, here):
    assert carried_out(capsys, "eval b/checkpoint.npz")[0] == 0
    assert (here / "b" / "eval" / "report.json").is_file()


# ---------------------------------------------------------------- predict


def shown(out):
    """image -> its lines, without the two at the ends."""
    blocks = out.split("\n\n")
    return {block.splitlines()[0]: block.splitlines()[1:] for block in blocks[1:-1]}


def test_predict(capsys, here):
    names = "images/val/class0/0.png images/val/class1/1.png"
    code, out, err = carried_out(capsys, f"predict {names} --checkpoint a --out seen")
    assert (code, err) == (0, "")
    assert out.startswith("checkpoint a\n")
    assert out.endswith("\nseen/predictions.png\n")
    assert (here / "seen" / "predictions.png").is_file()
    p, _ = by_hand(here, "a", "centre")  # the images of class 0 come first, four of each
    for row, lines in zip((p[0], p[4]), shown(out).values(), strict=True):
        order = sorted(range(4), key=lambda k: -row[k])
        assert [line.split()[0] for line in lines] == [f"class{k}" for k in order]
        percents = [float(line.split()[-2]) for line in lines]
        assert percents == pytest.approx([100 * row[k] for k in order], abs=0.051)


def test_pictures_of_all_kinds(capsys, here):
    """The same picture as it is, with an alpha channel, as a palette, and stored on its side with an EXIF note."""
    picture = Image.open(here / "images" / "val" / "class1" / "1.png").convert("RGB").crop((0, 0, 20, 15))
    picture = picture.quantize(16).convert("RGB")  # so that a palette loses nothing
    picture.save("plain.png")
    picture.convert("RGBA").save("alpha.png")
    picture.quantize(16).save("palette.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: to be seen upright, turn it clockwise by a quarter
    picture.transpose(Image.Transpose.ROTATE_90).save("turned.png", exif=exif)
    grey = picture.convert("L")
    grey.save("grey.png")
    grey.convert("RGB").save("grey-rgb.png")
    names = ["plain.png", "alpha.png", "palette.png", "turned.png", "grey.png", "grey-rgb.png"]
    code, out, err = carried_out(capsys, f"predict {' '.join(names)} --checkpoint a")
    assert (code, err) == (0, "")
    found = shown(out)
    assert found["plain.png"] == found["alpha.png"] == found["palette.png"] == found["turned.png"]
    assert found["grey.png"] == found["grey-rgb.png"] != found["plain.png"]


@pytest.mark.parametrize("label", [None, "class3"])
def test_step(capsys, here, label):
    """The page is of the central crop, as the net reads it, and of the label, or of what the net says."""
    classes = tuple(f"class{k}" for k in range(4))
    statistics = PixelStatistics(np.full((36, 36, 3), 90.0, "float32"), np.ones(3), np.eye(3))
    trained = Checkpoint(AlexNet("mini", num_classes=4), classes, statistics)
    write(trained, here / "mini.npz")
    image = "images/val/class2/2.png"
    words = f"step {image} --checkpoint mini.npz --out pages/step.html" + (f" --label {label}" if label else "")
    code, out, err = carried_out(capsys, words)
    assert (code, err) == (0, "")
    stored = prepare_image(read_image(here / image), 36)
    said = int(trained.net.predict(augmenter_for(trained).centre(stored[None]))[0].argmax())
    assert f"checkpoint mini.npz\n{image}: the net says 'class{said}'" in out
    assert ("--label names another class" in out) == (label is None)
    assert out.endswith("pages/step.html\n")
    text = (here / "pages" / "step.html").read_text("utf-8")
    about = json.loads(text.partition('type="application/json">')[2].partition("</script>")[0])
    assert (about["label"], about["classes"]) == (said if label is None else 3, list(classes))
    picture = Image.open(io.BytesIO(base64.b64decode(about["picture"].partition(",")[2])))
    np.testing.assert_array_equal(np.asarray(picture), stored[2:34, 2:34])


@pytest.mark.usefixtures("here")
def test_predict_without_a_run_takes_the_example(capsys):
    code, out, _ = carried_out(capsys, "predict images/val/class0/0.png")
    assert code == 0
    assert out.startswith("the example net, of shapes, as runs/ holds no run; --checkpoint names another\n")
    assert {line.split()[0] for lines in shown(out).values() for line in lines} < set(load_example().classes)


def test_predict_takes_the_newest_run(capsys, here):
    for number, run in enumerate(["b", "a"]):
        shutil.copytree(here / run, here / "runs" / run)
        os.utime(here / "runs" / run / "checkpoint.npz", (1e9 + number, 1e9 + number))
    os.utime(here / "runs" / "b" / "report.json", (2e9, 2e9))
    code, out, _ = carried_out(capsys, "predict images/val/class0/0.png")
    assert code == 0
    assert out.startswith("checkpoint runs/a\n")


# ---------------------------------------------------------------- the others


def test_prepare_writes_what_train_reads(capsys, here):
    code, out, _ = carried_out(capsys, "prepare shapes --train 20 --val 10 --seed 5 --out made")
    assert (code, out) == (0, "--data made\n")
    train, val = load_folder(here / "made", size=18)
    assert (len(train), len(val), len(train.classes)) == (20, 10, 10)


def test_summary(capsys):
    code, out, _ = carried_out(capsys, "summary")
    assert (code, "60,965,224" in out) == (0, True)
    assert "61,100,840" in carried_out(capsys, "summary --variant torchvision")[1]
    narrow = carried_out(capsys, "summary --classes 10 --input-size 227 --cross-columns 3,4")[1]
    assert f"{60_965_224 - 990 * 4097 + 192 * 9 * 384:,}" in narrow


def test_check_goes_through_every_layer(capsys):
    code, out, _ = carried_out(capsys, "check")
    assert code == 0
    for name in ("Conv2D", "MaxPool2D", "LocalResponseNorm", "ReLU", "Tanh", "Linear", "Dropout", "mini, 16 x 16"):
        assert f"\n{name}" in f"\n{out}"
    assert "conv5.w" in out
    assert out.endswith("all gradients are right\n")


def test_info(capsys, monkeypatch):
    monkeypatch.setenv("TINYALEX_KERNELS", "reference")
    monkeypatch.setenv("TINYALEX_DATA", "/photographs")
    code, out, _ = carried_out(capsys, "info")
    assert code == 0
    lines = {line.split()[0]: line.split(maxsplit=1)[1] for line in out.splitlines()}
    assert lines["numpy"] == np.__version__
    assert lines["kernels"] == "reference (TINYALEX_KERNELS)"
    assert lines["images"] == "/photographs"


def test_info_of_two_devices(capsys):
    code, out, _ = carried_out(capsys, "info --devices cuda:0,cuda:1 --variant mini --batch 7")
    assert code == 0
    words = [line.split() for line in out.splitlines()]
    assert words[1:] == [
        ["conv3", "229,376"],
        ["fc6", "57,344"],
        ["fc7", "28,672"],
        ["fc8", "28,672"],
        ["all", "344,064"],
    ]


def test_a_run_on_two_devices(capsys, here):
    assert (
        carried_out(capsys, "train --variant tiny --data images --epochs 1 --batch 12 --devices cpu:0,cpu:1 --out c")[0]
        == 0
    )
    assert report_of(here / "c")["settings"]["devices"] == ["cpu:0", "cpu:1"]
    code, _, err = carried_out(capsys, "train --variant tiny --data images --devices cpu:0,tpu --out d")
    assert (code, err) == (2, "tinyalex: no device is called 'tpu': expected 'cpu', 'cpu:0', 'cuda:0', 'cuda:1', ...\n")


def test_info_without_numba(capsys, monkeypatch):
    monkeypatch.setattr(commands.machine, "cpu_kernels", lambda: None)
    monkeypatch.delenv("TINYALEX_KERNELS", raising=False)
    assert "kernels      auto (Numba is not installed: the definitions run instead)" in carried_out(capsys, "info")[1]
