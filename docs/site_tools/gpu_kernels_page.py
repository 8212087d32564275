"""The tables of docs/gpu-kernels.md: what counts let expect of the kernels for GPUs, and what a card measured.

    cd docs; python -m site_tools.gpu_kernels_page

writes the page from docs/gpu-kernels.json (counts, by `make gpu-kernels`) and docs/gpu-report.json (a card's ceilings
and times, by `make gpu-docs`). It needs no compiler.

The expected time of a launch is the longer of two: that of its instructions, and that of its bytes.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from site_tools import gpu_page
from site_tools.links import DOCS
from tinyalex.cost.gpu.table import table
from tinyalex.count import count
from tinyalex.spec import variant

PAGE, COUNTS = DOCS / "gpu-kernels.md", DOCS / "gpu-kernels.json"
BEGIN, END = "<!-- written by make gpu-kernels -->\n", "<!-- end -->\n"
PER_SECOND = 132 * 128 * 1.755e9  # instructions of single threads: 132 processors, 4 warps a cycle each, 1.755 GHz
SETTINGS = [(kind, N) for kind in ("train", "infer") for N in (128, 512)]
TITLES = {"train": "training", "infer": "inference"}
SMALL = 0.05  # ms: no row for what takes less
PROFILED_AS = {"sgd_update": "sgd_update_all"}  # one launch for all weights, with the same loop
BEFORE, NOW, MEASURED = "expected before", "expected", "measured"

Report = dict[str, Any]
Row = dict[str, Any]


@dataclass
class Line:
    """A kernel for a layer: what is counted, for a whole batch.

    numbers:      that one launch computes.   nbytes: that it reads and writes.
    instructions: for each number.   spilled: bytes that did not fit into registers.
    train, infer: how often a step launches it.
    """

    kernel: str
    layer: str
    registers: int
    spilled: int
    numbers: int
    instructions: float
    nbytes: int
    train: int
    infer: int


Counts = dict[str, dict[str, list[Line]]]  # before or now, number of images: lines


class Ceilings(NamedTuple):
    """What a card reaches at best, as its report measured it: bytes and floating-point operations a second."""

    nbytes: float
    operations: float


class Times(NamedTuple):
    """Milliseconds of some launches: of their instructions, of their bytes, and what to expect."""

    compute: float
    memory: float
    expected: float


# ---------------------------------------------------------------- the two files


def read() -> Counts:
    """The counts in docs/gpu-kernels.json."""
    found = json.loads(COUNTS.read_text())
    return {when: {N: [Line(**line) for line in lines] for N, lines in of.items()} for when, of in found.items()}


def write(counts: Counts) -> None:
    """Write docs/gpu-kernels.json, a row for each line, and the page."""
    parts = []
    for when, of in counts.items():
        batches = [f' "{N}": [\n  ' + ",\n  ".join(json.dumps(asdict(line)) for line in of[N]) + "\n ]" for N in of]
        parts.append(f'"{when}": {{\n' + ",\n".join(batches) + "\n}")
    COUNTS.write_text("{\n" + ",\n".join(parts) + "\n}\n")
    PAGE.write_text(updated(PAGE.read_text()))


def rows_of(report: Report, step: int) -> dict[str, dict[str, Any]]:
    """The rows of a step of the report, by what they tell."""
    return {row["what"]: row for one in report["steps"] if one["number"] == step for row in one["rows"]}


def ceilings(report: Report) -> Ceilings:
    """A card's ceilings, from step 4 of the report."""
    rows = rows_of(report, 4)
    operations = rows["product of 8192 x 8192, float32"]["TFLOP/s"]
    return Ceilings(1e9 * rows["copy on the GPU"]["GB/s"], 1e12 * operations)


# ---------------------------------------------------------------- arithmetic


def times(lines: Iterable[Line], kind: str, most: Ceilings) -> Times:
    """Milliseconds of all launches of a step. kind: train or infer."""
    total = [0.0, 0.0, 0.0]
    for line in lines:
        compute, memory = line.instructions * line.numbers / PER_SECOND, line.nbytes / most.nbytes
        for i, seconds in enumerate((compute, memory, max(compute, memory))):
            total[i] += 1e3 * seconds * getattr(line, kind)
    return Times(*total)


def of_products(kind: str, N: int, most: Ceilings) -> float:
    """Milliseconds of all matrix products of a step: 2 operations a multiply-add, three products a layer in training.

    The gradient of the images is not computed, so conv1 has two.
    """
    rows = [row for row in count(variant("paper")) if row.kernel]
    once = sum(row.multiply_adds for row in rows)
    return 1e3 * 2 * N * (once if kind == "infer" else 3 * once - rows[0].multiply_adds) / most.operations


def by_kernel(lines: Iterable[Line]) -> dict[str, list[Line]]:
    """The lines of each kernel."""
    found: dict[str, list[Line]] = {}
    for line in lines:
        found.setdefault(line.kernel, []).append(line)
    return found


# ---------------------------------------------------------------- the tables


def of_steps(counts: Counts, report: Report, most: Ceilings) -> list[Row]:
    """Times and images a second of whole steps: a column for each setting."""
    measured = rows_of(report, 6)
    rows: list[Row] = [
        {"": name}
        for name in (
            "products, ms",
            "our kernels before, ms",
            "our kernels, ms",
            "images/s expected before",
            "images/s expected",
            "images/s measured",
        )
    ]
    for kind, N in SETTINGS:
        products = of_products(kind, N, most)
        before, now = (times(counts[when][str(N)], kind, most).expected for when in ("before", "now"))
        values = [ms(products), ms(before), ms(now), 1e3 * N / (products + before), 1e3 * N / (products + now)]
        for row, value in zip(rows, [*values, measured[f"{kind} {N}"]["tinyalex"]], strict=True):
            row[f"{TITLES[kind]}, {N} images"] = value
    return rows


