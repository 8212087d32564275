"""The seed of hidden data, such as the pictures that a trained net is tested with in assignment 5.

The judge finds it in an environment variable that the student's process does not have.
"""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

VARIABLE = "TINYALEX_COURSE_SEED"
YEAR = 20125  # without the lecturer's settings; everybody can read it here


def hidden_seed() -> int:
    """The seed of hidden data in a test."""
    return int(os.environ.get(VARIABLE, YEAR))


def seed_of(student: str, year: int, by_student: bool) -> int:
    """The seed that a hand-in is tested with: the year's, or one of the student's own that depends on it."""
    return zlib.crc32(f"{year} {student}".encode()) if by_student else year


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Within the block `hidden_seed` gives this seed."""
    before = os.environ.get(VARIABLE)
    os.environ[VARIABLE] = str(seed)
    try:
        yield
    finally:
        del os.environ[VARIABLE]
        if before is not None:
            os.environ[VARIABLE] = before
