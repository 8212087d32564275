"""Marks a generated class of one assignment, and compares its tables with the marks that each should get.

`make class` runs it.
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


def main():
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("--out", type=Path, required=True)
    words.add_argument("--students", type=int, default=300)
    words.add_argument("--assignment", choices=ASSIGNMENTS, default="assignment1")
    words.add_argument("--hanging", type=int, default=50, help="one in N has a cell that never ends")
    words.add_argument("options", nargs="*", help="of tinyalex grade, after --")
    given = words.parse_args()
    shutil.rmtree(given.out, ignore_errors=True)
    rng = random.Random(1965)
    expected = {}
    for number in range(given.students):
        one = mixed(number, given.assignment, rng, number % given.hanging == given.hanging - 1)
        one.write(given.out / "hand-ins")
        expected[one.student] = one.points
    begin = time.monotonic()
    command = ["grade", given.out / "hand-ins", "--source", SOURCE, "--out", given.out / "marks", *given.options]
    done = subprocess.run([sys.executable, "-m", "tinyalex", *map(str, command)])
    seconds = time.monotonic() - begin
    with (given.out / "marks" / "marks.csv").open(newline="") as file:
        got = {row["student"]: float(row["points"]) for row in csv.DictReader(file)}
    wrong = {name: (got.get(name), points) for name, points in expected.items() if got.get(name) != points}
    print(f"{len(got)} hand-ins marked in {seconds / 60:.1f} minutes, {seconds / len(expected):.1f} s each")
    print(f"{len(wrong)} with other marks than they should get: (got, expected) {wrong or ''}")
    return bool(wrong or done.returncode)


if __name__ == "__main__":
    sys.exit(main())
