"""Files of ONNX: those that PyTorch and onnx wrote, graphs that are no AlexNet, and our own, there and back."""

import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tinyalex
from caffe_files import small_net
from tinyalex import AlexNet, weights
from tinyalex import spec as nets
from tinyalex.errors import CheckpointError
from tinyalex.layers.loss import softmax
from tinyalex.spec import VARIANTS
from tinyalex.weights import onnx_export
from tinyalex.weights.formats.onnx import read_arrays
from tinyalex.weights.formats.onnx_graph import Graph
from tinyalex.weights.pixels import Given

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402
from onnx.reference import ReferenceEvaluator  # noqa: E402

STORED = Path(__file__).parent.parent / "stored"
KNOWN_PIXELS = Given(mean=(104.0, 117.0, 123.0), colours="RGB", scale=(1.0, 1.0, 1.0))


# ---------------------------------------------------------------- what other programs wrote


@pytest.mark.parametrize("name", ["grouped", "grouped-new", "torchvision", "torchvision-new", "zoo"])
def test_outputs_are_those_of_onnxruntime(name):
    """PyTorch writes its normalisation out as a dozen nodes; the newer exporter has the numbers in a file beside."""
    net = weights.read(STORED / f"{name}.onnx", KNOWN_PIXELS if name.startswith("grouped") else None).net
    x = np.random.default_rng(3).normal(0, 60, (1, 3, net.input_size, net.input_size)).astype("f4")
    if name == "zoo":
        x = np.ascontiguousarray(x[:, ::-1])  # ours reads RGB
    outputs = net.forward(x) if name != "zoo" else softmax(net.forward(x))
    expected = np.load(STORED / "onnx_outputs.npz")[name]
    assert abs(outputs - expected).max() < 1e-5 * abs(expected).max()
    assert net.spec.name == ("torchvision" if name.startswith("torchvision") else "caffe")


def test_pixels():
    """torchvision's are known; those of a net that anybody may have trained must be given."""
    found = weights.read(STORED / "torchvision.onnx")
    assert (found.preparation.rule, found.preparation.size) == ("scale", 256)
    with pytest.raises(CheckpointError, match=r"grouped\.onnx: .*--mean, --colours, --scale"):
        weights.read(STORED / "grouped.onnx")


def test_the_model_zoo_takes_the_whole_picture():
    found = weights.read(STORED / "zoo.onnx")
    assert (found.preparation.rule, found.preparation.size, found.net.input_size) == ("warp", 224, 224)
    np.testing.assert_allclose(found.statistics.mean[0, 0], [123.68, 116.779, 103.939], rtol=1e-6)
    sizes = {row.name: row.out_shape[1:] for row in found.net.rows}
    assert [sizes[name] for name in ("conv1", "pool1", "pool2", "pool5")] == [(54,) * 2, (26,) * 2, (12,) * 2, (6,) * 2]


def test_names_do_not_matter(tmp_path):
    """PyTorch calls folded parameters onnx::Conv_12."""
    model = onnx.load(STORED / "grouped.onnx")
    for number, tensor in enumerate(model.graph.initializer):
        for node in model.graph.node:
            for place, name in enumerate(node.input):
                if name == tensor.name:
                    node.input[place] = f"onnx::Conv_{number}"
        tensor.name = f"onnx::Conv_{number}"
    onnx.save(model, tmp_path / "net.onnx")
    found, expected = (
        weights.read(path, KNOWN_PIXELS).net for path in (tmp_path / "net.onnx", STORED / "grouped.onnx")
    )
    for name, w in expected.params.items():
        np.testing.assert_array_equal(found.params[name], w)


