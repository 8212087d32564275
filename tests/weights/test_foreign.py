"""Other people's nets: which net a file holds, how it reads pixels, and what must be said of it."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from runs import slim
from tinyalex import AlexNet, spec
from tinyalex.data import prepare_image, read_image
from tinyalex.data.prepare import Preparation
from tinyalex.errors import CheckpointError
from tinyalex.training.evaluate import augmenter_for, preparation_for
from tinyalex.weights import checkpoint, read
from tinyalex.weights.foreign import checkpoint_of
from tinyalex.weights.formats import Foreign
from tinyalex.weights.layouts import LAYOUTS, Layout, own_names, positions
from tinyalex.weights.pixels import Given

STORED = Path(__file__).parent / "stored"
PUBLISHED = np.load(STORED / "torch.npz")
ALL = Given(mean=(1.0, 2.0, 3.0), colours="RGB", scale=(4.0, 5.0, 6.0))


def arrays_of(net, layout=LAYOUTS[0]):
    """The parameters of a net under the names of a layout that has our axes."""
    return {theirs: net.params[ours].copy() for ours, theirs in layout.names(net.spec).items()}


def torchvision_net(**given):
    return AlexNet(slim(spec.TORCHVISION), **{"num_classes": 5, **given})


@pytest.fixture(scope="module")
def six():
    """The stored net of torchvision's."""
    return read(STORED / "zip.pth")


# ---------------------------------------------------------------- torchvision, to the last digit


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("zip.pth", "logits"),
        ("old.pth", "logits"),
        ("shared.pth", "logits"),
        ("channels-last-old.pth", "logits"),
        ("checkpoint.pth", "logits"),
        ("torch.safetensors", "logits"),
        ("half.pth", "half"),
        ("bfloat16-old.pth", "bfloat16"),
        ("bfloat16.safetensors", "bfloat16"),
    ],
)
def test_the_logits_of_torchvision(name, expected):
    """From the picture in its file to the logits, with torchvision's own preparation."""
    found = read(STORED / name)
    assert (found.net.spec.name, found.net.num_classes, found.net.dtype) == ("torchvision", 5, "float32")
    stored = prepare_image(read_image(STORED / "picture.png"), preparation_for(found))
    logits = found.net.forward(augmenter_for(found).centre(stored[None]))
    assert np.abs(logits - PUBLISHED[expected]).max() < 1e-5 * np.abs(PUBLISHED[expected]).max()


def test_torchvision_is_prepared_as_it_was_trained(six):
    assert six.preparation == Preparation(256, "scale", "bilinear", (58.395, 57.12, 57.375))
    np.testing.assert_allclose(six.statistics.mean[100, 100], 255 * np.array([0.485, 0.456, 0.406]), rtol=1e-6)
    assert six.statistics.mean.shape == (256, 256, 3)
    assert six.classes == ()  # five classes are not ImageNet's


def test_a_net_for_1000_classes_has_their_names():
    found = checkpoint_of(Foreign(arrays_of(torchvision_net(num_classes=1000))), Given())
    assert found.classes[:2] == ("tench", "goldfish")


def test_arrays_become_the_nets_own():
    """Without a copy; but for those that lie in the memory of others, which training would change together."""
    arrays = arrays_of(torchvision_net())
    arrays["classifier.4.weight"] = np.asfortranarray(arrays["classifier.4.weight"])
    arrays["features.6.bias"] = arrays["features.3.bias"]
    net = checkpoint_of(Foreign(dict(arrays)), Given()).net
    names = LAYOUTS[0].names(net.spec)
    copied = [ours for ours, theirs in names.items() if not np.shares_memory(net.params[ours], arrays[theirs])]
    assert copied == ["conv3.b", "fc7.w"]
    for ours, theirs in names.items():
        np.testing.assert_array_equal(net.params[ours], arrays[theirs])
        assert net.params[ours].flags.carray


@pytest.mark.parametrize("dtype", ["f2", "f8", ">f4"])
def test_other_dtypes_become_float32(dtype):
    arrays = {name: array.astype(dtype) for name, array in arrays_of(torchvision_net()).items()}
    net = checkpoint_of(Foreign(arrays), Given()).net
    assert net.params["conv1.w"].dtype == np.float32
    np.testing.assert_array_equal(net.params["fc6.w"], arrays["classifier.1.weight"].astype("f4"))


# ---------------------------------------------------------------- which net


