"""The outcome of an experiment as text: a table of the arms, and a line for each comparison."""

import math

from tinyalex.experiments.outcome import ArmOutcome, Found, Outcome


def table(outcome: Outcome) -> str:
    """The arms with their value for each seed and in the mean, and what each comparison found."""
    experiment = outcome.experiment
    width = max(len(name) for name in outcome.arms)
    lines = [f"{experiment.name}: {experiment.title} (section {experiment.section})"]
    lines += [
        f"  {name:<{width}}  {arm_value(one, one.mean)}   "
        f"({one.arm.measure.name}; by seed: {', '.join(arm_value(one, value) for value in one.by_seed)})"
        for name, one in outcome.arms.items()
    ]
    lines += [f"  {one.comparison.of} against {one.comparison.against}: {said(outcome, one)}" for one in outcome.found]
    return "\n".join(lines)


def arm_value(arm: ArmOutcome, value: float) -> str:
    """A value of an arm, as people write it."""
    return f"{value:.1f}" if arm.arm.measure.ratio else percent(value)


def percent(share: float) -> str:
    """A fraction in percent, as people write it."""
    return f"{share:.1%}".replace("%", " %")


def is_ratio(outcome: Outcome, found: Found) -> bool:
    """Whether the two arms are compared by their ratio."""
    return outcome.arms[found.comparison.of].arm.measure.ratio


def shown(logarithm_or_difference: float, ratio: bool) -> float:
    """An effect as people read it: a ratio, or a difference in percentage points."""
    return math.exp(logarithm_or_difference) if ratio else 100 * logarithm_or_difference


def difference(value: float, ratio: bool) -> str:
    """A ratio, or a difference with its sign; both as `shown` gives them."""
    return f"{value:.2f} times" if ratio else f"{value:+.1f} points"


def said(outcome: Outcome, found: Found) -> str:
    """The difference with its interval, the paper's, and the verdict."""
    ratio, effect = is_ratio(outcome, found), found.effect
    mean, low, high = (shown(value, ratio) for value in (effect.difference, effect.low, effect.high))
    ends = f"{low:.2f} to {high:.2f}" if ratio else f"{low:+.1f} to {high:+.1f}"
    paper = "" if found.comparison.paper is None else f", in the paper {difference(found.comparison.paper, ratio)}"
    return f"{difference(mean, ratio)} ({ends}){paper}: {found.verdict}"
