"""Which of two networks a site keeps: the other one only where it is clearly better.

Both are asked about the same usual windows and the same corrupted twins of them (`pipeline.learning.corrupting`). The
utility of each is a mean of ROC AUCs, and the difference of two means little by itself: so it is taken again with each
tenth of the windows left out (a jackknife), which says how far it swings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from oddlog.types import F64, I64, Bool

BLOCKS = 10
"""Neighbours in time stay together: ten stretches of the windows."""
SURE = 2.0
"""Standard errors by which a difference must be above what is asked for; by chance that happens once in forty."""


@dataclass(frozen=True)
class Judged:
    """How a network scores a site's windows and their corrupted twins.

    Attributes
    ----------
    usual, weight : F64 [w]
        Scores of usual windows, and how many each stands for.
    twins : sequence of pairs of F64 [x] and I64 [x]
        For each kind of corruption: scores, and the window that each twin was made of.

    """

    usual: F64
    weight: F64
    twins: Sequence[tuple[F64, I64]]

    def utility(self, kept: Bool | None = None) -> float:
        """Return the mean ROC AUC over kinds of corruption, of all windows or of those `kept` [w]; .5 without any."""
        kept = np.ones(len(self.usual), np.bool_) if kept is None else kept
        found = [
            auc(self.usual[kept], score[kept[of]], self.weight[kept], self.weight[of][kept[of]])
            for score, of in self.twins
            if kept[of].any()
        ]
        return float(np.mean(found)) if found else 0.5


def clearly_better(one: Judged, other: Judged, margin: float = 0.0) -> bool:
    """Return whether `one` is better than `other` by more than `margin` and `SURE` standard errors.

    >>> of, weight = np.arange(40), np.ones(40)
    >>> good = Judged(np.zeros(40), weight, [(np.arange(40.0), of)])
    >>> fair = Judged(np.zeros(40), weight, [(np.arange(40.0) % 2, of)])
    >>> clearly_better(good, fair, 0.1), clearly_better(good, good), clearly_better(fair, good)
    (True, False, False)
    """
    gain = one.utility() - other.utility()
    blocks = min(BLOCKS, len(one.usual))
    if gain <= margin or blocks < 2:  # noqa: PLR2004 - of one block nothing swings
        return False
    of_block = np.arange(len(one.usual)) * blocks // len(one.usual)
    without = [one.utility(of_block != i) - other.utility(of_block != i) for i in range(blocks)]
    error = np.sqrt((blocks - 1) / blocks * np.sum((np.array(without) - np.mean(without)) ** 2))
    return bool(gain - SURE * error > margin)


def auc(usual: F64, spoiled: F64, weight: F64, weight_spoiled: F64) -> float:
    """Return the weighted ROC AUC of scores [x] of usual windows against those of spoiled ones [y].

    >>> one = np.ones
    >>> auc(np.array([1.0, 2.0]), np.array([2.0, 3.0]), one(2), one(2))
    0.875
    """
    usual, spoiled = np.nan_to_num(usual, nan=0.0), np.nan_to_num(spoiled, nan=0.0)
    order = np.argsort(usual, kind="stable")
    running = np.concatenate([[0.0], np.cumsum(weight[order])])
    below = running[np.searchsorted(usual[order], spoiled, "left")]
    up_to = running[np.searchsorted(usual[order], spoiled, "right")]
    return float(((below + up_to) / 2 * weight_spoiled).sum() / (running[-1] * weight_spoiled.sum()))
