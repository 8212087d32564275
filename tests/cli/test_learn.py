"""The commands to learn with: demo, summary, step and check."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from runs import carried_out, images, report_of
from tinyalex import AlexNet, cli
from tinyalex.backend import kernel
from tinyalex.cli import images as run_images
from tinyalex.data import PixelStatistics, prepare_image, read_image
from tinyalex.layers import lrn
from tinyalex.training.evaluate import augmenter_for
from tinyalex.weights.checkpoint import Checkpoint, write


def test_the_demo_trains_mini_on_shapes(capsys, here, monkeypatch):
    asked = []

    def few(source, **given):
        asked.append((source, given["size"]))
        return images(20, size=36, classes=10), images(20, size=36, classes=10, seed=1)

    monkeypatch.setattr(run_images, "open_data", few)
    for name in ("demo", "demo-2"):
        assert carried_out(capsys, "demo --epochs 1 --seed 3")[0] == 0
        found = report_of(here / "runs" / name)
        assert (found["variant"], found["data"], found["settings"]["seed"]) == ("mini", "shapes", 3)
    assert asked == [("shapes", 36)] * 2


def test_summary(capsys):
    code, out, _ = carried_out(capsys, "summary")
    assert (code, "60,965,224" in out) == (0, True)
    assert "61,100,840" in carried_out(capsys, "summary --variant torchvision")[1]
    narrow = carried_out(capsys, "summary --classes 10 --input-size 227 --cross-columns 3,4")[1]
    assert f"{60_965_224 - 990 * 4097 + 192 * 9 * 384:,}" in narrow


def test_check_goes_through_every_layer(capsys):
    code, out, _ = carried_out(capsys, "check")
    assert code == 0
    for name in (
        "Conv2D",
        "MaxPool2D",
        "AveragePool2D",
        "LocalResponseNorm",
        "SpatialResponseNorm",
        "ReLU",
        "Tanh",
        "Linear",
        "Dropout",
        "mini, 16 x 16",
    ):
        assert f"\n{name}" in f"\n{out}"
    assert "conv5.w" in out
    assert out.endswith("all gradients are right\n")


@pytest.mark.parametrize(
    ("classes", "label"), [(("a", "b", "c", "d"), None), (("a", "b", "c", "d"), "d"), ((), None), ((), "'class 3'")]
)
def test_step(capsys, here, classes, label):
    """The page is of the central crop, as the net reads it, and of the label, or of what the net says.

    The classes of a net without their names are called by their numbers, as `predict` calls them.
    """
    statistics = PixelStatistics(np.full((36, 36, 3), 90.0, "float32"), np.ones(3), np.eye(3))
    trained = Checkpoint(AlexNet("mini", num_classes=4), classes, statistics)
    write(trained, here / "mini.npz")
    image = "images/val/class2/2.png"
    words = f"step {image} --checkpoint mini.npz --out pages/step.html" + (f" --label {label}" if label else "")
    code, out, err = carried_out(capsys, words)
    assert (code, err) == (0, "")
    stored = prepare_image(read_image(here / image), 36)
    said = int(trained.net.predict(augmenter_for(trained).centre(stored[None]))[0].argmax())
    names = classes or tuple(f"class {number}" for number in range(4))
    assert f"checkpoint mini.npz\n{image}: the net says {names[said]!r}" in out
    assert ("give the true class by --label" in out) == (label is None)
    assert out.endswith("pages/step.html\n")
    text = (here / "pages" / "step.html").read_text("utf-8")
    about = json.loads(text.partition('type="application/json">')[2].partition("</script>")[0])
    assert (about["label"], about["classes"]) == (said if label is None else 3, list(names))
    picture = Image.open(io.BytesIO(base64.b64decode(about["picture"].partition(",")[2])))
    np.testing.assert_array_equal(np.asarray(picture), stored[2:34, 2:34])


@pytest.mark.usefixtures("here")
def test_step_through_a_generated_picture(capsys):
    """The label is known, and a pass with hardly any gradient names a label and a picture that have some."""
    code, out, err = carried_out(capsys, "step --shapes 1")
    assert (code, err) == (0, "")
    assert "picture 1 of shapes, 'star': the net says 'star'" in out
    assert "The net is sure of the label “star”" in out
    assert "give the true class by --label" not in out
    offers = [line.strip().removeprefix("tinyalex ") for line in out.splitlines() if line.startswith("  tinyalex step")]
    assert len(offers) == 2
    for words in offers:
        code, out, err = carried_out(capsys, f"{words} --out other.html")
        assert (code, err) == (0, "")
        assert "sure of the label" not in out, words


def test_a_shape_whose_class_the_net_does_not_know(capsys, here):
    statistics = PixelStatistics(np.full((36, 36, 3), 90.0, "float32"), np.ones(3), np.eye(3))
    write(Checkpoint(AlexNet("mini", num_classes=2), ("cat", "dog"), statistics), here / "mini.npz")
    code, out, err = carried_out(capsys, "step --shapes 3 --checkpoint mini.npz")
    assert (code, err) == (0, "")
    assert "the loss is that of the net's own answer; give the true class by --label" in out


def test_check_tests_the_definitions_and_their_twins(capsys, monkeypatch):
    """As a reader may change either: a sign in a definition must not hide behind a twin that is right."""
    backward = lrn.lrn_backward.__wrapped__

    @kernel
    def lrn_backward(*args):
        return -backward(*args)

    monkeypatch.setattr(lrn, "lrn_backward", lrn_backward)
    assert cli.main(["check"]) == 2
    printed = capsys.readouterr()
    assert "the definitions" in printed.out
    assert "got" in printed.err
    assert "from backward" in printed.err
