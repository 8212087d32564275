"""Files of Caffe: both generations, all that its AlexNets say of themselves, and real trained ones where they are."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from numpy.lib import format as npy

import tinyalex
from caffe_files import CAFFE, blob, layers_of, net_of, small_net, trained
from real_files import real_data, real_weights
from tinyalex import spec as nets
from tinyalex import weights
from tinyalex.data import load_cifar10
from tinyalex.errors import CheckpointError
from tinyalex.spec import VARIANTS
from tinyalex.weights.formats import caffe_hdf5
from tinyalex.weights.formats.caffe import read_arrays, read_mean
from tinyalex.weights.pixels import Given
from tinyalex.weights.topology import described

MEAN = Given(mean=(104.0, 117.0, 123.0))


def written(folder, message, name="net.caffemodel"):
    path = folder / name
    path.write_bytes(message.SerializeToString())
    return path


def assert_same(net, found):
    assert found.spec == net.spec
    for name, w in net.params.items():
        np.testing.assert_array_equal(found.params[name], w, err_msg=name)


# ---------------------------------------------------------------- whole nets


@pytest.mark.parametrize("generation", [1, 2])
@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("variant", ["caffe", "caffenet", "cifar10-full", "cifar10-quick"])
def test_a_trained_net(tmp_path, variant, generation, old):
    """Blue is the first colour of the nets for ImageNet, red of those for CIFAR-10."""
    net = small_net(variant)
    names = {"fc4": "ip1", "fc5": "ip2"}
    layers = layers_of(net, bgr="cifar" not in variant, names=names, old=old)
    found = weights.read(written(tmp_path, trained(layers, generation=generation)), MEAN)
    assert_same(net, found.net)
    x = np.random.default_rng(1).normal(0, 60, (2, 3, net.input_size, net.input_size)).astype("f4")
    np.testing.assert_array_equal(found.net.forward(x), net.forward(x))


def test_a_net_for_use_has_an_input_and_no_loss(tmp_path):
    net = small_net("caffe")
    softmax = {"name": "prob", "type": "Softmax", "bottom": ["fc8"], "top": ["prob"]}
    shape = CAFFE["BlobShape"](dim=[10, 3, 227, 227])
    layers = [*layers_of(net), softmax]
    source = {"name": "data", "type": "Input", "top": ["data"], "input_param": {"shape": [shape]}}
    for made in (
        net_of(layers, input=["data"], input_dim=[10, 3, 227, 227], generation=1),
        net_of(layers, input=["data"], input_shape=[shape]),
        net_of([source, *layers]),
    ):
        foreign = read_arrays(written(tmp_path, made))
        assert foreign.input_size == 227
        assert_same(net, weights.read(written(tmp_path, made)).net)


def test_layers_that_fine_tuning_has_renamed(tmp_path):
    net = small_net("caffenet", num_classes=20)
    path = written(tmp_path, trained(layers_of(net, names={"fc8": "fc8_flickr"})))
    found = weights.read(path)
    assert_same(net, found.net)
    assert found.net.num_classes == 20
    assert found.classes == ()  # not those of ImageNet


def test_a_value_that_is_used_twice_is_split(tmp_path):
    """Caffe adds a layer for that, whose outputs are all the same."""
    net = small_net("cifar10-quick")
    layers = list(layers_of(net, bgr=False))
    split = {"name": "split", "type": "Split", "bottom": ["pool2"], "top": ["pool2_a", "pool2_b"]}
    [place] = [number for number, layer in enumerate(layers) if layer["name"] == "conv3"]
    layers[place]["bottom"] = ["pool2_b"]
    layers[place:place] = [split, {"name": "shown", "type": "Silence", "bottom": ["pool2_a"]}]
    assert_same(net, weights.read(written(tmp_path, trained(layers)), MEAN).net)


def test_parameters_as_doubles_transposed_and_without_biases(tmp_path):
    net = small_net("cifar10-quick")
    for name in ("conv2.b", "fc5.b"):
        net.params[name][...] = 0
    layers = list(layers_of(net, bgr=False))
    by_name = {layer["name"]: layer for layer in layers}
    del by_name["conv2"]["blobs"][1], by_name["fc5"]["blobs"][1]
    w = net.params["fc4.w"]
    by_name["fc4"]["blobs"][0] = blob(w.T)
    by_name["fc4"]["inner_product_param"]["transpose"] = True
    double = net.params["conv1.w"].astype("f8")
    by_name["conv1"]["blobs"][0] = CAFFE["BlobProto"](double_data=double.ravel(), shape={"dim": double.shape})
    assert_same(net, weights.read(written(tmp_path, trained(layers)), MEAN).net)


def test_sizes_for_each_axis(tmp_path):
    net = small_net("cifar10-quick")
    layers = list(layers_of(net, bgr=False))
    conv = layers[0]["convolution_param"]
    del conv["kernel_size"]
    path = written(tmp_path, trained(layers))
    with pytest.raises(CheckpointError, match=r"got the sides \[\]: expected one number"):
        read_arrays(path)
    conv |= {"kernel_h": 5, "kernel_w": 5}
    assert_same(net, weights.read(written(tmp_path, trained(layers)), MEAN).net)
    conv["kernel_w"] = 3
    with pytest.raises(CheckpointError, match=r"got the sides \[5, 3\]"):
        read_arrays(written(tmp_path, trained(layers)))


def test_pooling_that_rounds_down(tmp_path):
    """The last row is then not seen, and a net for such images has fewer features."""
    net = small_net("cifar10-quick")
    layers = [
        layer | ({"pooling_param": layer["pooling_param"] | {"round_mode": 1}} if "pooling_param" in layer else {})
        for layer in layers_of(net, bgr=False)
    ]
    with pytest.raises(CheckpointError, match="layers that do not fit their parameters"):
        weights.read(written(tmp_path, trained(layers)), MEAN)


def test_the_order_of_the_layers_tells_caffenet_from_bvlc_alexnet(tmp_path):
    for variant in ("caffe", "caffenet"):
        net = small_net(variant, num_classes=1000)
        assert weights.read(written(tmp_path, trained(layers_of(net)))).net.spec.name == variant


def test_a_net_that_is_none_of_ours_is_what_the_file_says(tmp_path):
    """Tanh in place of ReLU, and no group in conv4."""
    spec = VARIANTS["cifar10-full"]
    layers = {key: nets.Activation("tanh") if key.startswith("relu") else v for key, v in spec.layers.items()}
    net = tinyalex.AlexNet(replace(spec, name="tanh", layers=layers), num_classes=10, seed=1)
    made = trained(layers_of(net, bgr=False))
    made.name = "a net"
    found = described(read_arrays(written(tmp_path, made)))
    assert found.spec.name == "a net"
    assert [type(layer) for layer in found.spec.layers.values()] == [type(layer) for layer in layers.values()]
    assert nets.Activation("tanh") in found.spec.layers.values()


# ---------------------------------------------------------------- pixels


def test_pixels_of_bvlc_alexnet(tmp_path):
    found = weights.read(written(tmp_path, trained(layers_of(small_net("caffe")))))
    assert (found.preparation.rule, found.preparation.size, found.net.input_size) == ("warp", 256, 227)
    np.testing.assert_allclose(found.statistics.mean[5, 9], [122.6789143, 116.6687676, 104.0069879], rtol=1e-6)


def test_what_a_source_of_images_does_is_known(tmp_path):
    """Crops, a mean colour in the file's own order of colours, and a scale."""
    path = written(tmp_path, trained(layers_of(small_net("caffe")), crop_size=227, mean_value=[1, 2, 3], scale=0.5))
    found = weights.read(path)
    np.testing.assert_array_equal(found.statistics.mean[0, 0], [3, 2, 1])
    assert found.preparation.scale == (2, 2, 2)
    assert read_arrays(path).input_size == 227
    grey = written(tmp_path, trained(layers_of(small_net("caffe")), mean_value=[7]))
    np.testing.assert_array_equal(weights.read(grey).statistics.mean[0, 0], [7, 7, 7])
    for wrong in ({"mean_value": [1, 2]}, {"scale": 0.0}, {"scale": float("nan")}):
        with pytest.raises(CheckpointError, match=r"a mean of 2 colours|pixels multiplied with"):
            read_arrays(written(tmp_path, trained(layers_of(small_net("caffe")), **wrong)))


