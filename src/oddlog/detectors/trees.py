"""Decision trees as arrays: whoever fitted them, this walks down them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from oddlog.types import F64, I64, Bool

BLOCK = 1 << 20
"""Places in trees that are followed at once, rows x trees."""


@dataclass(frozen=True)
class Trees:
    """Some trees, their nodes one after the other.

    A row goes left where its feature is at most the threshold. It ends at a leaf, or at a node in whose feature it
    lies outside of `low` to `high`: what a tree has never seen, it cannot say more about.

    Attributes
    ----------
    root : I64 [t]
        First node of each tree.
    feature : I64 [x]
        What each node asks for; -1 at a leaf.
    threshold : F64 [x]
        Where it parts.
    left, right : I64 [x]
        Nodes below.
    value : F64 [x]
        What a row that ends there gets.
    low, high : F64 [x]
        Least and largest value of the feature that the node was fitted to; infinite where that is of no matter.

    """

    root: I64
    feature: I64
    threshold: F64
    left: I64
    right: I64
    value: F64
    low: F64
    high: F64

    def values(self, x: NDArray[np.floating[Any]]) -> F64:
        """Return the sum of what each row [b, d] gets from all trees [b]."""
        total = np.empty(len(x))
        step = max(1, BLOCK // max(1, len(self.root)))
        for start in range(0, len(x), step):
            total[start : start + step] = self._ends(x[start : start + step])
        return total

    def _ends(self, x: NDArray[np.floating[Any]]) -> F64:
        at = np.tile(self.root, (len(x), 1))  # [b, t]
        row = np.arange(len(x))[:, None]
        while True:
            feature = self.feature[at]
            asked = x[row, np.maximum(feature, 0)]
            inner: Bool = (feature >= 0) & (asked >= self.low[at]) & (asked <= self.high[at])
            if not inner.any():
                total: F64 = self.value[at].sum(1)
                return total
            below = np.where(asked <= self.threshold[at], self.left[at], self.right[at])
            at = np.where(inner, below, at)

    def on(self, columns: I64) -> Self:
        """Return the trees as they ask a wider table, in which feature ``i`` stands in ``columns[i]``."""
        return replace(self, feature=np.where(self.feature >= 0, columns[self.feature], -1))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what `from_arrays` needs."""
        return {f"tree.{field.name}": getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Rebuild."""
        return cls(**{field.name: arrays[f"tree.{field.name}"] for field in fields(cls)})

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """Return the trees of all parts."""
        first = np.cumsum([0, *(len(part.feature) for part in parts)])[:-1]
        moved = {"root", "left", "right"}
        columns = {
            field.name: np.concatenate(
                [
                    getattr(part, field.name) + (at if field.name in moved else 0)
                    for part, at in zip(parts, first, strict=True)
                ]
            )
            for field in fields(cls)
        }
        return cls(**columns)
