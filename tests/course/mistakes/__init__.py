"""The mistakes that students make, planted in the reference solutions: one module an assignment, each with MISTAKES."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Mistake:
    """In the solution cell of `exercise` the text `old`, there exactly once, becomes `new`.

    symptom: what the feedback of a failed test of that exercise must say.
    """

    exercise: str
    name: str
    old: str
    new: str
    symptom: str
