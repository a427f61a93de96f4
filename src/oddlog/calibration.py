"""From scores to p-values, on usual windows that the member has not learned from.

::

    member 1 ── crossfit ──► out-of-fold scores ──► Tail ──► -log10 p ┐
    member 2 ── crossfit ──► out-of-fold scores ──► Tail ──► -log10 p ├─ mean ──► Tail ──► p-value
    member m ── ...                                                   ┘

The mean of the members' -log10 p is not a p-value by itself (members agree with each other), so it is
calibrated once more, on its own out-of-fold values.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from oddlog.types import F32, F64, I8, I64, Bool, Context, Detector, Scores, State, Windows

TAIL_FROM = 0.98
"""Quantile beyond which the fitted tail takes over from counting."""
FINEST = 1e-9
"""Least scale of a tail, relative to the scores: differences below it are rounding, not news."""
MIN_EXCESSES = 10
"""Weight that the tail is fitted to at least: with few windows it starts below `TAIL_FROM`."""
MIN_FOR_SHAPE = 50
"""Weight of excesses below which the tail is taken as exponential: a shape fitted to fewer is mostly noise."""
MAX_SHAPE = 0.5
"""Heaviest tail that is believed (beyond it the variance of the excesses would be infinite)."""
MAX_KNOTS = 2_048
"""Steps of the counted part that are kept."""
PER_RATE = 2.5
"""Usual windows needed per expected false alarm: 2,500 hold 1 in 1,000, below which extreme quantiles swing."""


def crossfit(
    make: Callable[[], Detector], windows: Windows, context: Context, folds: int | I64 = 5, labels: I8 | None = None
) -> F64:
    """Score every window [w] by a member that has not learned from it or its neighbours in time.

    Parameters
    ----------
    make : callable
        Returns a new, unfitted member.
    windows : Windows
        Usual windows; with labels, those of both kinds.
    context : Context
        That of the model.
    folds : int or I64 [w]
        Contiguous stretches of time, by the start of the windows, of equal numbers of windows; or the fold of
        each window, for whoever cut the time himself.
    labels : I8 [w], optional
        For members that learn from them: 0 usual, 1 anomalous, -1 unknown.

    Returns
    -------
    F64 [w]
        In the order of `windows`; NaN if all windows are of one fold, since nothing is left to learn from. With
        labels NaN for those of a fold outside of which there is only one kind.

    """
    return crossfit_scores(make, windows, context, folds, labels).window


def crossfit_scores(
    make: Callable[[], Detector], windows: Windows, context: Context, folds: int | I64 = 5, labels: I8 | None = None
) -> Scores:
    """Return what `crossfit` does, and the out-of-fold scores of events [e]."""
    window = np.full(len(windows), np.nan)
    event = np.full(len(windows.template), np.nan, np.float32)
    fold = time_folds(windows.start, folds) if isinstance(folds, int) else folds
    of_event = fold[windows.window_of_event]
    for i in np.unique(fold):
        held_out = fold == i
        if held_out.all():
            break
        known = None if labels is None else labels[~held_out]
        if known is not None and len(np.unique(known == 1)) == 1:
            continue
        scores = make().fit(windows.take(~held_out), context, known).score(windows.take(held_out))
        window[held_out], event[of_event == i] = scores.window, scores.event
    return Scores(window, event)


def time_folds(start: I64, folds: int) -> I64:
    """Return the fold of each window [w]: contiguous in time, ties as they stand, sizes equal within one."""
    fold = np.empty(len(start), np.int64)
    folds = max(1, min(folds, len(start)))
    fold[np.argsort(start, kind="stable")] = np.arange(len(start)) * folds // max(1, len(start))
    return fold


@dataclass(frozen=True)
class Tail:
    """How often usual scores are as high as a given one: counted up to a high quantile, fitted beyond.

    Attributes
    ----------
    knot : F64 [x]
        Usual scores, ascending; the last is where the tail starts.
    survival : F64 [x]
        Share of usual scores at or above each knot.
    share : float
        Share of usual scores beyond the last knot.
    scale, shape : float
        Of the generalised Pareto distribution of the excesses; shape 0 is exponential.

    Notes
    -----
    Peaks over a threshold as in Siffer, Fouque, Termier and Largouet, "Anomaly detection in streams with
    extreme value theory", KDD 2017, section 3 (doi 10.1145/3097983.3098144). The parameters are those of
    probability-weighted moments: Hosking and Wallis, "Parameter and quantile estimation for the generalized
    Pareto distribution", Technometrics 29, 1987, section 3.3 (doi 10.2307/1269343), steadier on few excesses
    than the maximum likelihood of Grimshaw, Technometrics 35, 1993 (doi 10.1080/00401706.1993.10485040).
    Departures: a negative shape (a bounded tail) is taken as 0, since a score beyond the bound must still have
    a p-value; shares are (count + 0.5) / (n + 1), so that none is 0.

    """

    knot: F64
    survival: F64
    share: float
    scale: float
    shape: float

    @classmethod
    def fit(cls, scores: F64, weight: F64 | None = None) -> Self:
        """Fit to usual scores [w]; NaN are left out. Without any score, everything has p = 1."""
        weight = np.ones(len(scores)) if weight is None else weight
        kept = ~np.isnan(scores) & (weight > 0)
        value, inverse = np.unique(scores[kept], return_inverse=True)
        if len(value) == 0:
            return cls(np.zeros(1), np.ones(1), 1.0, 1.0, 0.0)
        each: F64 = np.bincount(inverse, weights=weight[kept]).astype(np.float64)
        total = each.sum()
        above = total - np.cumsum(each)  # weight strictly above each value
        room = max(total * (1 - TAIL_FROM), min(MIN_EXCESSES, total / 4))
        start = int(np.flatnonzero(above <= room)[0])
        scale, shape = pareto(value[start + 1 :] - value[start], each[start + 1 :])
        if not scale > 0:
            scale, shape = _fallback_scale(value, each), 0.0
        scale = max(scale, FINEST * max(1.0, abs(float(value[-1]))))
        survival = np.minimum((above + each + 0.5) / (total + 1), 1.0)[: start + 1]
        share = float((above[start] + 0.5) / (total + 1))
        knot, survival = _thinned(value[: start + 1], survival)
        return cls(knot, survival, share, scale, shape)

    def surprise(self, scores: F64) -> F64:
        """Return -log10 of the p-value of each score; NaN stays NaN. Ascending in the score."""
        at = np.searchsorted(self.knot, scores, side="left")
        counted = -np.log10(self.survival[np.minimum(at, len(self.knot) - 1)])
        # an infinite score (a member's overflow) is as surprising as the largest finite one
        excess = np.clip(np.nan_to_num(scores - self.knot[-1]), 0.0, None) / self.scale
        fitted = np.log1p(self.shape * excess) / self.shape if self.shape > 0 else excess
        surprise = np.where(scores > self.knot[-1], fitted / np.log(10) - np.log10(self.share), counted)
        return np.where(np.isnan(scores), np.nan, surprise)

    def p_value(self, scores: F64) -> F64:
        """Return how often a usual score is as high; never 0, NaN stays NaN."""
        return np.maximum(10.0 ** -self.surprise(scores), np.finfo(np.float64).tiny)

    def quantile(self, rate: float) -> float:
        """Return the score that usual ones exceed at `rate`."""
        return float(self.quantiles(np.array([rate]))[0])

    def quantiles(self, rate: F64) -> F64:
        """Return the score that usual ones exceed at each rate [x]; NaN stays NaN."""
        at = np.searchsorted(-self.survival, -rate, side="right") - 1
        counted = self.knot[np.clip(at, 0, len(self.knot) - 1)]
        odds = np.log(self.share / np.minimum(rate, self.share))
        excess = np.expm1(self.shape * odds) / self.shape if self.shape > 0 else odds
        found = np.where(rate < self.share, self.knot[-1] + self.scale * excess, counted)
        return np.where(np.isnan(rate), np.nan, found)

    def state(self) -> dict[str, F64]:
        """Return the tail as arrays."""
        tail = np.array([self.share, self.scale, self.shape])
        return {"knot": self.knot, "survival": self.survival, "tail": tail}

    @classmethod
    def from_state(cls, arrays: dict[str, F64]) -> Self:
        """Rebuild from `state`."""
        share, scale, shape = (float(x) for x in arrays["tail"])
        return cls(arrays["knot"], arrays["survival"], share, scale, shape)


class Calibrator:
    """Members' scores → p-values, and one p-value for those of them together that vote.

    Scores have the shape [m, w], a row per member; NaN = the member has no opinion.

    Attributes
    ----------
    n_usual : float
        Weight of the usual windows that the verdict was fitted to.
    votes : Bool [m]
        Which members make the verdict; the others have p-values of their own.
    voices : I64 [m]
        Members of one voice look at the same thing, and their mean is taken; of several voices the most surprised is
        heard. A latency out of range is odd however usual the counts are.

    """

    n_usual: float
    votes: Bool
    voices: I64
    _members: list[Tail]
    _voices: dict[int, Tail]
    _verdict: Tail

    def fit(self, scores: F64, weight: F64 | None = None) -> Self:
        """Learn from out-of-fold scores [m, w] of usual windows and how many each stands for [w]; all vote."""
        weight = np.ones(scores.shape[1]) if weight is None else weight
        every = np.ones(len(scores), np.bool_)
        return self.fit_verdict([Tail.fit(row, weight) for row in scores], every, scores, weight)

    def fit_verdict(
        self, members: Sequence[Tail], votes: Bool, scores: F64, weight: F64, voices: I64 | None = None
    ) -> Self:
        """Learn the verdict of members whose own tails are known.

        Parameters
        ----------
        members : sequence of Tail
            Of each member [m], fitted to whatever usual windows it had not learned from.
        votes : Bool [m]
            Which of them make the verdict.
        scores : F64 [m, w]
            Of usual windows that *no* voting member has learned from: the mean over five members swings less than
            that over four, so every window must have been asked of all of them.
        weight : F64 [w]
            How many windows each stands for.
        voices : I64 [m], optional
            Which voice each speaks with; one for all if not given.

        """
        self._members, self.votes = list(members), np.asarray(votes, np.bool_)
        self.voices = np.zeros(len(self._members), np.int64) if voices is None else np.asarray(voices, np.int64)
        self.n_usual = float(weight.sum())
        surprise = self.surprise(scores)
        heard = np.unique(self.voices[self.votes]).tolist()
        self._voices = {}
        if len(heard) > 1:
            of = {voice: self._mean(surprise[self.votes & (self.voices == voice)]) for voice in heard}
            self._voices = {voice: Tail.fit(mean, weight) for voice, mean in of.items()}
        self._verdict = Tail.fit(self._loudest(surprise) if self._voices else self._mean(surprise[self.votes]), weight)
        return self

    def _loudest(self, surprise: F64) -> F64:
        """Return the highest -log10 p of any voice [w], from those of the members [m, w]; NaN where none speaks."""
        said = [
            _alone(rows := surprise[self.votes & (self.voices == voice)], tail.surprise(self._mean(rows)))
            for voice, tail in self._voices.items()
        ]
        loudest: F64 = np.fmax.reduce(said)
        return loudest

    @staticmethod
    def _mean(surprise: F64) -> F64:
        """Return the mean of -log10 p over the members that have an opinion [w]; NaN where none has."""
        opinions = (~np.isnan(surprise)).sum(0)
        return np.where(opinions > 0, np.nansum(surprise, axis=0) / np.maximum(opinions, 1), np.nan)

    def surprise(self, scores: F64) -> F64:
        """Return -log10 p of each member [m, w]."""
        rows = [tail.surprise(row) for tail, row in zip(self._members, scores, strict=True)]
        return np.array(rows).reshape(scores.shape)

    def member_p(self, scores: F64) -> F64:
        """Return the p-value of each member [m, w]; NaN where it has no opinion."""
        rows = [tail.p_value(row) for tail, row in zip(self._members, scores, strict=True)]
        return np.array(rows).reshape(scores.shape)

    def combined(self, scores: F64) -> F64:
        """Return the mean of -log10 p over the voting members that have an opinion [w]; NaN where none has.

        Of several voices the highest -log10 p, each of its own mean. Within a voice, on HDFS the mean gives F1 .986,
        the largest .914, the average rank .871 (see docs/calibration.md). One member alone swings more than the mean
        of several: where only one of them has an opinion, the value is the mean that usual windows reach as often as
        that member's score, so that one threshold fits both.
        """
        surprise = self.surprise(scores)
        if self._voices:
            return self._loudest(surprise)
        surprise = surprise[self.votes]
        mean = self._mean(surprise)
        alone = ((~np.isnan(surprise)).sum(0) == 1) & (len(surprise) > 1)
        if alone.any():
            mean[alone] = self._verdict.quantiles(10.0 ** -mean[alone])
        return mean

    def p_value(self, scores: F64) -> F64:
        """Return the p-value of the voting members' mean [w]."""
        return self._verdict.p_value(self.combined(scores))

    def threshold(self, rate: float) -> float:
        """Return the `combined` value that usual windows exceed at `rate`."""
        return self._verdict.quantile(rate)

    def rate_above(self, threshold: float) -> float:
        """Return the share of usual windows whose `combined` value reaches `threshold`."""
        return float(self._verdict.p_value(np.array([threshold]))[0])

    def state(self) -> State:
        """Return everything `from_state` needs."""
        tails = [*self._members, self._verdict]
        arrays = {f"{i}.{name}": a for i, tail in enumerate(tails) for name, a in tail.state().items()}
        meta = {"members": len(self._members), "n_usual": self.n_usual}
        for voice, tail in self._voices.items():
            arrays |= {f"voice.{voice}.{name}": array for name, array in tail.state().items()}
        # A model of before there were members that do not vote, or several voices, keeps its id.
        meta |= {} if self.votes.all() else {"votes": self.votes.tolist()}
        meta |= {"voices": self.voices.tolist()} if self._voices else {}
        return State(arrays, meta)

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild a fitted calibrator."""
        self = cls()
        self.n_usual = float(state.meta["n_usual"])
        parts = ("knot", "survival", "tail")
        tails = [
            Tail.from_state({name: state.arrays[f"{i}.{name}"] for name in parts})
            for i in range(int(state.meta["members"]) + 1)
        ]
        *self._members, self._verdict = tails
        self.votes = np.array(state.meta.get("votes", [True] * len(self._members)), np.bool_)
        self.voices = np.array(state.meta.get("voices", [0] * len(self._members)), np.int64)
        heard = np.unique(self.voices[self.votes]).tolist() if "voices" in state.meta else []
        self._voices = {
            voice: Tail.from_state({name: state.arrays[f"voice.{voice}.{name}"] for name in parts}) for voice in heard
        }
        return self


def _alone(surprise: F64, together: F64) -> F64:
    """Return `together` [w], and where only one row [m, w] has an opinion, that one's."""
    one = (~np.isnan(surprise)).sum(0) == 1
    return np.where(one, np.nansum(surprise, axis=0), together)


