"""Shapes, parameters and multiply-adds of whole nets, against published and hand-worked numbers."""

import dataclasses
import math

import pytest

from tinyalex import AlexNet
from tinyalex.count import count, parameter_shapes, summary, total_parameters
from tinyalex.errors import ShapeError, UsageError
from tinyalex.spec import Activation, AveragePool, Conv, Flat, Full, Norm, Pool, SpatialNorm, Spec, variant

ALL = (2, 3, 4, 5)  # every convolution reads both columns: one wide column


def of(name, **settings):
    return {row.name: row for row in count(variant(name), **settings)}


def sums(name, **settings):
    rows = count(variant(name), **settings)
    return total_parameters(rows), sum(row.multiply_adds for row in rows)


def test_the_papers_net_layer_by_layer():
    rows = of("paper")
    counted = {name: (row.parameters, row.multiply_adds) for name, row in rows.items() if row.kernel}
    assert counted == {
        "conv1": (34_944, 105_415_200),
        "conv2": (307_456, 223_948_800),
        "conv3": (885_120, 149_520_384),
        "conv4": (663_936, 112_140_288),
        "conv5": (442_624, 74_760_192),
        "fc6": (37_752_832, 37_748_736),
        "fc7": (16_781_312, 16_777_216),
        "fc8": (4_097_000, 4_096_000),
    }
    assert rows["conv2"].kernel == (256, 48, 5, 5)
    assert rows["conv3"].kernel == (384, 256, 3, 3)
    assert rows["fc6"].kernel == (4096, 9216)
    assert [rows[name].groups for name in ("conv1", "conv2", "conv3", "conv4", "conv5")] == [1, 2, 1, 2, 2]
    assert [rows[name].groups for name in ("norm1", "norm2")] == [2, 2]
    assert {row.parameters for row in rows.values() if not row.kernel} == {0}


@pytest.mark.parametrize(
    ("name", "settings", "parameters", "multiply_adds"),
    [
        ("paper", {}, 60_965_224, 724_406_816),
        ("paper", {"input_size": 227}, 60_965_224, 724_406_816),
        ("paper", {"cross_columns": ALL}, 62_378_344, 1_135_256_096),
        ("paper", {"cross_columns": (4,)}, 60_965_224 - 442_368 + 663_552, 724_406_816 - 74_760_192 + 112_140_288),
        ("paper", {"cross_columns": ()}, 60_965_224 - 442_368, 724_406_816 - 74_760_192),
        ("paper", {"num_classes": 10}, 60_965_224 - 990 * 4097, 724_406_816 - 990 * 4096),
        ("cuda-convnet", {}, 60_965_224, 724_406_816),
        ("caffe", {}, 60_965_224, 724_406_816),
        ("caffenet", {}, 60_965_224, 724_406_816),
        ("no-lrn", {}, 60_965_224, 724_406_816),
        ("non-overlapping", {}, 60_965_224, 686_891_552),
        ("torchvision", {}, 61_100_840, 714_188_480),
        ("six-conv", {}, 60_965_224 + 590_080, 724_406_816 + 21_233_664),  # 256 x (256 x 3 x 3 + 1), at 6 x 6 places
        # 75 inputs and a bias for each of 32 kernels, 801 for 32 and for 64; then 1025 for 10 units, or 1025 for 64
        ("cifar10-full", {"num_classes": 10}, 89_578, 12_298_240),
        ("cifar10-quick", {"num_classes": 10}, 145_578, 12_354_176),
    ],
    ids=str,
)
def test_published_sums(name, settings, parameters, multiply_adds):
    assert sums(name, **settings) == (parameters, multiply_adds)


def test_one_column():
    """The released layers-145-half.cfg."""
    assert sums("one-column")[0] == 59_798_312
    assert {row.groups for row in of("one-column").values()} == {1}


