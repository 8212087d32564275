"""The pages of docs/experiments, written from stored results, never by hand.

`make experiment-pages` writes them again, with their pictures, and the table in docs/experiments/index.md. `make
experiment-pages RESULTS=DIR` first takes in the results in DIR, a folder of `tinyalex experiment`.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from site_tools.links import DOCS
from tinyalex import viz
from tinyalex.experiments.catalogue import EXPERIMENTS
from tinyalex.experiments.experiment import Experiment
from tinyalex.experiments.outcome import ArmOutcome, Outcome, outcome
from tinyalex.experiments.picture import chart, figure1
from tinyalex.experiments.store import MEASURED, RUNS, SETUP, Setup, Store
from tinyalex.experiments.text import arm_value, difference, is_ratio, shown
from tinyalex.files import write_text

FOLDER = DOCS / "experiments"
RESULTS, PICTURES, INDEX = FOLDER / "results", DOCS / "pictures" / "experiments", FOLDER / "index.md"
BEGIN, END = "<!-- written by make experiment-pages -->\n", "<!-- end -->\n"
Run = tuple[str, Setup, Outcome]  # the name of the results' folder, what its runs share, and what came out
NONE = "·"


def take_in(folder: Path, results: Path = RESULTS) -> None:
    """Copy the results in `folder` to a folder below `results`, which is named after the images.

    Raises ValueError if there are none, or if the folder below `results` holds those of another set-up.
    """
    setup = Store(folder).setup
    files = {name: folder / name for name in (SETUP, RUNS, MEASURED)}
    if setup is None or not all(path.is_file() for path in files.values()):
        raise ValueError(f"got {folder} without results: expected a folder of tinyalex experiment")
    kept = results / f"{setup.data}-{setup.input_size}"
    if Store(kept).setup not in (None, setup):
        raise ValueError(f"got {folder} of another set-up than {kept}: expected the same; remove the old results")
    for name, path in files.items():
        write_text(kept / name, path.read_text("utf-8"))


def outcomes(experiment: Experiment, results: Path = RESULTS) -> list[Run]:
    """What came out of an experiment, for each folder below `results` that has an answer."""
    found = []
    for folder in sorted(path.parent for path in results.glob(f"*/{SETUP}")):
        store = Store(folder)
        if store.setup and (one := outcome(experiment, store)):
            found.append((folder.name, store.setup, one))
    return found


# ---------------------------------------------------------------- a page


def page(experiment: Experiment, runs: Sequence[Run]) -> str:
    """The page of an experiment: the claim, what was run, what came out, and what this cannot show."""
    parts = [
        f"# {experiment.title}",
        f"Section {experiment.section} of the paper. [All experiments](index.md), and how to read them.",
        "## The claim",
        experiment.claim,
        f"**The released code.** {experiment.released}",
        f"**Others, on the whole of ImageNet.** {experiment.elsewhere}",
        "## What was run",
        f"**Held.** {experiment.held}",
        "<!-- parsed only: it takes minutes to hours -->",
        f"    tinyalex experiment {experiment.name} --data cifar10 --out runs/experiments",
        "## What came out",
        *(part for run in runs for part in _came_out(*run)),
        *([] if runs else ["It has not been run yet."]),
        "## What this cannot show",
        experiment.limits,
    ]
    return "\n\n".join(parts) + "\n"


def _came_out(name: str, setup: Setup, found: Outcome) -> list[str]:
    """The parts of a page that tell one outcome."""
    seeds = f"{len(found.seeds)} seed{'s' * (len(found.seeds) > 1)}"
    title, first = found.experiment.title, next(iter(found.arms.values())).trial
    length = "at most" if first.goal else "unless an arm says otherwise"
    parts = [
        f"**{setup.data}**: `{first.spec.name}` on {setup.train_images:,} images of {setup.input_size} x "
        f"{setup.input_size} pixels, {first.settings.epochs} epochs {length}, {seeds}; "
        f"{setup.val_images:,} validation images.",
        f"![{title}: the arms and their differences](../pictures/experiments/{found.experiment.name}-{name}.png)",
        _table(("arm", "measured", "mean", "by seed"), [_arm_row(arm) for arm in found.arms.values()]),
        _table(
            ("of", "against", "difference", "95 % interval", "paper", "released", "others", "verdict"), _rows(found)
        ),
    ]
    parts += [
        f"![{text}](../pictures/experiments/{found.experiment.name}-{name}-{number}.png)"
        for number, text in enumerate(MORE.get(found.experiment.name, {}))
    ]
    return parts


def _arm_row(arm: ArmOutcome) -> tuple[str, ...]:
    rate = f", rate {arm.trial.settings.lr:g}" if arm.arm.rates else ""
    by_seed = ", ".join(arm_value(arm, value) for value in arm.by_seed)
    return f"{arm.arm.name}{rate}", arm.arm.measure.name, arm_value(arm, arm.mean), by_seed


def _rows(found: Outcome) -> list[tuple[str, ...]]:
    """A row for each comparison."""
    rows = []
    for one in found.found:
        ratio, compared, effect = is_ratio(found, one), one.comparison, one.effect
        mean, low, high = (
            difference(shown(value, ratio), ratio) for value in (effect.difference, effect.low, effect.high)
        )
        known = (compared.paper, compared.released, compared.elsewhere)
        cells = [NONE if value is None else difference(value, ratio) for value in known]
        rows.append((compared.of, compared.against, mean, f"{low} to {high}", *cells, f"**{one.verdict}**"))
    return rows


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


# ---------------------------------------------------------------- pictures, and the index

# What an experiment draws besides its chart: the text that stands for a picture, and the function that draws it.
MORE = {
    "relu-vs-tanh": {"The training error over the epochs, a line for each seed": figure1},
    "kernels": {
        "The kernels of the first layer in two columns, seed 0": lambda found: viz.kernels(
            found.arms["two columns"].stored[0].astype(float), 2
        )
    },
}


def draw(experiment: Experiment, runs: Sequence[Run], folder: Path = PICTURES) -> None:
    """Draw the pictures of a page."""
    for name, _, found in runs:
        viz.save(chart(found), folder / f"{experiment.name}-{name}.png")
        for number, more in enumerate(MORE.get(experiment.name, {}).values()):
            viz.save(more(found), folder / f"{experiment.name}-{name}-{number}.png")


def index(text: str, answers: Sequence[tuple[Experiment, Sequence[Run]]]) -> str:
    """The text of the index with the verdicts between its two marks. Raises ValueError if it lacks them."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ValueError(f"got an index without the marks {BEGIN.strip()} and {END.strip()}: expected both")
    rows = []
    for experiment, runs in answers:
        link = f"[{experiment.title}]({experiment.name}.md)"
        rows += [(link, name, *row[:4], row[4], row[7]) for name, _, found in runs for row in _rows(found)]
        rows += [] if runs else [(link, *[NONE] * 6, "not run yet")]
    header = ("experiment", "images", "of", "against", "difference", "95 % interval", "paper", "verdict")
    return f"{before}{BEGIN}\n{_table(header, rows)}\n\n{END}{after}"


def main(folders: Sequence[str]) -> None:
    """Take in the results in `folders`, and write all pages and pictures."""
    for folder in folders:
        take_in(Path(folder))
    answers = [(experiment, outcomes(experiment)) for experiment in EXPERIMENTS.values()]
    for experiment, runs in answers:
        write_text(FOLDER / f"{experiment.name}.md", page(experiment, runs))
        draw(experiment, runs)
    write_text(INDEX, index(INDEX.read_text("utf-8"), answers))


if __name__ == "__main__":
    main(sys.argv[1:])