class EventCalibrator:
    """One member's event scores → p-values, fitted to events of usual windows out of fold."""

    _tail: Tail

    def fit(self, scores: F32 | F64, weight: F64 | None = None) -> Self:
        """Learn from event scores [e] and how many events each stands for [e]."""
        self._tail = Tail.fit(scores.astype(np.float64), weight)
        return self

    def p_value(self, scores: F32 | F64) -> F64:
        """Return how often an event of usual windows has a score as high [e]; NaN stays NaN."""
        return self._tail.p_value(scores.astype(np.float64))

    def threshold(self, rate: float) -> float:
        """Return the score that events of usual windows exceed at `rate`."""
        return self._tail.quantile(rate)

    def state(self) -> State:
        """Return everything `from_state` needs."""
        return State(self._tail.state())

    @classmethod
    def from_state(cls, state: State) -> Self:
        """Rebuild a fitted calibrator."""
        self = cls()
        self._tail = Tail.from_state(dict(state.arrays))
        return self


def pareto(excess: F64, weight: F64) -> tuple[float, float]:
    """Return scale and shape of the generalised Pareto distribution of excesses [x], ascending; (0, 0) of none.

    Hosking and Wallis 1987, section 3.3, with their k = -shape: from a0 = mean and a1 = E[x (1 - F(x))],
    ``shape = 2 - a0 / (a0 - 2 a1)`` and ``scale = 2 a0 a1 / (a0 - 2 a1)``.
    """
    total = float(weight.sum())
    if total <= 0:
        return 0.0, 0.0
    mean = float(weight @ excess / total)
    above = 1 - (np.cumsum(weight) - weight / 2) / total
    weighted = float((weight * above) @ excess / total)
    room = mean - 2 * weighted
    if total < MIN_FOR_SHAPE or room <= 0:
        return mean, 0.0
    shape = 2 - mean / room
    if shape <= 0:
        return mean, 0.0
    if shape > MAX_SHAPE:
        return mean * (1 - MAX_SHAPE), MAX_SHAPE
    return 2 * mean * weighted / room, shape


