"""How fast the GPU is, where the time of a step goes, and how fast PyTorch is on the same GPU."""

import gc
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

from tinyalex.backend import device_scope, gpu_library, synchronize, uses_tf32
from tinyalex.cost.accounting import free_gpu_pools
from tinyalex.cost.against_torch import own_pace, torch_pace, why_no_torch
from tinyalex.cost.gpu.rows import GPU, TWO, Row, Sizes
from tinyalex.cost.speed import Bench, roofs
from tinyalex.cost.stopwatch import stopwatch

SHOWN = 12  # kernels of each profile
NAME = 60  # characters of a kernel's name
COMPILING = 30  # seconds that torch.compile may take for one net
Profile = Iterator[tuple[str, float, float]]  # name, milliseconds a step, calls a step


def ceilings(sizes: Sizes) -> Iterator[Row]:
    """What the GPU can do: bytes a second of a copy and of an update, operations a second of a product."""
    with device_scope(GPU):
        source = gpu_library().full(sizes.copied, 1.5, "float32")
        target = gpu_library().empty_like(source)
        watch = stopwatch(GPU)
        copy = watch.timed(lambda: target.__setitem__(..., source))
        for _ in range(5):
            copy()
        yield {"what": "copy on the GPU", "GB/s": 2 * source.nbytes / min(watch.seconds()) / 1e9}
    yield from product(sizes)


def product(sizes: Sizes) -> Iterator[Row]:
    """A large product of matrices, in float32 or TF32, and an update of weights."""
    found = roofs(device=GPU, side=sizes.product, weights=sizes.weights)
    kind = "TF32" if uses_tf32() else "float32"
    yield {"what": f"product of {sizes.product} x {sizes.product}, {kind}", "TFLOP/s": found.operations / 1e12}
    yield {"what": f"update of {sizes.weights:,} weights", "GB/s": found.bytes / 1e9}


# ---------------------------------------------------------------- where the time goes


def profile(sizes: Sizes) -> Iterator[Row]:
    """The milliseconds of a step and of the kernels that take most of it; without PyTorch's profiler, of the layers."""
    profiled = by_layer if why_no_torch() else by_kernel
    for mode in ("train", "infer"):
        for batch in sizes.batches:
            bench, case = Bench(sizes.variant, mode, batch, devices=GPU), f"{mode} {batch}"
            yield {"what": case, "ms": 1e3 * batch / bench.pace(sizes.steps).median_images_per_s}
            parts = list(profiled(bench, sizes.profiled))
            yield {"what": f"{case}: all of these", "ms": sum(ms for _, ms, _ in parts)}
            for name, ms, calls in sorted(parts, key=lambda part: -part[1])[:SHOWN]:
                yield {"what": f"{case}: {name}", "ms": ms, "calls": calls}
            del bench
            free_gpu_pools([GPU])


def by_kernel(bench: Bench, steps: int) -> Profile:
    """The kernels of a step, by PyTorch's profiler, which sees all that runs on the GPU."""
    torch: Any = import_module("torch.profiler")
    with torch.profile(activities=[torch.ProfilerActivity.CUDA, torch.ProfilerActivity.CPU]) as profiler:
        for _ in range(steps):
            bench.step()
        synchronize(GPU)
    ms: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for event in profiler.key_averages():
        if event.self_device_time_total > 0:
            ms[event.key[:NAME]] += event.self_device_time_total / 1e3  # it is in microseconds
            calls[event.key[:NAME]] += event.count
    return ((name, ms[name] / steps, calls[name] / steps) for name in ms)


def by_layer(bench: Bench, steps: int) -> Profile:
    """The layers of a step, in each direction, by events."""
    return ((f"{cost.layer} {cost.direction}", 1e3 * cost.seconds, 1) for cost in bench.costs(steps))


# ---------------------------------------------------------------- beside PyTorch


def comparison(sizes: Sizes) -> Iterator[Row]:
    """Images a second: of tinyalex, of its two columns on this GPU, of PyTorch, and of PyTorch with torch.compile."""
    cases = [(mode, batch) for mode in ("train", "infer") for batch in sizes.batches]
    missing = why_no_torch()
    for mode, batch in cases:
        case = f"{mode} {batch}"
        own = attempt(own_pace, sizes.variant, mode, batch, sizes.steps, (GPU,))
        two = attempt(own_pace, sizes.variant, mode, batch, sizes.steps, TWO)
        works = not isinstance(own, str) and not isinstance(two, str)
        yield {"what": case, "tinyalex": own, "two columns": two, "PyTorch": missing or "", "right": works}
        if not missing:
            eager = attempt(torch_pace, sizes.variant, mode, batch, sizes.steps)
            yield {"what": case, "PyTorch": eager, "tinyalex / PyTorch": _ratio(own, eager)}
    if not missing:
        yield from compiled(sizes, cases)


def compiled(sizes: Sizes, cases: list[tuple[str, int]]) -> Iterator[Row]:
    """The same with torch.compile, last and as far as time is left, as it compiles for half a minute."""
    for mode, batch in cases:
        if sizes.seconds_left() < COMPILING:
            pace: float | str = "no time"
        else:
            pace = attempt(torch_pace, sizes.variant, mode, batch, sizes.steps, True)
        yield {"what": f"{mode} {batch}", "torch.compile": pace}


def with_tf32(sizes: Sizes) -> Iterator[Row]:
    """The product and the comparison with CUPY_TF32=1, which the report sets for this step."""
    yield from product(sizes)
    yield from comparison(sizes)


def attempt(pace: Callable[..., float], *arguments: Any) -> float | str:
    """The pace, or why there is none: one program that fails must not cost the figures of the others."""
    try:
        return pace(*arguments)
    except Exception as error:
        traceback.print_exc()
        gc.collect()
        free_gpu_pools([GPU])
        reason = (str(error).splitlines() or [""])[0]
        return f"failed: {type(error).__name__} {reason}"[:100]


def _ratio(one: float | str, other: float | str) -> float | str:
    return "" if isinstance(one, str) or isinstance(other, str) else one / other
