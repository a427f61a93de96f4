"""What is usual at an hour of a weekday: the expectation of every series, learned in folds of whole days.

The mean of an hour of the week is drawn towards the mean of that hour on all days, and this towards the mean of the
series, the more the less often the hour was seen (a gamma prior worth so many minutes):

    λ[hour] = (n[hour] + κ · λ) / (minutes[hour] + κ)
    λ[hour of week] = (n[hour of week] + κ' · λ[hour]) / (minutes[hour of week] + κ')

Counts vary more than Poisson's law allows, so their variance is taken as μ + α μ² (negative binomial). α is the mean
of ((n − μ)² − μ) / μ², out of fold, without the few cells that are furthest off, drawn towards `PRIOR_ALPHA`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from oddlog.rates.series import Span, hour_of_week
from oddlog.types import F64, I64

HOURS = 168
MOST_FOLDS = 5
HOURLY_DAYS = 2.0  # days of training from which on an hour has its own expectation …
WEEKLY_DAYS = 13.5  # … and an hour of a weekday (two weeks, of which the ends may be missing)
KAPPA = 60.0  # minutes that the mean of a series counts for in that of an hour …
KAPPA_WEEK = 15.0  # … and that of an hour in that of an hour of the week: two weeks hold it for 120 minutes only
PRIOR_ALPHA, PRIOR_DAYS = 0.05, 2.0  # a day differs from the next by about a fifth; believed as much as two days
LEAST_ALPHA = 0.005
TRIMMED = 0.02  # share of the cells of a series that do not count for α: rather incidents than its nature

Grain = Literal["week", "day", "none"]


@dataclass(frozen=True)
class Season:
    """Expected lines per minute of some series.

    Attributes
    ----------
    grain : "week", "day" or "none"
        What is told apart: the hours of the week, those of the day, or nothing.
    rate : F64 [x, 168]
        By hour of the week.

    """

    grain: Grain
    rate: F64

    def low_high(self, minute: I64) -> tuple[F64, F64]:
        """Return the least and the most that is usual in each of some minutes [x, t].

        An hour's mean either holds for the whole hour, as of jobs, or changes evenly to the next, as of people's
        traffic: what lies between both is usual.
        """
        hour = hour_of_week(minute)
        flat: F64 = np.take(self.rate, hour, axis=1)
        if self.grain == "none":
            return flat, flat
        past = (minute % 60 + 0.5) / 60 - 0.5  # from the middle of the hour
        sloped = np.take(self.rate, (hour + np.where(past < 0, -1, 1)) % HOURS, axis=1)
        sloped -= flat
        sloped *= np.abs(past)
        sloped += flat
        return np.minimum(flat, sloped), np.maximum(flat, sloped)


def grain_of(span: Span) -> Grain:
    """Return how finely a training time of so many days can tell the hours apart."""
    if span.days >= WEEKLY_DAYS:
        return "week"
    return "day" if span.days >= HOURLY_DAYS else "none"


def folds_of(span: Span) -> I64:
    """Return the fold of each minute [t]: every fifth day is of one fold (of fewer days, each is its own)."""
    _, day = np.unique(span.day, return_inverse=True)
    return np.asarray(day % min(MOST_FOLDS, int(day.max(initial=0)) + 1), np.int64)


@dataclass(frozen=True)
class SeasonSums:
    """Lines and minutes by fold and hour of the week: what a season is made of, with and without a fold."""

    grain: Grain
    lines: F64  # [x, folds, 168]
    minutes: F64  # [x, folds, 168]

    @classmethod
    def of(cls, counts: F64, span: Span, minutes: F64 | None = None) -> SeasonSums:
        """Sum up counts [x, t], and minutes (or of how many values the `counts` are the sum) [x, t]."""
        fold = folds_of(span)
        n_folds = int(fold.max(initial=0)) + 1
        cell = (fold * HOURS + span.hour_of_week)[span.observed]

        def summed(rows: F64) -> F64:
            sums = [np.bincount(cell, row[span.observed], minlength=n_folds * HOURS) for row in rows]
            return np.array(sums, np.float64).reshape(len(rows), n_folds, HOURS)

        if minutes is None:
            minutes = np.ones((1, len(span)))
        return cls(grain_of(span), summed(counts), np.broadcast_to(summed(minutes), (len(counts), n_folds, HOURS)))

    @property
    def n_folds(self) -> int:
        """How many folds the days were dealt to."""
        return int(self.lines.shape[1])

    def season(self, without: int | None = None) -> Season:
        """Return the season, learned from all folds or from all but one."""
        kept = np.arange(self.n_folds) != (-1 if without is None else without)
        lines, minutes = self.lines[:, kept].sum(1), self.minutes[:, kept].sum(1)
        mean = lines.sum(1, keepdims=True) / np.maximum(minutes.sum(1, keepdims=True), 1.0)
        rate = np.repeat(mean, HOURS, axis=1)
        if self.grain != "none":
            by_hour, of_hour = (sums.reshape(-1, 7, 24).sum(1) for sums in (lines, minutes))
            rate = np.tile((by_hour + KAPPA * mean) / (of_hour + KAPPA), 7)
        if self.grain == "week":
            rate = (lines + KAPPA_WEEK * rate) / (minutes + KAPPA_WEEK)
        return Season(self.grain, rate)


def out_of_fold(sums: SeasonSums, span: Span) -> tuple[F64, F64]:
    """Return `Season.low_high` of each minute [x, t], learned without the days of its fold."""
    fold = folds_of(span)
    low, high = (np.empty((len(sums.lines), len(span))) for _ in range(2))
    for i in range(sums.n_folds):
        left_out = fold == i
        season = sums.season(without=i if sums.n_folds > 1 else None)
        low[:, left_out], high[:, left_out] = season.low_high(span.minute[left_out])
    return low, high


def dispersion(seen: F64, expected: F64, days: float) -> F64:
    """Return α of each series [x] from counts and expectations [x, t]; see the head of this page. NaN are left out."""
    with np.errstate(invalid="ignore", divide="ignore"):
        excess = (seen - expected) ** 2 - expected
        far = (seen - expected) ** 2 / (expected + PRIOR_ALPHA * expected**2)
    usable = np.isfinite(far) & (expected > 0)
    far = np.where(usable, far, -1.0)
    worst = np.zeros((len(far), 1))
    if far.shape[1]:
        at = int((far.shape[1] - 1) * (1 - TRIMMED))
        worst = np.partition(far, at, axis=1)[:, at : at + 1]
    usable &= far <= worst
    square = np.where(usable, expected, 0.0) ** 2
    alpha = np.where(usable, excess, 0.0).sum(1) / np.maximum(square.sum(1), 1e-12)
    shrunk = (days * np.maximum(alpha, 0.0) + PRIOR_DAYS * PRIOR_ALPHA) / (days + PRIOR_DAYS)
    result: F64 = np.maximum(shrunk, LEAST_ALPHA)
    return result
