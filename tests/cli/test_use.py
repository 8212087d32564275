"""The commands that use a trained net: predict and eval."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from runs import carried_out, report_of
from tinyalex import viz
from tinyalex.cli import use
from tinyalex.data import load_folder, prepare_image, read_image
from tinyalex.training.evaluate import augmenter_for, probabilities
from tinyalex.weights.checkpoint import read
from tinyalex.weights.example import load_example


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


@pytest.mark.usefixtures("here")
def test_predict_without_a_run_takes_the_example(capsys):
    code, out, _ = carried_out(capsys, "predict images/val/class0/0.png")
    assert code == 0
    assert out.startswith(
        "there is no run in runs/: this is the example net, trained on shapes; choose one by --checkpoint\n"
    )
    assert {line.split()[0] for lines in shown(out).values() for line in lines} < set(load_example().classes)


def test_predict_takes_the_newest_run(capsys, here):
    for number, run in enumerate(["b", "a"]):
        shutil.copytree(here / run, here / "runs" / run)
        os.utime(here / "runs" / run / "checkpoint.npz", (1e9 + number, 1e9 + number))
    os.utime(here / "runs" / "b" / "report.json", (2e9, 2e9))
    code, out, _ = carried_out(capsys, "predict images/val/class0/0.png")
    assert code == 0
    assert out.startswith("checkpoint runs/a\n")


def test_predict_goes_on_after_a_bad_image(capsys, here):
    """Its line is on stderr; the others are printed, and drawn."""
    (here / "letter.jpg").write_text("Dear all")
    code, out, err = carried_out(capsys, "predict nothing.png images/val/class0 letter.jpg --checkpoint a --out seen")
    assert code == 2
    assert err.splitlines() == [
        "tinyalex: got nothing.png (it does not exist): expected an image file",
        "tinyalex: got letter.jpg (none of JPEG, PNG, WEBP, BMP, GIF, TIFF): expected an image file",
        "tinyalex: 2 of 6 images could not be read",
    ]
    assert list(shown(out)) == [f"images/val/class0/{number}.png" for number in (0, 12, 4, 8)]  # sorted as text
    assert (here / "seen" / "predictions.png").is_file()


def test_predict_on_a_folder_draws_the_first_images(capsys, here, monkeypatch):
    monkeypatch.setattr(use, "DRAWN", 3)
    monkeypatch.setattr(use, "BATCH", 5)
    drawn = []
    draw = viz.predictions
    monkeypatch.setattr(viz, "predictions", lambda *given, **more: drawn.append((given, more)) or draw(*given, **more))
    code, out, err = carried_out(capsys, "predict images/val --checkpoint a")
    assert (code, err) == (0, "")
    assert out.endswith("\npredictions/predictions.png: the first 3 of 16 images\n")
    paths = sorted((here / "images" / "val").rglob("*.png"))
    assert list(shown(out)) == [str(path.relative_to(here)) for path in paths]
    [((pictures, labels, p, classes), more)] = drawn
    assert (labels, classes) == (None, tuple(f"class{k}" for k in range(4)))
    assert more["captions"] == [path.name for path in paths[:3]]
    for path, picture in zip(paths, pictures, strict=False):
        np.testing.assert_array_equal(picture, np.asarray(Image.open(path)))
    expected, _ = by_hand(here, "a", "centre")
    np.testing.assert_allclose(p, expected[:3], rtol=1e-4)


def test_features(capsys, here):
    words = "features images/val/class1 nothing.png --checkpoint a --layer relu6 --out new/f.npz"
    code, out, err = carried_out(capsys, words)
    assert (code, out) == (2, "checkpoint a\nnew/f.npz: relu6 of 4 images\n")
    assert len(err.splitlines()) == 2
    found = np.load("new/f.npz")
    assert found["files"].tolist() == [f"images/val/class1/{number}.png" for number in (1, 13, 5, 9)]
    checkpoint = read(here / "a" / "checkpoint.npz")
    stored = prepare_image(read_image(here / "images/val/class1/13.png"), checkpoint.statistics.mean.shape[0])
    x = augmenter_for(checkpoint).centre(stored[None])
    np.testing.assert_allclose(found["features"][1], checkpoint.net.forward(x, upto="relu6")[0], rtol=1e-5)
    assert json.loads(str(found["made_by"]))["net"] == "checkpoint a"