def of_code(counts: Counts) -> list[Row]:
    """Registers and instructions of each kernel."""
    before, now = (by_kernel(counts[when]["512"]) for when in ("before", "now"))
    rows = []
    for kernel, lines in now.items():
        old = before.get(kernel)
        row = {
            "kernel": f"`{kernel}`",
            "registers before": old[0].registers if old else "",
            "registers": lines[0].registers,
            "spilled bytes": lines[0].spilled,
            "instructions a number before": _mean(old) if old else "",
            "instructions a number": _mean(lines),
        }
        rows.append(row)
    return rows


def _mean(lines: Sequence[Line]) -> float:
    """Instructions for each number, of all layers together."""
    return sum(line.instructions * line.numbers for line in lines) / sum(line.numbers for line in lines)


def of_a_step(counts: Counts, report: Report, most: Ceilings, kind: str, N: int) -> list[Row]:
    """Milliseconds of each kernel in a step, the longest first; of the products; and of all."""
    profile = {what: row["ms"] for what, row in rows_of(report, 5).items() if what.startswith(f"{kind} {N}: ")}
    before, now = (by_kernel(counts[when][str(N)]) for when in ("before", "now"))
    spent = {kernel: times(lines, kind, most) for kernel, lines in now.items()}
    rows = []
    for kernel in sorted(now, key=lambda kernel: -spent[kernel].expected):
        if spent[kernel].expected >= SMALL:
            old = times(before[kernel], kind, most).expected
            found = profile.get(f"{kind} {N}: {PROFILED_AS.get(kernel, kernel)}")
            rows.append(_row(f"`{kernel}`", ms(old), spent[kernel], found))
    products = of_products(kind, N, most)
    gemms = sum(found for what, found in profile.items() if "gemm" in what)
    rows.append({"kernel": "products", BEFORE: ms(products), NOW: ms(products), MEASURED: f"{ms(gemms)} or more"})
    old, new = (products + times(counts[when][str(N)], kind, most).expected for when in ("before", "now"))
    whole = profile[f"{kind} {N}: all of these"]
    return [*rows, {"kernel": "all, with smaller ones", BEFORE: ms(old), NOW: ms(new), MEASURED: ms(whole)}]


def _row(name: str, before: str, spent: Times, measured: float | None) -> Row:
    return {
        "kernel": name,
        "of instructions": ms(spent.compute),
        "of bytes": ms(spent.memory),
        BEFORE: before,
        NOW: ms(spent.expected),
        MEASURED: "" if measured is None else ms(measured),
    }


def of_layers(counts: Counts, most: Ceilings) -> list[Row]:
    """A row for each kernel and layer that takes SMALL or more, for one launch with 512 images."""
    before = {(line.kernel, line.layer): line for line in counts["before"]["512"]}
    rows = []
    for line in counts["now"]["512"]:
        old, spent = before.get((line.kernel, line.layer)), _of_one(line, most)
        if spent.expected >= SMALL:
            row = {
                "kernel": f"`{line.kernel}`",
                "layer": line.layer,
                "instructions a number before": old.instructions if old else "",
                "instructions a number": line.instructions,
                "ms of bytes": ms(spent.memory),
                "ms expected before": ms(_of_one(old, most).expected) if old else "",
                "ms expected": ms(spent.expected),
            }
            rows.append(row)
    return rows


def ms(value: float) -> str:
    """Milliseconds as the tables show them."""
    return f"{value:.2f}"


def _of_one(line: Line, most: Ceilings) -> Times:
    """Milliseconds of one launch."""
    return times([replace(line, train=1)], "train", most)


# ---------------------------------------------------------------- the page


def text(counts: Counts, report: Report) -> str:
    """All tables, with a sentence on each."""
    most = ceilings(report)
    parts = [
        f"Ceilings: {most.nbytes / 1e12:.2f} TB/s and {most.operations / 1e12:.1f} TFLOP/s, as step 4 of the report "
        f"measured them on one {card(report)}; {PER_SECOND / 1e12:.1f} trillion instructions a second, from its "
        "number of processors.",
        "## Whole steps",
        table(of_steps(counts, report, most)),
        "## The code",
        "Instructions a number are those of all layers together.",
        table(of_code(counts)),
    ]
    for kind, N in SETTINGS:
        parts += [f"## {TITLES[kind].capitalize()}, {N} images", "Milliseconds a step."]
        parts.append(table(of_a_step(counts, report, most, kind, N)))
    parts += ["## Layer by layer", f"One launch, 512 images; launches of {SMALL} ms or more."]
    parts.append(table(of_layers(counts, most)))
    return "\n\n".join(parts) + "\n"


def card(report: Report) -> str:
    """The card that the ceilings are from."""
    return next(str(step["where"]) for step in report["steps"] if step["number"] == 4)


def updated(page: str) -> str:
    """The page with the tables of the two files between its marks. Raises ValueError if it lacks the marks."""
    report = gpu_page.read_report()
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end and report):
        raise ValueError(f"{PAGE.name}: expected the marks {BEGIN.strip()} and {END.strip()}, and docs/gpu-report.json")
    return f"{before}{BEGIN}\n{text(read(), report)}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(updated(PAGE.read_text()))