def test_mean_files(tmp_path):
    image = np.random.default_rng(0).uniform(0, 255, (3, 8, 8)).astype("f4")
    path = tmp_path / "mean.binaryproto"
    for old in (True, False):
        path.write_bytes(blob(image, old=old).SerializeToString())
        np.testing.assert_array_equal(read_mean(path), image)
    for array in (image.astype("f8"), image[None], image[:, 0, 0]):
        np.save(tmp_path / "mean.npy", array)
        np.testing.assert_array_equal(read_mean(tmp_path / "mean.npy"), array.reshape(array.shape[-3:]).astype("f4"))


@pytest.mark.parametrize(
    "array", [np.zeros((3, 8, 9)), np.zeros((4, 8, 8)), np.zeros(2), np.full(3, np.nan), np.array("a")]
)
def test_means_of_another_shape(tmp_path, array):
    np.save(tmp_path / "mean.npy", array)
    with pytest.raises(CheckpointError, match=r"mean\.npy, which is damaged or not a mean"):
        read_mean(tmp_path / "mean.npy")


def test_a_mean_with_objects_is_not_unpickled(tmp_path):
    np.save(tmp_path / "mean.npy", np.array([print], object), allow_pickle=True)
    with pytest.raises(CheckpointError, match="damaged or not a mean"):
        read_mean(tmp_path / "mean.npy")


