"""Files as Caffe writes them, made with Google's protobuf, from the part of Caffe's schema that its AlexNets need."""

import numpy as np
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tinyalex import spec as nets
from tinyalex.backend import to_numpy

# caffe.proto: the fields of each message with their numbers. "*" is repeated, "+" repeated and packed.
SCHEMA = {
    "BlobShape": "dim 1 +int64",
    "BlobProto": "num 1 int32, channels 2 int32, height 3 int32, width 4 int32, data 5 +float, diff 6 +float, "
    "shape 7 BlobShape, double_data 8 +double",
    "LooseBlob": "num 1 int32, channels 2 int32, height 3 int32, width 4 int32, data 5 *float",
    "NetParameter": "name 1 string, layers 2 *V1LayerParameter, input 3 *string, input_dim 4 *int32, "
    "input_shape 8 *BlobShape, layer 100 *LayerParameter",
    "TransformationParameter": "scale 1 float, mirror 2 bool, crop_size 3 uint32, mean_file 4 string, "
    "mean_value 5 *float",
    "DataParameter": "source 1 string, scale 2 float, mean_file 3 string, batch_size 4 uint32, crop_size 5 uint32",
    "ConvolutionParameter": "num_output 1 uint32, bias_term 2 bool, pad 3 *uint32, kernel_size 4 *uint32, "
    "group 5 uint32, stride 6 *uint32, kernel_h 11 uint32, kernel_w 12 uint32, dilation 18 *uint32",
    "InnerProductParameter": "num_output 1 uint32, bias_term 2 bool, transpose 6 bool",
    "LRNParameter": "local_size 1 uint32, alpha 2 float, beta 3 float, norm_region 4 int32, k 5 float",
    "PoolingParameter": "pool 1 int32, kernel_size 2 uint32, stride 3 uint32, pad 4 uint32, global_pooling 12 bool, "
    "round_mode 13 int32",
    "ReLUParameter": "negative_slope 1 float",
    "DropoutParameter": "dropout_ratio 1 float",
    "InputParameter": "shape 1 *BlobShape",
    "V0LayerParameter": "name 1 string, type 2 string",
    "V1LayerParameter": "layer 1 V0LayerParameter, bottom 2 *string, top 3 *string, name 4 string, type 5 int32, "
    "blobs 6 *BlobProto, convolution_param 10 ConvolutionParameter, data_param 11 DataParameter, "
    "dropout_param 12 DropoutParameter, inner_product_param 17 InnerProductParameter, lrn_param 18 LRNParameter, "
    "pooling_param 19 PoolingParameter, relu_param 30 ReLUParameter, transform_param 36 TransformationParameter",
    "LayerParameter": "name 1 string, type 2 string, bottom 3 *string, top 4 *string, blobs 7 *BlobProto, "
    "transform_param 100 TransformationParameter, convolution_param 106 ConvolutionParameter, "
    "data_param 107 DataParameter, dropout_param 108 DropoutParameter, inner_product_param 117 InnerProductParameter, "
    "lrn_param 118 LRNParameter, pooling_param 121 PoolingParameter, relu_param 123 ReLUParameter, "
    "input_param 143 InputParameter",
}
V1_TYPES = {
    "Convolution": 4,
    "Data": 5,
    "Dropout": 6,
    "InnerProduct": 14,
    "LRN": 15,
    "Pooling": 17,
    "ReLU": 18,
    "Softmax": 20,
    "SoftmaxWithLoss": 21,
    "Split": 22,
    "TanH": 23,
}


def _classes():
    """A class for each message of the schema."""
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    for name, fields in SCHEMA.items():
        message = file.message_type.add(name=name)
        for field_name, number, kind in (field.split() for field in fields.split(", ")):
            word = kind.lstrip("*+")
            field = message.field.add(name=field_name, number=int(number), label=1 if kind == word else 3)
            if word in SCHEMA:
                field.type, field.type_name = field.TYPE_MESSAGE, f".caffe.{word}"
            else:
                field.type = getattr(field, f"TYPE_{word.upper()}")
            field.options.packed = kind.startswith("+")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"caffe.{name}")) for name in SCHEMA}


CAFFE = _classes()


