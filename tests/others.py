"""Nets as other programs write them, and what they see, computed by hand."""

import numpy as np

from tinyalex.data import load_folder, prepare_image, read_image
from tinyalex.data.prepare import Preparation
from tinyalex.training.evaluate import augmenter_for, probabilities
from tinyalex.weights.checkpoint import read

MEAN, SCALE = (100, 110, 120), (60, 64, 70)


def by_hand(here, run, views):
    """The probabilities of the validation images by the net of a run, and their labels."""
    checkpoint = read(here / run / "checkpoint.npz")
    val = load_folder(here / "images", size=checkpoint.statistics.mean.shape[0])[1]
    return probabilities(checkpoint.net, val, augmenter_for(checkpoint), views=views), val.labels


def write_foreign(run, path, *, leave_out=()):
    """Write the net of a run as arrays that somebody has collected; returns the options that a command needs for it."""
    params = read(run / "checkpoint.npz").net.params
    np.savez(path, **{name.replace(".", "_"): array for name, array in params.items() if name not in leave_out})
    with open("names.txt", "w") as names:  # noqa: PTH123
        names.write("".join(f"kind {number}\n" for number in range(4)))
    numbers = [",".join(map(str, one)) for one in (MEAN, SCALE)]
    return (
        f"--weights {path} --variant tiny --mean {numbers[0]} --scale {numbers[1]} --colours BGR --rule warp "
        "--size 18 --classes names.txt"
    )


def read_by_hand(run, path):
    """The net of a run with the first kernels turned round, and its input for an image: (1, 3, 16, 16)."""
    net = read(run / "checkpoint.npz").net
    net.params["conv1.w"][...] = net.params["conv1.w"][:, ::-1].copy()
    stored = prepare_image(read_image(path), Preparation(18, "warp")).astype("float32")
    x = (stored[1:17, 1:17] - np.array(MEAN, "float32")) / np.array(SCALE, "float32")
    return net, x.transpose(2, 0, 1)[None]
