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
from oddlog.rates.series import MINUTES_PER_DAY, Span
from oddlog.types import F64, I64, State

USUAL_PEAK = 4.0  # highest of about 10,000 normal deviates
LEAST = 5.0  # scores below it are never odd: of a million looks a normal deviate passes it every third time
ENOUGH_HOURS = 24  # of training; with fewer the least score grows, as no peak of another hour is known
MOST_TRIMMED = 0.02  # share of the training hours that may be left out as odd …
FAR = 1.5  # … if so many times higher than all that stay
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
    trimmed : int
        Training hours that were left out as odd.

    """

    tail: Tail
    least: float
    subject: I64
    peak: F64
    trimmed: int

    @classmethod
    def learn(cls, candidates: pl.DataFrame, span: Span) -> Self:
        """Learn from the candidates of the training time."""
        subject, peak = _peaks(candidates, span)
        scores = _scaled(candidates, subject, peak)
        hour = candidates["minute"].to_numpy() // 60
        there = np.unique(span.minute[span.observed] // 60)
        highest = np.zeros(len(there))
        at = np.searchsorted(there, hour).clip(max=max(len(there) - 1, 0))
        np.maximum.at(highest, at, scores)
        kept, trimmed = _trimmed(np.sort(highest))
        short = np.sqrt(max(1.0, ENOUGH_HOURS / max(len(there), 1)))
        return cls(Tail.fit(kept), LEAST * float(short), subject, peak, trimmed)

    def scores(self, candidates: pl.DataFrame) -> F64:
        """Return the scores of candidates, each subject held to its own usual peaks."""
        return _scaled(candidates, self.subject, self.peak)

    def surprise(self, scores: F64) -> F64:
        """Return −log10 of the share of usual hours that hold a score as high; 0 of scores that are never odd."""
        return np.where(scores >= self.least, self.tail.surprise(scores), 0.0)

    def state(self) -> State:
        """Return what `from_state` needs."""
        own = {"subject": self.subject, "peak": self.peak}
        return State(own | self.tail.state(), {"least": self.least, "trimmed": self.trimmed})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild."""
        tail = Tail.from_state({name: state.arrays[name] for name in ("knot", "survival", "tail")})
        return cls(tail, state.meta["least"], state.arrays["subject"], state.arrays["peak"], state.meta["trimmed"])


def _peaks(candidates: pl.DataFrame, span: Span) -> tuple[I64, F64]:
    """Return the subjects with high usual peaks, ascending, and these: the mean over days of a day's highest score.

    Of less than two days, it is the highest.
    """
    days = max(round(span.days), 1)
    daily = candidates.group_by("subject", pl.col("minute") // MINUTES_PER_DAY).agg(pl.col("score").max())
    of_subject = daily.group_by("subject").agg(
        peak=pl.col("score").max() if days == 1 else pl.col("score").sum() / days
    )
    high = of_subject.filter(pl.col("peak") > USUAL_PEAK).sort("subject")
    return high["subject"].cast(pl.Int64).to_numpy(), high["peak"].to_numpy()


def _scaled(candidates: pl.DataFrame, subject: I64, peak: F64) -> F64:
    score = candidates["score"].to_numpy()
    if not len(subject):
        return score
    asked = candidates["subject"].to_numpy()
    at = np.searchsorted(subject, asked).clip(max=len(subject) - 1)
    return np.where(subject[at] == asked, score * USUAL_PEAK / peak[at], score)


def _trimmed(highest: F64) -> tuple[F64, int]:
    """Return the hours' highest scores, ascending, without those that are rather incidents of the training time."""
    most = int(len(highest) * MOST_TRIMMED)
    for n in range(most, 0, -1):
        below, above = highest[len(highest) - n - 1], highest[len(highest) - n]
        if above >= LEAST and above >= FAR * below:
            return highest[: len(highest) - n], n
    return highest, 0


def rate_of(alarms_a_day: float) -> float:
    """Return the share of usual hours that may hold a false alarm, for so many a day."""
    return min(alarms_a_day / HOURS_PER_DAY, 0.5)
