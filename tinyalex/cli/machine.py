"""The commands that look at this machine, and past it: bench, warmup, info and plan."""

import os
import time
from dataclasses import asdict
from json import dumps
from pathlib import Path

from tinyalex import spec as nets
from tinyalex import viz
from tinyalex.backend import cpu_kernels, kernels_in_use, thread_count
from tinyalex.backend.devices import gpus
from tinyalex.cli.terminal import together
from tinyalex.columns import column_names, crossing
from tinyalex.cost import scaling as planning
from tinyalex.cost.accounting import measured
from tinyalex.cost.memory import predicted
from tinyalex.cost.roofline import roofline
from tinyalex.cost.scaling_picture import scaling
from tinyalex.cost.speed import Bench, roofs, table
from tinyalex.count import count
from tinyalex.errors import UsageError
from tinyalex.files import make_folder
from tinyalex.parallel.ranks import ranks_at_work
from tinyalex.training import report

MEASURED_STEPS, MEASURED_BATCH = 3, 128  # of the training that tells `plan` how fast one device is


def bench(
    variant: str,
    mode: str,
    batch: int,
    threads: int | None,
    devices: tuple[str, ...] | None,
    steps: int,
    layers: bool,
    json: bool,
    out: Path,
) -> None:
    """Print how many images a second a net trains or infers; with `layers` also where the time goes, and draw it.

    Under mpiexec the ranks share each batch.
    """
    with ranks_at_work() as ranks:
        if layers and ranks.writes:
            make_folder(out)
        at_work = Bench(variant, mode, batch, threads, ranks.devices(devices), ranks)
        pace = at_work.pace(steps)
        costs = at_work.costs(steps) if layers else []  # by all ranks, as they add up their gradients
        peak = roofs(threads, at_work.net.device or "cpu") if layers else None
    if not ranks.writes:
        return
    record = {
        "variant": variant,
        "mode": mode,
        "batch": batch,
        "threads": threads,
        "devices": devices,
        "ranks": ranks.size,
        **asdict(pace),
    }
    if peak is not None:
        picture = out / f"roofline-{variant}-{mode}.png"
        viz.save(roofline(costs, peak), picture)
        record["layers"] = [asdict(cost) for cost in costs]
        if not json:
            print(f"{table(costs, peak)}\n\ndrawn: {picture}\n")
    if json:
        print(dumps(record))
    else:
        memory = f", {pace.peak_rss_mb:,.0f} MB at most" if pace.peak_rss_mb is not None else ""
        print(
            f"{variant}, {mode}, batch {batch}: {pace.median_images_per_s:,.1f} images a second "
            f"(median of {steps} steps; the best {pace.images_per_s:,.1f})"
            f"{together(ranks.size, pace.waiting_share)}{memory}"
        )


def warmup() -> None:
    """Compile all kernels, for float32 and float64, and keep them on disk: the first training then begins at once."""
    begun = time.perf_counter()
    twins = cpu_kernels()
    if twins is None:
        raise UsageError("there is nothing to compile, as Numba is not installed: pip install numba")
    twins.warm_up()
    print(f"the kernels are compiled, in {time.perf_counter() - begun:.1f} s; later runs load them from disk")


def info(devices: tuple[str, ...] | None, variant: str, batch: int, memory: bool, measure: bool) -> None:
    """Print what is installed, which kernels are in use and why; or what training takes of memory; or what crosses.

    memory: bytes by device and kind, predicted; measure: besides, what a few steps on this machine take.
    devices: without `memory`, the bytes that go between the columns on them.
    """
    if memory or measure:
        _print_memory(variant, batch, devices, measure)
        return
    if devices is not None:
        _print_crossing(nets.variant(variant), devices, batch)
        return
    for name, number in report.versions().items():
        print(f"{name:<12} {number}")
    twins = cpu_kernels()
    reason = "Numba is installed" if twins else "Numba is not installed: the definitions run instead"
    asked = os.environ.get("TINYALEX_KERNELS")
    print(f"{'kernels':<12} {kernels_in_use()} ({'TINYALEX_KERNELS' if asked else reason})")
    if twins:
        print(f"{'threads':<12} {thread_count()} (TINYALEX_THREADS, else the cores of this process)")
    for line in gpus():
        print(f"{'GPU':<12} {line}")
    print(
        f"{'images':<12} {os.environ.get('TINYALEX_DATA', 'TINYALEX_DATA is not set: tests and demos generate theirs')}"
    )