def stored_beside(folder, **entries):
    """torchvision-new.onnx in `folder`, with other entries about where its numbers are."""
    model = onnx.load(STORED / "torchvision-new.onnx", load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            entry.value = entries.get(entry.key, entry.value)
    onnx.save(model, folder / "net.onnx")
    shutil.copy(STORED / "torchvision-new.onnx.data", folder)
    return folder / "net.onnx"


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ({"location": "../secret"}, r"expected the file '\.\./secret' beside it"),
        ({"location": "folder/secret"}, "expected the file 'folder/secret' beside it"),
        ({"location": "/etc/passwd"}, "expected the file '/etc/passwd' beside it"),
        ({"location": ".."}, r"expected the file '\.\.' beside it"),
        ({"location": "missing"}, "expected the file 'missing' beside it"),
        ({"offset": "-4"}, "expected 69536 at most"),
        ({"offset": "70000"}, "expected 69536 at most"),
        ({"length": "99999999999999999999"}, "expected 69536 at most"),
        ({"length": "many"}, "invalid literal"),
        ({"length": "8"}, "expected as many as fit"),
    ],
)
def test_numbers_beside_that_are_not_there(tmp_path, entries, told):
    (tmp_path / "sub").mkdir()
    (tmp_path / "secret").write_bytes(bytes(100_000))
    path = stored_beside(tmp_path / "sub", **entries)
    with pytest.raises(CheckpointError, match=told):
        read_arrays(path)


# ---------------------------------------------------------------- graphs


def graph(folder, nodes, arrays, *, size=32, inputs=1, outputs=("y",)):
    """An .onnx file of these nodes; a node is a kind, its inputs, its output and its attributes."""
    made = [helper.make_node(kind, inputs_, [output], **attributes) for kind, inputs_, output, attributes in nodes]
    images = [helper.make_tensor_value_info(f"x{n or ''}", 1, ["n", 3, size, size]) for n in range(inputs)]
    values = [helper.make_tensor_value_info(name, 1, ["n", "k"]) for name in outputs]
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    path = folder / "net.onnx"
    onnx.save(helper.make_model(helper.make_graph(made, "net", images, values, tensors)), path)
    return path


def simple(folder, change=None, size=32):
    """conv, relu, pool, flatten and a product, after `change` has changed the nodes or the arrays."""
    rng = np.random.default_rng(4)
    nodes = [
        ["Conv", ["x", "w", "b"], "c", {"pads": [2, 2, 2, 2]}],
        ["Relu", ["c"], "r", {}],
        ["MaxPool", ["r"], "p", {"kernel_shape": [3, 3], "strides": [2, 2]}],
        ["Flatten", ["p"], "f", {}],
        ["Gemm", ["f", "v", "d"], "y", {"transB": 1}],
    ]
    shapes = {"w": (4, 3, 5, 5), "b": (4,), "v": (6, 900), "d": (6,)}
    arrays = {name: rng.normal(size=shape).astype("f4") for name, shape in shapes.items()}
    if change:
        change(nodes, arrays)
    return graph(folder, nodes, arrays, size=size)


def logits(path, size=32):
    net = weights.read(path, KNOWN_PIXELS).net
    return net.forward(np.random.default_rng(5).normal(size=(2, 3, size, size)).astype("f4"))


def product_and_sum(nodes, arrays):
    nodes[4:] = [["MatMul", ["f", "v"], "m", {}], ["Add", ["d", "m"], "y", {}]]
    arrays["v"] = np.ascontiguousarray(arrays["v"].T)
    arrays["d"] = arrays["d"][None]


def scaled_product(nodes, arrays):
    nodes[4][3] = {"alpha": 0.5, "beta": 2.0}
    arrays["v"], arrays["d"] = np.ascontiguousarray(2 * arrays["v"].T), arrays["d"] / 2


def factor(nodes, arrays):
    nodes.insert(4, ["Mul", ["f", "half"], "g", {}])
    nodes[5][1][0] = "g"
    arrays["v"], arrays["half"] = 2 * arrays["v"], np.float32(0.5)


def without_effect(nodes, arrays):
    nodes[3:4] = [["Reshape", ["p", "shape"], "e", {}], ["Dropout", ["e"], "i", {}], ["Identity", ["i"], "f", {}]]
    nodes[-1][2] = "z"
    nodes.append(["Softmax", ["z"], "y", {}])
    arrays["shape"] = np.array([0, -1])


def automatic_pads(nodes, arrays):  # noqa: ARG001
    nodes[0][3] = {"auto_pad": "SAME_UPPER"}


def numbers_as_constants(nodes, arrays):
    nodes.insert(0, ["Constant", [], "w", {"value": numpy_helper.from_array(arrays.pop("w"))}])


