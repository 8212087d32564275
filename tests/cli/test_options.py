"""How the fields of a command become options: what is read, what is refused, what the help says."""

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest

from tinyalex.cli.options import Argument, Command, Option, add_options, chosen


@dataclass(frozen=True)
class Bake(Command):
    """Bake bread."""

    example = "bake loaf"
    loaves: Annotated[list[Path], Argument("what to bake", metavar="LOAF")]
    oven: Annotated[str | None, Argument("where")] = None
    minutes: Annotated[int, Option("how long")] = 30
    heat: Annotated[int, Option("degrees", most=300)] = 220
    salt: Annotated[float | None, Option("grams")] = None
    bread_flour: Annotated[Literal["rye", "wheat"], Option("what of")] = "wheat"
    sizes: Annotated[tuple[int, ...], Option("how large")] = (3, 5)
    names: Annotated[tuple[str, ...] | None, Option("for whom")] = None
    steam: Annotated[bool, Option("with steam")] = False
    crust: Annotated[bool, Option("without a crust")] = True
    seeds: Annotated[bool | None, Option("without seeds")] = None
    again: Annotated[Path | Literal[True] | None, Option("bake again", alone=True)] = None

    def run(self):
        pass


@pytest.fixture
def parser():
    made = argparse.ArgumentParser("bake", exit_on_error=False)
    add_options(made, Bake)
    return made


def test_the_defaults_are_those_of_the_fields(parser):
    given = Bake(**vars(parser.parse_args(["a"])))
    assert given == Bake(loaves=[Path("a")])


def test_words_become_values_of_the_fields_types(parser):
    words = "a b --minutes 5 --salt 1.5 --bread-flour rye --sizes 7 --names x,y --steam --no-crust --no-seeds --again c"
    assert Bake(**vars(parser.parse_args(words.split()))) == Bake(
        loaves=[Path("a"), Path("b")],
        minutes=5,
        salt=1.5,
        bread_flour="rye",
        sizes=(7,),
        names=("x", "y"),
        steam=True,
        crust=False,
        seeds=False,
        again=Path("c"),
    )


def test_an_option_alone(parser):
    assert parser.parse_args(["a", "--again"]).again is True


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--minutes 1.5", "got '1.5': expected a whole number"),
        ("--heat 301", "got '301': expected a whole number up to 300"),
        ("--heat hot", "got 'hot': expected a whole number up to 300"),
        ("--salt much", "got 'much': expected a number"),
        ("--bread-flour oat", "got 'oat': expected one of rye, wheat"),
        ("--again=", "got '': expected a path"),
        ("--sizes 3;5", "got '3;5': expected whole numbers with commas between them, such as 3,5"),
    ],
)
def test_what_is_refused(parser, words, message):
    with pytest.raises(argparse.ArgumentError, match=message):
        parser.parse_args(["a", *words.split()])


def test_the_help_tells_defaults_and_kinds_of_values(parser):
    text = " ".join(parser.format_help().split())
    assert "--minutes N how long (30)" in text
    assert "--salt X grams --" in text
    assert "--bread-flour rye|wheat what of (wheat)" in text
    assert "--sizes N,N,... how large (3,5)" in text
    assert "--no-crust without a crust --" in text
    assert "--again [AGAIN] bake again" in text


def test_chosen():
    assert [chosen(value, 3) for value in (None, 0, 5)] == [3, 0, 5]
