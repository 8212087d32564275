"""What a run leaves to be read."""

import json
import platform
from importlib import metadata

import numpy as np
import pytest
from PIL import Image

from runs import TINY, images
from tinyalex import AlexNet
from tinyalex.data import pixel_statistics
from tinyalex.training import report
from tinyalex.training.evaluate import augmenter_for
from tinyalex.weights.checkpoint import Checkpoint


def test_report_holds_the_values_and_the_versions(tmp_path):
    path = report.write_report(tmp_path / "new", {"top1_error": 0.25, "epochs": 3})
    assert path == tmp_path / "new" / "report.json"
    found = json.loads(path.read_text())
    assert (found["top1_error"], found["epochs"]) == (0.25, 3)
    assert found["versions"]["python"] == platform.python_version()
    assert found["versions"]["numpy"] == np.__version__
    assert set(found["versions"]) == {"python", "tinyalex", "numpy", "numba", "pillow", "matplotlib"}


def test_versions_without_numba(monkeypatch):
    def version(package):
        if package == "numba":
            raise metadata.PackageNotFoundError(package)
        return metadata.version(package)

    monkeypatch.setattr(report, "version", version)
    assert set(report.versions()) == {"python", "tinyalex", "numpy", "pillow", "matplotlib"}


@pytest.fixture(scope="module")
def trained():
    train = images(30)
    return Checkpoint(AlexNet(TINY, num_classes=4, seed=1), train.classes, pixel_statistics(train))


def test_features_are_what_feeds_the_logits(trained):
    """fc8 on the features gives the logits of the central crops, scaled as when testing."""
    val, net, indices = images(9, seed=1), trained.net, np.array([7, 0, 3])
    augmenter = augmenter_for(trained)
    found = report.features(trained, augmenter, val, indices, batch=2)
    assert found.shape == (3, 16)
    assert (found >= 0).all()
    logits = (found * 0.5) @ net.params["fc8.w"].T + net.params["fc8.b"]
    np.testing.assert_allclose(logits, net.forward(augmenter.centre(val.images[indices])), rtol=1e-4, atol=1e-6)


HISTORY = [
    {"epoch": epoch, "train_loss": 2.0 / epoch, "train_top1_error": 0.9 / epoch, "lr": 0.1}
    | {"val_loss": 2.1 / epoch, "val_top1_error": 0.8 / epoch, "val_top5_error": 0.1}
    for epoch in (1, 2, 3)
]


@pytest.mark.parametrize("count", [2, 12], ids=["fewer images than places", "enough"])
def test_the_five_pictures(tmp_path, trained, count):
    names = ["curves.png", "kernels.png", "predictions.png", "neighbours.png", "confusion.png"]
    written = report.draw_pictures(tmp_path, trained, images(max(count, 3)), images(count, seed=1), HISTORY)
    assert [path.name for path in written] == names
    for path in written:
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            assert min(picture.size) > 100
            assert picture.convert("L").getextrema()[0] < 128 < picture.convert("L").getextrema()[1]  # something drawn
