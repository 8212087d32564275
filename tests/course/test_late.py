"""When a hand-in came, how late that is, and what it costs."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tinyalex.course.grades.late import days_late, deductions, moment
from tinyalex.course.grades.settings import Late, read_settings
from tinyalex.errors import UsageError

LOCAL = datetime(2027, 3, 1, 22, 58).astimezone()


@pytest.mark.parametrize(
    "text",
    [
        "2027-03-01 22:58",
        "2027-03-01T22:58:00",
        "Monday, 1 March 2027, 10:58 PM",
        "1 Mar 2027, 22:58",
        " 2027-03-01 22:58\n",
    ],
)
def test_times_as_programs_write_them(text):
    assert moment(text) == LOCAL


@pytest.mark.parametrize(("text", "hour"), [("12:30 AM", 0), ("1:30 AM", 1), ("12:30 PM", 12), ("11:30 PM", 23)])
def test_hours_of_half_a_day(text, hour):
    assert moment(f"Monday, 1 March 2027, {text}") == datetime(2027, 3, 1, hour, 30).astimezone()


def test_a_time_with_its_zone():
    assert moment("2027-03-01 22:58:23.948203 Europe/Berlin") == datetime(2027, 3, 1, 21, 58, 23, 948203, UTC)
    assert moment("2027-03-01T22:58:00-05:00") == datetime(2027, 3, 2, 3, 58, tzinfo=UTC)


@pytest.mark.parametrize("text", ["", "-", "\x00garbage", "31 February 2027, 10:58 PM", "2027-03-01 22:58 Mars/Base"])
def test_what_is_no_time(text):
    assert moment(text) is None


@pytest.mark.parametrize(("minutes", "days"), [(-60, 0), (0, 0), (15, 0), (16, 1), (1455, 1), (1456, 2)])
def test_a_day_that_has_begun_counts(minutes, days):
    due = datetime(2027, 3, 1, 12, tzinfo=UTC)
    came = datetime.fromtimestamp(due.timestamp() + 60 * minutes, UTC)
    assert days_late(came, due, grace=15) == days


POINTS = {("anna", name): (80.0, 100.0) for name in ("one", "two", "three")}


def test_free_days_are_used_up_in_the_order_of_the_due_dates():
    days = {("anna", "three"): 2, ("anna", "one"): 2, ("anna", "two"): 3}
    lost = deductions(days, POINTS, ["one", "two", "three"], Late(per_day=10, free_days=3))
    assert lost == {("anna", "one"): 0, ("anna", "two"): 20, ("anna", "three"): 20}


def test_no_more_is_lost_than_there_is():
    lost = deductions({("anna", "one"): 99, ("bo", "one"): 1}, POINTS, ["one"], Late(per_day=10))
    assert lost == {("anna", "one"): 80, ("bo", "one"): 0}


def test_after_the_last_day_all_is_lost():
    lost = deductions({("anna", "one"): 4, ("anna", "two"): 3}, POINTS, ["one", "two"], Late(free_days=9, last_day=3))
    assert lost == {("anna", "one"): 80, ("anna", "two"): 0}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seed = 'x'", "got course.toml.seed='x': expected int"),
        ("sed = 1", "got course.toml.'?sed'?: expected one of roster, "),
        ("[late]\nper_day = -1", "expected 0 or more"),
        ("[days.ann7]\nassignment1 = -2", "got days.ann7.assignment1=-2: expected 0 or more"),
        ("[due]\nassignment1 = 2027-03-01", "expected date and time, such as 2027-03-01 23:59:00"),
        ("x =", "expected the settings of a course, as a TOML file"),
    ],
)
def test_wrong_settings_get_one_line(text, message, tmp_path):
    (tmp_path / "course.toml").write_text(text)
    with pytest.raises(UsageError, match=message) as caught:
        read_settings(tmp_path / "course.toml")
    assert "\n" not in str(caught.value)


def test_the_settings_in_the_guide_are_settings(tmp_path):
    guide = (Path(__file__).parents[2] / "docs" / "teaching.md").read_text("utf-8")
    (tmp_path / "course.toml").write_text(re.search(r"```text\n(roster = .*?)```", guide, re.DOTALL)[1])
    settings = read_settings(tmp_path / "course.toml")
    assert settings.late == Late(per_day=10, free_days=3, last_day=7, grace=15)
    assert (settings.seed, settings.days, settings.path(settings.roster)) == (
        2027,
        {"ann7": {"assignment1": 0}},
        tmp_path / "roster.csv",
    )
    assert [due.isoformat(" ") for due in settings.due.values()] == ["2027-03-01 23:59:00", "2027-03-08 23:59:00"]