@pytest.mark.parametrize(
    "change",
    [product_and_sum, scaled_product, factor, without_effect, automatic_pads, numbers_as_constants],
    ids=lambda change: change.__name__,
)
def test_other_nodes_for_the_same_net(tmp_path, change):
    expected = logits(simple(tmp_path))
    np.testing.assert_allclose(logits(simple(tmp_path, change)), expected, rtol=2e-5)


@pytest.mark.parametrize("field", ["float_data", "double", "half"])
def test_numbers_in_other_fields(tmp_path, field):
    path = simple(tmp_path)
    expected = logits(path)
    model = onnx.load(path)
    for tensor in model.graph.initializer:
        array = numpy_helper.to_array(tensor)
        match field:
            case "float_data":
                made = helper.make_tensor(tensor.name, TensorProto.FLOAT, array.shape, array.ravel())
            case "double":
                made = helper.make_tensor(tensor.name, TensorProto.DOUBLE, array.shape, array.ravel())
            case "half":
                made = helper.make_tensor(tensor.name, TensorProto.FLOAT16, array.shape, array.astype("f2").ravel())
        tensor.CopyFrom(made)
    onnx.save(model, path)
    np.testing.assert_allclose(logits(path), expected, rtol=1e-2 if field == "half" else 1e-6)


def test_pads_behind_the_image(tmp_path):
    """A pool whose last window reaches past the edge, as it does with ceil_mode."""

    def behind(nodes, arrays):
        nodes[2][3]["pads"] = [0, 0, 1, 1]
        arrays["v"] = np.ones((6, 1024), "f4")

    def rounded_up(nodes, arrays):
        nodes[2][3]["ceil_mode"] = 1
        arrays["v"] = np.ones((6, 1024), "f4")

    np.testing.assert_array_equal(logits(simple(tmp_path, behind)), logits(simple(tmp_path, rounded_up)))


@pytest.mark.parametrize(("auto_pad", "pads"), [("SAME_UPPER", [1, 1, 2, 2]), ("SAME_LOWER", [2, 2, 1, 1])])
def test_automatic_pads_of_odd_sums(tmp_path, auto_pad, pads):
    """The odd cell lies behind the image, or before it."""

    def with_pads(**attributes):
        def change(nodes, arrays):
            nodes[0][3] = {"strides": [2, 2], **attributes}
            arrays["v"] = np.linspace(-1, 1, 6 * 196, dtype="f4").reshape(6, 196)

        return change

    automatic, explicit, turned = (
        logits(simple(tmp_path, with_pads(**attributes)))
        for attributes in ({"auto_pad": auto_pad}, {"pads": pads}, {"pads": pads[::-1]})
    )
    np.testing.assert_array_equal(automatic, explicit)
    assert not np.allclose(automatic, turned)


def instead_of_relu(*node):
    return lambda nodes, _: nodes.__setitem__(1, list(node))


def shared(nodes, arrays):
    nodes.insert(4, ["Gemm", ["f", "v", "d"], "q", {"transB": 1}])
    nodes[5][1][0] = "q"
    arrays["v"], arrays["d"] = np.zeros((900, 900), "f4"), np.zeros(900, "f4")


def halved_and_pooled(nodes, arrays):
    nodes[1] = ["Mul", ["c", "half"], "r", {}]
    arrays["half"] = np.float32(0.5)


def halved_at_the_end(nodes, arrays):
    nodes[4][2] = "z"
    nodes.append(["Mul", ["z", "half"], "y", {}])
    arrays["half"] = np.float32(0.5)


def divided(nodes, arrays):
    nodes[1] = ["Div", ["c", "two"], "r", {}]
    arrays["two"] = np.float32(2)


