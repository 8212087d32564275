"""Images a second on a GPU, tinyalex and PyTorch in turn, and their ratio.

    python docs/bench_gpu.py [--variant paper] [--steps 20] [--rounds 3] [--json FILE]

Both train, and infer, the same net on the same GPU, on 128 and on 512 images at a time that lie there already, in
float32 (no TF32 unless CUPY_TF32=1, then for both); tinyalex also with both of its columns on that GPU. Each figure is
the median over the rounds, in which the two programs take turns. Where there is no GPU one line says what is missing.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from tinyalex import spec as nets
from tinyalex.backend import gpus, uses_tf32
from tinyalex.cost.speed import Bench
from tinyalex.count import Row, count
from tinyalex.errors import UsageError

WARM_UP = 5
GPU = "cuda:0"


class LocalResponseNorm:
    """The paper's norm in PyTorch's words: it divides alpha by size, and keeps to a column by folding it into N."""

    def __init__(self, norm: nets.Norm, groups: int) -> None:
        self.alpha = norm.alpha * (1 if norm.alpha_over_size else norm.size)
        self.norm, self.groups = norm, groups

    def __call__(self, x: Any) -> Any:
        """x (N, C, H, W) -> y, same shape."""
        N, C, H, W = x.shape
        norm = import_module("torch").nn.functional.local_response_norm
        folded = x.reshape(N * self.groups, C // self.groups, H, W)
        return norm(folded, self.norm.size, self.alpha, self.norm.beta, self.norm.k).reshape(N, C, H, W)


def torch_net(rows: list[Row]) -> tuple[Callable[[Any], Any], list[Any]]:
    """The net in PyTorch, as a function, and its parameters."""
    torch = import_module("torch")
    functions: list[Callable[[Any], Any]] = []
    parameters: list[Any] = []
    for row in rows:
        match row.layer:
            case nets.Conv() as conv:
                beyond = conv.stride * (row.out_shape[1] - 1) + conv.size - row.in_shape[1] - 2 * conv.pad
                if beyond > 0:  # the size rule of cuda-convnet: a last window reaches past the edge
                    functions.append(torch.nn.ZeroPad2d((0, beyond, 0, beyond)))
                module = torch.nn.Conv2d(
                    row.in_shape[0], conv.kernels, conv.size, conv.stride, conv.pad, groups=row.groups
                )
            case nets.Full():
                module = torch.nn.Linear(row.in_shape[0], row.out_shape[0])
            case nets.Pool() as pool:
                module = torch.nn.MaxPool2d(pool.size, pool.stride, ceil_mode=pool.ceil_mode)
            case nets.Norm() as norm:
                functions.append(LocalResponseNorm(norm, row.groups))
                continue
            case nets.Flat():
                module = torch.nn.Flatten()
            case nets.Drop():
                module = torch.nn.Dropout(0.5)
            case nets.Activation(kind="relu"):
                module = torch.nn.ReLU(inplace=True)
            case other:
                raise UsageError(
                    f"{row.name}: {type(other).__name__} is not compared with PyTorch: use another variant"
                )
        module = module.to(GPU)
        parameters.extend(module.parameters())
        functions.append(module)

    def forward(x: Any) -> Any:
        for function in functions:
            x = function(x)
        return x

    return forward, parameters


def torch_pace(rows: list[Row], mode: str, batch: int, steps: int) -> float:
    """Images a second of PyTorch, the median over the steps."""
    torch = import_module("torch")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = uses_tf32()
    torch.backends.cudnn.benchmark = True  # it tries its algorithms first, and takes the fastest
    forward, parameters = torch_net(rows)
    x = torch.randn(batch, *rows[0].in_shape, device=GPU)
    labels = torch.randint(0, rows[-1].out_shape[0], (batch,), device=GPU)
    sgd = torch.optim.SGD(parameters, lr=0.01, momentum=0.9, weight_decay=0.0005)

    def step() -> None:
        if mode == "infer":
            with torch.no_grad():
                forward(x)
            return
        sgd.zero_grad(set_to_none=True)
        torch.nn.functional.cross_entropy(forward(x), labels).backward()
        sgd.step()

    seconds = []
    for _ in range(WARM_UP + steps):
        torch.cuda.synchronize()
        begun = time.perf_counter()
        step()
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - begun)
    torch.cuda.empty_cache()
    return batch / statistics.median(seconds[WARM_UP:])


def own_pace(variant: str, mode: str, batch: int, steps: int, devices: tuple[str, ...]) -> float:
    """Images a second of tinyalex, the median over the steps."""
    at_work = Bench(variant, mode, batch, devices=devices)
    at_work.pace(WARM_UP)
    found = at_work.pace(steps).median_images_per_s
    del at_work
    import_module("cupy").get_default_memory_pool().free_all_blocks()
    return found


def missing() -> str | None:
    """What keeps the comparison from running, or None."""
    found = gpus()
    if found[0].startswith("none"):
        return f"no GPU: {found[0][6:-1]}"
    try:
        torch = import_module("torch")
    except ImportError:
        return "PyTorch is not installed: pip install torch"
    return None if torch.cuda.is_available() else "PyTorch finds no GPU"


def main() -> int:
    """Compare; 0 also where there is nothing to compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--variant", default="paper", choices=nets.VARIANTS)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, help="file to write the figures to")
    words = parser.parse_args()
    if lacking := missing():
        print(f"bench-gpu did not run: {lacking}")
        return 0
    rows = count(nets.variant(words.variant), 1000)
    print(f"{words.variant} on {gpus()[0]}\n")
    print(f"{'':<24}{'PyTorch':>10}{'tinyalex':>10}{'ratio':>7}{'two columns':>13}{'ratio':>7}   images a second")
    figures = []
    for mode in ("train", "infer"):
        for batch in (128, 512):
            paces: dict[str, list[float]] = {"torch": [], "one": [], "two": []}
            for _ in range(words.rounds):
                paces["torch"].append(torch_pace(rows, mode, batch, words.steps))
                paces["one"].append(own_pace(words.variant, mode, batch, words.steps, (GPU,)))
                paces["two"].append(own_pace(words.variant, mode, batch, words.steps, (GPU, GPU)))
            torch, one, two = (statistics.median(found) for found in paces.values())
            figures.append({"mode": mode, "batch": batch, "torch": torch, "one": one, "two": two, "rounds": paces})
            print(
                f"{mode + f', {batch} images':<24}{torch:>10,.0f}{one:>10,.0f}{one / torch:>7.2f}"
                f"{two:>13,.0f}{two / torch:>7.2f}",
                flush=True,
            )
    if words.json:
        words.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
