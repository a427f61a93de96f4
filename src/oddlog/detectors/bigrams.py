"""Pairs of neighbouring events that no usual window holds."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np

from oddlog.detectors.sequences import ended
from oddlog.detectors.usual import usual_only
from oddlog.types import I8, I64, Bool, Context, Scores, State, Windows

MAX_PAIRS = 1 << 20
"""Pairs that are kept (8 MiB), those that stand in most windows."""


class SeenBigrams:
    """How many different pairs of neighbouring types stand in a window that usual windows do not hold.

    A mark stands before the first event, and one after the last where the window is over: what a log begins with, and
    above all what it ends with, is part of what is usual. All types that usual windows do not hold are one type. An
    event's score is 1 if it must not follow the one before it (or, at the end, must not be the last), else 0.

    Parameters
    ----------
    paper : bool
        Count only whether there is such a pair, and mark the end of every window as the paper's code does, of those
        too that were cut off by their bounds.

    Notes
    -----
    Landauer, Skopik and Wurzenberger, FSE 2024 (doi 10.1145/3660768): n-grams with n = 2, after Forrest,
    Hofmeyr, Somayaji and Longstaff, "A sense of self for Unix processes", IEEE S&P 1996
    (doi 10.1109/SECPRI.1996.502675). At most `MAX_PAIRS` pairs are kept.

    """

    name = "bigrams"
    reads = frozenset({"template", "order"})
    needs: Literal["usual", "labels"] = "usual"
    requires: tuple[str, ...] = ()
    verdict_above: float | None = 0.0

    _known: Bool  # [k] which types usual windows hold
    _pairs: I64  # [x] ascending

    def __init__(self, *, paper: bool = False) -> None:
        self.paper = paper

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,  # noqa: ARG002 - of the contract; nothing here is stopped early
    ) -> Self:
        """Learn which pairs there are."""
        usual = usual_only(windows, labels)
        k = len(context.templates)
        self._known = np.bincount(np.minimum(usual.template, k), minlength=k + 1)[:k] > 0
        pair, window, _ = self._pairs_of(usual)
        found, at = np.unique(pair, return_inverse=True)
        at, window = np.divmod(np.unique(at * len(usual) + window), len(usual))  # each pair once a window
        held = np.bincount(at, usual.weight[window], minlength=len(found))
        kept = np.argsort(-held, kind="stable")[:MAX_PAIRS]
        self._pairs = found[np.sort(kept)]
        return self

    def _pairs_of(self, windows: Windows) -> tuple[I64, I64, I64]:
        """Return each pair as one number, its window and its event [x]; the event is the second, or the last one."""
        k, n = len(self._known), len(windows)
        known = np.append(self._known, False)
        type_ = np.where(known[np.minimum(windows.template, k)], windows.template, k).astype(np.int64)
        begin = end = k + 1
        width = k + 2
        window, filled = windows.window_of_event, np.flatnonzero(windows.lengths)
        before = np.concatenate([[begin], type_[:-1]]) if len(type_) else type_
        before[windows.offsets[:-1][filled]] = begin
        over = filled if self.paper else filled[ended(windows)[filled]]
        last = windows.offsets[1:][over] - 1
        empty = np.setdiff1d(np.arange(n), filled)  # begins and ends at once; it has no event to tell of
        pair = np.concatenate([before * width + type_, type_[last] * width + end, np.full(len(empty), width**2)])
        event = np.concatenate([np.arange(len(type_)), last, np.full(len(empty), -1)])
        return pair, np.concatenate([window, over, empty]), event

    def score(self, windows: Windows) -> Scores:
        """Return how many different unseen pairs each window holds, and which events make one."""
        pair, window, event = self._pairs_of(windows)
        at = np.minimum(np.searchsorted(self._pairs, pair), len(self._pairs) - 1)
        new = np.flatnonzero(self._pairs[at] != pair)
        rank = np.unique(pair[new], return_inverse=True)[1]
        once = np.unique(rank * max(len(windows), 1) + window[new]) % max(len(windows), 1)
        n_new = np.bincount(once, minlength=len(windows)).astype(np.float64)
        told = np.zeros(len(windows.template), np.float32)
        told[event[new][event[new] >= 0]] = 1.0
        return Scores(np.minimum(n_new, 1.0) if self.paper else n_new, told)

    def state(self) -> State:
        """Return the pairs."""
        return State({"known": self._known.astype(np.uint8), "pairs": self._pairs}, {"paper": self.paper})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector."""
        self = cls(paper=bool(state.meta["paper"]))
        self._known, self._pairs = state.arrays["known"] > 0, state.arrays["pairs"]
        return self