def test_a_header_that_announces_terabytes(tmp_path):
    path = tmp_path / "mean.npy"
    with path.open("wb") as file:
        npy.write_array_header_1_0(file, {"shape": (3, 10**6, 10**6), "fortran_order": False, "descr": "<f4"})
        file.write(bytes(1000))
    with pytest.raises(CheckpointError, match="damaged or not a mean"):
        read_mean(path)


# ---------------------------------------------------------------- what is refused


def changed(change, variant="caffe", generation=2):
    """A net whose layers `change` has changed."""
    layers = list(layers_of(small_net(variant)))
    return trained(change(layers) or layers, generation=generation)


def unchanged(layers):
    return layers


def without_a_blob(layers):
    del layers[0]["blobs"]


def beside(layers):
    layers.append(
        {"name": "aside", "type": "InnerProduct", "bottom": ["nowhere"], "top": ["b"], "blobs": [blob(np.ones((2, 2)))]}
    )


def with_a_bias_too_few(layers):
    layers[0]["blobs"][1] = blob(np.zeros(3))


def twice(layers):
    layers[-1]["name"] = "conv1"


REFUSED = {
    "got 0 blobs in 'conv1'": without_a_blob,
    "one row; 'aside' stands beside it": beside,
    "got 2 blobs in 'conv1': expected weights and biases, each name once": twice,
    "got 3 biases in 'conv1': expected 6, one a kernel or unit": with_a_bias_too_few,
    "got a layer of type 'Eltwise'": lambda layers: layers[1].update(type="Eltwise"),
    "got a layer of type 'ReLU'": lambda layers: layers[1].update(relu_param={"negative_slope": 0.1}),
    "got the pooling 'pool1' of another kind": lambda layers: layers[3]["pooling_param"].update(pad=1),
    "got the pooling 'pool1' of another kind:": lambda layers: layers[3]["pooling_param"].update(pool=2),
    "got the pooling 'pool1' of another kind: expected": lambda layers: layers[3]["pooling_param"].update(
        global_pooling=1
    ),
    "got dilated kernels in 'conv1'": lambda layers: layers[0]["convolution_param"].update(dilation=[2]),
    "a net without a fully connected layer at its end": lambda layers: layers[:-1],
    "layers that do not fit their parameters": lambda layers: layers[0]["convolution_param"].update(stride=[2]),
    "got layers of": lambda layers: layers[4]["convolution_param"].update(group=4),
}


@pytest.mark.parametrize("told", REFUSED)
def test_layers_that_are_no_alexnet(tmp_path, told):
    path = written(tmp_path, changed(REFUSED[told]))
    with pytest.raises(CheckpointError) as error:
        weights.read(path)
    assert told in str(error.value)
    assert str(path) in str(error.value)


def test_layers_of_2013(tmp_path):
    made = CAFFE["NetParameter"](layers=[{"layer": {"name": "conv1", "type": "conv"}}])
    with pytest.raises(CheckpointError, match="upgrade_net_proto_binary"):
        read_arrays(written(tmp_path, made))


@pytest.mark.parametrize(
    "dim", [[6, 3, 11, 10], [-6, 3, 11, -11], [2**62] * 4, [0, 3], [1, 1, 6, 3, 121], [2**40, 2**40, 0]]
)
def test_shapes_that_lie(tmp_path, dim):
    def lie(layers):
        del layers[0]["blobs"][0].shape.dim[:]
        layers[0]["blobs"][0].shape.dim.extend(dim)

    with pytest.raises(CheckpointError, match=r"got a blob of shape .* with 2178 numbers"):
        read_arrays(written(tmp_path, changed(lie)))


def test_parameters_that_are_no_numbers(tmp_path):
    def damage(layers):
        layers[0]["blobs"][0].data[5] = float("nan")

    with pytest.raises(CheckpointError, match=r"NaN or infinity in conv1\.w"):
        weights.read(written(tmp_path, changed(damage)))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b'name: "CaffeNet"\n', bytes(100)])
def test_other_files(tmp_path, content):
    path = tmp_path / "net.caffemodel"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"net\.caffemodel"):
        weights.read(path)


