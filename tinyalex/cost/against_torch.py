"""Images a second on a GPU: tinyalex, PyTorch, and their ratio.

    python -m tinyalex.cost.against_torch [--variant paper] [--steps 20] [--rounds 3] [--json FILE]

Both train, and infer with, the same net on the same GPU, on 128 and on 512 images that are on the GPU already, in
float32 (TF32 products only with CUPY_TF32=1, then for both). tinyalex also runs with both of its columns on that GPU.
In each round the programs run one after the other; a figure is the median over the rounds. Without a GPU or PyTorch
one line says what is missing.
"""

import argparse
import gc
import json
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from tinyalex import spec as nets
from tinyalex.backend import gpus, uses_tf32
from tinyalex.cost.accounting import free_gpu_pools
from tinyalex.cost.speed import Bench
from tinyalex.cost.stopwatch import HostStopwatch
from tinyalex.count import Row, count
from tinyalex.errors import TinyAlexError, UsageError

WARM_UP = 5  # steps that do not count
BATCHES = 128, 512
GPU = "cuda:0"


class TorchNorm:
    """Local response normalisation by PyTorch, which divides alpha by size and knows no groups of maps."""

    def __init__(self, norm: nets.Norm, groups: int) -> None:
        self.alpha = norm.alpha * (1 if norm.alpha_over_size else norm.size)
        self.norm, self.groups = norm, groups
        self._normalise = import_module("torch").nn.functional.local_response_norm

    def __call__(self, x: Any) -> Any:
        """x (N, C, H, W) -> y, same shape; each group of maps is an image of its own to PyTorch."""
        N, C, H, W = x.shape
        grouped = x.reshape(N * self.groups, C // self.groups, H, W)
        y = self._normalise(grouped, self.norm.size, self.alpha, self.norm.beta, self.norm.k)
        return y.reshape(N, C, H, W)


def torch_layers(row: Row) -> list[Callable[[Any], Any]]:
    """The layer in PyTorch: one function, or two. Raises UsageError for a kind that is not compared."""
    nn = import_module("torch").nn
    layer: Any = row.layer
    makers: dict[type, Callable[[], list[Callable[[Any], Any]]]] = {
        nets.Conv: lambda: _torch_conv(row, layer),
        nets.Full: lambda: [nn.Linear(row.in_shape[0], row.out_shape[0])],
        nets.Pool: lambda: [nn.MaxPool2d(layer.size, layer.stride, ceil_mode=layer.ceil_mode)],
        nets.AveragePool: lambda: [nn.AvgPool2d(layer.size, layer.stride, ceil_mode=layer.ceil_mode)],
        nets.Norm: lambda: [TorchNorm(layer, row.groups)],
        nets.Flat: lambda: [nn.Flatten()],
        nets.Drop: lambda: [nn.Dropout(0.5)],
        nets.Activation: lambda: [nn.Tanh() if layer.kind == "tanh" else nn.ReLU(inplace=True)],
    }
    kind = type(layer)
    if kind not in makers:
        raise UsageError(f"got {row.name}, a {kind.__name__}: expected a layer that PyTorch has; use another variant")
    return makers[kind]()


def _torch_conv(row: Row, conv: nets.Conv) -> list[Callable[[Any], Any]]:
    """A convolution; where cuda-convnet's size rule lets the last window reach past the edge, zeros come first."""
    nn = import_module("torch").nn
    past_edge = conv.stride * (row.out_shape[1] - 1) + conv.size - row.in_shape[1] - 2 * conv.pad
    pads = [nn.ZeroPad2d((0, past_edge, 0, past_edge))] if past_edge > 0 else []
    return [*pads, nn.Conv2d(row.in_shape[0], conv.kernels, conv.size, conv.stride, conv.pad, groups=row.groups)]


def torch_net(rows: Sequence[Row], device: str = GPU) -> tuple[Callable[[Any], Any], list[Any]]:
    """The net in PyTorch as a function of images (N, 3, H, W), and its parameters."""
    module_class = import_module("torch").nn.Module
    functions = [function for row in rows for function in torch_layers(row)]
    modules: list[Any] = [function for function in functions if isinstance(function, module_class)]
    parameters = [parameter for module in modules for parameter in module.to(device).parameters()]

    def forward(x: Any) -> Any:
        for function in functions:
            x = function(x)
        return x

    return forward, parameters


def torch_step(
    rows: Sequence[Row], mode: str, batch: int, compiled: bool = False, device: str = GPU
) -> Callable[[], None]:
    """A function that trains PyTorch's net by a step, or infers; mode: "train" or "infer".

    compiled: whether the forward pass, and so its backward pass, goes through `torch.compile`.
    """
    torch = import_module("torch")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = uses_tf32()
    torch.backends.cudnn.benchmark = True  # cuDNN first tries its algorithms, then uses the fastest
    forward, parameters = torch_net(rows, device)
    if compiled:
        torch.compiler.reset()
        forward = torch.compile(forward, dynamic=False)
    x = torch.randn(batch, *rows[0].in_shape, device=device)
    labels = torch.randint(0, rows[-1].out_shape[0], (batch,), device=device)
    sgd = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=0.0005)

    def train() -> None:
        sgd.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(forward(x), labels).backward()
        sgd.step()

    def infer() -> None:
        with torch.no_grad():
            forward(x)

    return train if mode == "train" else infer


