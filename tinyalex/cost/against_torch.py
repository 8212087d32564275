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
from tinyalex.backend import gpus, thread_count, uses_tf32
from tinyalex.cost.accounting import free_gpu_pools
from tinyalex.cost.engines.task import net_of, task_for
from tinyalex.cost.speed import Bench
from tinyalex.cost.stopwatch import HostStopwatch
from tinyalex.errors import TinyAlexError, at_least
from tinyalex.files import write_text

WARM_UP = 5  # steps that do not count
BATCHES = 128, 512
GPU = "cuda:0"


def torch_step(variant: str, mode: str, batch: int, compiled: bool = False, device: str = GPU) -> Callable[[], Any]:
    """A function that trains PyTorch's net by a step, or infers; mode: "train" or "infer".

    compiled: whether the forward pass, and so its backward pass, goes through `torch.compile`.
    """
    torch = import_module("torch")
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = uses_tf32()
    torch.backends.cudnn.benchmark = True  # cuDNN first tries its algorithms, then uses the fastest
    if compiled:
        torch.compiler.reset()
    task = task_for(net_of(nets.variant(variant)), mode, batch, thread_count())
    step: Callable[[], Any] = import_module("tinyalex.cost.engines.torch_net").build(task, device, compiled=compiled)
    return step


def torch_pace(variant: str, mode: str, batch: int, steps: int, compiled: bool = False, device: str = GPU) -> float:
    """Images a second of PyTorch, for the median step; the arguments are those of `torch_step`."""
    torch = import_module("torch")
    step = torch_step(variant, mode, batch, compiled, device)
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

    "rounds" holds the figures of each round. Raises UsageError for fewer than 1 step or round.
    """
    at_least(1, steps=steps, rounds=rounds)
    for mode in ("train", "infer"):
        for batch in BATCHES:
            paces: dict[str, list[float]] = {"torch": [], "one": [], "two": []}
            for _ in range(rounds):
                paces["torch"].append(torch_pace(variant, mode, batch, steps))
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
            if options.json:
                write_text(options.json, json.dumps(figures, indent=2) + "\n")
            torch, one, two = found["torch"], found["one"], found["two"]
            print(
                f"{found['mode']}, {found['batch']} images".ljust(24)
                + f"{torch:>10,.0f}{one:>10,.0f}{one / torch:>7.2f}{two:>13,.0f}{two / torch:>7.2f}",
                flush=True,
            )
    except TinyAlexError as error:
        parser.error(str(error))
    return 0


if __name__ == "__main__":
    sys.exit(main())
