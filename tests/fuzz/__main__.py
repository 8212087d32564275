"""python -m fuzz: damage files of all kinds, read them, and print a table of what became of them."""

import argparse
import os
import sys
from pathlib import Path

from fuzz.runner import fuzz
from fuzz.targets import TARGETS


def main():
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=__doc__)
    parser.add_argument("--inputs", type=int, default=100_000, help="in all, shared equally by the targets")
    parser.add_argument("--only", choices=TARGETS, help="the one target")
    parser.add_argument("--seed", type=int, default=0, help="another seed damages in other ways")
    parser.add_argument("--first", type=int, default=0, help="the number of the first input, to repeat one")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default="build/fuzz", help="the folder for files that fail")
    words = parser.parse_args()
    names = [words.only] if words.only else list(TARGETS)
    print(f"{'files':32}{'inputs':>8}{'refused':>9}{'read':>8}{'seconds':>9}{'peak MB':>9}")
    failures = []
    for name in names:
        inputs = -(-words.inputs // len(names))
        found = fuzz(name, inputs, words.out.resolve(), seed=words.seed, first=words.first, workers=words.workers)
        numbers = f"{found.inputs:8}{found.refused:9}{found.read:8}{found.seconds:9.0f}{found.peak / 1e6:9.0f}"
        print(f"{name:32}{numbers}", flush=True)
        failures += [f"{name}, {failure}" for failure in found.failures]
    print(*failures, sep="\n")
    return min(len(failures), 1)


if __name__ == "__main__":
    sys.exit(main())
