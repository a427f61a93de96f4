"""Means of numbers: a latency, a size or a load that is far from usual for ten minutes, or for half an hour.

Judged is the mean of asinh(x), which for large x is ln(2x): a single slow request moves it little, and values may be 0
or negative. A difference of it is a factor: .69 is twice as much.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import polars as pl

from oddlog.rates.member import CANDIDATES, LEAST_SCORE, Expected, frame, joined
from oddlog.rates.series import Block, Series, trailing
from oddlog.types import F64, State

SPANS = (10, 30)  # minutes
LEAST_VALUES = 4  # in a stretch, before its mean says something
LEAST_FACTOR = np.log(1.5)
FEW_VALUES = 4.0  # of as many values a mean is trusted half as much: a single one of them can make it
TRIMMED = 0.02
PRIOR_SPREAD, PRIOR_DAYS = 0.15, 2.0
LEAST_SPREAD = 0.02


class Means:
    """Means of numbers over ten minutes, against those usual at that hour."""

    name = "mean"

    def __init__(self) -> None:
        self._spread = np.empty((0, 2))  # [s, 2] variance of a mean of n values: first + second / n

    def prepare(self, series: Series) -> None:
        """Make room."""
        self._spread = np.tile([PRIOR_SPREAD**2, 0.0], (len(series), 1))

    def learn(self, block: Block, expected: Expected) -> pl.DataFrame:
        """Learn how much some numbers vary; return where they were odd in training."""
        if block.values is None:
            return pl.DataFrame(schema=CANDIDATES)
        away, values = _away(block, block.values, expected, SPANS[-1])
        self._spread[block.series] = [_spread(*one, block.span.days) for one in zip(away, values, strict=True)]
        return self.judge(block, expected)

    def judge(self, block: Block, expected: Expected) -> pl.DataFrame:
        """Return where means are far from what is expected."""
        if block.values is None or block.total is None:
            return pl.DataFrame(schema=CANDIDATES)
        return joined([self._far(block, block.values, block.total, expected, minutes) for minutes in SPANS])

    def _far(self, block: Block, n: F64, total: F64, expected: Expected, minutes: int) -> pl.DataFrame:
        away, values = _away(block, n, expected, minutes)
        with np.errstate(invalid="ignore"):
            x, t = np.nonzero(np.abs(away) >= LEAST_FACTOR)
        spread = self._spread[block.series[x]]
        n_values = values[x, t]
        trust = np.sqrt(n_values / (n_values + FEW_VALUES))
        mean = trailing(total, minutes)[x, t] / n_values
        columns = {
            "subject": block.series[x],
            "minute": block.span.first + t,
            "span": np.full(len(x), minutes),
            "score": np.abs(away[x, t]) / np.sqrt(spread[:, 0] + spread[:, 1] / n_values) * trust,
            "seen": mean,
            "usual": np.exp(-away[x, t]) * mean,
        }
        return frame(columns).filter(pl.col("score") >= LEAST_SCORE)

    def state(self) -> State:
        """Return what `from_state` needs."""
        return State({"spread": self._spread})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild."""
        self = cls()
        self._spread = state.arrays["spread"]
        return self


def _away(block: Block, values: F64, expected: Expected, minutes: int) -> tuple[F64, F64]:
    """Return how far the means of so many minutes are from what is expected [x, t], and of how many values they are.

    NaN where there are too few values.
    """
    of_span = trailing(values, minutes)
    mean = trailing(block.seen - expected.middle * values, minutes) / np.maximum(of_span, 1.0)
    return np.where(of_span >= LEAST_VALUES, mean, np.nan), of_span


def _spread(away: F64, values: F64, days: float) -> tuple[float, float]:
    """Return the two parts of the variance of a mean, a + b / n, from its distances [t] and numbers of values."""
    kept = np.isfinite(away)
    square, share = away[kept] ** 2, 1 / values[kept]
    if len(square) > 1:
        near = square <= np.quantile(square, 1 - TRIMMED)
        square, share = square[near], share[near]
    if not len(square):
        return PRIOR_SPREAD**2, 0.0
    width = float(((share - share.mean()) ** 2).sum())
    slope = float(((share - share.mean()) * square).sum()) / width if width > 0 else 0.0
    slope = min(max(slope, 0.0), float(square.mean() / share.mean()))
    base = max(float(square.mean() - slope * share.mean()), LEAST_SPREAD**2)
    return (days * base + PRIOR_DAYS * PRIOR_SPREAD**2) / (days + PRIOR_DAYS), slope
