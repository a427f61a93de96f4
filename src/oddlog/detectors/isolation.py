"""Isolation forest: how few random cuts set a window apart."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Self

import numpy as np

from oddlog.detectors.trees import Trees
from oddlog.detectors.usual import usual_only
from oddlog.features.counts import Columns, Counts, counts
from oddlog.types import F64, I8, I64, Context, Scores, State, Windows

TREES = 100
SAMPLE = 256
"""Windows that a tree is grown on (section 4.2 of the paper: more add nothing)."""
MAX_ROWS = 20_000
"""Distinct windows that samples are drawn from, those that stand for most windows."""
MAX_CELLS = 1 << 22
"""Rows x columns that samples are drawn from (32 MiB of float64); wide tables keep fewer rows."""
TRIED = 64
"""Columns that are looked through at once for one that varies."""
BLOCK = 1 << 20
"""Cells of a block of rows."""
EULER = 0.5772156649015329


class IsolationForest:
    """How few random cuts set a window's counts apart, on average over 100 trees of 256 windows: near 1 is odd.

    Features are ln(1 + count). To standardise them would change nothing: cuts are drawn evenly between the least and
    the largest value of a column, so they do not depend on its scale. It has no opinion on events.

    A window that lies outside of what a node has seen in the column that is cut ends there: it is set apart already.
    The paper lets it go on down, to the path of the outermost usual window, from which it then cannot be told.

    Parameters
    ----------
    paper : bool
        Raw counts, and the paper's paths. A type that no usual window holds is then never asked for at all.
    seed : int, optional
        Of samples and cuts; without it that of the context.

    Notes
    -----
    Liu, Ting and Zhou, "Isolation forest", ICDM 2008, algorithms 1 to 3 and equation 2 (doi 10.1109/ICDM.2008.17).
    Cuts fall on columns that vary among a node's windows; the paper leaves open what to do with the others. The range
    of a node is that of the "acceptable range" in Liu, Ting and Zhou, "On detecting clustered anomalies using
    SCiForest", ECML 2010, section 3.3 (doi 10.1007/978-3-642-15883-4_18), without its margin. At most 51,100 nodes.

    """

    name = "iforest"
    reads = frozenset({"template"})
    needs: Literal["usual", "labels"] = "usual"
    requires: tuple[str, ...] = ()

    _columns: Columns
    _trees: Trees
    _expected: float

    def __init__(self, *, paper: bool = False, seed: int | None = None) -> None:
        self.paper = paper
        self.seed = seed

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,  # noqa: ARG002 - of the contract; nothing here is stopped early
    ) -> Self:
        """Grow the trees."""
        found = counts(usual_only(windows, labels), len(context.templates))
        found = found.heaviest(min(MAX_ROWS, max(1, MAX_CELLS // found.columns.width)))
        self._columns = found.columns
        seed = context.seed if self.seed is None else self.seed
        x = self._features(found, 0, len(found))
        sample = max(1, min(SAMPLE, round(found.weight.sum())))
        self._trees = forest(x, found.weight, sample, seed, ranges=not self.paper)
        self._expected = expected_path(sample)
        return self

    def _features(self, found: Counts, start: int, stop: int) -> F64:
        count = found.dense(start, stop)
        return count if self.paper else np.log1p(count)

    def score(self, windows: Windows) -> Scores:
        """Return ``2 ** -(mean path / expected path)`` of each window."""
        found = counts(windows, self._columns.k, columns=self._columns)
        score = np.empty(len(found))
        step = max(1, BLOCK // self._columns.width)
        for start in range(0, len(found), step):
            path = self._trees.values(self._features(found, start, start + step)) / len(self._trees.root)
            score[start : start + step] = 2 ** (-path / self._expected)
        return Scores(score[found.inverse], np.full(len(windows.template), np.nan, np.float32))

    def state(self) -> State:
        """Return the trees."""
        arrays = {"lookup": self._columns.lookup, "row": self._columns.row, **self._trees.arrays()}
        return State(arrays, {"paper": self.paper, "seed": self.seed, "expected": self._expected})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector."""
        self = cls(paper=bool(state.meta["paper"]), seed=state.meta["seed"])
        self._columns = Columns(state.arrays["lookup"], state.arrays["row"])
        self._trees, self._expected = Trees.from_arrays(state.arrays), float(state.meta["expected"])
        return self


def forest(x: F64, weight: F64, sample: int, seed: int, *, ranges: bool) -> Trees:
    """Return the isolation trees of rows [r, d] that stand for `weight` [r] windows each; `values` sums their paths.

    Windows are drawn with replacement, as rows that stand for many are drawn many times anyway.
    """
    draw = np.random.default_rng(seed)
    limit = int(np.ceil(np.log2(max(sample, 2))))
    chance = weight / weight.sum()
    trees = []
    for _ in range(TREES):
        growing = _Growing(x, draw, limit, ranges=ranges)
        growing.grow(draw.choice(len(x), sample, p=chance), 0)
        trees.append(growing.tree())
    return Trees.joined(trees)


def expected_path(n: int) -> float:
    """Return the mean path to a leaf among `n` windows, c(n) of the paper's equation 1; 1 where none can be cut.

    >>> round(expected_path(256), 2)
    10.24
    """
    return _left_over(n) or 1.0


def _left_over(n: int) -> float:
    """Return how many more cuts `n` windows in one leaf would take on average."""
    if n <= 2:  # noqa: PLR2004 - two windows take one cut
        return float(n - 1)
    return float(2 * (np.log(n - 1) + EULER) - 2 * (n - 1) / n)


@dataclass
class _Growing:
    """One tree while it grows: of each node column, cut, left, right, path, low and high."""

    x: F64
    draw: np.random.Generator
    limit: int
    ranges: bool
    nodes: list[list[float]] = field(default_factory=list)

    def grow(self, index: I64, depth: int) -> int:
        """Add the node that holds the windows at `index`, and all below it; return its place."""
        place = len(self.nodes)
        column = self._varying(index) if depth < self.limit and len(index) > 1 else -1
        if column < 0:
            self.nodes.append([-1, 0.0, 0, 0, depth + _left_over(len(index)), -np.inf, np.inf])
            return place
        value = self.x[index, column]
        low, high = float(value.min()), float(value.max())
        cut = float(self.draw.uniform(low, high))
        self.nodes.append([column, cut, 0, 0, depth, *((low, high) if self.ranges else (-np.inf, np.inf))])
        below = value <= cut
        self.nodes[place][2] = self.grow(index[below], depth + 1)
        self.nodes[place][3] = self.grow(index[~below], depth + 1)
        return place

    def _varying(self, index: I64) -> int:
        """Return a random column in which the windows differ, -1 if there is none."""
        order = self.draw.permutation(self.x.shape[1])
        for start in range(0, len(order), TRIED):
            part = self.x[np.ix_(index, order[start : start + TRIED])]
            varies = np.flatnonzero(part.min(0) < part.max(0))
            if len(varies):
                return int(order[start + varies[0]])
        return -1

    def tree(self) -> Trees:
        """Return it."""
        column, cut, left, right, path, low, high = np.array(self.nodes, np.float64).T.copy()
        feature, left, right = (whole.astype(np.int64) for whole in (column, left, right))
        return Trees(np.zeros(1, np.int64), feature, cut, left, right, path, low, high)
