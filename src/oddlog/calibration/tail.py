"""How often usual scores are as high: counted up to a high quantile, a fitted tail beyond."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from oddlog.types import F64

TAIL_FROM = 0.98
"""Quantile beyond which the fitted tail takes over from counting."""
FINEST = 1e-9
"""Least scale of a tail, relative to the scores: differences below it are rounding, not news."""
MIN_EXCESSES = 10
"""Weight that the tail is fitted to at least: with few windows it starts below `TAIL_FROM`."""
MIN_FOR_SHAPE = 50
"""Weight of excesses below which the tail is taken as exponential: a shape fitted to fewer is mostly noise."""
MAX_SHAPE = 0.5
"""Heaviest tail that is believed (beyond it the variance of the excesses would be infinite)."""
MAX_KNOTS = 2_048
"""Steps of the counted part that are kept."""


@dataclass(frozen=True)
class Tail:
    """How often usual scores are as high as a given one: counted up to a high quantile, fitted beyond.

    Attributes
    ----------
    knot : F64 [x]
        Usual scores, ascending; the last is where the tail starts.
    survival : F64 [x]
        Share of usual scores at or above each knot.
    share : float
        Share of usual scores beyond the last knot.
    scale, shape : float
        Of the generalised Pareto distribution of the excesses; shape 0 is exponential.

    Notes
    -----
    Peaks over a threshold as in Siffer, Fouque, Termier and Largouet, "Anomaly detection in streams with
    extreme value theory", KDD 2017, section 3 (doi 10.1145/3097983.3098144). The parameters are those of
    probability-weighted moments: Hosking and Wallis, "Parameter and quantile estimation for the generalized
    Pareto distribution", Technometrics 29, 1987, section 3.3 (doi 10.2307/1269343), steadier on few excesses
    than the maximum likelihood of Grimshaw, Technometrics 35, 1993 (doi 10.1080/00401706.1993.10485040).
    Departures: a negative shape (a bounded tail) is taken as 0, since a score beyond the bound must still have
    a p-value; shares are (count + 0.5) / (n + 1), so that none is 0.

    """

    knot: F64
    survival: F64
    share: float
    scale: float
    shape: float

    @classmethod
    def fit(cls, scores: F64, weight: F64 | None = None) -> Self:
        """Fit to usual scores [w]; NaN are left out. Without any score, everything has p = 1."""
        weight = np.ones(len(scores)) if weight is None else weight
        kept = ~np.isnan(scores) & (weight > 0)
        value, inverse = np.unique(scores[kept], return_inverse=True)
        if len(value) == 0:
            return cls(np.zeros(1), np.ones(1), 1.0, 1.0, 0.0)
        each: F64 = np.bincount(inverse, weights=weight[kept]).astype(np.float64)
        total = each.sum()
        above = total - np.cumsum(each)  # weight strictly above each value
        room = max(total * (1 - TAIL_FROM), min(MIN_EXCESSES, total / 4))
        start = int(np.flatnonzero(above <= room)[0])
        scale, shape = pareto(value[start + 1 :] - value[start], each[start + 1 :])
        if not scale > 0:
            scale, shape = _fallback_scale(value, each), 0.0
        scale = max(scale, FINEST * max(1.0, abs(float(value[-1]))))
        survival = np.minimum((above + each + 0.5) / (total + 1), 1.0)[: start + 1]
        share = float((above[start] + 0.5) / (total + 1))
        knot, survival = _thinned(value[: start + 1], survival)
        return cls(knot, survival, share, scale, shape)

    def surprise(self, scores: F64) -> F64:
        """Return -log10 of the p-value of each score; NaN stays NaN. Ascending in the score."""
        at = np.searchsorted(self.knot, scores, side="left")
        counted = -np.log10(self.survival[np.minimum(at, len(self.knot) - 1)])
        # an infinite score (a member's overflow) is as surprising as the largest finite one
        excess = np.clip(np.nan_to_num(scores - self.knot[-1]), 0.0, None) / self.scale
        fitted = np.log1p(self.shape * excess) / self.shape if self.shape > 0 else excess
        surprise = np.where(scores > self.knot[-1], fitted / np.log(10) - np.log10(self.share), counted)
        return np.where(np.isnan(scores), np.nan, surprise)

    def p_value(self, scores: F64) -> F64:
        """Return how often a usual score is as high; never 0, NaN stays NaN."""
        return np.maximum(10.0 ** -self.surprise(scores), np.finfo(np.float64).tiny)

    def quantile(self, rate: float) -> float:
        """Return the score that usual ones exceed at `rate`."""
        return float(self.quantiles(np.array([rate]))[0])

    def quantiles(self, rate: F64) -> F64:
        """Return the score that usual ones exceed at each rate [x]; NaN stays NaN."""
        at = np.searchsorted(-self.survival, -rate, side="right") - 1
        counted = self.knot[np.clip(at, 0, len(self.knot) - 1)]
        odds = np.log(self.share / np.minimum(rate, self.share))
        excess = np.expm1(self.shape * odds) / self.shape if self.shape > 0 else odds
        found = np.where(rate < self.share, self.knot[-1] + self.scale * excess, counted)
        return np.where(np.isnan(rate), np.nan, found)

    def of_surprise(self) -> Self:
        """Return the tail of this one's own -log10 p: a score's p-value there is the one it has here.

        A tail *fitted* to them is another: windows of the same score as the knot stand before the tail, so that the
        -log10 p of whatever lies beyond it is higher by a jump, which a fit takes for spread. On HDFS (one member, 838
        usual sessions) that put the threshold of 1 in 1,000 at a p-value of 1 in 5,000 to 100,000.
        """
        knot = np.append(-np.log10(self.survival), -np.log10(self.share))
        return type(self)(knot, np.append(self.survival, self.share), self.share, 1 / np.log(10), 0.0)

    def state(self) -> dict[str, F64]:
        """Return the tail as arrays."""
        tail = np.array([self.share, self.scale, self.shape])
        return {"knot": self.knot, "survival": self.survival, "tail": tail}

    @classmethod
    def from_state(cls, arrays: dict[str, F64]) -> Self:
        """Rebuild from `state`."""
        share, scale, shape = (float(x) for x in arrays["tail"])
        return cls(arrays["knot"], arrays["survival"], share, scale, shape)


def pareto(excess: F64, weight: F64) -> tuple[float, float]:
    """Return scale and shape of the generalised Pareto distribution of excesses [x], ascending; (0, 0) of none.

    Hosking and Wallis 1987, section 3.3, with their k = -shape: from a0 = mean and a1 = E[x (1 - F(x))],
    ``shape = 2 - a0 / (a0 - 2 a1)`` and ``scale = 2 a0 a1 / (a0 - 2 a1)``.
    """
    total = float(weight.sum())
    if total <= 0:
        return 0.0, 0.0
    mean = float(weight @ excess / total)
    above = 1 - (np.cumsum(weight) - weight / 2) / total
    weighted = float((weight * above) @ excess / total)
    room = mean - 2 * weighted
    if total < MIN_FOR_SHAPE or room <= 0:
        return mean, 0.0
    shape = 2 - mean / room
    if shape <= 0:
        return mean, 0.0
    if shape > MAX_SHAPE:
        return mean * (1 - MAX_SHAPE), MAX_SHAPE
    return 2 * mean * weighted / room, shape


def _thinned(knot: F64, survival: F64) -> tuple[F64, F64]:
    """Keep at most `MAX_KNOTS` steps, evenly by rank, the last always; p-values only grow by it."""
    if len(knot) <= MAX_KNOTS:
        return knot, survival
    keep = np.unique(np.linspace(0, len(knot) - 1, MAX_KNOTS).astype(np.int64))
    # a dropped score is answered by the next kept knot above it: shift survivals so that p is never too small
    previous = np.concatenate([[-1], keep[:-1]])
    return knot[keep], survival[previous + 1]


def _fallback_scale(value: F64, weight: F64) -> float:
    """Return a scale where no score exceeds the tail's start: the scores' own spread, 1 if they are all equal."""
    mean = np.average(value, weights=weight)
    spread = float(np.sqrt(np.average((value - mean) ** 2, weights=weight)))
    return spread if spread > 0 else 1.0
