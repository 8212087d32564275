"""The command that measures a trained net: eval."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from others import by_hand, read_by_hand, write_foreign
from runs import carried_out, refused, report_of
from tinyalex import AlexNet
from tinyalex.weights.checkpoint import Checkpoint, read, write
from tinyalex.weights.names import imagenet_classes, imagenet_names


def errors(p, labels):
    """Top-1 error by a loop; no two classes tie here."""
    return sum(max(range(4), key=lambda k: row[k]) != label for row, label in zip(p, labels, strict=True)) / len(labels)


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


def test_eval_of_a_net_of_others(capsys, here):
    """Its images come out as it wants them; the report goes into the working folder."""
    options = write_foreign(here / "a", "foreign.npz").replace("--weights ", "").replace("--classes names.txt", "")
    files = sorted((here / "images" / "val").rglob("*.png"))
    for file in files:
        Image.open(file).resize((40, 20)).save(file)  # so that the square's rule matters
    code, out, err = carried_out(capsys, f"eval {options} --data images")
    assert (code, err) == (0, "")
    p = np.concatenate([net.predict(x) for net, x in (read_by_hand(here / "a", file) for file in files)])
    labels = [int(file.parent.name[-1]) for file in files]
    found = report_of(here / "eval" / "foreign.npz")
    assert found["top1_error"] == pytest.approx(errors(p, labels))
    assert found["loss"] == pytest.approx(-np.log(p[range(16), labels]).mean(), rel=1e-4)
    assert (found["variant"], found["classes"], found["epochs"]) == ("tiny", 4, [None])
    assert found["preparation"] == {"size": 18, "rule": "warp", "filter": "bicubic", "scale": [60.0, 64.0, 70.0]}
    assert "eval/foreign.npz/report.json" in out


def test_eval_of_a_net_of_others_needs_data(capsys, here):
    options = write_foreign(here / "a", "foreign.npz").replace("--weights ", "")
    assert "got foreign.npz, which does not say what it was trained on: expected --data shapes|" in refused(
        capsys, f"eval {options}"
    )
    told = refused(capsys, f"eval {options} --data images")  # its classes are called kind 0, ...
    assert "got the classes class0, class1, class2, ... (4) in images: expected kind 0, kind 1" in told


@pytest.mark.parametrize("table", [False, True])
def test_imagenet_by_the_names_of_the_folders(capsys, here, table):
    """Four of the 1,000 classes, whose folders have WordNet ids, with other names in classes.tsv or without it."""
    numbers = [7, 300, 301, 999]
    rows = [imagenet_classes()[number] for number in numbers]
    for split in ("train", "val"):
        for label, row in enumerate(rows):
            (here / "images" / split / f"class{label}").rename(here / "images" / split / row.wnid)
    if table:
        lines = [f"{label}\t{row.wnid}\tname {label}" for label, row in enumerate(rows)]
        (here / "images" / "classes.tsv").write_text("\n".join(lines))
    checkpoint = read(here / "a" / "checkpoint.npz")
    net = AlexNet(checkpoint.net.spec, num_classes=1000, seed=0)
    for name, array in checkpoint.net.params.items():
        if not name.startswith("fc8"):
            net.params[name][...] = array
    net.params["fc8.w"][...] = 0
    net.params["fc8.w"][numbers] = checkpoint.net.params["fc8.w"]
    net.params["fc8.b"][...] = -1
    net.params["fc8.b"][numbers] = checkpoint.net.params["fc8.b"]
    write(Checkpoint(net, imagenet_names(), checkpoint.statistics), "net.npz")
    code, _, err = carried_out(capsys, "eval net.npz --data images --out seen")
    assert (code, err) == (0, "")
    p, labels = by_hand(here, "a", "centre")
    found = report_of(here / "seen")
    assert found["top1_error"] == pytest.approx(errors(p, labels))
    assert found["classes"] == 1000
    assert found["loss"] > -np.log(p[range(16), labels]).mean() + 3  # the others have most of the probability


def test_eval_of_nets_that_number_the_classes_otherwise(capsys, here):
    checkpoint = read(here / "a" / "checkpoint.npz")
    checkpoint.classes = checkpoint.classes[::-1]
    write(checkpoint, "other.npz")
    assert "got nets that number the classes in different orders" in refused(capsys, "eval a other.npz --data images")
    assert carried_out(capsys, "eval other.npz --data images")[0] == 0
    p, labels = by_hand(here, "a", "centre")
    assert report_of(here / "eval")["top1_error"] == pytest.approx(errors(p, 3 - labels))


WEIGHTS, DATA = (os.environ.get(name) for name in ("TINYALEX_WEIGHTS", "TINYALEX_DATA"))


@pytest.mark.skipif(not (WEIGHTS and DATA), reason="needs real nets and images: TINYALEX_WEIGHTS and TINYALEX_DATA")
@pytest.mark.parametrize(
    ("name", "top1", "top5"),
    [("full_iter_10000", 0.7195, 0.9792), ("full_iter_30000", 0.7602, 0.9825), ("quick_iter_5000", 0.7308, 0.9832)],
)
def test_real_nets(capsys, tmp_path, monkeypatch, name, top1, top5):
    """The accuracies on the test images at hand, measured by another reader."""
    monkeypatch.chdir(tmp_path)
    folder = Path(WEIGHTS, "caffe-cifar10")
    words = f"eval {folder}/cifar10_{name}.caffemodel --mean {folder}/mean.binaryproto"
    assert carried_out(capsys, f"{words} --data cifar10:{DATA}/cifar-10-batches-py")[0] == 0
    found = report_of(tmp_path / "eval" / f"cifar10_{name}.caffemodel")
    assert found["images"] == 4000
    assert found["top1_error"] == pytest.approx(1 - top1, abs=1e-3)
    assert found["top5_error"] == pytest.approx(1 - top5, abs=1e-3)
