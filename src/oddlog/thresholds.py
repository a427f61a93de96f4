"""Where usual ends: a threshold on any score. What is *above* it is an anomaly.

Quantiles count, `pot` fits a tail and so reaches beyond what was counted, `sigma` is the first paper's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from oddlog.calibration import Calibrator, Tail
from oddlog.errors import ConfigError, LabelError, TooLittleDataError, did_you_mean
from oddlog.types import F64, I8, Bool, State

MOST_DEVIATIONS = 100.0  # more is a slip
BODY = 1.0  # -log10 p above which scores are followed: a tenth of the usual ones, many enough, and below the threshold
RANGE = 1.0  # -log10 p that a rolling threshold may go up or down: ten times as many usual windows, or a tenth
CALM = 0.1  # a block with more than this share of its windows beyond the learned threshold is an incident's
FOLLOWED = 0.01  # share of windows between the body and the threshold that can be followed
FINE = 1 << 20  # to so much of one are excesses counted


@dataclass(frozen=True)
class Threshold:
    """A score above `value` is an anomaly; `kind` and `params` say how it was found."""

    kind: str
    value: float
    params: Mapping[str, float] = field(default_factory=dict)


def sigma(scores: F64, k: float = 3.0, weight: F64 | None = None) -> Threshold:
    """Return mean + k standard deviations. Bad for most score shapes (skewed, with ties): kept to compare.

    >>> sigma(np.array([1.0, 1.0, 3.0, 3.0]), k=2).value
    4.0
    """
    scores, weight = _usual(scores, weight)
    mean = np.average(scores, weights=weight)
    spread = np.sqrt(np.average((scores - mean) ** 2, weights=weight))
    return Threshold("sigma", float(mean + k * spread), {"k": k})


def quantile(scores: F64, q: float, weight: F64 | None = None) -> Threshold:
    """Return the smallest score that at most 1 - q of the usual weight exceeds.

    >>> quantile(np.array([1.0, 2.0, 3.0, 4.0]), 0.5).value
    2.0
    """
    if not 0 <= q <= 1:
        raise ConfigError(f"A quantile lies between 0 and 1, not at {q}.", "Try 0.999.")
    scores, weight = _usual(scores, weight)
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weight[order])
    # the room for rounding: 0.999 * 1000 must not ask for one more than 999
    at = int(np.searchsorted(reached, q * reached[-1] * (1 - 1e-12)))
    return Threshold("quantile", float(scores[order[min(at, len(order) - 1)]]), {"q": q})


def pot(scores: F64, rate: float, weight: F64 | None = None) -> Threshold:
    """Return the score that usual ones exceed at `rate`, by the fitted tail (see `calibration.Tail`).

    Siffer, Fouque, Termier and Largouet, KDD 2017, equation 1 (doi 10.1145/3097983.3098144).
    """
    _check_rate(rate)
    scores, weight = _usual(scores, weight)
    return Threshold("pot", Tail.fit(scores, weight).quantile(rate), {"rate": rate})


def budget(scores: F64, windows_per_day: float, alarms_per_day: float, weight: F64 | None = None) -> Threshold:
    """Return the threshold that usual traffic exceeds `alarms_per_day` times a day.

    Parameters
    ----------
    scores : F64 [w]
        Of usual windows, out of fold.
    windows_per_day : float
        How many windows a day brings.
    alarms_per_day : float
        How many of them may be false alarms.
    weight : F64 [w], optional
        How many windows each score stands for.

    """
    if windows_per_day <= 0 or alarms_per_day <= 0:
        raise ConfigError(
            f"A budget needs more than 0 windows and alarms a day, not {windows_per_day:g} and {alarms_per_day:g}.",
            "Try 1/day.",
        )
    rate = min(1.0, alarms_per_day / windows_per_day)
    params = {"windows_per_day": windows_per_day, "alarms_per_day": alarms_per_day, "rate": rate}
    return Threshold("budget", pot(scores, rate, weight).value, params)


KINDS = ("pot", "budget", "quantile", "sigma")


@dataclass(frozen=True)
class Way:
    """How a verdict's threshold is found, as a user asks for it.

    Attributes
    ----------
    kind : str
        One of `KINDS`. `budget` is `pot` at a rate that comes from the alarms a day alone.
    k : float
        Standard deviations, for `sigma`.

    """

    kind: str = "pot"
    k: float = 3.0

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the way that `text` names.

        >>> Way.parse("sigma:2.5")
        Way(kind='sigma', k=2.5)

        Raises
        ------
        ConfigError
            If it names none.

        """
        kind, colon, number = text.strip().partition(":")
        if kind not in KINDS:
            hint = did_you_mean(kind, KINDS)
            if kind == "rolling":
                hint = "Any of them may roll while it judges: oddlog detect --threshold rolling, or watch, or serve."
            raise ConfigError(f"There is no threshold called '{kind}' to be learned.", hint)
        if not colon:
            return cls(kind)
        try:
            k = float(number) if kind == "sigma" else float("nan")
        except ValueError:
            k = float("nan")
        if not 0 < k <= MOST_DEVIATIONS:
            raise ConfigError(f"'{text}' is no threshold.", "Write --threshold sigma, or sigma:2.5 for 2.5 deviations.")
        return cls(kind, k)

    def __str__(self) -> str:
        """Return what `parse` takes."""
        return self.kind if self.kind != "sigma" or self.k == Way.k else f"sigma:{self.k:g}"

    def of(self, calibrator: Calibrator, scores: F64, weight: F64, rate: float) -> float:
        """Return the threshold of a verdict's combined score.

        Parameters
        ----------
        calibrator : Calibrator
            Fitted to `scores`.
        scores : F64 [m, w]
            Of usual windows, out of fold; see `Calibrator.fit_verdict`.
        weight : F64 [w]
            How many windows each stands for.
        rate : float
            Share of usual windows that may lie above; `sigma` asks nobody.

        """
        if self.kind == "sigma":
            return self._sigma(calibrator, scores, weight)
        if self.kind == "quantile":
            return quantile(calibrator.combined(scores), 1 - rate, weight).value
        return calibrator.threshold(rate)

    def _sigma(self, calibrator: Calibrator, scores: F64, weight: F64) -> float:
        """Return the combined score at mean + k deviations.

        If one votes, they are those of its own score, as in the paper: -log10 p rises with it, so that the same
        windows lie above. Of several voters they are those of the combined score.
        """
        (voters,) = np.nonzero(calibrator.votes)
        if len(voters) > 1:
            return sigma(calibrator.combined(scores), self.k, weight).value
        at = np.full((len(scores), 1), np.nan)
        at[voters[0]] = sigma(scores[voters[0]], self.k, weight).value
        return float(calibrator.combined(at)[0])


