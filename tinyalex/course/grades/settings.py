"""What a lecturer decides for a course, in one file: roster, due dates, what a delay costs, the seed of the year."""

import tomllib
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tinyalex.course.grades.roster import Roster, read_roster
from tinyalex.course.seeds import YEAR
from tinyalex.errors import UsageError, at_least
from tinyalex.files import one_line
from tinyalex.typed import bare, typed


@dataclass(frozen=True)
class Late:
    """What a delay costs.

    per_day: percent of an assignment's points, for each day begun.   free_days: days of the whole course that cost
    nothing.   last_day: what comes after so many days gets no points.   grace: minutes that are no delay.
    """

    per_day: float = 0.0
    free_days: int = 0
    last_day: int | None = None
    grace: int = 0

    def __post_init__(self) -> None:
        counts = ("per_day", "free_days", "last_day", "grace")
        at_least(0, **{f"late.{name}": getattr(self, name) for name in counts})


@dataclass(frozen=True)
class Settings:
    """A course.

    roster:  CSV file of the students.   times: CSV file of when each hand-in came (student, assignment, time).
    seed, seed_by_student: see `seeds`.   due: date and time by assignment.
    days:    the delay that the lecturer decides, by student and assignment, whatever the times say.
    columns: the column of an assignment in Canvas's gradebook, where its name does not tell.
    Paths are relative to the file of the settings.
    """

    roster: str | None = None
    times: str | None = None
    seed: int = YEAR
    seed_by_student: bool = False
    due: dict[str, Any] = field(default_factory=dict)
    late: Late = field(default_factory=Late)
    days: dict[str, dict[str, int]] = field(default_factory=dict)
    columns: dict[str, str] = field(default_factory=dict)
    folder: str = "."

    def __post_init__(self) -> None:
        for name, due in self.due.items():
            if not isinstance(due, datetime):
                raise UsageError(
                    f"got due.{bare(name)}={bare(str(due))}: expected date and time, such as 2027-03-01 23:59:00"
                )
        for student, own in self.days.items():
            at_least(0, **{f"days.{bare(student)}.{bare(name)}": days for name, days in own.items()})

    def path(self, name: str) -> Path:
        """The path of a file that the settings name."""
        return Path(self.folder) / name

    def read_roster(self) -> Roster:
        """The students; none without a roster."""
        return read_roster(self.path(self.roster)) if self.roster else Roster()


def read_settings(path: Path) -> Settings:
    """The settings in a TOML file. Raises UsageError for one that cannot be read, or a value of the wrong type."""
    try:
        content = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError) as error:
        raise UsageError(f"got {path} ({one_line(error)}): expected the settings of a course, as a TOML file") from None
    settings: Settings = typed(Settings, {**content, "folder": str(path.parent)}, path.name)
    return settings
