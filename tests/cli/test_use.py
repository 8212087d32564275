"""The commands that show photographs to a trained net: predict and features."""

import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

from others import by_hand, read_by_hand, write_foreign
from runs import carried_out, refused
from tinyalex import viz
from tinyalex.cli import use
from tinyalex.data import prepare_image, read_image
from tinyalex.training.evaluate import augmenter_for
from tinyalex.weights.checkpoint import read
from tinyalex.weights.example import load_example


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


def test_predict_on_ten_crops(capsys, here, monkeypatch):
    """Three photographs at a time."""
    monkeypatch.setattr(use, "BATCH", 30)
    code, out, err = carried_out(capsys, "predict images/val --checkpoint a --views ten --json")
    assert (code, err) == (0, "")
    expected, labels = by_hand(here, "a", "ten")
    found = [json.loads(line) for line in out.splitlines()]
    assert [one["file"].split("/")[2] for one in found] == [f"class{label}" for label in labels]
    for one, p in zip(found, expected, strict=True):
        assert [of_class["index"] for of_class in one["classes"]] == sorted(range(4), key=lambda c: -p[c])
        for of_class in one["classes"]:
            assert of_class["name"] == f"class{of_class['index']}"
            assert of_class["probability"] == pytest.approx(p[of_class["index"]], rel=1e-4)


def test_predict_as_json_prints_nothing_else(capsys, here):
    """A line for each image, for a bad one too; a picture only where a folder for it is given."""
    code, out, err = carried_out(capsys, "predict images/val/class0/0.png nothing.png --checkpoint a --json")
    assert code == 2
    good, bad = map(json.loads, out.splitlines())
    assert set(good) == {"file", "classes"}
    assert bad == {"file": "nothing.png", "error": "got nothing.png (it does not exist): expected an image file"}
    assert len(err.splitlines()) == 2
    assert not (here / "predictions").exists()
    code, out, _ = carried_out(capsys, "predict images/val/class0/0.png --checkpoint a --json --out seen")
    assert (code, len(out.splitlines())) == (0, 1)
    assert (here / "seen" / "predictions.png").is_file()


def test_a_net_of_others(capsys, here):
    """Blue first, squeezed into the square, and a divisor for each colour."""
    options = write_foreign(here / "a", "foreign.npz")
    name = "wide.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 31, 3), "uint8")).save(name)
    code, out, err = carried_out(capsys, f"predict {name} {options} --json")
    assert (code, err) == (0, "")
    net, x = read_by_hand(here / "a", name)
    p = net.predict(x)[0]
    found = json.loads(out)["classes"]
    assert [one["name"] for one in found] == [f"kind {c}" for c in sorted(range(4), key=lambda c: -p[c])]
    assert [one["probability"] for one in found] == pytest.approx(sorted(p.tolist(), reverse=True), rel=1e-4)

    assert carried_out(capsys, f"features {name} {options} --layer pool2 --out f.npz")[0] == 0
    np.testing.assert_allclose(np.load("f.npz")["features"], net.forward(x, upto="pool2").reshape(1, -1), rtol=1e-4)


def test_a_net_without_names(capsys, here):
    options = write_foreign(here / "a", "foreign.npz").replace("--classes names.txt", "")
    code, out, _ = carried_out(capsys, f"predict images/val/class0/0.png {options}")
    assert code == 0
    assert {line[:7] for line in shown(out)["images/val/class0/0.png"]} == {f"class {c}" for c in range(4)}


def test_a_part_of_a_net(capsys, here):
    """Its first layers serve; what would read zeros is refused."""
    options = write_foreign(here / "a", "part.npz", leave_out=("fc6.w", "fc7.w"))
    assert carried_out(capsys, f"features images/val {options} --layer pool3")[0] == 0
    lacking = "got a part of a net, without fc6.w, fc7.w"
    assert lacking in refused(capsys, f"features images/val {options}")
    assert lacking in refused(capsys, f"predict images/val {options}")


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            "--weights a/checkpoint.npz --checkpoint a",
            "got --weights a/checkpoint.npz and --checkpoint a: expected one",
        ),
        ("--weights a/checkpoint.npz --mean 1,2,3", "got --mean for a/checkpoint.npz: expected no such option"),
        ("--checkpoint a --colours BGR", "got --colours for a: expected no such option"),
        ("--size 40", "got --size for the example: expected no such option"),
        ("--weights nothing", "got nothing, which does not exist: expected a file, or one of torchvision"),
    ],
)
def test_options_that_contradict(capsys, words, told):
    for command in ("predict", "features", "neighbours --index f.npz"):
        assert told in refused(capsys, f"{command} images/val/class0/0.png {words}")


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
