"""Whether two arms differ: the difference paired by seed and image, a bootstrap interval, and a verdict.

Axes: S seeds, N images.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

FEWEST = {"seeds and images": 3, "seeds": 5}  # seeds that must agree; three agree by chance once in four times
SAMPLES = 4000  # of the bootstrap
COVERED = 95  # percent of the samples that lie in the interval
Over = Literal["seeds and images", "seeds"]
Verdict = Literal["same sign", "other sign", "lower", "higher", "not told apart"]


@dataclass(frozen=True)
class Effect:
    """The difference of two arms, the first minus the second; where ratios are compared, the logarithm of the ratio.

    difference: the mean over seeds and images.   by_seed: the mean of each seed.
    low, high: the ends of the bootstrap interval.
    over: what was drawn again and again for it.
    """

    difference: float
    low: float
    high: float
    by_seed: tuple[float, ...]
    over: Over

    @property
    def told_apart(self) -> bool:
        """Whether the interval leaves out 0, and all seeds, FEWEST at least, agree on the sign.

        With so few seeds the interval is a little too short; that all agree makes up for it.
        """
        agreed = len({np.sign(one) for one in self.by_seed}) == 1
        return agreed and len(self.by_seed) >= FEWEST[self.over] and not self.low <= 0 <= self.high

    def verdict(self, sign: int | None) -> Verdict:
        """What the effect says of a claim that the difference has this sign; None: of no claim."""
        if not self.told_apart:
            return "not told apart"
        if sign is None:
            return "lower" if self.difference < 0 else "higher"
        return "same sign" if self.difference * sign > 0 else "other sign"


def effect(of: NDArray[np.float64], against: NDArray[np.float64], *, ratio: bool = False, seed: int = 0) -> Effect:
    """The effect of two arms, by values (S, N) of the same seeds and images; S may be 1 in one of them.

    The interval: S of the seeds and N of the images are drawn with replacement, the same ones for both arms, SAMPLES
    times; each time the mean difference is computed; the interval holds the middle COVERED percent of these means. So
    it allows for other images and for other runs. Where N is 1, seeds alone are drawn.
    seed: of the draws.
    """
    differences = np.log(of) - np.log(against) if ratio else of - against
    over: Over = "seeds and images" if differences.shape[1] > 1 else "seeds"
    low, high = interval(differences, np.random.default_rng(seed))
    by_seed = tuple(float(one) for one in differences.mean(axis=1))
    return Effect(float(differences.mean()), low, high, by_seed, over)


def interval(values: NDArray[np.float64], rng: np.random.Generator) -> tuple[float, float]:
    """The bootstrap interval of the mean of values (S, N), whose rows and columns are both drawn with replacement."""
    rows, columns = values.shape
    means = []
    for _ in range(SAMPLES):
        drawn = np.bincount(rng.integers(0, rows, rows), minlength=rows) / rows  # the share of each row
        means.append((drawn @ values)[rng.integers(0, columns, columns)].mean())
    edge = (100 - COVERED) / 2
    ends: NDArray[Any] = np.percentile(means, [edge, 100 - edge])
    return float(ends[0]), float(ends[1])