def blob(array, *, old=False):
    """A BlobProto, with a shape of any number of axes or the four of old files."""
    made = CAFFE["BlobProto"](data=array.ravel())
    if old:
        made.num, made.channels, made.height, made.width = (1,) * (4 - array.ndim) + array.shape
    else:
        made.shape.dim.extend(array.shape)
    return made


def layers_of(net, *, bgr=True, names=None, old=False):
    """The layers of the net as keyword arguments of a LayerParameter, each above the one before."""
    at = "data"
    for row in net.rows:
        if isinstance(row.layer, nets.Flat):
            continue
        name = (names or {}).get(row.name, row.name)
        kind, settings = _settings(row)
        inplace = kind in ("ReLU", "Dropout")
        layer = {"name": name, "type": kind, "bottom": [at], "top": [at if inplace else name], **settings}
        if row.kernel:
            w, b = (to_numpy(net.params[f"{row.name}.{part}"]) for part in "wb")
            w = w[:, ::-1] if bgr and row.name == "conv1" else w
            layer["blobs"] = [blob(w, old=old), blob(b, old=old)]
        yield layer
        at = layer["top"][0]


def _settings(row):
    match row.layer:
        case nets.Conv() as conv:
            window = {"kernel_size": [conv.size], "stride": [conv.stride], "pad": [conv.pad]}
            return "Convolution", {"convolution_param": window | {"num_output": conv.kernels, "group": row.groups}}
        case nets.Full():
            return "InnerProduct", {"inner_product_param": {"num_output": row.out_shape[0]}}
        case nets.Pool() | nets.AveragePool() as pool:
            average = int(isinstance(pool, nets.AveragePool))
            return "Pooling", {"pooling_param": {"pool": average, "kernel_size": pool.size, "stride": pool.stride}}
        case nets.Norm() as norm:
            numbers = {"local_size": norm.size, "alpha": norm.alpha, "beta": norm.beta, "k": norm.k}
            return "LRN", {"lrn_param": numbers}
        case nets.SpatialNorm() as norm:
            numbers = {"local_size": norm.size, "alpha": norm.alpha, "beta": norm.beta, "norm_region": 1}
            return "LRN", {"lrn_param": numbers}
        case nets.Activation(kind):
            return {"relu": "ReLU", "tanh": "TanH"}[kind], {}
        case nets.Drop():
            return "Dropout", {"dropout_param": {"dropout_ratio": 0.5}}


def net_of(layers, *, generation=2, **fields):
    """A NetParameter of these layers, of generation 1 or 2."""
    if generation == 2:
        return CAFFE["NetParameter"](layer=[CAFFE["LayerParameter"](**layer) for layer in layers], **fields)
    v1 = [CAFFE["V1LayerParameter"](**layer | {"type": V1_TYPES[layer["type"]]}) for layer in layers]
    return CAFFE["NetParameter"](layers=v1, **fields)


SOURCE = {"name": "data", "type": "Data", "top": ["data", "label"]}
LOSS = {"name": "loss", "type": "SoftmaxWithLoss", "top": ["loss"]}


def trained(layers, *, generation=2, **transform):
    """The net as a solver leaves it: with a source of images below and a loss above."""
    layers = list(layers)
    source = SOURCE | {"transform_param": transform}
    return net_of([source, *layers, LOSS | {"bottom": [layers[-1]["top"][0], "label"]}], generation=generation)


def small_net(variant, **settings):
    """A net of the variant with few kernels and units, and parameters as large as trained ones."""
    from dataclasses import replace

    from tinyalex import AlexNet
    from tinyalex.spec import VARIANTS

    def narrow(layer):
        if isinstance(layer, nets.Conv):
            return replace(layer, kernels=max(4, layer.kernels // 16))
        return replace(layer, units=layer.units and 8) if isinstance(layer, nets.Full) else layer

    spec = VARIANTS[variant]
    spec = replace(spec, layers={name: narrow(layer) for name, layer in spec.layers.items()})
    net = AlexNet(spec, **{"num_classes": 7, "seed": None} | settings)
    rng = np.random.default_rng(5)
    for name, w in net.params.items():
        w[...] = rng.normal(0, 0.1 if name.endswith(".b") else np.sqrt(2 / np.prod(w.shape[1:])), w.shape)
    return net
