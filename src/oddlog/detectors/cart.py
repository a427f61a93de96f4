"""One decision tree on how often each type of event stands in a window, with labels."""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np

from oddlog.detectors.labelled import Examples
from oddlog.detectors.trees import Trees
from oddlog.errors import needing
from oddlog.features.counts import Columns, counts
from oddlog.types import F32, I8, Context, Scores, State, Windows

MAX_ROWS = 20_000
"""Distinct windows that are learned from."""
MAX_LEAVES = 256
PRICE = 1e-3
"""Of a leaf, in Gini impurity: what pruning must win by it (cost-complexity, chapter 3 of the book)."""
BLOCK = 1 << 20
"""Cells of a block of rows."""


class DecisionTree:
    """Share of anomalous windows in the leaf that a window's counts lead to.

    Counts are taken as they are, cuts do not depend on their scale; both kinds weigh the same in all. It has no
    opinion on events. Windows without a label count as usual.

    Parameters
    ----------
    seed : int, optional
        Among cuts that part equally well; without it that of the context.

    Notes
    -----
    Breiman, Friedman, Olshen and Stone, "Classification and regression trees", 1984; on logs: Chen, Zheng, Lloyd,
    Jordan and Brewer, "Failure diagnosis using decision trees", ICAC 2004 (doi 10.1109/ICAC.2004.1301345).
    The book prunes by cross-validation; here the price of a leaf is fixed at `PRICE`, for the tree is fitted six times
    already. Fitted by scikit-learn, at most `MAX_LEAVES` leaves; scoring needs numpy only.

    """

    name = "cart"
    reads = frozenset({"template"})
    needs: Literal["usual", "labels"] = "labels"
    requires: tuple[str, ...] = ("sklearn",)
    verdict_above: float | None = 0.5

    _columns: Columns
    _tree: Trees

    def __init__(self, *, seed: int | None = None) -> None:
        self.seed = seed

    def fit(
        self,
        windows: Windows,
        context: Context,
        labels: I8 | None = None,
        *,
        validation: Windows | None = None,  # noqa: ARG002 - of the contract; nothing here is stopped early
    ) -> Self:
        """Grow and prune the tree.

        Raises
        ------
        MissingExtraError
            Without scikit-learn.
        LabelError
            Without windows of both kinds.

        """
        with needing("The decision tree", "train"):
            from sklearn.tree import DecisionTreeClassifier  # noqa: PLC0415 - of the extra: scoring needs none
        found = Examples.of(windows, labels, len(context.templates), MAX_ROWS)
        self._columns = found.columns
        seed = context.seed if self.seed is None else self.seed
        grown = DecisionTreeClassifier(max_leaf_nodes=MAX_LEAVES, ccp_alpha=PRICE, random_state=seed)
        grown.fit(found.count.astype(np.float32), found.label, sample_weight=found.weight)
        kinds = grown.tree_.value[:, 0, :]
        self._tree = of_sklearn(grown.tree_, kinds[:, 1] / kinds.sum(1))
        return self

    def score(self, windows: Windows) -> Scores:
        """Return the share of anomalous windows in the leaf of each window."""
        found = counts(windows, self._columns.k, columns=self._columns)
        share = np.empty(len(found))
        step = max(1, BLOCK // self._columns.width)
        for start in range(0, len(found), step):
            count: F32 = found.dense(start, start + step).astype(np.float32)  # as the tree was fitted
            share[start : start + step] = self._tree.values(count)
        return Scores(share[found.inverse], np.full(len(windows.template), np.nan, np.float32))

    def state(self) -> State:
        """Return the tree."""
        arrays = {"lookup": self._columns.lookup, "row": self._columns.row, **self._tree.arrays()}
        return State(arrays, {"seed": self.seed})

    @classmethod
    def from_state(cls, state: State, context: Context) -> Self:  # noqa: ARG003 - of the contract
        """Rebuild a fitted detector; needs no scikit-learn."""
        self = cls(seed=state.meta["seed"])
        self._columns = Columns(state.arrays["lookup"], state.arrays["row"])
        self._tree = Trees.from_arrays(state.arrays)
        return self


def of_sklearn(tree: Any, value: Any) -> Trees:
    """Return a tree of scikit-learn (its attribute ``tree_``) with `value` [x] at its nodes; it takes float32 rows."""
    feature = np.asarray(tree.feature, np.int64)
    nothing = np.full(len(feature), np.inf)
    left, right = (np.asarray(side, np.int64) for side in (tree.children_left, tree.children_right))
    return Trees(
        np.zeros(1, np.int64),
        np.where(left < 0, -1, feature),
        np.asarray(tree.threshold, np.float64),
        np.maximum(left, 0),
        np.maximum(right, 0),
        np.asarray(value, np.float64),
        -nothing,
        nothing,
    )
