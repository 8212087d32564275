"""JSON values become what a dataclass declares, or are refused in one line."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import pytest

from tinyalex.errors import UsageError
from tinyalex.typed import typed


@dataclass(frozen=True)
class Point:
    x: int
    y: float = 0.5

    def __post_init__(self):
        if self.x < 0:
            raise UsageError(f"got x={self.x}: expected 0 or more")


@dataclass
class Drawing:
    name: str
    start: Point
    closed: bool = False
    side: Literal["left", "right"] = "left"
    numbers: tuple[int, ...] = ()
    limit: int | None = None
    points: list[Point] = field(default_factory=list)
    widths: dict[str, float] = field(default_factory=dict)
    other: Any = None


FULL = Drawing("a", Point(1, 2.0), True, "right", (1, 2), 3, [Point(4)], {"thin": 0.1}, {"any": [None]})


def test_what_was_written_comes_back():
    found = typed(Drawing, json.loads(json.dumps(asdict(FULL))), "drawing")
    assert found == FULL
    assert type(found.numbers) is tuple
    assert type(found.points[0]) is Point


def test_defaults_stand_for_what_is_not_there_and_an_int_is_a_float():
    found = typed(Drawing, {"name": "b", "start": {"x": 1, "y": 2}}, "drawing")
    assert found == Drawing("b", Point(1, 2.0))
    assert type(found.start.y) is float


def test_what_is_already_of_the_type_stays():
    assert typed(Drawing, {"name": "b", "start": FULL.start}, "drawing").start is FULL.start


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": 1}, "got drawing.name=1: expected str"),
        ({"name": None}, "got drawing.name=None: expected str"),
        ({"start": None}, "got drawing.start=None: expected an object with the fields of Point"),
        ({"start": {}}, "got no drawing.start.x: expected one"),
        ({"start": {"x": True}}, "got drawing.start.x=True: expected int"),
        ({"start": {"x": 1.0}}, "got drawing.start.x=1.0: expected int"),
        ({"start": {"x": -1}}, "got x=-1: expected 0 or more"),
        ({"start": {"x": 1, "y": "2"}}, "got drawing.start.y='2': expected float"),
        ({"start": {"x": 1, "y": True}}, "got drawing.start.y=True: expected float"),
        ({"start": {"x": 1, "y": float("nan")}}, "got drawing.start.y=nan: expected float"),
        ({"start": {"x": 1, "y": float("-inf")}}, "got drawing.start.y=-inf: expected float"),
        ({"start": {"x": 1, "y": 10**400}}, f"got drawing.start.y=1{'0' * 39}...: expected float"),
        ({"start": {"x": 1, "z": 2}}, "got drawing.start.'z': expected one of x, y"),
        ({"closed": 1}, "got drawing.closed=1: expected bool"),
        ({"side": "up"}, "got drawing.side='up': expected 'left' or 'right'"),
        ({"side": ["left"]}, "got drawing.side=['left']: expected 'left' or 'right'"),
        ({"numbers": "12"}, "got drawing.numbers='12': expected tuple"),
        ({"numbers": [1, "2"]}, "got drawing.numbers[1]='2': expected int"),
        ({"limit": 1.5}, "got drawing.limit=1.5: expected int"),
        ({"points": [{"x": "a"}]}, "got drawing.points[0].x='a': expected int"),
        ({"widths": {"thin": None}}, "got drawing.widths.thin=None: expected float"),
        ({"widths": []}, "got drawing.widths=[]: expected dict"),
        ({"x" * 100: 1}, f"got drawing.'{'x' * 39}...: expected one of name, start, closed, side, "),
    ],
)
def test_what_does_not_fit_is_refused(change, message):
    with pytest.raises(UsageError) as raised:
        typed(Drawing, {**asdict(FULL), **change}, "drawing")
    assert str(raised.value).startswith(message)


def test_a_union_names_all_its_types():
    with pytest.raises(UsageError, match=r"got value=\[\]: expected int or str or null"):
        typed(int | str | None, [], "value")
    assert typed(int | str | None, None, "value") is None
    assert typed(int | str, "a", "value") == "a"