REFUSED = {
    "'Sigmoid'": instead_of_relu("Sigmoid", ["c"], "r", {}),
    "a normalisation over 4 maps": instead_of_relu("LRN", ["c"], "r", {"size": 4}),
    "'Concat' of something else": instead_of_relu("Concat", ["c", "c"], "r", {"axis": 1}),
    "no way from 'y' back to 'x'": instead_of_relu("Relu", ["r"], "r", {}),
    "back to 'x'": instead_of_relu("Relu", ["nothing"], "r", {}),
    "a 'Div' that is no normalisation": divided,
    "a product that no layer with weights follows": halved_and_pooled,
    "got a product that no layer with weights follows": halved_at_the_end,
    "the parameters 'v' in two layers": shared,
    "a MaxPool with a pad": lambda nodes, _: nodes[2][3].update(pads=[1, 1, 1, 1]),
    "a window of [3, 2]": lambda nodes, _: nodes[2][3].update(kernel_shape=[3, 2]),
    "a Conv with a window": lambda nodes, _: nodes[0][3].update(dilations=[2, 2]),
    "a Conv that pads 2 before and 9 behind": lambda nodes, _: nodes[0][3].update(pads=[2, 2, 9, 9]),
    "pads [1, 2, 1, 2]": lambda nodes, _: nodes[0][3].update(pads=[1, 2, 1, 2]),
    "Gemm of 2 axes, or transposed": lambda nodes, _: nodes[4][3].update(transA=1),
    "Conv without parameters in floats": lambda _, arrays: arrays.update(w=arrays["w"].astype("i4")),
    "do not fit their parameters": lambda _, arrays: arrays.update(v=arrays["v"][:, :-1]),
    "ONNX's type 9": lambda _, arrays: arrays.update(w=arrays["w"] > 0),
}


@pytest.mark.parametrize("told", REFUSED)
def test_graphs_that_are_no_alexnet(tmp_path, told):
    path = simple(tmp_path, REFUSED[told])
    with pytest.raises(CheckpointError) as error:
        weights.read(path, KNOWN_PIXELS)
    assert told in str(error.value)
    assert str(path) in str(error.value)


def test_two_inputs(tmp_path):
    path = graph(tmp_path, [("Add", ["x", "x1"], "y", {})], {}, inputs=2)
    with pytest.raises(CheckpointError, match="got 2 inputs: expected one"):
        read_arrays(path)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", bytes(100), b"\x3a\xff\xff\xff\xff\x0f"])
def test_other_files(tmp_path, content):
    (tmp_path / "net.onnx").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"net\.onnx"):
        weights.read(tmp_path / "net.onnx")


@pytest.mark.parametrize("dims", [[4, 3, 5, 6], [2**40] * 3, [-4, 3, 5, -5], [1, 4, 3, 5, 5]])
def test_shapes_that_lie(tmp_path, dims):
    path = simple(tmp_path)
    model = onnx.load(path)
    del model.graph.initializer[0].dims[:]
    model.graph.initializer[0].dims.extend(dims)
    path.write_bytes(model.SerializeToString())
    with pytest.raises(CheckpointError, match="with 300 numbers: expected as many as fit"):
        read_arrays(path)


# ---------------------------------------------------------------- our own


def louder(layer):
    """A normalisation that matters."""
    return replace(layer, alpha=0.5) if isinstance(layer, nets.Norm | nets.SpatialNorm) else layer


OWN = [*VARIANTS, "tanh"]


def own(name):
    """A small net of each variant, its normalisation strong enough to see; and one with tanh."""
    net = small_net("mini" if name == "tanh" else name)
    layers = {key: louder(layer) for key, layer in net.spec.layers.items()}
    if name == "tanh":
        layers = {key: nets.Activation("tanh") if layer == nets.RELU else layer for key, layer in layers.items()}
    made = AlexNet(replace(net.spec, layers=layers), num_classes=7, seed=None, dropout=0.25)
    for key, w in net.params.items():
        made.params[key][...] = w
    return made


