"""Marks a generated class of one assignment, and compares its tables with the marks that each should get.

`make class` runs it. With --system, the hand-ins come in the zip of Moodle or Canvas, and the table that this system
has exported must come back filled in.
"""

import argparse
import csv
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from course.generated import mixed
from course.sources import ASSIGNMENTS, SOURCE
from course.zips import canvas, gradebook, moodle, worksheet, zipped

SYSTEMS = {"moodle": (moodle, worksheet, "Grade"), "canvas": (canvas, gradebook, "Assignment 1: layers (77)")}


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--students", type=int, default=300)
    words.add_argument("--assignment", choices=ASSIGNMENTS, default="assignment1")
    words.add_argument("--hanging", type=int, default=50, help="one in N has a cell that never ends")
    words.add_argument("--system", choices=SYSTEMS, help="hand in through it, assignment1 only")
    words.add_argument("options", nargs="*", help="of tinyalex grade, after --")
    given = words.parse_args()
    shutil.rmtree(given.out, ignore_errors=True)
    rng = random.Random(1965)
    expected = {}
    for number in range(given.students):
        one = mixed(number, given.assignment, rng, number % given.hanging == given.hanging - 1)
        one.write(given.out / "hand-ins")
        expected[one.student] = one.points
    hand_ins, options = given.out / "hand-ins", given.options
    if given.system:
        hand_ins, table = through(given.system, hand_ins, list(expected))
        options = [*options, "--into", table]
    begin = time.monotonic()
    command = ["grade", hand_ins, "--source", SOURCE, "--out", given.out / "marks", *options]
    done = subprocess.run([sys.executable, "-m", "tinyalex", *map(str, command)])
    seconds = time.monotonic() - begin
    got = {row["student"]: float(row["points"]) for row in rows(given.out / "marks" / "marks.csv")}
    if given.system:
        got = filled(given.system, given.out / "marks" / table.name, list(expected))
    wrong = {name: (got.get(name), points) for name, points in expected.items() if got.get(name) != points}
    print(f"{len(got)} hand-ins marked in {seconds / 60:.1f} minutes, {seconds / len(expected):.1f} s each")
    print(f"{len(wrong)} with other marks than they should get: (got, expected) {wrong or ''}")
    return bool(wrong or done.returncode)


def through(system, hand_ins, students):
    """The zip and the table of the system, with these hand-ins in them."""
    pack, export, _ = SYSTEMS[system]
    files = {
        (student, 4000 + number): {path.name: path.read_bytes() for path in sorted((hand_ins / student).iterdir())}
        for number, student in enumerate(students)
    }
    packed = hand_ins.with_name("class.zip")
    packed.write_bytes(zipped(pack(files)))
    return packed, export(hand_ins.with_name("assignment1.csv"), [(name, number) for name, number in files])


def filled(system, path, students):
    """The points in the table that was filled in; Canvas's are of 10."""
    column = SYSTEMS[system][2]
    scale = 10 if system == "canvas" else 1
    numbers = {4000 + number: student for number, student in enumerate(students)}
    found = {}
    for row in rows(path):
        number = int((row.get("Identifier") or row.get("ID") or "0").split()[-1])
        if number in numbers:
            found[numbers[number]] = round(float(row[column]) * scale, 6)
    return found


def rows(path):
    with path.open(newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    sys.exit(main())
