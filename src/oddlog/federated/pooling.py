"""What usual scores look like at all sites together, and whose tail a site's threshold comes from.

A site with few usual windows cannot know which score one in a thousand of them reaches; all sites together can. So
each counts its scores of usual windows *that nobody has learned from*, by the common network, into a grid that is the
same everywhere and tells nothing of the data; the counts are summed (by secure sums in mode ``secagg``), and the tail
is fitted to the sum::

    site 1   ▁▂▇▃▁  ┐
    site 2   ▁▇▂▁▁  ├─ Σ ─►  ▂▇▇▄▁▁▁  ─► Tail ─► the score that 1 in 1,000 usual windows exceed
    site 3   ▁▁▇▅▂  ┘

Which tail a site goes by is decided by rule 2
(docs/decisions/pooled-thresholds.md): its own where its own windows hold the rate, else the pooled one where its
message types are those of the others, else its own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from oddlog.calibration import Tail, lowest_rate
from oddlog.federated.quality import jensen_shannon
from oddlog.types import F64

RULE = 2
HALF = 2_048
"""Steps of the grid on each side of 0. Scores of federable networks are not negative, but need not be."""
GRID = 2 * HALF
FINEST, HIGHEST = 1e-3, 1e5
"""Scores below the first are told apart evenly, above in steps of .93 %; what is beyond the second counts as it."""
ALIKE = 0.65
"""Least 1 - JS (bits) of a site's message types from those of the others, from which on they are of one system. Sites
that HDFS was dealt to have .89 to .99, stretches of OpenStack .998; stretches of BGL .49 to .72, services of
OpenStack .19 to .63; HDFS, OpenStack and BGL .16 to .25. Rule 1 drew the line at .35: services lost three quarters of
their F1."""
MOST_COUNTED = 1e9
"""Largest count that a secure sum of scores holds."""
COARSE = 32
"""Steps of the grid that are counted as one where counts have noise."""
NOISES = 2.0
"""Counts are believed from so many standard deviations of the noise on."""
RATE = 0.001
"""False alarms that thresholds are meant for: the highest rate that `oddlog fit` sets by itself."""

_EDGE = np.arcsinh(HIGHEST / FINEST)


@dataclass(frozen=True)
class Pool:
    """Usual scores of all sites.

    Attributes
    ----------
    count : F64 [4096]
        How many usual windows scored in each step of the grid.
    closeness : float
        1 - Jensen-Shannon divergence of the site's message types from those of all others; 0 to 1.
    own : float
        How many of the windows are the site's.

    """

    count: F64
    closeness: float
    own: float

    @property
    def n_usual(self) -> float:
        """How many usual windows all sites have counted."""
        return float(self.count.sum())

    @property
    def tail(self) -> Tail:
        """Their tail."""
        return tail_of(self.count)

    def decides(self, rate: float = RATE) -> bool:
        """Return whether the site goes by the pooled tail: rule 2."""
        return lowest_rate(self.own) > rate and self.n_usual > self.own and self.closeness >= ALIKE

    def says(self, rate: float = RATE) -> str:
        """Return the decision for a person.

        >>> Pool(np.full(4_096, 1.0), 0.9, 60.0).says()
        'thresholds of all sites: 60 own usual windows cannot hold 1 in 1,000'
        >>> Pool(np.full(4_096, 1.0), 0.1, 60.0).says()
        'own thresholds: its messages are unlike those of the others'
        """
        if self.decides(rate):
            return f"thresholds of all sites: {self.own:,.0f} own usual windows cannot hold 1 in {1 / rate:,.0f}"
        if lowest_rate(self.own) <= rate:
            return f"own thresholds: {self.own:,.0f} usual windows hold 1 in {1 / rate:,.0f}"
        return "own thresholds: " + (
            "its messages are unlike those of the others" if self.closeness < ALIKE else "nobody else counted any"
        )


def counted(scores: F64, weight: F64) -> F64:
    """Return how much weight [w] of the scores [w] falls into each step of the grid [4096]; NaN into none.

    >>> counted(np.array([0.0, 2.0, 2.001, np.nan]), np.ones(4)).max()
    2.0
    """
    kept = ~np.isnan(scores)
    step = np.floor(np.arcsinh(scores[kept] / FINEST) / _EDGE * HALF) + HALF
    at = np.clip(step, 0, GRID - 1).astype(np.int64)
    return np.bincount(at, weight[kept], minlength=GRID).astype(np.float64)


def blurred(count: F64) -> F64:
    """Return counts [4096] with `COARSE` steps of the grid in the middle one of them: noise adds up over fewer."""
    found = np.zeros_like(count)
    found[COARSE // 2 :: COARSE] = count.reshape(-1, COARSE).sum(1)
    return found


def without_noise(count: F64, noise: float) -> F64:
    """Return counts [4096] less those that noise of this standard deviation makes by itself."""
    return np.where(count > NOISES * noise, count, 0.0)


def tail_of(count: F64) -> Tail:
    """Return the tail of scores counted into the grid [4096], each taken for the middle of its step.

    Counts may have noise: what is not positive counts as nothing.
    """
    middle = np.sinh((np.arange(GRID) + 0.5 - HALF) / HALF * _EDGE) * FINEST
    return Tail.fit(middle, np.maximum(count, 0.0))


def closeness(own: F64, everyone: F64) -> float:
    """Return how much a site's histogram [x] of message types is like that of all others; 0 to 1.

    >>> closeness(np.array([4.0, 0.0]), np.array([10.0, 0.0])), closeness(np.array([4.0, 0.0]), np.array([4.0, 9.0]))
    (1.0, 0.0)
    """
    return 1.0 - jensen_shannon(own, np.maximum(everyone - own, 0.0))