DEFAULT_WAY = Way()


def best_f1(scores: F64, labels: I8, weight: F64 | None = None) -> Threshold:
    """Return the threshold with the best F1 on labelled windows that no member has learned from.

    Of several as good, the highest; it stands halfway to the next score below, so that neither side lies on it.
    Unknown labels (-1) and NaN are left out.

    Raises
    ------
    LabelError
        If there is no anomaly among the labels.

    """
    weight = np.ones(len(scores)) if weight is None else weight
    known = (labels >= 0) & ~np.isnan(scores)
    value, inverse = np.unique(scores[known], return_inverse=True)
    anomalous = np.bincount(inverse, weight[known] * (labels[known] == 1), len(value))
    if not anomalous.sum() > 0:
        raise LabelError(
            "No window of the validation share is labelled anomalous, so F1 says nothing.",
            "Give labels of anomalies in the last part of the logs, or leave --labels out.",
        )
    every = np.bincount(inverse, weight[known], len(value))
    hit = np.cumsum(anomalous[::-1])[::-1]  # anomalies at or above each value
    f1 = 2 * hit / (np.cumsum(every[::-1])[::-1] + anomalous.sum())
    best = int(len(f1) - 1 - np.argmax(f1[::-1]))
    below = value[best - 1] if best else value[0] - 1.0
    return Threshold("best_f1", float((below + value[best]) / 2), {"f1": float(f1[best])})


