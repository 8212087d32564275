"""Golden numbers for test_golden.py, by PyTorch: an implementation that shares no line with tinyalex.

    python -m venv /tmp/golden
    /tmp/golden/bin/pip install torch==2.13.0 numpy==2.4.6    # a CPU build of torch will do
    /tmp/golden/bin/python tests/golden/make_golden.py

writes golden.json beside this file, in about a minute. tinyalex is not imported: the nets are written out again below,
with the sizes as numbers, and all is computed in float64 by PyTorch, gradients by its autograd. NumPy only draws:

- initial weights: one default_rng(0) for the whole net; for each layer with parameters, in order, the weights are
  standard_normal(shape, float32) * float32(std), the biases constant;
- dropout masks: one default_rng([0, 1]); for each pass and each dropout layer, in order, a unit of (N, D) stays where
  random((N, D), float32) >= 0.5;
- images and labels: inputs.py;
- the places of the gradients whose entries are stored: see `digest`.
"""

import json
import math
import platform
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from inputs import training_batches, two_images

HERE = Path(__file__).parent
SEED, DROPOUT = 0, 0.5
LR, MOMENTUM, WEIGHT_DECAY = 0.01, 0.9, 0.0005


def conv(channels, kernels, size, *, stride=1, pad=0, beyond=0, groups=1, std=0.01, bias=0.0):
    """A convolution; `beyond`: columns and rows of zeros added at the right and the bottom only (224 -> 227)."""

    def forward(x, w, b):
        return F.conv2d(F.pad(x, (0, beyond, 0, beyond)), w, b, stride, pad, groups=groups)

    return forward, (kernels, channels // groups, size, size), std, bias


def full(features, units, *, std=0.01, bias=0.0):
    return F.linear, (units, features), std, bias


def norm(alpha, groups, k=2.0, size=5, beta=0.75):
    """The formula of section 3.3, over the maps of each of `groups` columns; alpha is not divided by the size."""

    def forward(x):
        n, c, h, w = x.shape
        squares = F.pad((x * x).view(n, groups, c // groups, h, w), (0, 0, 0, 0, size // 2, size // 2))
        return x * (k + alpha * squares.unfold(2, size, 1).sum(-1).view(n, c, h, w)) ** -beta

    return forward


def spatial_norm(alpha, size=5, beta=0.75):
    """cuda-convnet's rnorm: the mean square over size x size cells of one map, cells outside it counted as 0."""

    def forward(x):
        return x * (1 + alpha * F.avg_pool2d(x * x, size, stride=1, padding=size // 2)) ** -beta

    return forward


def pool(x):
    return F.max_pool2d(x, 3, 2, ceil_mode=True)


def floor_pool(x):
    return F.max_pool2d(x, 3, 2)


def flatten(x):
    return x.flatten(1)


def he(fan_in):
    return math.sqrt(2 / fan_in)


def third(fan_in):
    return math.sqrt(1 / (3 * fan_in))


PAPER = [
    ("conv1", conv(3, 96, 11, stride=4, beyond=3)),
    *(F.relu, norm(1e-4, 2), pool),
    ("conv2", conv(96, 256, 5, pad=2, groups=2, bias=1.0)),
    *(F.relu, norm(1e-4, 2), pool),
    ("conv3", conv(256, 384, 3, pad=1)),
    F.relu,
    ("conv4", conv(384, 384, 3, pad=1, groups=2, bias=1.0)),
    F.relu,
    ("conv5", conv(384, 256, 3, pad=1, groups=2, bias=1.0)),
    *(F.relu, pool, flatten),
    ("fc6", full(9216, 4096, bias=1.0)),
    *(F.relu, "dropout"),
    ("fc7", full(4096, 4096, bias=1.0)),
    *(F.relu, "dropout"),
    ("fc8", full(4096, 1000)),
]
CUDA_CONVNET = [  # layers-145.cfg: the norms' scale is divided by the size of the window, there and here
    ("conv1", conv(3, 96, 11, stride=4, beyond=3)),
    *(norm(1e-4 / 5, 2), pool, F.relu),
    ("conv2", conv(96, 256, 5, pad=2, groups=2, bias=1.0)),
    *(F.relu, norm(1e-4 / 5, 2), spatial_norm(1e-3), pool),
    ("conv3", conv(256, 384, 3, pad=1, std=0.03)),
    F.relu,
    ("conv4", conv(384, 384, 3, pad=1, groups=2, std=0.03, bias=1.0)),
    F.relu,
    ("conv5", conv(384, 256, 3, pad=1, groups=2, std=0.03, bias=1.0)),
    *(pool, F.relu, flatten),
    ("fc6", full(9216, 4096, bias=1.0)),
    *(F.relu, "dropout"),
    ("fc7", full(4096, 4096, bias=1.0)),
    *(F.relu, "dropout"),
    ("fc8", full(4096, 1000)),
]
TORCHVISION = [
    ("conv1", conv(3, 64, 11, stride=4, pad=2, std=third(363))),
    *(F.relu, floor_pool),
    ("conv2", conv(64, 192, 5, pad=2, std=third(1600))),
    *(F.relu, floor_pool),
    ("conv3", conv(192, 384, 3, pad=1, std=third(1728))),
    F.relu,
    ("conv4", conv(384, 256, 3, pad=1, std=third(3456))),
    F.relu,
    ("conv5", conv(256, 256, 3, pad=1, std=third(2304))),
    *(F.relu, floor_pool, flatten, "dropout"),
    ("fc6", full(9216, 4096, std=third(9216))),
    *(F.relu, "dropout"),
    ("fc7", full(4096, 4096, std=third(4096))),
    F.relu,
    ("fc8", full(4096, 1000, std=third(4096))),
]
MINI = [
    ("conv1", conv(3, 32, 5, pad=2, std=0.02)),
    *(F.relu, norm(0.1, 2, k=1.0), pool),
    ("conv2", conv(32, 64, 5, pad=2, groups=2, std=he(400))),
    *(F.relu, norm(0.1, 2, k=1.0), pool),
    ("conv3", conv(64, 96, 3, pad=1, std=he(576))),
    F.relu,
    ("conv4", conv(96, 96, 3, pad=1, groups=2, std=he(432))),
    F.relu,
    ("conv5", conv(96, 64, 3, pad=1, groups=2, std=he(432))),
    *(F.relu, pool, flatten),
    ("fc6", full(1024, 512, std=he(1024))),
    *(F.relu, "dropout"),
    ("fc7", full(512, 512, std=he(512))),
    *(F.relu, "dropout"),
    ("fc8", full(512, 10)),
]


def initial(net):
    """The parameters by name, float64 tensors that want a gradient."""
    rng = np.random.default_rng(SEED)
    params = {}
    for layer in net:
        if isinstance(layer, tuple):
            name, (_, shape, std, bias) = layer
            w = rng.standard_normal(shape, dtype=np.float32) * np.float32(std)
            params[f"{name}.w"] = torch.from_numpy(w).double().requires_grad_()
            params[f"{name}.b"] = torch.full((shape[0],), bias, dtype=torch.float64, requires_grad=True)
    return params


def logits(net, params, x, drop):
    """The net's output for x (N, 3, H, W), a float32 array; drop: what stands for "dropout"."""
    x = torch.from_numpy(x).double()
    for layer in net:
        if layer == "dropout":
            x = drop(x)
        elif isinstance(layer, tuple):
            name, (forward, *_) = layer
            x = forward(x, params[f"{name}.w"], params[f"{name}.b"])
        else:
            x = layer(x)
    return x


def trained(net, dropout):
    """Ten steps by the paper's rule -> the loss before each, and that of the first batch after them, as when testing.

    v = 0.9 v - 0.0005 lr w - lr dL/dw,   w = w + v
    """
    params, masks = initial(net), np.random.default_rng([SEED, 1])
    velocity = {name: torch.zeros_like(w) for name, w in params.items()}

    def drop(x):
        return x * torch.from_numpy(masks.random(tuple(x.shape), dtype=np.float32) >= np.float32(dropout))

    losses = []
    for x, labels in training_batches():
        loss = F.cross_entropy(logits(net, params, x, drop), torch.from_numpy(labels))
        grads = torch.autograd.grad(loss, list(params.values()))
        losses.append(loss.item())
        with torch.no_grad():
            for (name, w), grad in zip(params.items(), grads, strict=True):
                velocity[name] = MOMENTUM * velocity[name] - WEIGHT_DECAY * LR * w - LR * grad
                w += velocity[name]
    x, labels = training_batches()[0]
    tested = F.cross_entropy(logits(net, params, x, lambda x: x * (1 - dropout)), torch.from_numpy(labels))
    return {"losses": losses, "tested": tested.item()}


def one_pass(net, pixel_scale):
    """Logits, loss and gradients of the net at its start, for two images, without dropout."""
    params = initial(net)
    x, labels = two_images(pixel_scale)
    output = logits(net, params, x, lambda x: x)
    loss = F.cross_entropy(output, torch.from_numpy(labels))
    grads = torch.autograd.grad(loss, list(params.values()))
    return {
        "loss": loss.item(),
        "logits": {str(k): output[:, k].tolist() for k in (0, 7, 812, 999)},
        "grads": {name: digest(grad) for name, grad in zip(params, grads, strict=True)},
    }


def digest(grad):
    """The sum, the norm and three entries: the largest and, of those that are not zero, two drawn at random."""
    flat = grad.flatten().numpy()
    places = [np.abs(flat).argmax(), *np.random.default_rng(SEED).choice(np.flatnonzero(flat), 2)]
    entries = [[[int(i) for i in np.unravel_index(place, grad.shape)], float(flat[place])] for place in places]
    return {"sum": grad.sum().item(), "norm": grad.norm().item(), "entries": entries}


def main():
    golden = {
        "versions": {"torch": torch.__version__, "numpy": np.__version__, "python": platform.python_version()},
        "mini": {"plain": trained(MINI, 0.0), "dropout": trained(MINI, DROPOUT)},
        "paper": one_pass(PAPER, 1),
        "cuda-convnet": one_pass(CUDA_CONVNET, 1),
        "torchvision": one_pass(TORCHVISION, 64),
    }
    (HERE / "golden.json").write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