@pytest.mark.parametrize("prefix", ["", "module.", "model.module.", "alexnet."])
def test_prefixes(prefix):
    net = torchvision_net(seed=3)
    arrays = {f"{prefix}{name}": array for name, array in arrays_of(net).items()}
    np.testing.assert_array_equal(checkpoint_of(Foreign(arrays), Given()).net.params["fc8.w"], net.params["fc8.w"])


def test_a_name_of_many_parts_takes_a_moment():
    with pytest.raises(CheckpointError, match="arrays named"):
        checkpoint_of(Foreign({"a." * 100_000: np.ones(3)}), Given())


def test_a_part_of_the_net_on_several_gpus():
    """As the ImageNet example of PyTorch trains AlexNet: the convolutions alone are shared out."""
    net = torchvision_net(seed=3)
    arrays = {name.replace("features.", "features.module."): array for name, array in arrays_of(net).items()}
    np.testing.assert_array_equal(checkpoint_of(Foreign(arrays), Given()).net.params["conv1.w"], net.params["conv1.w"])


def test_positions_are_those_of_torchvision():
    assert list(positions(spec.TORCHVISION)) == [
        *(f"features.{place}" for place in (0, 3, 6, 8, 10)),
        *(f"classifier.{place}" for place in (1, 4, 6)),
    ]
    assert list(positions(spec.PAPER))[:2] == ["features.0", "features.4"]


@pytest.mark.parametrize("name", spec.VARIANTS)
@pytest.mark.parametrize("layers", [positions, own_names])
def test_every_variant_is_found_by_its_name(name, layers):
    """By the names alone many are the same; with the variant's, its kernels, units and classes are the file's."""
    net = AlexNet(slim(spec.variant(name)), num_classes=3, seed=1)
    arrays = arrays_of(net, Layout(layers))
    found = checkpoint_of(Foreign(arrays), replace(ALL, variant=name)).net
    assert found.spec == net.spec
    assert found.summary() == net.summary()
    np.testing.assert_array_equal(found.params["conv1.w"], net.params["conv1.w"])


def test_convolutions_that_read_both_columns_are_told_by_their_shapes():
    for cross in ((), (2, 4), (3,), (2, 3, 4, 5)):
        net = AlexNet(slim(spec.PAPER), num_classes=3, cross_columns=cross)
        found = checkpoint_of(Foreign(arrays_of(net)), replace(ALL, variant="paper")).net
        assert found.cross_columns == cross


def test_a_net_that_may_be_several_is_asked_for():
    arrays = arrays_of(AlexNet(slim(spec.PAPER), num_classes=3))
    with pytest.raises(CheckpointError, match=r"fit several nets: .* choose it by --variant: paper, .*caffe"):
        checkpoint_of(Foreign(arrays), ALL)


def test_the_widths_of_a_variant_tell_it_apart():
    """mini has other kernels than all others, paper more than one-column."""
    shapes = {"mini": spec.MINI, "one-column": spec.ONE_COLUMN}
    for name, net in shapes.items():
        arrays = arrays_of(AlexNet(net, num_classes=3, seed=None), Layout(own_names))
        assert checkpoint_of(Foreign(arrays), ALL).net.spec.name == name


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda a: a.pop("features.0.bias"), "arrays named .*expected those of an AlexNet"),
        (lambda a: a.update(extra=np.ones(3)), "arrays named"),
        (lambda a: a.clear(), "arrays named"),
        (lambda a: a.update({"features.0.weight": np.ones((8, 3, 5, 5), "f4")}), "expected the shapes of an AlexNet"),
        (lambda a: a.update({"features.0.weight": np.ones((8, 3), "f4")}), "the shapes"),
        (lambda a: a.update({"features.0.weight": np.ones((8, 4, 11, 11), "f4")}), "the shapes"),
        (lambda a: a.update({"features.3.bias": np.ones(7, "f4")}), "the shapes"),
        (lambda a: a.update({"features.3.bias": np.ones((8, 1), "f4")}), "the shapes"),
        (lambda a: a.update({"classifier.1.weight": np.ones((8, 8 * 25), "f4")}), "the shapes"),
        (lambda a: a.update({"classifier.6.weight": np.ones((0, 8), "f4")}), "the shapes"),
        (lambda a: a.update({"classifier.6.weight": np.float32(1)}), "the shapes"),
        (lambda a: a.update({"features.0.bias": np.ones(8, "i4")}), "int32 in conv1.b: expected floating-point"),
        (lambda a: a.update({"features.0.bias": np.full(8, np.nan, "f4")}), "NaN or infinity in conv1.b"),
        (lambda a: a.update({"classifier.1.bias": np.full(8, 1e300)}), "NaN or infinity in fc6.b"),
    ],
)
def test_arrays_that_are_no_alexnet(change, told):
    arrays = arrays_of(torchvision_net())
    change(arrays)
    with pytest.raises(CheckpointError, match=told):
        checkpoint_of(Foreign(arrays), Given())