@pytest.mark.parametrize(
    ("name", "settings", "sizes"),
    [
        *[
            (name, {}, "55 27 27 13 13 13 13 6")
            for name in ("paper", "cuda-convnet", "caffe", "caffenet", "torchvision")
        ],
        *[(name, {}, "55 27 27 13 13 13 13 6") for name in ("one-column", "no-lrn")],
        ("paper", {"input_size": 227}, "55 27 27 13 13 13 13 6"),
        ("cuda-convnet", {"input_size": 227}, "55 27 27 13 13 13 13 6"),
        ("caffe", {"input_size": 224}, "54 27 27 13 13 13 13 6"),
        ("non-overlapping", {}, "55 28 26 13 13 13 11 6"),
        ("six-conv", {}, "55 27 27 13 13 13 13 6 6"),
        *[(name, {}, "32 16 16 8 8 4") for name in ("cifar10-full", "cifar10-quick")],
        ("mini", {}, "32 16 16 8 8 8 8 4"),
        ("mini", {"input_size": 64}, "64 32 32 16 16 16 16 8"),
        ("torchvision", {"input_size": 63}, "15 7 7 3 3 3 3 1"),  # the least that torchvision takes
    ],
    ids=str,
)
def test_heights_after_each_convolution_and_pooling(name, settings, sizes):
    rows = [row for row in of(name, **settings).values() if isinstance(row.layer, Conv | Pool | AveragePool)]
    assert [row.out_shape[1] for row in rows] == [row.out_shape[2] for row in rows]
    assert " ".join(str(row.out_shape[1]) for row in rows) == sizes


def test_literal_reading_of_the_fourth_layer():
    """cross_columns=(4,): conv4 reads both columns, conv3 its own."""
    rows = of("paper", cross_columns=(4,))
    assert (rows["conv3"].groups, rows["conv3"].kernel) == (2, (384, 128, 3, 3))
    assert (rows["conv4"].groups, rows["conv4"].kernel) == (1, (384, 384, 3, 3))
    assert (rows["conv5"].groups, rows["conv5"].kernel) == (2, (256, 192, 3, 3))


def test_normalisation_across_columns_in_caffe_only():
    assert [row.groups for name, row in of("caffe").items() if "norm" in name] == [1, 1]


@pytest.mark.parametrize("name", ["mini", "torchvision", "cifar10-full"])
def test_shapes_follow_each_other_and_what_is_counted_is_built(name):
    spec = variant(name)
    small = {key: Full(16) if isinstance(layer, Full) and layer.units else layer for key, layer in spec.layers.items()}
    net = AlexNet(dataclasses.replace(spec, layers=small), num_classes=7)
    shape = (3, spec.input_size, spec.input_size)
    for row in net.rows:
        assert row.in_shape == shape
        shape = row.out_shape
    assert shape == (7,)
    assert sum(array.size for array in net.params.values()) == total_parameters(net.rows)
    for row in net.rows:
        assert row.kernel == (net.params[f"{row.name}.w"].shape if row.kernel else None)


def test_summary():
    """Per layer the kernel, the shape, parameters, multiply-adds; their sums; columns in line."""
    table = summary(count(variant("paper")))
    lines = table.splitlines()
    assert len({len(line) for line in lines}) == 1
    cells = {line.split("  ")[0].strip(): " ".join(line.split()) for line in lines}
    assert cells["layer"] == "layer kernel output parameters multiply-adds"
    assert cells["image"] == "image 3 x 224 x 224"
    assert cells["conv2"] == "conv2 256 x 48 x 5 x 5 256 x 27 x 27 307,456 223,948,800"
    assert cells["pool1"] == "pool1 3 x 3 96 x 27 x 27"
    assert cells["relu3"] == "relu3 384 x 13 x 13"
    assert cells["flatten"] == "flatten 9216"
    assert cells["fc8"] == "fc8 1000 x 4096 1000 4,097,000 4,096,000"
    assert cells["sum"] == "sum 60,965,224 724,406,816"
    assert "spatial_norm2 5 x 5 256 x 27 x 27" in " ".join(summary(count(variant("cuda-convnet"))).split())
    assert AlexNet("mini").summary() == summary(count(variant("mini")))


@pytest.mark.parametrize(
    ("name", "size", "where"),
    [
        ("paper", 10, "paper, conv1: got an image of 10 x 10: expected at least the window of 11 x 11"),
        ("paper", 0, "paper, conv1: got an image of 0 x 0"),
        ("paper", -224, "paper, conv1: got an image of -224 x -224"),
        ("torchvision", 62, "torchvision, pool5: got an image of 2 x 2: expected at least the window of 3 x 3"),
    ],
)
def test_images_that_are_too_small(name, size, where):
    with pytest.raises(ShapeError, match=where):
        count(variant(name), input_size=size)


