"""A file of features: what is in it, and that a kill, a bad file or another net do no harm."""

import json
import os
import shutil
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from runs import TINY, pixels
from tinyalex import AlexNet, spec
from tinyalex.data import PixelStatistics, prepare_image, read_image
from tinyalex.data.prepare import Preparation
from tinyalex.errors import CheckpointError, UsageError
from tinyalex.training import features as module
from tinyalex.training.evaluate import augmenter_for
from tinyalex.training.features import Extractor, FeatureFile, fingerprint
from tinyalex.weights.checkpoint import Checkpoint

MEAN = np.random.default_rng(0).uniform(100, 150, (18, 18, 3)).astype("float32")


def trained(seed=0):
    net = AlexNet(TINY, num_classes=4, seed=seed)
    return Checkpoint(net, tuple("abcd"), PixelStatistics(MEAN, np.ones(3), np.eye(3)))


@pytest.fixture
def paths(tmp_path, monkeypatch):
    """Ten pictures, in parts of four."""
    monkeypatch.setattr(module, "PART", 4)
    monkeypatch.setattr(module, "BATCH", 3)
    found = []
    for number, image in enumerate(pixels(10, 20, 4, 0)[0]):
        found.append(tmp_path / "images" / f"{number}.png")
        found[-1].parent.mkdir(exist_ok=True)
        Image.fromarray(image).save(found[-1])
    return found


def written(paths, out, *, net=None, layer=None):
    """Write the file -> its arrays, the number of photographs that it reported, and the reasons."""
    done = []
    file = FeatureFile(Extractor(net or trained(), layer, smallest=3), out, source="checkpoint run")
    file.write(paths, lambda images, rejected: done.append((images, rejected)))
    arrays = dict(np.load(out)) if out.exists() else {}
    return arrays, sum(images for images, _ in done), [reason for _, rejected in done for reason in rejected]


def by_hand(paths, layer, net=None):
    """A forward pass for each image alone, through all layers up to the one."""
    checkpoint = net or trained()
    rows = []
    for path in paths:
        x = augmenter_for(checkpoint).centre(prepare_image(read_image(path), 18)[None])
        for name, one in checkpoint.net.layers.items():
            x = one.forward(x)
            if name == layer:
                break
        rows.append(x.ravel())
    return np.stack(rows)


