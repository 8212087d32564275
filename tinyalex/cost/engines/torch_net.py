"""The net in PyTorch, on the CPU or on a GPU. Axes: N images, C channels, H, W height and width."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional as F

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from tinyalex.cost.engines.child import Task


def build(
    task: Task, device: str = "cpu", channels_last: bool = False, fused: bool = False, compiled: bool = False
) -> Callable[[], Any]:
    """A step of PyTorch.

    channels_last: images and kernels have their channels last in memory.   fused: the update is one kernel.
    compiled: the forward pass, and so its backward pass, goes through `torch.compile`.
    """
    if device == "cpu":
        torch.set_num_threads(task.threads)
    layout = torch.channels_last if channels_last else torch.contiguous_format

    def tensor(name: str) -> Any:
        array = torch.from_numpy(task.arrays[name]).to(device)
        return array.contiguous(memory_format=layout if array.ndim == 4 else torch.contiguous_format)

    train = task.mode == "train"
    names = [f"{layer.name}.{key}" for layer in task.layers if layer.type in ("Conv", "Full") for key in "wb"]
    params = {name: tensor(name).requires_grad_(train) for name in names}
    x, labels = tensor("images"), tensor("labels")

    def forward(x: Any) -> Any:
        for layer in task.layers:
            w, b = (params.get(f"{layer.name}.{key}") for key in "wb")
            x = output(layer, x, w, b, task.dropout, train)
        return x

    net = torch.compile(forward, dynamic=False) if compiled else forward
    rates = {"lr": task.lr, "momentum": task.momentum, "weight_decay": task.weight_decay}
    sgd = torch.optim.SGD(params.values(), **rates, fused=fused or None)

    def train_step() -> Any:
        sgd.zero_grad()
        loss = F.cross_entropy(net(x), labels)
        loss.backward()
        sgd.step()
        return loss.detach()

    def infer() -> Any:
        with torch.no_grad():
            return net(x)

    return train_step if train else infer


def output(layer: SimpleNamespace, x: Any, w: Any, b: Any, dropout: float, train: bool) -> Any:
    """What a layer makes of x (N, C, H, W) or (N, D); w, b: its parameters, None for a layer without."""
    match layer.type:
        case "Conv":
            x = F.pad(x, (0, layer.past_edge, 0, layer.past_edge)) if layer.past_edge else x
            return F.conv2d(x, w, b, layer.stride, layer.pad, groups=layer.groups)
        case "Full":
            return F.linear(x, w, b)
        case "Pool":
            return F.max_pool2d(x, layer.size, layer.stride, ceil_mode=layer.ceil_mode)
        case "AveragePool":
            return F.avg_pool2d(x, layer.size, layer.stride, ceil_mode=layer.ceil_mode)
        case "Norm":
            return norm_to_compile(layer, x) if torch.compiler.is_compiling() else norm(layer, x)
        case "SpatialNorm":
            mean = F.avg_pool2d(x * x, layer.size, 1, layer.size // 2)
            return x / (1 + layer.alpha * mean) ** layer.beta
        case "Activation":
            return torch.tanh(x) if layer.kind == "tanh" else F.relu_(x)
        case "Flat":
            return x.flatten(1)
        case "Drop":  # PyTorch divides by 1 - dropout in training; the paper multiplies by it in testing
            kept = F.dropout(x, dropout, train)
            return kept * (1 - dropout) if layer.scale_at == "test" else kept
    raise ValueError(f"got {layer.name}, a {layer.type}: expected a kind of layer that is written here")


def norm(layer: SimpleNamespace, x: Any) -> Any:
    """The normalisation of each group of maps, by PyTorch's own function, which divides alpha by size."""
    alpha = layer.alpha if layer.alpha_over_size else layer.alpha * layer.size
    groups = x.chunk(layer.groups, 1)
    return torch.cat([F.local_response_norm(group, layer.size, alpha, layer.beta, layer.k) for group in groups], 1)


def norm_to_compile(layer: SimpleNamespace, x: Any) -> Any:
    """The same as a sum of shifted maps, which `torch.compile` fuses: a quarter faster there, and slower without."""
    alpha = layer.alpha / layer.size if layer.alpha_over_size else layer.alpha
    squares = (x * x).unflatten(1, (layer.groups, -1))  # (N, G, C/G, H, W)
    maps, before = squares.shape[2], layer.size // 2
    padded = F.pad(squares, (0, 0, 0, 0, before, layer.size - 1 - before))
    sums = sum(padded[:, :, i : i + maps] for i in range(layer.size))
    return x / (layer.k + alpha * sums.flatten(1, 2)) ** layer.beta