def test_settings_that_no_net_fits():
    with pytest.raises(
        UsageError, match=r"got cross_columns=\(3, 6\): expected numbers out of \[1, 2, 3, 4, 5\], as in paper"
    ):
        count(variant("paper"), cross_columns=(3, 6))
    with pytest.raises(UsageError, match="got num_classes=0: expected 1 or more"):
        count(variant("paper"), num_classes=0)


@pytest.mark.parametrize("names", [(), ("first",), ("relu1", "conv1"), ("conv1", "second"), ("conv1", "conv2b")])
def test_names_of_convolutions(names):
    layers = {name: Activation() if name == "relu1" else Conv(8, 2) for name in names}
    with pytest.raises(UsageError, match="got the net own: expected conv1 as its first layer, then conv2"):
        count(Spec("own", layers, input_size=5, columns=1), cross_columns=())


def test_a_net_of_ones_own():
    """Worked by hand: 8 kernels of 3 x 2 x 2, a bias each; 5 x 5 images, strides of 2 past the edge."""
    spec = Spec(
        "own",
        {"conv1": Conv(8, 2, 2, ceil_mode=True), "relu1": Activation(), "flatten": Flat(), "fc": Full(None)},
        input_size=5,
        columns=1,
    )
    conv1, relu1, flatten, fc = count(spec, 4, cross_columns=())
    assert (conv1.out_shape, conv1.kernel, conv1.parameters, conv1.multiply_adds) == ((8, 3, 3), (8, 3, 2, 2), 104, 864)
    assert relu1.out_shape == (8, 3, 3)
    assert flatten.out_shape == (72,)
    assert (fc.out_shape, fc.kernel, fc.parameters, fc.multiply_adds) == ((4,), (4, 72), 292, 288)


@pytest.mark.parametrize("layer", [Conv(8, 2), Pool(), AveragePool(), Norm(), SpatialNorm()])
def test_maps_that_are_already_features(layer):
    layers = {"conv1": Conv(8, 2), "flatten": Flat(), "conv2" if isinstance(layer, Conv) else "second": layer}
    with pytest.raises(ShapeError, match=r"own, (conv2|second): got 128 features: expected maps"):
        count(Spec("own", layers, input_size=5, columns=1), cross_columns=())


def test_features_that_are_still_maps():
    layers = {"conv1": Conv(8, 2), "fc2": Full(10)}
    with pytest.raises(ShapeError, match="own, fc2: got maps of 8 x 4 x 4: expected features"):
        count(Spec("own", layers, input_size=5, columns=1), cross_columns=())


@pytest.mark.parametrize(
    ("layers", "where"),
    [
        ({"conv1": Conv(31, 3, reads_all=True), "conv2": Conv(64, 3)}, "conv2: got 31 maps"),
        ({"conv1": Conv(32, 3, reads_all=True), "conv2": Conv(63, 3)}, "conv2: got 63 maps"),
        ({"conv1": Conv(32, 3)}, "conv1: got 3 maps"),
        ({"conv1": Conv(31, 3, reads_all=True), "norm1": Norm()}, "norm1: got 31 maps"),
    ],
)
def test_maps_that_do_not_divide_into_columns(layers, where):
    with pytest.raises(ShapeError, match=f"own, {where}: expected a number that divides into 2 columns"):
        count(Spec("own", layers, input_size=9, columns=2), cross_columns=())


def test_shapes_of_parameters_by_name():
    shapes = parameter_shapes(count(variant("paper")))
    assert list(shapes)[:3] == ["conv1.w", "conv1.b", "conv2.w"]
    assert (shapes["conv1.w"], shapes["conv1.b"]) == ((96, 3, 11, 11), (96,))
    assert (shapes["conv2.w"], shapes["fc8.w"]) == ((256, 48, 5, 5), (1000, 4096))
    assert sum(math.prod(shape) for shape in shapes.values()) == 60_965_224
