"""The net in JAX, with channels last. Axes: N images, H, W height and width, C channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
from jax import lax

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import SimpleNamespace

    from tinyalex.cost.engines.child import Task


def build(task: Task) -> Callable[[], Any]:
    """A step of JAX on the CPU; it makes a thread for each core that this process may use."""
    jax.config.update("jax_platforms", "cpu")
    params = {layer.name: parameters(layer, task) for layer in task.layers if layer.type in ("Conv", "Full")}
    x = jnp.asarray(task.arrays["images"].transpose(0, 2, 3, 1))  # (N, H, W, C)
    labels = jnp.asarray(task.arrays["labels"])

    def forward(params: Any, x: Any, key: Any) -> Any:
        for number, layer in enumerate(task.layers):
            own = None if key is None else jax.random.fold_in(key, number)
            x = output(layer, x, params.get(layer.name), task.dropout, own)
        return x

    def loss(params: Any, key: Any) -> Any:
        logits = jax.nn.log_softmax(forward(params, x, key))
        return -jnp.mean(logits[jnp.arange(len(labels)), labels])

    def update(params: Any, velocity: Any, key: Any) -> Any:
        found, gradients = jax.value_and_grad(loss)(params, key)
        velocity = jax.tree.map(
            lambda v, w, g: task.momentum * v - task.lr * (g + task.weight_decay * w), velocity, params, gradients
        )
        return found, jax.tree.map(jnp.add, params, velocity), velocity, jax.random.split(key, 1)[0]

    if task.mode == "infer":
        infer = jax.jit(lambda params, x: forward(params, x, None))
        return lambda: infer(params, x).block_until_ready()
    train = jax.jit(update, donate_argnums=(0, 1))  # the memory of old parameters is used for the new ones
    state = [params, jax.tree.map(jnp.zeros_like, params), jax.random.PRNGKey(0)]

    def train_step() -> Any:
        found, *state[:] = jax.block_until_ready(train(*state))
        return found

    return train_step


def parameters(layer: SimpleNamespace, task: Task) -> tuple[Any, Any]:
    """Kernels (KH, KW, C/G, OC) or weights (D, K), and biases."""
    w, b = (task.arrays[f"{layer.name}.{key}"] for key in "wb")
    return jnp.asarray(w.transpose(2, 3, 1, 0) if layer.type == "Conv" else w.T), jnp.asarray(b)


def output(layer: SimpleNamespace, x: Any, wb: Any, dropout: float, key: Any) -> Any:
    """What a layer makes of x (N, H, W, C) or (N, D); wb: its parameters, key: of the masks, None in testing."""
    match layer.type:
        case "Conv":
            behind = layer.pad + layer.past_edge
            axes, pads = ("NHWC", "HWIO", "NHWC"), [(layer.pad, behind)] * 2
            strides = (layer.stride, layer.stride)
            return lax.conv_general_dilated(x, wb[0], strides, pads, None, None, axes, layer.groups) + wb[1]
        case "Full":
            return x @ wb[0] + wb[1]
        case "Pool":
            return pooled(layer, x, -jnp.inf, lax.max)
        case "AveragePool":
            return pooled(layer, x, 0.0, lax.add) / pooled(layer, jnp.ones_like(x), 0.0, lax.add)
        case "Norm":
            alpha = layer.alpha / layer.size if layer.alpha_over_size else layer.alpha
            return x * (layer.k + alpha * sums_across(x, layer.size, layer.groups)) ** -layer.beta
        case "SpatialNorm":
            window, pads = (1, layer.size, layer.size, 1), [(0, 0), *[(layer.size // 2, layer.size // 2)] * 2, (0, 0)]
            sums = lax.reduce_window(x * x, 0.0, lax.add, window, (1, 1, 1, 1), pads)
            return x / (1 + layer.alpha / layer.size**2 * sums) ** layer.beta
        case "Activation":
            return jnp.tanh(x) if layer.kind == "tanh" else jax.nn.relu(x)
        case "Flat":
            return x.transpose(0, 3, 1, 2).reshape(len(x), -1)  # the features in the order of (C, H, W)
        case "Drop":
            if key is None:
                return x * (1 - dropout) if layer.scale_at == "test" else x
            kept = x * jax.random.bernoulli(key, 1 - dropout, x.shape)
            return kept if layer.scale_at == "test" else kept / (1 - dropout)
    raise ValueError(f"got {layer.name}, a {layer.type}: expected a kind of layer that is written here")


def pooled(layer: SimpleNamespace, x: Any, start: float, combine: Callable[..., Any]) -> Any:
    """The pixels under each window combined, from `start` on; those past the edge are `start` too."""
    window, strides = (1, layer.size, layer.size, 1), (1, layer.stride, layer.stride, 1)
    pads = [(0, 0), *[(0, layer.past_edge)] * 2, (0, 0)]
    return lax.reduce_window(x, start, combine, window, strides, pads)


def sums_across(x: Any, size: int, groups: int) -> Any:
    """The squares of x (N, H, W, C) summed over `size` neighbouring maps, within each group of maps."""
    squares = (x * x).reshape(*x.shape[:3], groups, -1)  # (N, H, W, G, C/G)
    maps, before = squares.shape[-1], size // 2
    padded = jnp.pad(squares, [(0, 0)] * 4 + [(before, size - 1 - before)])
    return sum(padded[..., i : i + maps] for i in range(size)).reshape(x.shape)
