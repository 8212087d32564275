"""The self-test of nets from files: trained ones pass it, and those that were read wrongly do not."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tinyalex
from tinyalex import AlexNet
from tinyalex.errors import CheckpointError
from tinyalex.training.verify import TOLERANCE, Stage, compare, complete_rows, low_frequencies, pictures, self_test
from tinyalex.weights import read
from tinyalex.weights.checkpoint import Checkpoint
from tinyalex.weights.formats import npz
from tinyalex.weights.pixels import Given


def failed(trained):
    return [check.what for check in self_test(trained) if not check.ok]


# ---------------------------------------------------------------- the self-test


def test_a_trained_net_passes():
    checks = self_test(tinyalex.load_example())
    assert all(check.ok for check in checks)
    assert checks[0].found == "945,354 in 16 arrays, all finite"
    assert [check.what for check in checks[3:]] == [
        *(f"dead units, relu{number}" for number in range(1, 8)),
        "sure of its classes",
        "pictures told apart",
    ]


def test_a_net_that_was_never_trained():
    trained = tinyalex.load_example()
    trained.net = AlexNet("mini", num_classes=10, seed=1)
    assert failed(trained) == ["first kernels", "sure of its classes", "pictures told apart"]


def other_axes(trained):
    """As if the file had its kernels as (KH, KW, C, OC), and nobody knew."""
    w = trained.net.params["conv1.w"]
    w[...] = np.ascontiguousarray(w.transpose(2, 3, 1, 0)).reshape(w.shape)


def other_pixels(trained):
    """Pixels of 0 ... 1 for a net that reads 0 ... 255."""
    trained.net.spec = replace(trained.net.spec, pixel_scale=255 * trained.net.spec.pixel_scale)


def no_bias(trained):
    trained.net.params["conv3.b"][...] = -1e6


def infinite(trained):
    trained.net.params["fc8.w"][0, 0] = np.inf


@pytest.mark.parametrize(
    ("plant", "found"),
    [
        (other_axes, "first kernels"),
        (other_pixels, "pictures told apart"),
        (no_bias, "dead units, relu3"),
        (infinite, "parameters"),
        (infinite, "outputs on 8 generated pictures"),
    ],
)
def test_planted_mistakes_are_found(plant, found):
    trained = tinyalex.load_example()
    plant(trained)
    assert found in failed(trained)


def test_a_map_or_unit_is_dead_if_it_is_zero_for_all_pictures():
    trained = tinyalex.load_example()
    trained.net.params["conv3.b"][:24] = -1e6  # 24 of 96 maps
    trained.net.params["fc6.b"][:] = -1e6
    trained.net.params["fc6.b"][:128] = 1e6  # all but 128 of 512 units
    found = {check.what: check.found for check in self_test(trained)}
    assert found["dead units, relu3"] == "25%"
    assert found["dead units, relu6"] == "75%"


def test_without_a_mean_image_only_the_parameters_are_looked_at():
    trained = tinyalex.load_example()
    trained.statistics = None
    assert [check.what for check in self_test(trained)] == ["parameters", "first kernels"]


def test_a_part_of_a_net_is_tested_as_far_as_it_goes():
    trained = tinyalex.load_example()
    trained.missing = ("conv4.w",)
    trained.net.params["conv4.w"][...] = 0
    checks = self_test(trained)
    assert checks[0].found.endswith("in 15 arrays, all finite; missing: conv4.w")
    assert [check.what for check in checks[3:]] == [f"dead units, relu{number}" for number in (1, 2, 3)]
    assert all(check.ok for check in checks)
    assert complete_rows(trained)[-1].name == "relu3"


def test_a_file_without_the_first_layer():
    trained = tinyalex.load_example()
    trained.missing = ("conv1.w", "conv1.b")
    assert [check.what for check in self_test(trained)] == ["parameters"]


def test_low_frequencies(rng):
    noise, expected = low_frequencies(rng.normal(size=(200, 3, 11, 11)))
    assert noise == pytest.approx(expected, abs=0.01)
    assert expected == 21 / 121  # the points of an 11 x 11 grid within 2.75 of its middle
    flat, edge = np.ones((1, 3, 8, 8)), np.tile([1.0, -1.0], (1, 3, 8, 4))
    assert low_frequencies(flat)[0] == pytest.approx(1)
    assert low_frequencies(edge)[0] == pytest.approx(0)
    assert low_frequencies(np.zeros((1, 3, 5, 5)))[0] == 0


def test_the_pictures_are_the_same_each_time():
    images = pictures(36)
    assert (images.shape, images.dtype) == ((8, 36, 36, 3), "uint8")
    assert images.tobytes() == pictures(36).tobytes()
    assert len({image.tobytes() for image in images}) == 8


# ---------------------------------------------------------------- beside stored outputs


@pytest.fixture
def whole(rng):
    """A net of random weights, and what it computes of two images."""
    net = AlexNet("mini", num_classes=5, seed=3)
    image = rng.normal(size=(2, 3, 32, 32)).astype("float32")
    names = ("conv1", "relu1", "pool1", "relu5", "fc6", "fc8")
    outputs = {name: net.forward(image, upto=name) for name in names}
    return Checkpoint(net), {"image": image, **outputs, "prob": net.predict(image)}


def test_its_own_outputs_agree(whole):
    trained, golden = whole
    stages = compare(trained, {**golden, "unknown": np.zeros(3)})
    assert [stage.name for stage in stages] == ["conv1", "relu1", "pool1", "relu5", "fc6", "fc8", "prob"]
    assert all(stage.ok and stage.relative < 1e-5 for stage in stages)


def test_one_image_without_its_axis(whole):
    trained, golden = whole
    assert all(stage.ok for stage in compare(trained, {name: array[0] for name, array in golden.items()}))


def test_maps_in_rows_and_vectors_with_more_axes(whole):
    trained, golden = whole
    shaped = {"pool1": golden["pool1"].reshape(2, -1), "fc6": golden["fc6"][:, :, None, None]}
    assert all(stage.ok for stage in compare(trained, {**golden, **shaped}))


def test_the_first_stage_that_differs_is_seen(whole):
    trained, golden = whole
    trained.net.params["conv5.b"][3] += 1
    assert [stage.ok for stage in compare(trained, golden)] == [True, True, True, False, False, False, False]


def test_a_difference_is_that_of_the_worst_number(whole):
    trained, golden = whole
    golden["relu1"] = golden["relu1"].copy()
    golden["relu1"][1, 4, 5, 6] += 0.5
    _, stage, *_ = compare(trained, golden)
    assert stage.difference == pytest.approx(0.5, abs=1e-5)
    assert stage.largest == np.abs(golden["relu1"]).max()


def test_a_stage_of_nan_does_not_agree():
    assert not Stage("relu1", float("nan"), 1.0).ok
    assert Stage("relu1", TOLERANCE, 1.0).ok
    assert not Stage("relu1", 2 * TOLERANCE, 1.0).ok
    assert Stage("relu1", 0.0, 0.0).ok


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image": None}, r"got as the stored image none: expected an array called image of shape \(3, 32, 32\)"),
        ({"image": np.zeros((3, 32, 31))}, r"got as the stored image one of shape \(3, 32, 31\) and float64"),
        (
            {"relu1": np.zeros((2, 3), "f4")},
            r"got relu1 of shape \(2, 3\) and float32: expected \(32, 32, 32\) for each",
        ),
        ({"fc6": np.zeros((2, 512), "U3")}, r"got fc6 of shape \(2, 512\) and <U3: expected \(512,\) for each image"),
        ({"relu1": np.zeros((32, 32, 2, 32), "f4")}, r"got relu1 of shape \(32, 32, 2, 32\)"),
    ],
)
def test_stored_outputs_that_do_not_fit(whole, change, message):
    trained, golden = whole
    golden = {name: array for name, array in {**golden, **change}.items() if array is not None}
    with pytest.raises(CheckpointError, match=message):
        compare(trained, golden)


def test_stored_outputs_of_no_layer(whole):
    trained, golden = whole
    with pytest.raises(CheckpointError, match=r"got stored outputs called data, image: expected names .* as conv1"):
        compare(trained, {"image": golden["image"], "data": golden["image"]})


# ---------------------------------------------------------------- real parameters


def real(path):
    file = Path(os.environ.get("TINYALEX_WEIGHTS", "-"), path)
    if not file.is_file():
        pytest.skip(f"TINYALEX_WEIGHTS names no folder with {path}")
    return file


def test_caffenet_computes_what_caffe_computed():
    file = real("caffenet/caffenet-to-norm2.npz")
    stages = compare(read(file, Given(colours="RGB")), npz.read_arrays(file).arrays)
    assert [stage.name for stage in stages] == ["relu1", "pool1", "norm1", "relu2", "pool2", "norm2"]
    assert all(stage.relative < 2e-5 for stage in stages)  # the stored numbers have 5 to 6 digits


@pytest.mark.parametrize("change", [{"k": 2.0}, {"alpha_over_size": False}, {"beta": 0.74}])
def test_another_normalisation_is_not_caffes(change):
    file = real("caffenet/caffenet-to-norm2.npz")
    trained = read(file, Given(colours="RGB"))
    layers = {
        name: replace(layer, **change) if name.startswith("norm") else layer
        for name, layer in trained.net.spec.layers.items()
    }
    other = AlexNet(replace(trained.net.spec, layers=layers), seed=None)
    for name, w in trained.net.params.items():
        other.params[name] = w
    ok = {stage.name: stage.ok for stage in compare(replace(trained, net=other), npz.read_arrays(file).arrays)}
    assert ok == {"relu1": True, "pool1": True, "norm1": False, "relu2": False, "pool2": False, "norm2": False}


def test_the_image_has_the_order_of_the_file():
    file = real("caffenet/caffenet-to-norm2.npz")
    assert not any(stage.ok for stage in compare(read(file), npz.read_arrays(file).arrays))
    golden = npz.read_arrays(file).arrays
    golden["image"] = golden["image"][::-1]  # in RGB, as the net that was turned round reads it
    assert all(stage.ok for stage in compare(read(file), golden))


@pytest.mark.parametrize(
    ("file", "given"),
    [
        ("caffenet/caffenet-to-norm2.npz", Given()),
        ("alexnet-int8/alexnet-int8.npz", Given(variant="caffe")),
        ("caffe-cifar10/cifar10_full_iter_10000.caffemodel", Given()),
        ("caffe-cifar10/cifar10_full_iter_30000.caffemodel", Given()),
        ("caffe-cifar10/cifar10_quick_iter_5000.caffemodel", Given()),
    ],
)
def test_real_nets_pass(file, given):
    path = real(file)
    if path.suffix == ".caffemodel":
        given = replace(given, mean=path.parent / "mean.binaryproto")
    assert failed(read(path, given)) == []
