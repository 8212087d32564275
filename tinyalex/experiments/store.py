"""What experiments leave in their folder: the set-up, a line for each finished run, a line for each measurement.

    setup.json       what all experiments in the folder share
    runs.jsonl       a line for each finished run
    measured.jsonl   a line for each measurement of a run: a value for each image, say

A file is replaced in one piece, so a kill costs at most the run that was under way.
"""

import base64
import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tinyalex import spec as nets
from tinyalex.errors import DataError, TinyAlexError
from tinyalex.experiments.trial import Trial
from tinyalex.files import one_line, write_text
from tinyalex.training.settings import settings_for
from tinyalex.typed import typed

SETUP, RUNS, MEASURED = "setup.json", "runs.jsonl", "measured.jsonl"
Values = NDArray[Any]


@dataclass(frozen=True)
class Setup:
    """What all experiments in a folder share.

    data: the name of the data set.   fingerprint: of its images.   train_images, val_images: how many there are.
    input_size: of the net, in pixels.   epochs: of a run that no experiment gives others.
    variant: the net that experiments change.
    """

    data: str
    fingerprint: str
    train_images: int
    val_images: int
    input_size: int
    epochs: int
    variant: str = "mini"

    def base(self) -> Trial:
        """The trial that all experiments begin with: the variant, by its own recipe but for the number of epochs."""
        settings = settings_for(
            self.variant,
            data=self.data,
            input_size=self.input_size,
            epochs=self.epochs,
            limit=self.train_images,
            validate_every=self.epochs,
        )
        return Trial(nets.variant(self.variant), settings)


@dataclass(frozen=True)
class RunRecord:
    """A finished run.

    trial: its key.   seed: of all random numbers.   described: the trial in full.
    train_errors: the training error of each epoch, a fraction, over the images as the net saw them while it learned.
    seconds: of its steps, pauses of the machine included.   diverged: why it ended early, or None.
    """

    trial: str
    seed: int
    described: dict[str, Any]
    train_errors: list[float]
    seconds: float
    diverged: str | None = None


@dataclass(frozen=True)
class Measurement:
    """The values of a measurement as a line of text has them: an array, compressed.

    measure: its name.   seeds: of the runs that it was made of.   shape, dtype, values: the array; values are base64.
    """

    trial: str
    seeds: tuple[int, ...]
    measure: str
    shape: tuple[int, ...]
    dtype: str
    values: str

    @classmethod
    def of(cls, trial: str, seeds: tuple[int, ...], measure: str, array: Values) -> "Measurement":
        """The line of `array`."""
        packed = base64.b64encode(zlib.compress(np.ascontiguousarray(array).tobytes(), 9)).decode()
        return cls(trial, seeds, measure, array.shape, array.dtype.str, packed)

    @property
    def array(self) -> Values:
        """The array of the line."""
        return np.frombuffer(zlib.decompress(base64.b64decode(self.values)), self.dtype).reshape(self.shape)


class Store:
    """The results in a folder.

    setup: what the folder holds results of; None for a new one.
    runs: by trial and seed.   measured: by trial, seeds and the name of the measure.
    Raises DataError for files that another program wrote.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        try:
            lines = _lines(folder / SETUP)
            self.setup: Setup | None = typed(Setup, lines[0], SETUP) if lines else None
            runs = [typed(RunRecord, line, RUNS) for line in _lines(folder / RUNS)]
            measured = [typed(Measurement, line, MEASURED) for line in _lines(folder / MEASURED)]
        except (ValueError, TinyAlexError) as error:
            raise DataError(
                f"got {folder} ({one_line(error)}): expected the results of experiments; use another folder"
            ) from error
        self.runs: dict[tuple[str, int], RunRecord] = {(run.trial, run.seed): run for run in runs}
        self.measured: dict[tuple[str, tuple[int, ...], str], Measurement] = {
            (one.trial, one.seeds, one.measure): one for one in measured
        }

    def begin(self, setup: Setup) -> None:
        """Note the set-up of a new folder."""
        self.setup = setup
        write_text(self.folder / SETUP, json.dumps(asdict(setup)) + "\n")

    def take_in(self, other: "Store") -> None:
        """Keep what another folder holds besides, of the same set-up. What is here already stays."""
        self.runs = other.runs | self.runs
        self.measured = other.measured | self.measured
        _write(self.folder / RUNS, self.runs)
        _write(self.folder / MEASURED, self.measured)

    def add_run(self, run: RunRecord) -> None:
        """Keep a finished run."""
        self.runs[run.trial, run.seed] = run
        _write(self.folder / RUNS, self.runs)

    def add_values(self, trial: str, seeds: tuple[int, ...], measure: str, values: Values) -> None:
        """Keep what was measured."""
        self.measured[trial, seeds, measure] = Measurement.of(trial, seeds, measure, values)
        _write(self.folder / MEASURED, self.measured)


def _lines(path: Path) -> list[Any]:
    """The JSON values in a file, one a line; none if there is no file."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.is_file() else []


def _write(path: Path, records: Mapping[Any, Any]) -> None:
    lines: Iterable[str] = (json.dumps(asdict(record), allow_nan=False) + "\n" for record in records.values())
    write_text(path, "".join(lines))
