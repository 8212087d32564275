"""The seed of hidden data: of the pictures that a trained net is tested with in assignment 5.

It is set in the judge's process. In the student's it is always that of this file.
"""

import zlib

YEAR = 20125  # unless the lecturer's settings say another

_in_use = YEAR


def hidden_seed() -> int:
    """The seed of hidden data, for a test."""
    return _in_use


def use_seed(seed: int) -> None:
    """Set the seed for the tests that this process runs."""
    global _in_use
    _in_use = seed


def seed_of(student: str, year: int, by_student: bool) -> int:
    """The seed of a student's tests: that of the year, or one that differs from student to student as well."""
    return zlib.crc32(f"{year} {student}".encode()) if by_student else year