class Rolling:
    """The learned threshold, moved as far as the scores of the last windows have gone from those it began with.

    All scores are -log10 p by the learned calibration, by which usual windows fall off exponentially. Two things are
    followed: which share of the windows lies above `body`, and how far above it they lie in the mean. The threshold is
    where as few lie beyond as lay beyond the learned one in the first windows, if they fall off like that.

    The first are those of as many blocks as it fades in, and a quarter of `size` at least; until then the learned
    threshold judges. Scores of training are no measure of what drifts: members scored those that had learned from less.

    One fold over blocks of time: the threshold of a block comes from the blocks before it, in whichever order the
    scores of one block come. It is learned so that incidents do not teach it:

    - What is odd enters by its number alone, as if it lay *at* the threshold, and never as more than was beyond the
      learned one at first, or than was for each window between `body` and there.
    - A block with a share of more than `CALM` beyond the *learned* threshold does not enter at all.
    - A block weighs at most 1 in `blocks`, however much it holds.
    - It stays within `RANGE` of the learned threshold, either way.

    Parameters
    ----------
    usual : F64 [x]
        -log10 p of usual windows, out of fold.
    threshold : float
        What was learned, as -log10 p.
    size : int
        So many windows are remembered, fading.
    blocks : int
        In so many blocks at least they fade.

    Attributes
    ----------
    rolls : bool
        Whether enough usual windows lie between `body` and the threshold to be followed; else it stays.
    value : float
        The threshold of the block that is open.

    Notes
    -----
    That odd windows are left out cuts the scores off at the threshold, so the mean excess is that of an exponential
    observed up to there: the sum of all excesses over the number that ended before (Epstein and Sobel, "Life testing",
    J. Am. Stat. Assoc. 48, 1953). To follow excesses over a level instead of extreme quantiles, and to leave anomalies
    out of them, is of Siffer, Fouque, Termier and Largouet, KDD 2017, section 4 (doi 10.1145/3097983.3098144); here the
    shape of the tail stays the learned one.

    """

    def __init__(self, usual: F64, threshold: float, size: int = 10_000, blocks: int = 24) -> None:
        self.learned, self.size, self.blocks = threshold, size, blocks
        self.body = min(BODY, threshold / 2)
        self.value = threshold
        self.rolls = threshold > 0 and bool(((usual > self.body) & (usual <= threshold)).mean() >= FOLLOWED)
        # for each window that is not odd: those above the body, the excess of these, odd windows
        self._usual, self._mean = np.zeros(3), np.zeros(3)
        self._first = np.zeros(5)  # blocks that it began with, windows in them that are not odd, and the same of these
        # windows, those beyond what was learned, odd ones, others above the body, the excess of these
        self._block = np.zeros(5, np.int64)

    @property
    def least(self) -> float:
        """The lowest it may ever be."""
        return max(self.learned - RANGE, self.body)

    def push(self, scores: F64, is_odd: Bool) -> None:
        """Take in scores [w] of windows of the open block, as -log10 p, and which of them are odd."""
        others = scores[~is_odd]
        # Whole numbers add up to the same in any order.
        excess = np.rint((np.minimum(others, self.value) - self.body).clip(0.0) * FINE).astype(np.int64)
        counts = [len(scores), (scores > self.learned).sum(), is_odd.sum(), (others > self.body).sum(), excess.sum()]
        self._block += np.array(counts)

    def settle(self) -> None:
        """Have the open block be over."""
        windows, beyond, odd, above, excess = self._block.tolist()
        self._block[:] = 0
        n = windows - odd
        if not (self.rolls and n) or beyond > CALM * windows:
            return
        seen = np.array([above, excess / FINE, odd])
        if not self._mean.any():
            self._begin(n, seen)
        elif self._usual[0] >= FOLLOWED:
            self._mean += min(n / self.size, 1 / self.blocks) * (seen / n - self._mean)
            self.value = self._moved()

    def _begin(self, n: int, seen: F64) -> None:
        """Take in a block of `n` windows that what comes is compared with."""
        self._first += np.array([1, n, *seen])
        if self._first[0] >= self.blocks and self._first[1] >= self.size / 4 and self._first[2]:
            self._usual = self._first[2:] / self._first[1]
            self._mean = self._usual.copy()

    def _moved(self) -> float:
        """Return the threshold that the shares followed so far amount to."""
        (within, excess, odd), (usually, usual_excess, usually_odd) = self._mean, self._usual
        odd = min(odd, usually_odd, within * usually_odd / usually)
        above, usually_above = within + odd, usually + usually_odd
        mean = (excess + odd * (self.value - self.body)) / within
        usual_mean = (usual_excess + usually_odd * (self.learned - self.body)) / usually
        beyond = mean * (np.log(above / usually_above) + (self.learned - self.body) / usual_mean)
        return float(np.clip(self.body + beyond, self.least, self.learned + RANGE))

    def state(self) -> State:
        """Return everything `restore` needs."""
        parts = {"usual": self._usual, "mean": self._mean, "first": self._first, "block": self._block}
        return State(parts | {"value": np.array([self.value])})

    def restore(self, state: State) -> None:
        """Go on where `state` was taken; this one must be of the same usual scores and threshold."""
        parts = (np.array(state.arrays[name]) for name in ("usual", "mean", "first", "block"))
        self._usual, self._mean, self._first, self._block = parts
        self.value = float(state.arrays["value"][0])


def _usual(scores: F64, weight: F64 | None) -> tuple[F64, F64]:
    weight = np.ones(len(scores)) if weight is None else weight
    kept = ~np.isnan(scores) & (weight > 0)
    if not kept.any():
        raise TooLittleDataError(
            f"There is no usual score to set a threshold on, of {len(scores)} windows.", "Give more logs."
        )
    return scores[kept], weight[kept]


def _check_rate(rate: float) -> None:
    if not 0 < rate <= 1:
        raise ConfigError(f"A false-alarm rate lies above 0 and at most at 1, not at {rate}.", "Try 0.001.")
