"""The trained net that a command uses: that of a run, of a checkpoint file, or the example."""

from pathlib import Path

from tinyalex.cli.runs import RUNS
from tinyalex.cli.terminal import complain
from tinyalex.training.saves import CHECKPOINT, read_newest
from tinyalex.weights import read
from tinyalex.weights.checkpoint import Checkpoint
from tinyalex.weights.example import load_example


def read_trained(path: Path) -> Checkpoint:
    """The checkpoint in a run's folder, or the contents of a file that `tinyalex.weights.read` reads."""
    return read_newest(path, complain)[0] if path.is_dir() else read(path)


def find_trained(path: Path | None) -> tuple[Checkpoint, str]:
    """The checkpoint at `path`, else that of the newest run, else the example; and a line that says which it is."""
    runs = sorted(RUNS.glob(f"*/{CHECKPOINT}"), key=lambda run: run.stat().st_mtime)
    if path is None and not runs:
        message = f"there is no run in {RUNS}/: this is the example net, trained on shapes; choose one by --checkpoint"
        return load_example(), message
    path = path or runs[-1].parent
    return read_trained(path), f"checkpoint {path}"


def first_names(names: tuple[str, ...]) -> str:
    """The first three names; of more, also how many there are."""
    return ", ".join(names[:3]) + (f", ... ({len(names)})" if len(names) > 3 else "")