@pytest.mark.parametrize(("layer", "of"), [(None, "relu7"), ("fc7", "fc7"), ("pool3", "pool3"), ("fc8", "fc8")])
def test_what_is_in_it(tmp_path, paths, layer, of):
    arrays, images, reasons = written(paths, tmp_path / "new" / "f.npz", layer=layer)
    assert set(arrays) == {"features", "files", "layer", "made_by"}
    assert (images, reasons) == (10, [])
    assert arrays["features"].dtype == np.float32
    np.testing.assert_allclose(arrays["features"], by_hand(paths, of), rtol=1e-4, atol=1e-5)
    assert arrays["files"].tolist() == list(map(str, paths))
    assert str(arrays["layer"]) == of
    made_by = json.loads(str(arrays["made_by"]))
    assert (made_by["net"], made_by["variant"], made_by["input_size"]) == ("checkpoint run", "tiny", 16)
    assert made_by["sha256"] != json.loads(str(written(paths, tmp_path / "g", net=trained(1))[0]["made_by"]))["sha256"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["f.npz"]


@pytest.mark.parametrize(
    "change",
    [
        {"net": AlexNet(replace(TINY, layers={**TINY.layers, "norm1": spec.Norm(alpha=0.2, k=1.0)}), num_classes=4)},
        {"net": AlexNet(TINY, num_classes=4, cross_columns=(2, 3))},
        {"statistics": PixelStatistics(MEAN + 1, np.ones(3), np.eye(3))},
        {"preparation": Preparation(18, "warp", scale=(64.0,) * 3)},
    ],
)
def test_the_fingerprint_is_of_all_that_features_depend_on(change):
    usual = fingerprint(trained())
    assert fingerprint(trained()) == usual == fingerprint(replace(trained(), classes=("e", "f", "g", "h")))
    assert fingerprint(replace(trained(), **change)) != usual
    as_it_is = replace(trained(), preparation=Preparation(18, scale=(64.0,) * 3))
    assert fingerprint(as_it_is) == usual


def test_bad_files_are_left_out(tmp_path, paths):
    """A whole part of them too."""
    for path in (paths[1], *paths[4:8]):
        path.write_text("Dear all")
    arrays, images, reasons = written(paths, tmp_path / "f.npz")
    good = [paths[i] for i in (0, 2, 3, 8, 9)]
    assert (images, len(reasons)) == (10, 5)
    assert arrays["files"].tolist() == list(map(str, good))
    np.testing.assert_allclose(arrays["features"], by_hand(good, "relu7"), rtol=1e-4, atol=1e-5)


def test_none_that_can_be_read(tmp_path):
    arrays, images, reasons = written([tmp_path / "nothing.png"], tmp_path / "f.npz")
    assert (arrays, images, len(reasons)) == ({}, 1, 1)
    assert list(tmp_path.iterdir()) == []


def test_names_that_are_no_text(tmp_path, paths):
    name = os.fsdecode(b"caf\xe9.png")
    shutil.copy(paths[0], tmp_path / name)
    assert written([tmp_path / name], tmp_path / "f.npz")[0]["files"].tolist() == [str(tmp_path / name)]


class Killed(BaseException):
    pass


def killed_after(images, paths, out):
    """Write the file, up to an end in the middle."""
    left = [images]

    def done(count, _):
        left[0] -= count
        if left[0] <= 0:
            raise Killed

    file = FeatureFile(Extractor(trained(), smallest=3), out, source="checkpoint run")
    with pytest.raises(Killed):
        file.write(paths, done)


@pytest.mark.parametrize("after", [1, 4, 5, 8, 9])
def test_a_kill_costs_a_part_at_most(tmp_path, paths, monkeypatch, after):
    paths[2].write_text("Dear all")
    whole, _, reasons = written(paths, tmp_path / "whole.npz")
    out = tmp_path / "f.npz"
    killed_after(after, paths, out)
    assert not out.exists()
    read = []
    stream = module.photos
    monkeypatch.setattr(
        module, "photos", lambda part, *rest, **given: stream(read.extend(part) or part, *rest, **given)
    )
    found, images, again = written(paths, out)
    assert read == paths[4 * ((after - 1) // 4) :]
    assert (images, again) == (10, reasons)
    assert found.keys() == whole.keys()
    for name, array in whole.items():
        np.testing.assert_array_equal(found[name], array)


@pytest.mark.parametrize("change", ["net", "layer", "file", "order", "damage"])
def test_parts_of_something_else_are_made_anew(tmp_path, paths, change):
    out, net, layer = tmp_path / "f.npz", trained(), None
    killed_after(9, paths, out)
    match change:
        case "net":
            net = trained(1)
        case "layer":
            layer = "fc6"
        case "file":
            Image.new("RGB", (30, 30), "red").save(paths[0])
        case "order":
            paths = paths[::-1]
        case "damage":
            part = tmp_path / "f.npz.parts" / "00001.npz"
            part.write_bytes(part.read_bytes()[:-30])
    found, _, _ = written(paths, out, net=net, layer=layer)
    assert found["files"].tolist() == list(map(str, paths))
    np.testing.assert_allclose(found["features"], by_hand(paths, layer or "relu7", net), rtol=1e-4, atol=1e-5)


def test_memory_does_not_grow_with_their_number(tmp_path, paths, monkeypatch):
    """800 KB of features a part, and 16 MB in all."""
    monkeypatch.setattr(module, "PART", 100)
    monkeypatch.setattr(module, "BATCH", 50)
    written(paths[:1], tmp_path / "f.npz", layer="norm1")  # compiles
    sizes = {}
    for count in (100, 1000):
        tracemalloc.start()
        file = FeatureFile(Extractor(trained(), "norm1", smallest=3), tmp_path / "f.npz", source="run")
        file.write(paths[:1] * count, lambda *_: None)
        sizes[count] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (tmp_path / "f.npz").stat().st_size > 8 * 2**20
    assert sizes[1000] < sizes[100] + 2 * 2**20


def test_a_layer_that_is_not_there():
    with pytest.raises(UsageError, match="got layer=fc9: expected one of conv1, relu1, norm1"):
        Extractor(trained(), "fc9")


def test_a_folder_in_the_way(tmp_path, paths):
    with pytest.raises(UsageError, match="a folder: expected a file to write"):
        written(paths, tmp_path)


def test_a_net_whose_numbers_overflow(tmp_path, paths):
    net = trained()
    for name in ("conv1.w", "conv2.w", "conv3.w", "fc6.w"):
        net.net.params[name] *= np.float32(1e15)
    with pytest.raises(CheckpointError, match="got NaN or infinity from the net"):
        written(paths, tmp_path / "f.npz", net=net)