@pytest.mark.parametrize("name", OWN)
def test_there_and_back(tmp_path, name):
    """The net in full. And without the text that describes it, from the graph alone: the same logits."""
    net, path = own(name), tmp_path / "net.onnx"
    tinyalex.save(net, path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    found = tinyalex.load(path)
    assert (found.spec, found.dropout) == (net.spec, net.dropout)
    for key, w in net.params.items():
        np.testing.assert_array_equal(found.params[key], w)

    onnx_export.write(net, path)
    x = np.random.default_rng(6).normal(0, 3, (2, 3, net.input_size, net.input_size)).astype("f4")
    plain = weights.read(path, KNOWN_PIXELS).net
    np.testing.assert_allclose(plain.forward(x), net.forward(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["mini", "cifar10-full", "cifar10-quick", "tanh"])
def test_the_graph_means_what_the_net_does(tmp_path, name):
    """By onnx's own definitions of its operations; compare_onnx.py compares all variants with onnxruntime."""
    net = own(name)
    onnx_export.write(net, tmp_path / "net.onnx")
    x = np.random.default_rng(6).normal(0, 3, (2, 3, net.input_size, net.input_size)).astype("f4")
    [found] = ReferenceEvaluator(onnx.load(tmp_path / "net.onnx")).run(None, {"image": x})
    np.testing.assert_allclose(found, net.forward(x), rtol=1e-4, atol=1e-5)


def test_settings_that_are_whole_numbers(tmp_path):
    """ONNX keeps whole numbers and others apart."""
    layers = {
        key: replace(layer, alpha=1, beta=1, k=1) if isinstance(layer, nets.Norm) else layer
        for key, layer in nets.MINI.layers.items()
    }
    net = AlexNet(replace(nets.MINI, layers=layers), num_classes=7, seed=1, dropout=0)
    path = tmp_path / "net.onnx"
    onnx_export.write(net, path)
    onnx.checker.check_model(onnx.load(path), full_check=True)
    x = np.random.default_rng(6).normal(0, 3, (2, 3, net.input_size, net.input_size)).astype("f4")
    np.testing.assert_allclose(weights.read(path, KNOWN_PIXELS).net.forward(x), net.forward(x), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("variant", "kind", "attribute", "told"),
    [
        ("mini", "LRN", {"alpha": 0.25}, "columns that are normalised in different ways"),
        ("mini", "Split", {"axis": 2}, "maps that are not split into equal columns"),
        ("cifar10-full", "AveragePool", {"count_include_pad": 0}, "a 'Div' that is no normalisation"),
        ("cifar10-full", "AveragePool", {"kernel_shape": [5, 5]}, "a normalisation over another window"),
    ],
)
def test_normalisations_that_are_not_ours(tmp_path, variant, kind, attribute, told):
    path = tmp_path / "net.onnx"
    onnx_export.write(small_net(variant), path)
    model = onnx.load(path)
    node = next(node for node in model.graph.node if node.op_type == kind)
    kept = [one for one in node.attribute if one.name not in attribute]
    del node.attribute[:]
    node.attribute.extend([*kept, *(helper.make_attribute(key, value) for key, value in attribute.items())])
    onnx.save(model, path)
    with pytest.raises(CheckpointError, match=told):
        read_arrays(path)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_graph_tells_the_variant(tmp_path, name):
    net = small_net(name)
    onnx_export.write(net, tmp_path / "net.onnx")
    found = weights.read(tmp_path / "net.onnx", KNOWN_PIXELS).net
    assert found.spec.name == name
    assert found.cross_columns == net.cross_columns


def test_an_even_window_is_not_what_onnx_has(tmp_path):
    net = small_net("caffe")
    layers = {key: replace(v, size=4) if isinstance(v, nets.Norm) else v for key, v in net.spec.layers.items()}
    net = AlexNet(replace(net.spec, layers=layers), num_classes=7, seed=None)
    with pytest.raises(CheckpointError, match="got norm1, over 4 maps: expected an odd number"):
        onnx_export.write(net, tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())


def test_without_the_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(CheckpointError, match="expected the library onnx, which writes it; pip install"):
        onnx_export.write(small_net("mini"), tmp_path / "net.onnx")


def test_the_graph_is_as_others_expect_it(tmp_path):
    """A batch of any size; current operations; no dropout; a convolution in groups; columns as slices."""
    onnx_export.write(small_net("paper"), tmp_path / "net.onnx")
    model = onnx.load(tmp_path / "net.onnx")
    [image], [output] = model.graph.input, model.graph.output
    assert image.type.tensor_type.shape.dim[0].dim_param == output.type.tensor_type.shape.dim[0].dim_param == "batch"
    kinds = [node.op_type for node in model.graph.node]
    assert kinds[:8] == ["Conv", "Relu", "Split", "LRN", "LRN", "Concat", "MaxPool", "Conv"]
    assert "Dropout" not in kinds
    assert kinds[-1] == "Gemm"  # the logits
    with (tmp_path / "net.onnx").open("rb") as file:
        groups = [node.integer("group", 1) for node in Graph(file).nodes if node.kind == "Conv"]
    assert groups == [1, 2, 1, 2, 2]
