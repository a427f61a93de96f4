"""Members' scores → p-values, and one p-value of the members together; the same of one member's events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import numpy as np

from oddlog.calibration.tail import Tail
from oddlog.types import F32, F64, I64, Bool, State


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
        if self.votes.sum() == 1:  # nobody to agree with: its p-value is the verdict's, and needs no second tail
            self._verdict = self._members[int(np.flatnonzero(self.votes)[0])].of_surprise()
            return self
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

    def rank(self, combined: F64) -> F64:
        """Return the share of usual windows with a higher `combined` value [w], and half of those with the same.

        Its mean over usual windows is one half, however many of them score alike.
        """
        middle: F64 = (self.rates_of(combined) + self.rates_beyond(combined)) / 2
        return middle

    def usual(self, n: int) -> F64:
        """Return `n` quantiles of the `combined` values of usual windows."""
        return self._verdict.quantiles((np.arange(n) + 0.5) / n)

    def threshold(self, rate: float) -> float:
        """Return the `combined` value that usual windows exceed at `rate`."""
        return self._verdict.quantile(rate)

    def rate_above(self, threshold: float) -> float:
        """Return the share of usual windows whose `combined` value reaches `threshold`."""
        return float(self.rates_of(np.array([threshold]))[0])

    def rates_of(self, combined: F64) -> F64:
        """Return the share of usual windows whose `combined` value reaches each of these [x]."""
        return self._verdict.p_value(combined)

    def rates_beyond(self, combined: F64) -> F64:
        """Return the share of usual windows with a higher `combined` value than each of these [x]; many score alike."""
        return self._verdict.p_value(np.nextafter(combined, np.inf))

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
