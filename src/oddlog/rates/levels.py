"""Too many lines, or too few: the z-score against the season, and against a moving average.

Both look at single minutes and at ten of them together: a spike shows in one minute, a storm of a few lines a minute
only in several.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Self

import numpy as np
import polars as pl

from oddlog.rates.member import CANDIDATES, LEAST_SCORE, Expected, count_deviate, frame, joined
from oddlog.rates.seasons import PRIOR_ALPHA, dispersion
from oddlog.rates.series import Block, Series, trailing
from oddlog.types import F64, State

SPANS = (1, 10)  # minutes
LEAST_LINES = 10  # of an excess; three lines of a type that comes once a day are rare, but no storm
LEAST_TIMES = {1: 3.0, 10: 2.0}  # an excess below this is not worth a look, however sure
MOST_SHARE = 0.4  # … nor a lack above this share of what is expected
ENOUGH_EXPECTED = 30.0  # lines in ten minutes, before their lack says something
HISTORY = 120  # minutes of a moving average
LEAST_HISTORY = 60
KAPPA = 30.0  # minutes that the mean of training counts for in a moving average


class Levels(ABC):
    """Counts far above or below what is expected; `_usual` is what the two members differ in."""

    name: str

    def __init__(self) -> None:
        self._mean = np.empty(0)  # [s] lines a minute in training
        self._alpha = np.empty((len(SPANS), 0))  # [spans, s]
        self.most = np.empty((len(SPANS), 0))  # [spans, s] lines in the busiest such stretch of training

    @abstractmethod
    def _usual(self, block: Block, expected: Expected, minutes: int) -> Expected:
        """Return what is usual in so many minutes up to each; NaN: no opinion."""

    def prepare(self, series: Series) -> None:
        """Make room."""
        self._mean, self._alpha = np.zeros(len(series)), np.full((len(SPANS), len(series)), PRIOR_ALPHA)
        self.most = np.zeros((len(SPANS), len(series)))

    def learn(self, block: Block, expected: Expected) -> pl.DataFrame:
        """Learn how much some series vary; return where they were odd in training."""
        if block.values is not None:
            return pl.DataFrame(schema=CANDIDATES)
        self._mean[block.series] = block.seen.sum(1) / max(int(block.span.observed.sum()), 1)
        for i, minutes in enumerate(SPANS):
            usual, total = self._usual(block, expected, minutes).middle, trailing(block.seen, minutes)
            self._alpha[i, block.series] = dispersion(total, usual, block.span.days)
            self.most[i, block.series] = total.max(axis=1, initial=0.0)
        return self.judge(block, expected)

    def judge(self, block: Block, expected: Expected) -> pl.DataFrame:
        """Return where counts are far from usual."""
        if block.values is not None:
            return pl.DataFrame(schema=CANDIDATES)
        return joined([self._far(block, expected, i, minutes) for i, minutes in enumerate(SPANS)])

    def _far(self, block: Block, expected: Expected, i: int, minutes: int) -> pl.DataFrame:
        total = trailing(block.seen, minutes)
        usual = self._usual(block, expected, minutes)
        with np.errstate(invalid="ignore"):
            odd = (total >= LEAST_TIMES[minutes] * usual.high) & (total - usual.high >= LEAST_LINES)
            if minutes == max(SPANS):
                odd |= (total <= MOST_SHARE * usual.low) & (usual.low >= ENOUGH_EXPECTED)
        x, t = np.nonzero(odd & block.span.observed)
        near = np.where(total[x, t] > usual.high[x, t], usual.high[x, t], usual.low[x, t])
        columns = {
            "subject": block.series[x],
            "minute": block.span.first + t,
            "span": np.full(len(x), minutes),
            "score": np.abs(count_deviate(total[x, t], near, self._alpha[i, block.series[x]])),
            "seen": total[x, t],
            "usual": near,
        }
        return frame(columns).filter(pl.col("score") >= LEAST_SCORE)

    def state(self) -> State:
        """Return what `from_state` needs."""
        return State({"mean": self._mean, "alpha": self._alpha, "most": self.most})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild."""
        self = cls()
        self._mean, self._alpha, self.most = (state.arrays[name] for name in ("mean", "alpha", "most"))
        return self


class ZScore(Levels):
    """How far counts are from what is usual at that hour of that weekday."""

    name = "z-score"

    def _usual(self, block: Block, expected: Expected, minutes: int) -> Expected:
        observed = block.span.observed
        return Expected(trailing(expected.low * observed, minutes), trailing(expected.high * observed, minutes))


class MovingAverage(Levels):
    """How far counts are from the mean of the two hours before; knows no hours, so it needs no days of training."""

    name = "moving-average"

    def _usual(self, block: Block, expected: Expected, minutes: int) -> Expected:
        del expected  # the season is what this member does without
        observed: F64 = block.span.observed[None, :].astype(np.float64)
        before, of_minutes = trailing(block.seen, HISTORY, minutes), trailing(observed, HISTORY, minutes)
        rate = (before + KAPPA * self._mean[block.series][:, None]) / (of_minutes + KAPPA)
        usual = np.where(of_minutes >= LEAST_HISTORY, rate, np.nan) * trailing(observed, minutes)
        return Expected(usual, usual)