def _print_memory(variant: str, batch: int, devices: tuple[str, ...] | None, measure: bool) -> None:
    """The bytes that training takes on each device, by kind."""
    found = predicted(count(nets.variant(variant)), batch, devices)
    print(f"{variant}, training on {batch} images at a time: bytes, at the most, but for the images on the CPU")
    print("".join([f"{'':<12}", *(f"{one.device:>16}" for one in found)]))
    for kind in ("parameters", "momentum", "gradients", "activations", "workspace", "total"):
        print("".join([f"{kind:<12}", *(f"{getattr(one, kind):>16,}" for one in found)]))
    if measure:
        most = measured(variant, batch, devices)
        width = 16 * len(found) // len(most)  # of a device that holds both columns: that of both
        print("".join([f"{'measured':<12}", *(f"{size:>{width},}" for size in most.values())]))


def _print_crossing(spec: nets.Spec, devices: tuple[str, ...], batch: int) -> None:
    """The bytes that go between the devices in one step of training, by the layer before which they go."""
    one, two = column_names(devices)
    if batch < 1:
        raise UsageError(f"batch is {batch}: expected 1 image or more")
    print(
        f"{spec.name} in two columns, {one} and {two}: bytes that cross in a step of {batch} images, half of them back"
    )
    meets = crossing(count(spec), batch)
    for name, size in {**meets, "all": sum(meets.values())}.items():
        print(f"{name:<8}{size:>16,}")


def plan(
    variant: str,
    devices: tuple[int, ...],
    batch: int,
    per_device: bool,
    rate: float | None,
    update: float | None,
    bandwidth: float,
    latency: float,
    loading: float,
    overlap: bool,
    out: Path,
) -> None:
    """Predict how many images a second several devices train, for each way to share the work, and draw it.

    bandwidth in GB/s, latency in microseconds, update in milliseconds; without `rate` it is measured, and the update
    where it is not given either.
    """
    if not devices:
        raise UsageError("devices: expected one number or more, such as 1,2,4")
    rows = count(nets.variant(variant))

    def steps_at(rate: float, update: float) -> list[planning.Step]:
        machine = planning.Machine(rate, update / 1e3, bandwidth * 1e9, latency / 1e6, loading, overlap)
        return [
            step
            for number in devices
            for step in planning.steps(rows, machine, batch * number if per_device else batch, number)
        ]

    steps, source = steps_at(1.0 if rate is None else rate, update or 0.0), "as given"
    make_folder(out)
    if rate is None:  # only now, as it may take minutes, and what is wrong has been told by now
        rate, measured_update = _measured(variant, batch)
        update = measured_update if update is None else update
        steps, source = steps_at(rate, update), "measured here"
    print(
        f"{variant}: a device computes {rate:,.1f} images a second ({source}) and updates all parameters in "
        f"{update or 0:.2f} ms, sends {bandwidth:g} GB/s, {latency:g} us a message\n\n{planning.table(steps)}\n"
    )
    print(f"drawn: {viz.save(scaling(steps), out / f'scaling-{variant}.png')}")


def _measured(variant: str, batch: int) -> tuple[float, float]:
    """Images a second that this machine computes forward and backward, and the milliseconds of an update."""
    images = min(batch, MEASURED_BATCH)
    costs = Bench(variant, "train", images).costs(MEASURED_STEPS)
    update = sum(cost.seconds for cost in costs if cost.direction == "update")
    return images / (sum(cost.seconds for cost in costs) - update), 1e3 * update
