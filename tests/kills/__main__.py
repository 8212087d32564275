"""python -m kills: kill each job 50 times, and print what became of it."""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from kills.jobs import JOBS
from kills.runner import Runner

EXPERIMENTS = {  # job, moments, signals
    "training, at any moment": ("training", "any", "SIGKILL"),
    "training, in a checkpoint's write": ("checkpoints", "write", "SIGKILL"),
    "training, SIGTERM and SIGINT": ("training", "any", "SIGTERM"),
    "prepare --form raw, at any moment": ("prepare raw", "any", "SIGKILL"),
    "prepare --form raw, in a shard's write": ("prepare raw", "write", "SIGKILL"),
    "prepare --form jpeg, at any moment": ("prepare jpeg", "any", "SIGKILL"),
    "prepare --form jpeg, in a shard's write": ("prepare jpeg", "write", "SIGKILL"),
}


def main():
    parser = argparse.ArgumentParser(prog="python -m kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="of each job; a fifth of it by SIGTERM and SIGINT")
    parser.add_argument("--only", choices=EXPERIMENTS)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    words = parser.parse_args()
    failures = []
    for name in [words.only] if words.only else EXPERIMENTS:
        job, moments, by = EXPERIMENTS[name]
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            runner = Runner(Path(folder), JOBS[job], seed=words.seed, moments=moments)
            found = runner.kill(words.kills) if by == "SIGKILL" else runner.stop(-(-words.kills // 5))
        became = "the same bytes" if not found.failures else "; ".join(found.failures)
        print(
            f"{name}: {found.kills} in {found.runs} runs, {found.inside} inside a write: {became} "
            f"({time.monotonic() - began:.0f} s)",
            flush=True,
        )
        failures += found.failures
    return min(len(failures), 1)


if __name__ == "__main__":
    sys.exit(main())
