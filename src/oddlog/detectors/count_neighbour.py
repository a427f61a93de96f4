"""Nearest usual window by weighted counts: the simple method that beats most deep ones."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np

from oddlog.detectors.usual import usual_only
from oddlog.features.counts import Columns, Counts, counts, document_frequency
from oddlog.types import F64, I8, I64, Context, Scores, State, Windows

MAX_REFERENCES = 5_000
"""Distinct usual windows that are compared against, those that stand for most windows."""
MAX_CELLS = 1 << 22
"""References x columns that are held as a full matrix (32 MiB of float64); wide tables keep fewer references."""
BLOCK = 1 << 20
"""Cells of a block of distances."""
ROUNDING = 1e-12
"""A smaller distance is that of equal counts, summed in another order: it is taken as none."""


class CountNeighbour:
    """Smallest relative difference in counts to a usual window.

    Between counts u and v, with a weight for each type::

        distance = sum of idf * |u - v| / sum of idf * max(u, v)       0 = the same, 1 = nothing in common
        idf      = log10 (1 + n) / df                                  n usual windows, df of them hold the type

    An event's score is the part of its type in the distance.

    Notes
    -----
    Landauer, Skopik and Wurzenberger, "A critical review of common log data sets used for evaluation of sequence-based
    anomaly detection techniques", FSE 2024 (doi 10.1145/3660768), and the code published with it. There a
    window with an unseen type is reported whatever its distance, and the type's weight is 1; here it has the weight of
    a type that one window holds, and the distance alone decides (`new-event` is the other half). No variant `paper`:
    distances are the paper's wherever all types are known. At most `MAX_REFERENCES` distinct windows are kept.

    """

    name = "count-neighbour"
    reads = frozenset({"template"})
    needs: Literal["usual", "labels"] = "usual"
    requires: tuple[str, ...] = ()

    _reference: Counts
    _idf: F64  # [d]
    _full: F64  # [r, d] the references, weighted
    _sum: F64  # [r] of each reference

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,  # noqa: ARG002 - of the contract; nothing here is stopped early
    ) -> Self:
        """Learn which counts are usual."""
        found = counts(usual_only(windows, labels), len(context.templates))
        held = document_frequency(found)
        self._idf = np.log10((1 + found.weight.sum()) / np.where(held > 0, held, 1.0))
        self._keep(found.heaviest(min(MAX_REFERENCES, max(1, MAX_CELLS // found.columns.width))))
        return self

    def _keep(self, reference: Counts) -> None:
        self._reference = reference
        self._full = reference.dense() * self._idf
        self._sum = self._full.sum(1)

    def score(self, windows: Windows) -> Scores:
        """Return the distance to the nearest usual window, and per event the part of its type."""
        found = counts(windows, self._reference.columns.k, columns=self._reference.columns)
        distance, nearest = self._search(found)
        weighted = found.count * self._idf[found.column]
        usual = self._full[nearest[found.row_of_entry], found.column]
        total = np.bincount(found.row_of_entry, weighted, minlength=len(found))
        # sum of max(u, v), of distance = |u - v| / max(u, v) and |u - v| = 2 max(u, v) - u - v
        most = (total + self._sum[nearest]) / (2 - distance)
        share = np.abs(weighted - usual) / np.maximum(most, 1e-12)[found.row_of_entry]
        return Scores(distance[found.inverse], found.to_events(share, windows))

    def _search(self, found: Counts) -> tuple[F64, I64]:
        """Return the smallest distance of each row [r] and the first reference that has it."""
        distance, nearest = np.zeros(len(found)), np.zeros(len(found), np.int64)
        step = max(1, BLOCK // max(len(self._full), self._reference.columns.width))
        for start in range(0, len(found), step):
            stop = min(start + step, len(found))
            each = self._distances(found.dense(start, stop) * self._idf)
            nearest[start:stop] = each.argmin(1)
            distance[start:stop] = each[np.arange(stop - start), nearest[start:stop]]
        return distance, nearest

    def _distances(self, x: F64) -> F64:
        """Return the distance of weighted counts [b, d] to each reference [b, r]."""
        both = np.zeros((len(x), len(self._full)))  # sum of min(u, v): only types that both hold add to it
        for column in np.flatnonzero((x > 0).any(0) & (self._full > 0).any(0)):
            row, to = np.flatnonzero(x[:, column]), np.flatnonzero(self._full[:, column])
            both[np.ix_(row, to)] += np.minimum(x[row, column][:, None], self._full[to, column])
        most = x.sum(1)[:, None] + self._sum - both  # max(u, v) = u + v - min(u, v)
        distance: F64 = np.where(most > 0, 1 - both / np.where(most > 0, most, 1.0), 0.0)
        distance[distance < ROUNDING] = 0.0
        return distance

    def state(self) -> State:
        """Return the references and the weights of the types."""
        kept = self._reference
        return State(
            {
                "lookup": kept.columns.lookup,
                "row": kept.columns.row,
                "indptr": kept.indptr,
                "column": kept.column,
                "count": kept.count,
                "weight": kept.weight,
                "idf": self._idf,
            }
        )

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector."""
        a = state.arrays
        self = cls()
        self._idf = a["idf"]
        inverse = np.arange(len(a["weight"]))
        columns = Columns(a["lookup"], a["row"])
        self._keep(Counts(columns, a["indptr"], a["column"], a["count"], a["weight"], inverse))
        return self
