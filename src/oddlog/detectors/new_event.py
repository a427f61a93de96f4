"""Types of event that usual windows do not hold, or hardly ever."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np

from oddlog.detectors.usual import usual_only
from oddlog.features.counts import Columns, counts, document_frequency
from oddlog.types import F64, I8, I64, Context, Scores, State, Windows


class NewEvent:
    """How unlikely it is that a usual window holds a type as rare as this one.

    Of n usual windows, let ``rarer(f)`` hold a type that stands in at most f of them. The score of an event
    whose type stands in ``f`` windows is::

        -log10 (rarer(f) + 1) / (n + 1)         f >= 1
        -log10 (rarer(1) + 0.5) / (n + 1)       unseen

    ``rarer(1) / n`` is the share of usual windows that would hold an unseen type had the model learned from
    all the others (leave one out), the same argument as that of Good, "The population frequencies of species
    and the estimation of population parameters", Biometrika 40, 1953, section 2 (doi 10.1093/biomet/40.3-4.237).
    So logs in which news is usual make little of it. The score of a window is that of its rarest event.
    """

    name = "new-event"
    reads = frozenset({"template"})
    needs: Literal["usual", "labels"] = "usual"
    requires: tuple[str, ...] = ()

    _surprise: F64  # [k + 1] score of each row; the last entry serves every type that usual windows do not hold

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,  # noqa: ARG002 - of the contract; nothing here is stopped early
    ) -> Self:
        """Learn in how many windows each type stands."""
        return self.fit_among(usual_only(windows, labels), context)

    def fit_among(self, windows: Windows, context: Context, elsewhere: int = 0) -> Self:
        """Learn from windows that also hold `elsewhere` types known only to others, in the rows behind the context's.

        How rare the rarest type of a window is depends on those too; in this model they are unseen all the same, since
        nothing of them is known that a line could be recognised by.
        """
        own = len(context.templates)
        k = own + elsewhere
        every = Columns.of_rows(np.arange(k), np.empty(0, np.int64), k)
        found = counts(windows, k, columns=every)
        held = document_frequency(found)[:k]
        surprise = _surprise(held, _rarest(held, found.indptr, found.column, k), found.weight)
        self._surprise = np.append(surprise[:own], surprise[-1])
        return self

    def pass_over(self, types: I64) -> None:
        """Have no surprise at these known `types`: training held them, though in no window that was learned from."""
        self._surprise[types] = 0.0

    def score(self, windows: Windows) -> Scores:
        """Return the surprise at each event's type, and at the rarest type of each window."""
        event = self._surprise[np.minimum(windows.template, len(self._surprise) - 1)]
        window = np.zeros(len(windows))
        filled = np.flatnonzero(windows.lengths)
        if len(filled):
            window[filled] = np.maximum.reduceat(event, windows.offsets[:-1][filled])
        return Scores(window, event.astype(np.float32))

    def state(self) -> State:
        """Return the score of each type."""
        return State({"surprise": self._surprise})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector."""
        self = cls()
        self._surprise = state.arrays["surprise"]
        return self


def _rarest(held: F64, indptr: I64, column: I64, k: int) -> F64:
    """Return in how many windows the rarest type of each row stands [r]; rows without a known type: all."""
    rarest = np.full(len(indptr) - 1, np.inf)
    known = column < k
    row = np.repeat(np.arange(len(indptr) - 1), np.diff(indptr))[known]
    np.minimum.at(rarest, row, held[column[known]])
    return rarest


def _surprise(held: F64, rarest: F64, weight: F64) -> F64:
    """Return the score of each type [k + 1], that of an unseen one last."""
    order = np.argsort(rarest)
    below = np.concatenate([[0.0], np.cumsum(weight[order])])

    def rarer(frequency: F64) -> F64:
        return np.asarray(below[np.searchsorted(rarest[order], frequency, side="right")], np.float64)

    total = below[-1] + 1
    unseen = (rarer(np.array([1.0])) + 0.5) / total
    seen = (rarer(held) + 1) / total
    chance: F64 = np.minimum(np.append(np.where(held > 0, seen, unseen), unseen), 1.0)
    return np.abs(np.log10(chance))  # not the negative: log10(1) must not give -0.0
