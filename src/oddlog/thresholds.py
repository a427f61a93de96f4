"""Where usual ends: a threshold on any score. What is *above* it is an anomaly.

Quantiles count, `pot` fits a tail and so reaches beyond what was counted, `sigma` is the first paper's.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from oddlog.calibration import Calibrator, Tail
from oddlog.errors import ConfigError, LabelError, TooLittleDataError, did_you_mean
from oddlog.types import F64, I8, State

MOST_DEVIATIONS = 100.0  # more is a slip


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
            raise ConfigError(f"There is no threshold called '{kind}'.", did_you_mean(kind, KINDS))
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
    """A quantile of the last `size` scores, for streams whose usual scores drift.

    The threshold of a score comes from the scores before it, so that it is one fold over the stream: the same
    in batch and in any batching. Anomalies enter too: a lasting change of level stops alarming after about
    ``(1 - q) * size`` alarms, and in the long run a share of 1 - q exceeds it. Until `size` scores have come,
    the quantile is that of `initial` and those that came.

    Parameters
    ----------
    initial : F64 [w]
        Usual scores, out of fold, in order of time; the last `size` are kept.
    q : float
        Quantile, 0 to 1.
    size : int
        Scores that are remembered.

    """

    def __init__(self, initial: F64, q: float = 0.999, size: int = 10_000) -> None:
        if not 0 <= q <= 1 or size < 1:
            raise ConfigError(f"A rolling quantile needs 0 <= q <= 1 and a size >= 1, not {q} and {size}.")
        kept = initial[~np.isnan(initial)][-size:]
        if len(kept) == 0:
            raise TooLittleDataError("There is no usual score to start a threshold from.", "Give more logs.")
        self.q = q
        self.size = size
        self._last = deque(kept.tolist())
        self._sorted = sorted(self._last)

    def push(self, scores: F64) -> F64:
        """Return the threshold of each score [w], then remember the score; NaN is not remembered."""
        thresholds = np.empty(len(scores))
        for i, score in enumerate(scores.tolist()):
            thresholds[i] = self._sorted[max(0, int(np.ceil(self.q * len(self._sorted) - 1e-9)) - 1)]
            if score == score:  # noqa: PLR0124 - not NaN, ten times cheaper than a call
                self._remember(score)
        return thresholds

    def _remember(self, score: float) -> None:
        if len(self._last) == self.size:
            del self._sorted[bisect.bisect_left(self._sorted, self._last.popleft())]
        self._last.append(score)
        bisect.insort(self._sorted, score)

    def state(self) -> State:
        """Return everything `from_state` needs."""
        return State({"last": np.array(self._last)}, {"q": self.q, "size": self.size})

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild; goes on as if it had never stopped."""
        return cls(state.arrays["last"], float(state.meta["q"]), int(state.meta["size"]))


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
