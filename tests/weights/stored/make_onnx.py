"""Make the stored .onnx files, with PyTorch and with onnx, and what onnxruntime makes of seeded pixels.

Run by hand where torch, onnxscript, onnx and onnxruntime are installed: python make_onnx.py
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

HERE = Path(__file__).parent
SIZES = {"grouped": 227, "grouped-new": 227, "torchvision": 224, "torchvision-new": 224, "zoo": 224}


class Narrow(nn.Module):
    """torchvision's AlexNet with few kernels; or, grouped, Caffe's with PyTorch's own normalisation."""

    def __init__(self, grouped):
        super().__init__()
        groups, widths = (2, (8, 16, 12, 12, 8)) if grouped else (1, (8, 12, 16, 12, 12))
        layers, maps = [], 3
        for number, (width, kernel, stride, pad) in enumerate(
            zip(widths, (11, 5, 3, 3, 3), (4, 1, 1, 1, 1), (0 if grouped else 2, 2, 1, 1, 1), strict=True), 1
        ):
            group = groups if number in (2, 4, 5) else 1
            layers += [nn.Conv2d(maps, width, kernel, stride, pad, groups=group), nn.ReLU()]
            if grouped and number < 3:
                layers.append(nn.LocalResponseNorm(5, 1e-4, 0.75, 1.0))
            if number in (1, 2, 5):
                layers.append(nn.MaxPool2d(3, 2))
            maps = width
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.Identity() if grouped else nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            *(nn.Dropout(), nn.Linear(36 * maps, 16), nn.ReLU(), nn.Dropout(), nn.Linear(16, 16), nn.ReLU()),
            nn.Linear(16, 10),
        )

    def forward(self, x):
        return self.classifier(torch.flatten(self.avgpool(self.features(x)), 1))


def export():
    """By PyTorch's older exporter; and by its newer one, which writes the numbers into a file of their own."""
    for name, new in (("torchvision", False), ("torchvision-new", True), ("grouped", False), ("grouped-new", True)):
        torch.manual_seed(1)
        net = Narrow(name.startswith("grouped")).eval()
        x = torch.zeros(1, 3, SIZES[name], SIZES[name])
        axes = {} if new else {"dynamic_axes": {"image": {0: "batch"}}}
        torch.onnx.export(net, (x,), HERE / f"{name}.onnx", input_names=["image"], dynamo=new, **axes)
        model = onnx.load(HERE / f"{name}.onnx", load_external_data=False)
        for node in model.graph.node:  # the paths of the machine that exported it
            node.ClearField("metadata_props")
            node.ClearField("doc_string")
        model.graph.ClearField("value_info")
        onnx.save(model, HERE / f"{name}.onnx")


def zoo():
    """As the model zoo's bvlcalexnet is: names, order and attributes; pool5 has a pad behind."""
    rng = np.random.default_rng(2)
    nodes, initializers, x = [], [], "data_0"

    def node(kind, name, *parameters, **attributes):
        nonlocal x
        inputs = [x]
        for part, shape in zip("wb", parameters, strict=False):
            array = rng.normal(0, 1 / np.sqrt(max(np.prod(shape[1:]), 100)), shape).astype("f4")
            initializers.append(numpy_helper.from_array(array, f"{name}_{part}_0"))
            inputs.append(f"{name}_{part}_0")
        outputs = [f"{name}_1"] if kind != "Dropout" else [f"{name}_1", f"_{name}_mask_1"]
        nodes.append(helper.make_node(kind, inputs, outputs, **attributes))
        x = outputs[0]

    lrn = {"size": 5, "alpha": 1e-4, "beta": 0.75, "bias": 1.0}
    shapes = ((8, 3, 11), (8, 4, 5), (12, 8, 3), (12, 6, 3), (8, 6, 3))
    for number, (kernels, maps, side) in enumerate(shapes, 1):
        pad, stride, group = (0, 4, 1) if number == 1 else (side // 2, 1, 1 if number == 3 else 2)
        window = {"kernel_shape": [side] * 2, "pads": [pad] * 4, "strides": [stride] * 2, "group": group}
        node("Conv", f"conv{number}", (kernels, maps, side, side), (kernels,), **window)
        node("Relu", f"relu{number}")
        if number < 3:
            node("LRN", f"norm{number}", **lrn)
        if number in (1, 2, 5):
            behind = 1 if number == 5 else 0
            node("MaxPool", f"pool{number}", kernel_shape=[3, 3], pads=[0, 0, behind, behind], strides=[2, 2])
    initializers.append(numpy_helper.from_array(np.array([1, 288]), "OC2_DUMMY_1"))
    nodes.append(helper.make_node("Reshape", [x, "OC2_DUMMY_1"], ["OC2_DUMMY_0"]))
    x = "OC2_DUMMY_0"
    for name, units, features in (("fc6", 16, 288), ("fc7", 16, 16), ("fc8", 10, 16)):
        node("Gemm", name, (units, features), (units,), transB=1)
        if name != "fc8":
            node("Relu", f"relu_{name}")
            node("Dropout", f"dropout_{name}")
    node("Softmax", "prob")
    image = helper.make_tensor_value_info("data_0", TensorProto.FLOAT, [1, 3, 224, 224])
    output = helper.make_tensor_value_info("prob_1", TensorProto.FLOAT, [1, 10])
    graph = helper.make_graph(nodes, "bvlc_alexnet", [image], [output], initializers)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 12)], ir_version=7), HERE / "zoo.onnx")


def expected():
    """onnxruntime's outputs, and, where these are probabilities, their logarithms."""
    found = {}
    for name, size in SIZES.items():
        session = onnxruntime.InferenceSession(HERE / f"{name}.onnx")
        x = np.random.default_rng(3).normal(0, 60, (1, 3, size, size)).astype("f4")
        found[name] = session.run(None, {session.get_inputs()[0].name: x})[0]
    np.savez(HERE / "onnx_outputs.npz", **found)


if __name__ == "__main__":
    export()
    zoo()
    expected()