def test_every_cut_is_told(tmp_path):
    whole = changed(unchanged).SerializeToString()
    path = tmp_path / "net.caffemodel"
    for length in (*range(1, len(whole), 4999), len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match=r"net\.caffemodel"):
            weights.read(path, MEAN)


# ---------------------------------------------------------------- HDF5


def write_hdf5(path, layers):
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        for layer in layers:
            group = file.create_group(f"data/{layer['name']}")
            for number, one in enumerate(layer.get("blobs", ())):
                group[str(number)] = np.array(one.data, "f4").reshape(tuple(one.shape.dim))
    return h5py


@pytest.mark.parametrize("variant", ["caffe", "cifar10-quick"])
def test_hdf5(tmp_path, variant):
    """It has the parameters only, so the variant must be given where another one has the same."""
    net = small_net(variant)
    path = tmp_path / "net.caffemodel.h5"
    write_hdf5(path, layers_of(net, bgr=variant == "caffe", names={"fc4": "ip1", "fc5": "ip2"}))
    assert_same(net, weights.read(path, replace(MEAN, variant=variant)).net)


@pytest.mark.parametrize("kind", ["link", "linked group", "external", "growing", "integers"])
def test_hdf5_that_lies_elsewhere_or_grows(tmp_path, kind):
    path, secret = tmp_path / "net.caffemodel.h5", tmp_path / "secret"
    h5py = write_hdf5(path, layers_of(small_net("caffe")))
    np.zeros(4, "f4").tofile(secret)
    with h5py.File(path, "a") as file:
        del file["data/conv1"]
        match kind:
            case "link":
                file["data/conv1/1"] = h5py.ExternalLink("other.h5", "/b")
            case "linked group":
                file["data/conv1"] = h5py.SoftLink("/data/conv2")
            case "external":
                file.create_dataset("data/conv1/1", (4,), "f4", external=[(str(secret), 0, 16)])
            case "growing":
                file.create_dataset("data/conv1/1", (2**40,), "f4", chunks=(1024,), compression="gzip")
            case "integers":
                file.create_dataset("data/conv1/1", (4,), "i4")
    with pytest.raises(CheckpointError, match=r"got a link|expected floats that lie in the file"):
        read_arrays(path)


def test_without_the_library_it_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "net.caffemodel.h5"
    path.write_bytes(caffe_hdf5.MAGIC)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(CheckpointError, match=r"net\.caffemodel\.h5: expected the library h5py.*pip install"):
        read_arrays(path)


# ---------------------------------------------------------------- real files

REAL = {
    "cifar10_full_iter_10000": (71.95, 97.92),
    "cifar10_full_iter_30000": (76.02, 98.25),
    "cifar10_quick_iter_5000": (73.08, 98.32),
}


@pytest.mark.parametrize("name", REAL)
def test_real_nets_reach_their_accuracy(name):
    """On the first 4,000 images of CIFAR-10's test batch."""
    images = load_cifar10(real_data("cifar-10-batches-py"), "val", size=32)
    folder = real_weights("caffe-cifar10")
    found = weights.read(folder / f"{name}.caffemodel", Given(mean=folder / "mean.binaryproto"))
    x = (images.read(np.arange(len(images))) - found.statistics.mean).transpose(0, 3, 1, 2)
    logits = np.concatenate([found.net.forward(part) for part in np.split(np.ascontiguousarray(x), 20)])
    order = (-logits).argsort(1)
    top1, top5 = (100 * (order[:, :k] == images.labels[:, None]).any(1).mean() for k in (1, 5))
    assert (top1, top5) == pytest.approx(REAL[name], abs=0.1)


def test_caffenet_stage_by_stage():
    """What Caffe made of one image with trained parameters, to norm2: CaffeNet pools before it normalises."""
    with np.load(real_weights("caffenet") / "caffenet-to-norm2.npz") as stored:
        arrays = dict(stored)
    net = tinyalex.AlexNet("caffenet", seed=None)
    for name in ("conv1", "conv2"):
        net.params[f"{name}.w"][...], net.params[f"{name}.b"][...] = arrays[f"{name}_w"], arrays[f"{name}_b"]
    outputs = {}
    [image] = [array for array in arrays.values() if array.shape[-3:] == (3, 227, 227)]
    net.forward(image.reshape(1, 3, 227, 227), upto="norm2", seen=outputs.__setitem__)
    for name in ("relu1", "pool1", "norm1", "relu2", "pool2", "norm2"):
        expected = arrays[name].reshape(outputs[name].shape)
        assert abs(outputs[name] - expected).max() < 1e-3 * abs(expected).max(), name
