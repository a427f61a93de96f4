"""Means of numbers: a latency, a size or a load that is far from usual for ten minutes.

Judged is the mean of asinh(x), which for large x is ln(2x): a single slow request moves it little, and values may be 0
or negative. A difference of it is a factor: .69 is twice as much.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import polars as pl

from oddlog.rates.member import CANDIDATES, LEAST_SCORE, Expected, frame
from oddlog.rates.series import Block, Series, trailing
from oddlog.types import F64, State

SPAN = 10  # minutes
LEAST_VALUES = 10  # in a stretch, before its mean says something
LEAST_FACTOR = np.log(1.5)
TRIMMED = 0.01
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
        away, values = _away(block, block.values, expected)
        self._spread[block.series] = [_spread(*one, block.span.days) for one in zip(away, values, strict=True)]
        return self.judge(block, expected)

    def judge(self, block: Block, expected: Expected) -> pl.DataFrame:
        """Return where means are far from what is expected."""
        if block.values is None or block.total is None:
            return pl.DataFrame(schema=CANDIDATES)
        away, values = _away(block, block.values, expected)
        with np.errstate(invalid="ignore"):
            x, t = np.nonzero(np.abs(away) >= LEAST_FACTOR)
        spread = self._spread[block.series[x]]
        mean = trailing(block.total, SPAN)[x, t] / values[x, t]
        columns = {
            "subject": block.series[x],
            "minute": block.span.first + t,
            "span": np.full(len(x), SPAN),
            "score": np.abs(away[x, t]) / np.sqrt(spread[:, 0] + spread[:, 1] / values[x, t]),
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


def _away(block: Block, values: F64, expected: Expected) -> tuple[F64, F64]:
    """Return how far the means of ten minutes are from what is expected [x, t], NaN of few values; and of how many."""
    of_span = trailing(values, SPAN)
    mean = trailing(block.seen - expected.middle * values, SPAN) / np.maximum(of_span, 1.0)
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
