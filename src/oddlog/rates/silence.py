"""Silence of a source that usually talks: a service or a host without one line.

The probability that a stretch with μ expected lines holds none, under the negative binomial distribution with
variance μ + α μ², is ``(1 + α μ) ** (-1 / α)``; α is that of ten minutes, so a longer stretch is taken as several of
them, one after the other. The score is the deviate of `count_deviate`, which for no line at all
is the root of minus twice the logarithm of that probability, so that it compares with those of the other members.
"""

from __future__ import annotations

from typing import Self

import numpy as np
import polars as pl

from oddlog.rates.member import CANDIDATES, LEAST_SCORE, Expected, count_deviate, frame, runs
from oddlog.rates.seasons import HOURLY_DAYS, dispersion
from oddlog.rates.series import Block, Series, Span, trailing
from oddlog.types import F64, I64, State

TALKERS = ("lines", "host")
SPAN = 10  # minutes for which the dispersion is taken
LEAST_SILENCE = 3  # minutes: the first and the last one of a pause are not whole
ENOUGH_DAYS = 5
HOUR = 60
QUIET = 0.05  # quantile of the hours


class Silence:
    """Stretches without a line of a source, by how unlikely they are at that hour."""

    name = "silence"

    def __init__(self) -> None:
        self._talks: I64 = np.empty(0, np.int64)
        self._alpha = np.empty(0)  # [s]
        self._quiet = np.empty(0)  # [s] lines a minute in the quietest hours: all that is expected without a season
        self.longest = np.empty(0)  # [s] minutes, of the pauses in training; see `_longest`

    def prepare(self, series: Series) -> None:
        """Make room."""
        n = len(series)
        self._talks = series.of_kind(*TALKERS)
        self._alpha, self._quiet, self.longest = np.ones(n), np.full(n, np.inf), np.zeros(n)

    def learn(self, block: Block, expected: Expected) -> pl.DataFrame:
        """Learn how some series pause; return the pauses of the training time."""
        expected_lines = trailing(expected.middle * block.span.observed, SPAN)
        self._alpha[block.series] = dispersion(trailing(block.seen, SPAN), expected_lines, block.span.days)
        if block.span.days < HOURLY_DAYS:
            hours = trailing(block.seen, HOUR)[:, HOUR - 1 :: HOUR // 4]
            quiet = np.quantile(hours, QUIET, axis=1) if hours.shape[1] else np.zeros(len(block.series))
            self._quiet[block.series] = quiet / HOUR
        for row, series in enumerate(block.series.tolist()):
            self.longest[series] = _longest(block.seen[row], block.span)
        return self._pauses(block, expected)

    def judge(self, block: Block, expected: Expected) -> pl.DataFrame:
        """Return the pauses that are unlikely, of sources that say something in this input at all."""
        found = self._pauses(block, expected)
        longest = self.longest[found["subject"].to_numpy()]
        return found.filter(pl.Series(found["seen"].to_numpy() > longest, dtype=pl.Boolean))

    def _pauses(self, block: Block, expected: Expected) -> pl.DataFrame:
        found = [pl.DataFrame(schema=CANDIDATES)]
        for row in np.flatnonzero(np.isin(block.series, self._talks) & block.seen.any(1)).tolist():
            series = int(block.series[row])
            low = np.minimum(expected.low[row], self._quiet[series])
            found.append(self._of_series(block.seen[row], low, series, block.span))
        return pl.concat(found)

    def _of_series(self, seen: F64, low: F64, series: int, span: Span) -> pl.DataFrame:
        """Return the pauses of one series [t]: `seen` minutes long, with `usual` lines expected in them."""
        start, end = runs((seen == 0) & span.observed)
        kept = end - start >= LEAST_SILENCE
        start, end = start[kept], end[kept]
        total = np.concatenate([[0.0], np.cumsum(low)])
        lines, alpha = total[end] - total[start], float(self._alpha[series])
        stretches = np.maximum((end - start) / SPAN, 1.0)
        columns = {
            "subject": np.full(len(start), series),
            "minute": span.first + end - 1,
            "span": end - start,
            "score": -np.sqrt(stretches) * count_deviate(np.zeros(len(start)), lines / stretches, alpha),
            "seen": end - start,
            "usual": lines,
        }
        return frame(columns).filter(pl.col("score") >= LEAST_SCORE)

    def state(self) -> State:
        """Return what `from_state` needs."""
        names = ("talks", "alpha", "quiet")
        return State({name: getattr(self, f"_{name}") for name in names} | {"longest": self.longest})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild."""
        self = cls()
        self._talks, self._alpha, self._quiet = (state.arrays[name] for name in ("talks", "alpha", "quiet"))
        self.longest = state.arrays["longest"]
        return self


def _longest(seen: F64, span: Span) -> int:
    """Return the longest usual pause of a source [t], in minutes.

    Of five days and more, that of the day with the longest one is left out: it may have been silent for a reason.
    """
    start, end = runs((seen == 0) & span.observed)
    if not len(start):
        return 0
    _, day = np.unique(span.day[start], return_inverse=True)
    daily = np.zeros(int(day.max()) + 1, np.int64)
    np.maximum.at(daily, day, end - start)
    left_out = int(span.days >= ENOUGH_DAYS)
    return int(np.sort(daily)[: len(daily) - left_out].max(initial=0))
