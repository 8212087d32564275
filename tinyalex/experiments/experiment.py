"""What an experiment is, as data: arms, comparisons of two arms, and what is known of the answer."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from tinyalex.experiments.measures import ERROR, Measure
from tinyalex.experiments.trial import Change, Trial, same


@dataclass(frozen=True)
class Arm:
    """One of the things that an experiment compares: what is trained, and what is measured of it.

    change: from the trial that all experiments begin with to that of this arm.
    rates: learning rates; a search takes the one with the lowest value for a seed of its own. None: that of the trial.
    """

    name: str
    change: Change = same
    measure: Measure = ERROR
    rates: tuple[float, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Whether the value of one arm is lower than that of another.

    of, against: the names of the two arms.
    sign: -1 if the paper says that `of` is lower, 1 if higher, None if it says nothing.
    paper, released, elsewhere: the difference, `of` minus `against`, in the paper, in the logs of the released code,
        and in the largest rerun of others on the whole of ImageNet; in percentage points of top-1 error, or as a
        ratio where ratios are measured. None: no figure.
    """

    of: str
    against: str
    sign: Literal[-1, 1] | None = -1
    paper: float | None = None
    released: float | None = None
    elsewhere: float | None = None


@dataclass(frozen=True)
class Experiment:
    """A claim of the paper, and how it is tried.

    name: of the command.   title: of its page.   section: of the paper.
    claim: what the paper says, with its figure.   released: what the logs of the released code say.
    elsewhere: what others found on the whole of ImageNet.
    varies: what the arms differ in.   held: what is the same in all of them.
    limits: what the small setting cannot show.
    seeds: at least so many, whatever was asked for; a measurement that takes several runs together takes these.
    start: the change from the trial of all experiments to the one that the arms change.
    """

    name: str
    title: str
    section: str
    claim: str
    varies: str
    held: str
    limits: str
    arms: tuple[Arm, ...]
    comparisons: tuple[Comparison, ...]
    released: str = "Nothing."
    elsewhere: str = "Nothing known."
    seeds: int = 1
    start: Change = field(default=same)

    def arm(self, name: str) -> Arm:
        """The arm of that name."""
        return next(arm for arm in self.arms if arm.name == name)

    def trial(self, arm: Arm, base: Trial) -> Trial:
        """What an arm trains, made from the trial that all experiments begin with."""
        return arm.change(self.start(base))

    @property
    def together(self) -> tuple[int, ...]:
        """The seeds of the runs that a measurement takes together."""
        return tuple(range(self.seeds))

    def seed_numbers(self, asked: int) -> Sequence[int]:
        """The seeds that it takes where `asked` are asked for: 0, 1, ..."""
        return range(max(self.seeds, asked))