def torch_pace(
    rows: Sequence[Row], mode: str, batch: int, steps: int, compiled: bool = False, device: str = GPU
) -> float:
    """Images a second of PyTorch, for the median step; the arguments are those of `torch_step`."""
    torch = import_module("torch")
    step = torch_step(rows, mode, batch, compiled, device)
    watch = HostStopwatch(torch.cuda.synchronize if device == GPU else lambda: None)
    timed = watch.timed(step)
    for _ in range(WARM_UP + steps):
        timed()
    del step, timed
    gc.collect()
    torch.cuda.empty_cache()
    return batch / statistics.median(watch.seconds()[WARM_UP:])


def own_pace(variant: str, mode: str, batch: int, steps: int, devices: tuple[str, ...]) -> float:
    """Images a second of tinyalex, for the median step."""
    bench = Bench(variant, mode, batch, devices=devices)
    found = bench.pace(steps).median_images_per_s
    del bench
    free_gpu_pools(devices)
    return found


def what_is_missing() -> str | None:
    """Why the comparison cannot run, or None if it can."""
    found = gpus()
    if found[0].startswith("none"):
        return f"no GPU: {found[0][6:-1]}"
    return why_no_torch()


def why_no_torch() -> str | None:
    """Why PyTorch cannot run on a GPU here, or None if it can."""
    try:
        torch = import_module("torch")
    except ImportError:
        return "PyTorch is not installed: pip install torch"
    return None if torch.cuda.is_available() else "PyTorch finds no GPU"


def compare(variant: str, steps: int, rounds: int) -> Iterator[dict[str, Any]]:
    """For each mode and batch: the median images a second of PyTorch, of tinyalex, and of its two columns.

    "rounds" holds the figures of each round.
    """
    rows = count(nets.variant(variant))
    for mode in ("train", "infer"):
        for batch in BATCHES:
            paces: dict[str, list[float]] = {"torch": [], "one": [], "two": []}
            for _ in range(rounds):
                paces["torch"].append(torch_pace(rows, mode, batch, steps))
                paces["one"].append(own_pace(variant, mode, batch, steps, (GPU,)))
                paces["two"].append(own_pace(variant, mode, batch, steps, (GPU, GPU)))
            medians = {name: statistics.median(found) for name, found in paces.items()}
            yield {"mode": mode, "batch": batch, **medians, "rounds": paces}


def main(words: Sequence[str] | None = None) -> int:
    """Compare, and print. Returns the exit status, 0 also if something is missing."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", default="paper", choices=nets.VARIANTS)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    options = parser.parse_args(words)
    if missing := what_is_missing():
        print(f"bench-gpu did not run: {missing}")
        return 0
    print(f"{options.variant} on {gpus()[0]}\n")
    print(f"{'':<24}{'PyTorch':>10}{'tinyalex':>10}{'ratio':>7}{'two columns':>13}{'ratio':>7}   images a second")
    figures = []
    try:
        for found in compare(options.variant, options.steps, options.rounds):
            figures.append(found)
            torch, one, two = found["torch"], found["one"], found["two"]
            print(
                f"{found['mode']}, {found['batch']} images".ljust(24)
                + f"{torch:>10,.0f}{one:>10,.0f}{one / torch:>7.2f}{two:>13,.0f}{two / torch:>7.2f}",
                flush=True,
            )
    except TinyAlexError as error:
        parser.error(str(error))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
