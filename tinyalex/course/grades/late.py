"""When hand-ins came, how many days late that is, and what it costs."""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tinyalex.course.grades.settings import Late

Key = tuple[str, str]  # student, assignment

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WORDS = re.compile(r"(\d{1,2}) ([A-Za-z]{3,9})\.? (\d{4}),? (?:at )?(\d{1,2}):(\d\d)(?: ?([AaPp])\.?[Mm])?")


def moment(text: str) -> datetime | None:
    """The time in a text, with its time zone (else this machine's); None if there is none.

    Read are ISO times, nbgrader's "2027-03-01 22:58:23.9 Europe/Berlin", Moodle's "Monday, 1 March 2027, 10:58 PM".
    """
    text = text.strip()
    try:
        return datetime.fromisoformat(text).astimezone()
    except ValueError:
        pass
    time, _, zone = text.rpartition(" ")
    try:
        return datetime.fromisoformat(time).replace(tzinfo=ZoneInfo(zone))
    except (ValueError, ZoneInfoNotFoundError, OSError):
        return _in_words(text)


def _in_words(text: str) -> datetime | None:
    found = WORDS.search(text)
    if not found or found[2][:3].lower() not in MONTHS:
        return None
    month = 1 + MONTHS.index(found[2][:3].lower())
    hour = int(found[4])
    if found[6]:
        hour = hour % 12 + 12 * (found[6].lower() == "p")
    try:
        return datetime(int(found[3]), month, int(found[1]), hour, int(found[5])).astimezone()
    except ValueError:
        return None


def days_late(came: datetime, due: datetime, grace: int) -> int:
    """The days begun between `due` and `came`; 0 within `grace` minutes."""
    delay = came.astimezone() - due.astimezone() - timedelta(minutes=grace)
    return max(0, math.ceil(delay / timedelta(days=1)))


def deductions(
    days: Mapping[Key, int], points: Mapping[Key, tuple[float, float]], order: Iterable[str], late: Late
) -> dict[Key, float]:
    """What each late hand-in loses, by student and assignment.

    days: how many days late.   points: (points, maximum).   order: of the assignments, in which free days are used up.
    A deduction is never larger than the points.
    """
    place = {name: number for number, name in enumerate(order)}
    left: dict[str, int] = {}
    lost = {}
    for student, name in sorted(days, key=lambda key: (place.get(key[1], len(place)), key)):
        whole = days[student, name]
        free = min(whole, left.setdefault(student, late.free_days))
        left[student] -= free
        got, of = points.get((student, name), (0.0, 0.0))
        too_late = late.last_day is not None and whole > late.last_day
        lost[student, name] = got if too_late else min(got, of * late.per_day / 100 * (whole - free))
    return lost
