"""A net, images and runs so small that training takes a moment."""

import json
import shlex
import shutil
from dataclasses import replace

import numpy as np
from PIL import Image

from tinyalex import cli, spec
from tinyalex.data import ArrayDataset
from tinyalex.training import report
from tinyalex.training.loop import Training
from tinyalex.training.settings import settings_for

HE = spec.Initial(None)
RELU = spec.Activation()
NORM = spec.Norm(alpha=0.1, k=1.0)

# All that the larger nets have: two columns, both norms' placing, dropout, pools that overlap.
TINY = spec.Spec(
    "tiny",
    {
        "conv1": spec.Conv(8, 3, pad=1, initial=HE, reads_all=True),
        "relu1": RELU,
        "norm1": NORM,
        "pool1": spec.Pool(),
        "conv2": spec.Conv(8, 3, pad=1, initial=HE),
        "relu2": RELU,
        "pool2": spec.Pool(),
        "conv3": spec.Conv(8, 3, pad=1, initial=HE),
        "relu3": RELU,
        "pool3": spec.Pool(),
        "flatten": spec.Flat(),
        "fc6": spec.Full(16, HE),
        "relu6": RELU,
        "dropout6": spec.Drop(),
        "fc7": spec.Full(16, HE),
        "relu7": RELU,
        "dropout7": spec.Drop(),
        "fc8": spec.Full(None),
    },
    input_size=16,
    pixel_scale=64.0,
    recipe=spec.Recipe(epochs=3, lr=0.05, batch=8, drops=(0.4, 0.7)),
)
TIMES = ("seconds", "images_per_s", "input_share", "validation_seconds")


def slim(net):
    """The spec `net` with 8 kernels a convolution and 8 units a hidden layer: all else stays."""
    widths = {spec.Conv: "kernels", spec.Full: "units"}
    layers = {
        name: replace(layer, **{widths[type(layer)]: 8})
        if getattr(layer, "units", layer) and type(layer) in widths
        else layer
        for name, layer in net.layers.items()
    }
    return replace(net, layers=layers)


def pixels(count, size, classes, seed):
    """Images (count, size, size, 3) uint8 of classes 0, 1, ... in turn: a pattern for each, under noise."""
    patterns = np.random.default_rng(0).integers(50, 206, (classes, 3, 3, 3))
    labels = np.arange(count) % classes
    blocks = patterns[labels].repeat(-(-size // 3), axis=1).repeat(-(-size // 3), axis=2)[:, :size, :size]
    noise = np.random.default_rng([seed, 1]).integers(-40, 41, blocks.shape)
    return (blocks + noise).astype(np.uint8), labels


def images(count, *, seed=0, size=18, classes=4):
    """The same as a data set, of the size that `tiny` stores."""
    made, labels = pixels(count, size, classes, seed)
    return ArrayDataset("patterns", made, labels, tuple(f"class{i}" for i in range(classes)))


def write_folder(root, *, train=36, val=16, size=20, classes=4):
    """The same as PNG files: root/train/class0/0.png, ...; returns root."""
    for seed, (split, count) in enumerate([("train", train), ("val", val)]):
        for number, (image, label) in enumerate(zip(*pixels(count, size, classes, seed), strict=True)):
            path = root / split / f"class{label}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)
    return root


def settings(**given):
    return settings_for("tiny", **{"data": "patterns", "save_every": 1, **given})


def started(folder, **given):
    """A run of `tiny` in `folder`, before its first step: 3 epochs of 4 steps, if nothing else is given."""
    return Training.start(settings(**given), images(36), images(20, seed=1), folder)


def outcome(training):
    """All that a run leaves, but for how long it took, in values that can be compared."""
    arrays = {**training.net.params, **{f"v {name}": v for name, v in training.optimizer.velocity.items()}}
    return {
        "arrays": {name: (array.dtype.str, array.tobytes()) for name, array in arrays.items()},
        "masks": training.net.mask_rng.bit_generator.state,
        "history": [{key: value for key, value in one.items() if key not in TIMES} for one in training.history],
        "position": {**vars(training.position), "seconds": None, "waited": None},
    }


def carried_out(capsys, words):
    """(exit code, stdout, stderr) of a command, given as one would type it."""
    capsys.readouterr()
    try:
        code = cli.main(shlex.split(words))
    except SystemExit as left:
        code = left.code
    return code, *capsys.readouterr()


def refused(capsys, words):
    """The line that refuses a command."""
    code, _, err = carried_out(capsys, words)
    assert code == 2
    assert len(err.splitlines()) == 1, err
    assert err.startswith("tinyalex")
    return err


def working_copy(place, tmp_path, monkeypatch):
    """A copy of `place` as the working folder, `tiny` among the variants, and no time spent on pictures."""
    shutil.copytree(place, tmp_path / "here")
    monkeypatch.setitem(spec.VARIANTS, "tiny", TINY)
    monkeypatch.setattr(report, "draw_pictures", lambda *_: [])
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def report_of(folder):
    """The values in the report.json of `folder`."""
    return json.loads((folder / "report.json").read_text())
