"""From a member's scores to "as odd as the oddest of so many usual hours".

Hundreds of series and 1,440 minutes a day make a million looks a day: a limit for each look would either alarm for ever
or see nothing. So what is calibrated is the *oddest look of an hour*, over all subjects of a member: how high it comes
in usual hours is counted, and beyond that a tail is fitted. "One false alarm in ten days" then is a p-value of 1 / 240.

Subjects whose usual peaks are higher than a normal deviate's (a nightly job, a chatty client) are held to their own:
their scores are scaled down so that a usual peak of theirs is no higher than those of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
import polars as pl

from oddlog.calibration import Tail
from oddlog.rates.member import LEAST_SCORE
from oddlog.rates.series import MINUTES_PER_DAY, Span
from oddlog.types import F64, I64, State

USUAL_PEAK = 4.0  # highest of about 10,000 normal deviates
LEAST = 5.0  # scores below it are never odd: of a million looks a normal deviate passes it every third time
ENOUGH_HOURS = 24  # of training; with fewer the least score grows, as no peak of another hour is known
ODD_SHARE = 0.05  # of the hours of a training time may hold an incident; how high these come is not learned from
LOWER_SHARE = 0.2
LEAST_SCALE = 0.7  # of the tail beyond: twice that of the highest of thousands of normal deviates
ENOUGH_DAYS = 5  # of which the one with the highest peak of a subject does not count for its usual peaks
HOURS_PER_DAY = 24


@dataclass(frozen=True)
class Limit:
    """How high one member's scores come in usual hours.

    Attributes
    ----------
    tail : Tail
        Of the oddest score of each hour of the training time.
    least : float
        Score below which nothing is odd.
    subject, peak : I64, F64 [x]
        Subjects whose usual peaks are above `USUAL_PEAK`, and these peaks.

    Notes
    -----
    A training time may hold incidents, which must not hide later ones. So the tail starts where 5 % of the hours lie
    higher, and falls as it does between 20 % and 5 %: exponentially, by the two quantiles' distance. What lies above
    has no say in it.

    """

    tail: Tail
    least: float
    subject: I64
    peak: F64

    @classmethod
    def learn(
        cls,
        candidates: pl.DataFrame,
        span: Span,
        *,
        lower_share: float = LOWER_SHARE,
        odd_share: float = ODD_SHARE,
        least_scale: float = LEAST_SCALE,
    ) -> Self:
        """Learn from the candidates of the training time; the tail falls as between these shares of its hours."""
        subject, peak = _peaks(candidates, span)
        highest = _highest(candidates, _scaled(candidates, subject, peak), span)
        short = np.sqrt(max(1.0, ENOUGH_HOURS / max(len(highest), 1)))
        return cls(_tail(highest, lower_share, odd_share, least_scale), LEAST * float(short), subject, peak)

    def odd_hours(self, candidates: pl.DataFrame, span: Span, threshold: float) -> int:
        """Return how many hours hold a candidate as surprising as `threshold`."""
        return int((self.surprise(_highest(candidates, self.scores(candidates), span)) >= threshold).sum())

    def scores(self, candidates: pl.DataFrame) -> F64:
        """Return the scores of candidates, each subject held to its own usual peaks."""
        return _scaled(candidates, self.subject, self.peak)

    def surprise(self, scores: F64) -> F64:
        """Return −log10 of the share of usual hours that hold a score as high; 0 of scores that are never odd."""
        return np.where(scores >= self.least, self.tail.surprise(scores), 0.0)

    def state(self) -> State:
        """Return what `from_state` needs."""
        own = {"subject": self.subject, "peak": self.peak}
        return State(own | self.tail.state(), {"least": self.least})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild."""
        tail = Tail.from_state({name: state.arrays[name] for name in ("knot", "survival", "tail")})
        return cls(tail, state.meta["least"], state.arrays["subject"], state.arrays["peak"])


def _peaks(candidates: pl.DataFrame, span: Span) -> tuple[I64, F64]:
    """Return the subjects with high usual peaks, ascending, and these: the mean over days of a day's highest score.

    Of five days and more the highest is left out; of less than two, it is all there is.
    """
    days = max(round(span.days), 1)
    most = pl.col("score").max().alias("score")
    daily = candidates.group_by("subject", pl.col("minute") // MINUTES_PER_DAY).agg(most)
    highest = pl.col("score").max()
    left_out = int(days >= ENOUGH_DAYS)
    mean = (pl.col("score").sum() - left_out * highest) / (days - left_out)
    of_subject = daily.group_by("subject").agg(peak=highest if days == 1 else mean)
    high = of_subject.filter(pl.col("peak") > USUAL_PEAK).sort("subject")
    return high["subject"].cast(pl.Int64).to_numpy(), high["peak"].to_numpy()


def _highest(candidates: pl.DataFrame, scores: F64, span: Span) -> F64:
    """Return the highest score of each observed hour, 0 where there is no candidate."""
    there = np.unique(span.minute[span.observed] // 60)
    highest = np.zeros(len(there))
    if len(there):
        hour = candidates["minute"].to_numpy() // 60
        np.maximum.at(highest, np.searchsorted(there, hour).clip(max=len(there) - 1), scores)
    return highest


def _tail(highest: F64, lower_share: float, odd_share: float, least_scale: float) -> Tail:
    """Return how often hours come so high; see `Limit`."""
    if not len(highest):
        return Tail.fit(highest)
    low, high = (max(float(np.quantile(highest, 1 - share)), LEAST_SCORE) for share in (lower_share, odd_share))
    above_low, above_high = (float((highest > at).sum() + 0.5) / (len(highest) + 1) for at in (low, high))
    scale = (high - low) / np.log(above_low / above_high) if high > low and above_low > above_high else 0.0
    share = min(above_high, odd_share)
    return Tail(np.array([high]), np.ones(1), share, max(float(scale), least_scale), 0.0)


def _scaled(candidates: pl.DataFrame, subject: I64, peak: F64) -> F64:
    score = candidates["score"].to_numpy()
    if not len(subject):
        return score
    asked = candidates["subject"].to_numpy()
    at = np.searchsorted(subject, asked).clip(max=len(subject) - 1)
    return np.where(subject[at] == asked, score * USUAL_PEAK / peak[at], score)


def rate_of(alarms_a_day: float) -> float:
    """Return the share of usual hours that may hold a false alarm, for so many a day."""
    return min(alarms_a_day / HOURS_PER_DAY, 0.5)
