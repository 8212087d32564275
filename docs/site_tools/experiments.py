"""The pages of docs/experiments, written from stored results, never by hand.

`make experiment-pages` writes them again, with their pictures, and the table in docs/experiments/index.md. `make
experiment-pages RESULTS=DIR` first adds the results in DIR, a folder of `tinyalex experiment`, to those that are kept.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from site_tools.links import DOCS
from tinyalex import viz
from tinyalex.experiments.catalogue import EXPERIMENTS
from tinyalex.experiments.experiment import Experiment
from tinyalex.experiments.lab import SEARCH_SEED
from tinyalex.experiments.outcome import ArmOutcome, Outcome, outcome
from tinyalex.experiments.picture import chart, figure1
from tinyalex.experiments.store import SETUP, Setup, Store
from tinyalex.experiments.text import arm_value, difference, is_ratio, percent, shown
from tinyalex.files import write_text

FOLDER = DOCS / "experiments"
RESULTS, PICTURES, INDEX = FOLDER / "results", DOCS / "pictures" / "experiments", FOLDER / "index.md"
BEGIN, END = "<!-- written by make experiment-pages -->\n", "<!-- end -->\n"
Run = tuple[str, Setup, Outcome]  # the name of the results' folder, what its runs share, and what came out
NONE = "·"


def take_in(folder: Path, results: Path = RESULTS) -> None:
    """Add the results in `folder` to those in a folder below `results`, which is named after the images.

    Raises ValueError if there are none, or if the folder below `results` holds those of another set-up.
    """
    new = Store(folder)
    if new.setup is None or not new.measured:
        raise ValueError(f"got {folder} without results: expected a folder of tinyalex experiment")
    kept = Store(results / f"{new.setup.data}-{new.setup.input_size}")
    if kept.setup is None:
        kept.begin(new.setup)
    if kept.setup != new.setup:
        raise ValueError(
            f"got {folder} of another set-up than {kept.folder}: expected the same; remove the old results"
        )
    kept.take_in(new)


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
        f"**[Others](index.md#what-others-found), on the whole of ImageNet.** {experiment.elsewhere}",
        "## What was run",
        f"**Varied.** {experiment.varies}",
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
        _table(
            ("arm", "measured", "mean", "by seed", "error while training"),
            [_arm_row(arm) for arm in found.arms.values()],
        ),
        _table(
            ("of", "against", "difference", "95 % interval", "paper", "released", "others", "verdict"), _rows(found)
        ),
    ]
    parts += _search(found)
    parts += [
        f"![{text}](../pictures/experiments/{found.experiment.name}-{name}-{number}.png)"
        for number, text in enumerate(MORE.get(found.experiment.name, {}))
    ]
    return parts


def _arm_row(arm: ArmOutcome) -> tuple[str, ...]:
    rate = f", rate {arm.trial.settings.lr:g}" if arm.arm.rates else ""
    by_seed = ", ".join(arm_value(arm, value) for value in arm.by_seed)
    errors = [run.train_errors[-1] for run in arm.runs.values() if run.train_errors]
    seen = percent(sum(errors) / len(errors)) if errors else NONE
    return f"{arm.arm.name}{rate}", arm.arm.measure.name, arm_value(arm, arm.mean), by_seed, seen


def _search(found: Outcome) -> list[str]:
    """What the searches for a learning rate found, with a seed of their own; nothing where there were none."""
    searched = [arm for arm in found.arms.values() if arm.searched]
    if not searched:
        return []
    rates = [f"rate {rate:g}" for rate in searched[0].searched]
    rows = [(arm.arm.name, *(arm_value(arm, value) for value in arm.searched.values())) for arm in searched]
    return [f"The search for a rate, by the same measure: `{SEARCH_SEED}` is its seed.", _table(("arm", *rates), rows)]


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
            found.arms["by column"].stored[0].astype(float), 2
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
