"""Ramps: something that climbs, or falls, for six hours beyond its daily rhythm.

A leak, a queue that fills, a disk that slows down: no ten minutes of it are far from the ten before. Looked at are half
hours; what is left of them after the season is fitted by a line over six hours. Its rise is compared with those of the
training time, and the half hours must lie near the line: a jump is no ramp.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import polars as pl

from oddlog.rates.member import LEAST_SCORE, Expected, frame
from oddlog.rates.seasons import HOURLY_DAYS
from oddlog.rates.series import Block, Series, Span
from oddlog.types import F64, I64, Bool, State

STEP = 30  # minutes
STEPS = 12
CLIMBERS = ("lines", "warnings", "errors", "template", "number")
LEAST_VALUES = 3  # of a number in half an hour
LEAST_LINES = 20.0  # in the last hour of a ramp of counts
SOFTEN = 5.0  # lines added to counts before their logarithm is taken: 0 to 3 is no ramp
LEAST_FACTOR = np.log(1.4)
LEAST_CORRELATION = 0.85
MOST_IN_ONE_STEP = 0.5
PRIOR_RISE, PRIOR_DAYS = 0.15, 2.0

_CENTRED = np.arange(STEPS) - (STEPS - 1) / 2
_WEIGHT = _CENTRED / (_CENTRED**2).sum()  # least squares: the slope is the sum of weight × value


class Ramp:
    """Slopes over six hours, of counts and of means."""

    name = "ramp"

    def __init__(self) -> None:
        self._climbs: I64 = np.empty(0, np.int64)
        self._spread = np.empty(0)  # [s] of the rises of the training time

    def prepare(self, series: Series) -> None:
        """Make room."""
        self._climbs = series.of_kind(*CLIMBERS)
        self._spread = np.full(len(series), PRIOR_RISE)

    def learn(self, block: Block, expected: Expected) -> pl.DataFrame:
        """Learn how much some series rise; return where they climbed in training."""
        if block.values is None and block.span.days < HOURLY_DAYS:
            self._climbs = np.setdiff1d(self._climbs, block.series)  # every morning is a ramp to who knows one day
        rise, _ = rises(steps(block, expected))
        self._spread[block.series] = [_typical(one, block.span.days) for one in rise]
        return self.judge(block, expected)

    def judge(self, block: Block, expected: Expected) -> pl.DataFrame:
        """Return where something climbs, or a number falls, for six hours."""
        by_step = steps(block, expected)
        rise, correlation = rises(by_step)
        with np.errstate(invalid="ignore"):
            odd = (np.abs(rise) >= LEAST_FACTOR) & (np.abs(correlation) >= LEAST_CORRELATION)
            odd &= ~_jumps(by_step)
            if block.values is None:
                odd &= rise > 0  # fewer and fewer lines: that is the evening
        x, u = np.nonzero(odd & np.isin(block.series, self._climbs)[:, None])
        level = _hours(block)
        first, last = level[x, u - STEPS + 2], level[x, u]
        columns = {
            "subject": block.series[x],
            "minute": (block.span.first // STEP + u) * STEP + STEP - 1,
            "span": np.full(len(x), STEP * STEPS),
            "score": np.abs(rise[x, u]) / self._spread[block.series[x]],
            "seen": last,
            "usual": first,
        }
        found = frame(columns).filter(pl.col("score") >= LEAST_SCORE)
        return found if block.values is not None else found.filter(pl.col("seen") >= LEAST_LINES)

    def state(self) -> State:
        """Return what `from_state` needs."""
        return State({"climbs": self._climbs, "spread": self._spread})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild."""
        self = cls()
        self._climbs, self._spread = state.arrays["climbs"], state.arrays["spread"]
        return self


def _by_step(matrix: F64, span: Span) -> F64:
    """Return the sums of each half hour of the clock [x, u]."""
    before = span.first % STEP
    n = -(-(before + len(span)) // STEP)
    padded = np.zeros((len(matrix), n * STEP))
    padded[:, before : before + len(span)] = matrix
    result: F64 = padded.reshape(len(matrix), n, STEP).sum(2)
    return result


def steps(block: Block, expected: Expected) -> F64:
    """Return how far each half hour is from what is expected, as the logarithm of a factor [x, u]; NaN: too little."""
    span = block.span
    whole = _by_step(span.observed[None, :].astype(np.float64), span) == STEP
    if block.values is None:
        usual = _by_step(expected.middle * span.observed, span)
        return np.where(whole, np.log((_by_step(block.seen, span) + SOFTEN) / (usual + SOFTEN)), np.nan)
    values = _by_step(block.values, span)
    away = _by_step(block.seen - expected.middle * block.values, span) / np.maximum(values, 1.0)
    return np.where(whole & (values >= LEAST_VALUES), away, np.nan)


def rises(by_step: F64) -> tuple[F64, F64]:
    """Return the rise of the fitted line over the six hours up to each half hour, and its correlation [x, u]."""
    rise, correlation = np.full(by_step.shape, np.nan), np.full(by_step.shape, np.nan)
    if by_step.shape[1] < STEPS:
        return rise, correlation
    windows = np.lib.stride_tricks.sliding_window_view(by_step, STEPS, axis=1)  # [x, u - 11, 12]
    slope = windows @ _WEIGHT
    rise[:, STEPS - 1 :] = slope * (STEPS - 1)
    correlation[:, STEPS - 1 :] = slope * _CENTRED.std() / np.maximum(windows.std(axis=2), 1e-12)
    return rise, correlation


def _jumps(by_step: F64) -> Bool:
    """Return where most of the way of six hours is made in one step [x, u]."""
    result = np.zeros(by_step.shape, np.bool_)
    if by_step.shape[1] >= STEPS:
        windows = np.lib.stride_tricks.sliding_window_view(by_step, STEPS, axis=1)
        way = windows.max(axis=2) - windows.min(axis=2)
        result[:, STEPS - 1 :] = np.abs(np.diff(windows, axis=2)).max(axis=2) > MOST_IN_ONE_STEP * way
    return result


def _hours(block: Block) -> F64:
    """Return the lines, or the mean of a number, of the hour up to each half hour [x, u]."""

    def hour(matrix: F64) -> F64:
        total = _by_step(matrix, block.span)
        both: F64 = total + np.concatenate([np.zeros((len(total), 1)), total[:, :-1]], axis=1)
        return both

    if block.values is None or block.total is None:
        return hour(block.seen)
    return hour(block.total) / np.maximum(hour(block.values), 1.0)


def _typical(rise: F64, days: float) -> float:
    """Return the standard deviation of the rises [u] of the training time, by the median of their sizes."""
    size = np.abs(rise[np.isfinite(rise)])
    own = 1.4826 * float(np.median(size)) if len(size) else PRIOR_RISE
    return float(np.sqrt((days * own**2 + PRIOR_DAYS * PRIOR_RISE**2) / (days + PRIOR_DAYS)))