def test_errors_name_the_file_once():
    with pytest.raises(CheckpointError) as caught:
        read(STORED / "zip.pth", Given(variant="paper"))
    assert str(caught.value).count("zip.pth") == 1
    assert re.search(r"expected those of paper", str(caught.value))
    with pytest.raises(CheckpointError, match="expected one of paper, "):
        read(STORED / "zip.pth", Given(variant="vgg"))


# ---------------------------------------------------------------- pixels


def test_unknown_preparation_is_asked_for():
    arrays = arrays_of(AlexNet(slim(spec.PAPER), num_classes=3))
    for given, missing in (
        ({}, "--mean, --colours, --scale"),
        ({"mean": ALL.mean}, "--colours, --scale"),
        ({"mean": ALL.mean, "scale": ALL.scale}, "--colours"),
    ):
        with pytest.raises(CheckpointError, match=f"not how its images are prepared: .*; say {missing}$"):
            checkpoint_of(Foreign(arrays), Given(variant="paper", **given))


def test_what_is_given_goes_before_what_is_known():
    arrays = arrays_of(torchvision_net())
    given = Given(mean=(1, 2, 3), scale=(4, 5, 6), rule="warp", size=230, classes=tuple("abcde"))
    found = checkpoint_of(Foreign(arrays), given)
    assert found.preparation == Preparation(230, "warp", "bilinear", (4, 5, 6))
    assert found.statistics.mean.shape == (230, 230, 3)
    assert found.statistics.mean[7, 9].tolist() == [1, 2, 3]
    assert found.classes == tuple("abcde")
    augmented = augmenter_for(found).centre(np.full((1, 230, 230, 3), 61, np.uint8))
    np.testing.assert_allclose(augmented[0, :, 5, 5], [60 / 4, 59 / 5, 58 / 6], rtol=1e-6)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"size": 200}, r"prepared images of 200 x 200, and crops of 224"),
        ({"size": 20_000}, "the size 20000"),
        ({"scale": (1, 0, 1)}, r"the scale \(1, 0, 1\)"),
        ({"scale": (1, float("nan"), 1)}, "the scale"),
        ({"scale": (1, float("inf"), 1)}, "the scale"),
        ({"mean": (1, float("nan"), 1)}, "expected finite numbers"),
        ({"classes": ("a", "b")}, "2 names of classes: expected 5"),
    ],
)
def test_what_cannot_be_given(given, told):
    with pytest.raises(CheckpointError, match=told):
        checkpoint_of(Foreign(arrays_of(torchvision_net())), Given(**given))


def test_a_net_on_bgr_reads_rgb_exactly(rng):
    net = torchvision_net()
    given = Given(colours="BGR", mean=(10, 20, 30))
    found = checkpoint_of(Foreign(arrays_of(net)), given)
    x = rng.standard_normal((2, 3, 224, 224), dtype="f4")
    np.testing.assert_allclose(found.net.forward(x), net.forward(x[:, ::-1]), rtol=1e-5, atol=1e-6)
    assert found.statistics.mean[0, 0].tolist() == [10, 20, 30]  # as given: red, green, blue


@pytest.mark.parametrize("colours", ["RGB", "BGR"])
def test_a_mean_image_has_the_colours_of_the_net(colours, tmp_path, rng):
    mean = rng.uniform(0, 255, (3, 240, 240))
    np.save(tmp_path / "mean.npy", mean)
    given = Given(colours=colours, mean=tmp_path / "mean.npy")
    found = checkpoint_of(Foreign(arrays_of(torchvision_net())), given)
    assert found.preparation.size == 240
    expected = mean if colours == "RGB" else mean[::-1]
    np.testing.assert_allclose(found.statistics.mean, expected.transpose(1, 2, 0), rtol=1e-6)


def test_the_preparation_is_kept_in_a_checkpoint(tmp_path, six):
    checkpoint.write(six, tmp_path / "net.npz")
    found = checkpoint.read(tmp_path / "net.npz")
    assert found.preparation == six.preparation
    np.testing.assert_array_equal(found.statistics.mean, six.statistics.mean)
    smaller = replace(six, preparation=replace(six.preparation, size=255))
    checkpoint.write(smaller, tmp_path / "net.npz")
    with pytest.raises(CheckpointError, match="a mean of size 256: expected 255"):
        checkpoint.read(tmp_path / "net.npz")