def lowest_rate(n_usual: float) -> float:
    """Return the lowest false-alarm rate that so many usual windows can hold.

    >>> lowest_rate(2_500)
    0.001
    """
    return min(1.0, PER_RATE / n_usual) if n_usual > 0 else 1.0


def too_few(rate: float, n_usual: float) -> str:
    """Say that there are too few usual windows for a false-alarm rate, and which one they hold; "" if enough.

    >>> too_few(0.0001, 5_000)
    'too few usual windows for this false-alarm rate: 5,000 hold 1 in 2,000, 1 in 10,000 takes 25,000'
    """
    lowest = lowest_rate(n_usual)
    if rate >= lowest:
        return ""
    return (
        f"too few usual windows for this false-alarm rate: {n_usual:,.0f} hold 1 in {1 / lowest:,.0f}, "
        f"1 in {1 / rate:,.0f} takes {PER_RATE / rate:,.0f}"
    )


def _thinned(knot: F64, survival: F64) -> tuple[F64, F64]:
    """Keep at most `MAX_KNOTS` steps, evenly by rank, the last always; p-values only grow by it."""
    if len(knot) <= MAX_KNOTS:
        return knot, survival
    keep = np.unique(np.linspace(0, len(knot) - 1, MAX_KNOTS).astype(np.int64))
    # a dropped score is answered by the next kept knot above it: shift survivals so that p is never too small
    previous = np.concatenate([[-1], keep[:-1]])
    return knot[keep], survival[previous + 1]


def _fallback_scale(value: F64, weight: F64) -> float:
    """Return a scale where no score exceeds the tail's start: the scores' own spread, 1 if they are all equal."""
    mean = np.average(value, weights=weight)
    spread = float(np.sqrt(np.average((value - mean) ** 2, weights=weight)))
    return spread if spread > 0 else 1.0
