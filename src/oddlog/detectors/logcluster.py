"""Clusters of like windows, each known by its most typical one."""

from __future__ import annotations

from typing import Literal, Self

import numpy as np

from oddlog.detectors.usual import usual_only
from oddlog.features.counts import Columns, Counts, counts, document_frequency
from oddlog.types import F64, I8, I64, Context, Scores, State, Windows

MAX_ROWS = 2_000
"""Distinct windows that are clustered, those that stand for most windows; their distances fill 32 MiB."""
APART = 0.3
"""Largest distance within a cluster. The paper tunes it for each system; .3 is what comparisons use that name one."""
BLOCK = 1 << 20
"""Cells of a block of similarities."""
ROUNDING = 1e-9
"""A smaller distance is that of the same window: it is taken as none."""


class LogCluster:
    """Cosine distance to the nearest representative of a cluster of usual windows.

    A window is a vector of one number for each type that it holds, ``ln(1 + count)`` times the type's weight::

        weight = sigmoid(ln n / df) / 2 + 1/2 if the type is new           n usual windows, df of them hold the type

    The distinct usual windows are clustered from the bottom up while no two windows of a cluster are farther apart
    than .3 (complete linkage). A cluster is represented by the window with the smallest mean distance to the others;
    the score is the distance to the nearest representative, an event's score the weight of its type, if it is new.

    Parameters
    ----------
    apart : float
        Largest distance within a cluster.
    paper : bool
        A type counts once in a window, however often it stands there, as in the paper, which drops what repeats. Two
        windows that differ in their counts alone are then the same.

    Notes
    -----
    Lin, Zhang, Lou, Zhang and Chen, "Log clustering based problem identification for online service systems", ICSE
    2016 (companion, doi 10.1145/2889160.2889232). The half that is for new types is the paper's contrast
    between test and production. The paper clusters all windows; here at most `MAX_ROWS` distinct ones.

    """

    name = "logcluster"
    reads = frozenset({"template"})
    needs: Literal["usual", "labels"] = "usual"
    requires: tuple[str, ...] = ()

    _columns: Columns
    _weight: F64  # [d]
    _representative: F64  # [c, d] of length 1

    def __init__(self, apart: float = APART, *, paper: bool = False) -> None:
        self.apart = apart
        self.paper = paper

    @property
    def verdict_above(self) -> float | None:
        """The score above which the paper calls a window new."""
        return self.apart

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,  # noqa: ARG002 - of the contract; nothing here is stopped early
    ) -> Self:
        """Cluster the usual windows."""
        found = counts(usual_only(windows, labels), len(context.templates))
        self._columns = found.columns
        held = document_frequency(found)
        idf = np.log(found.weight.sum() / np.where(held > 0, held, 1.0))
        self._weight = 0.5 / (1 + np.exp(-idf)) + np.where(held > 0, 0.0, 0.5)
        kept = found.heaviest(MAX_ROWS)
        x = self._vectors(kept, 0, len(kept))
        distance = np.clip(1 - x @ x.T, 0.0, None)
        np.fill_diagonal(distance, 0.0)
        chosen = representatives(distance, complete_linkage(distance, self.apart), kept.weight)
        self._representative = x[chosen]
        return self

    def _vectors(self, found: Counts, start: int, stop: int) -> F64:
        """Return rows ``start:stop`` as vectors of length 1 [b, d]; a window without events is the zero vector."""
        count = found.dense(start, stop)
        x = ((count > 0) if self.paper else np.log1p(count)) * self._weight
        length = np.sqrt((x**2).sum(1, keepdims=True))
        unit: F64 = x / np.where(length > 0, length, 1.0)
        return unit

    def score(self, windows: Windows) -> Scores:
        """Return the distance to the nearest representative, and the weight of each event's type if it is new."""
        found = counts(windows, self._columns.k, columns=self._columns)
        distance = np.empty(len(found))
        step = max(1, BLOCK // max(len(self._representative), self._columns.width))
        for start in range(0, len(found), step):
            x = self._vectors(found, start, start + step)
            distance[start : start + step] = 1 - (x @ self._representative.T).max(1)
        distance[distance < ROUNDING] = 0.0
        new = np.where(self._columns.row < 0, self._weight, 0.0)[self._columns.of(windows.template)]
        return Scores(distance[found.inverse], new.astype(np.float32))

    def state(self) -> State:
        """Return the representatives and the weights."""
        arrays = {
            "lookup": self._columns.lookup,
            "row": self._columns.row,
            "weight": self._weight,
            "representative": self._representative,
        }
        return State(arrays, {"apart": self.apart, "paper": self.paper})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector."""
        a = state.arrays
        self = cls(float(state.meta["apart"]), paper=bool(state.meta["paper"]))
        self._columns = Columns(a["lookup"], a["row"])
        self._weight, self._representative = a["weight"], a["representative"]
        return self


def complete_linkage(distance: F64, apart: float) -> I64:
    """Return the cluster of each row [r]: none holds two rows farther apart than `apart`.

    Merging the two nearest clusters first, by chains of nearest neighbours (Murtagh, "A survey of recent advances in
    hierarchical clustering algorithms", The Computer Journal 26, 1983, doi 10.1093/comjnl/26.4.354), in r² steps.

    Parameters
    ----------
    distance : F64 [r, r]
        Symmetric.
    apart : float
        Where merging ends.

    """
    n = len(distance)
    between = distance.copy()
    np.fill_diagonal(between, np.inf)
    cluster, open_ = np.arange(n), np.ones(n, np.bool_)
    chain: list[int] = []
    while open_.any():
        if not chain:
            chain = [int(open_.argmax())]
        here = chain[-1]
        row = np.where(open_, between[here], np.inf)
        near = int(row.argmin())
        if len(chain) > 1 and row[chain[-2]] <= row[near]:
            near = chain[-2]  # of equally near ones the one before, or chains would go on in circles
        if not row[near] <= apart:
            open_[here] = False  # clusters only grow apart, so nothing will ever come near enough
            chain = []
        elif len(chain) > 1 and near == chain[-2]:
            chain = chain[:-2]
            between[near] = between[:, near] = np.maximum(between[near], between[here])
            between[near, near] = np.inf
            open_[here] = False
            cluster[cluster == here] = near
        else:
            chain.append(near)
    return np.unique(cluster, return_inverse=True)[1].astype(np.int64)


def representatives(distance: F64, cluster: I64, weight: F64) -> I64:
    """Return the row of each cluster [c] whose mean distance to the windows of the cluster is smallest."""
    order = np.argsort(cluster, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(cluster))[:-1])
    return np.array([part[(distance[np.ix_(part, part)] @ weight[part]).argmin()] for part in parts], np.int64)
