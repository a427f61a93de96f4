"""How far apart two windows' counts are, with usual variation as the yardstick."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np

from oddlog.features.counts import Counts, document_frequency
from oddlog.types import F32, F64


@dataclass(frozen=True)
class Yardstick:
    """What one type of event weighs in a distance.

    Between counts ``u`` and ``v``::

        distance = sum of idf[e]                                     over types e held by one of the two
                 + sum of |ln u[e] - ln v[e]| / (spread[e] + 0.5)    over types e held by both

    Attributes
    ----------
    idf : F64 [d]
        ``ln((1 + n) / df[e]) + 0.5``: n windows, df[e] of them hold e; of a type that none holds,
        ``ln(1 + n) + 0.5``.
    scale : F64 [d]
        ``1 / (spread[e] + 0.5)``; the spread is the standard deviation of ln count over the distinct rows
        that hold e.

    """

    idf: F64
    scale: F64

    @classmethod
    def fit(cls, found: Counts) -> Self:
        """Learn from distinct rows and how many windows each stands for."""
        held = document_frequency(found)
        idf = np.log((1 + found.weight.sum()) / np.where(held > 0, held, 1.0)) + 0.5
        return cls(idf, 1 / (_spread(found) + 0.5))

    def lower_bound(
        self, found: Counts, start: int, stop: int, reference: Counts, reference_idf: F64 | None = None
    ) -> F32:
        """Return the part of the distance that comes from types held by one of the two [b, r].

        `reference_idf` [r] is the sum over the types that a reference holds, for whoever knows it: a thousand times
        the work of one row.
        """
        held = (found.dense(start, stop) > 0) * self.idf
        other = reference.held
        with np.errstate(invalid="ignore"):  # BLAS may set the flag by what lies behind the last row
            both = held.astype(np.float32) @ other.T
        whole = other @ self.idf if reference_idf is None else reference_idf
        return np.asarray(held.sum(1)[:, None] + whole[None, :] - 2 * both, np.float32)

    def to_each(self, found: Counts, start: int, stop: int, reference: Counts) -> F32:
        """Return the distance of rows ``start:stop`` to every reference [b, r]."""
        distance = self.lower_bound(found, start, stop, reference)
        count, other = found.dense(start, stop), reference.dense()
        for column in np.flatnonzero((count > 0).any(0) & (other > 0).any(0)):
            row, to = np.flatnonzero(count[:, column]), np.flatnonzero(other[:, column])
            logs = np.log(count[row, column])[:, None] - np.log(other[to, column])
            distance[np.ix_(row, to)] += (np.abs(logs) * self.scale[column]).astype(np.float32)
        return np.maximum(distance, 0.0)


def _spread(found: Counts) -> F64:
    """Return the standard deviation of ln count over the distinct rows that hold a column [d], 0 where none."""
    width = found.columns.width
    logs = np.log(found.count)
    held = np.maximum(np.bincount(found.column, minlength=width), 1)
    mean = np.bincount(found.column, logs, minlength=width) / held
    return np.sqrt(np.bincount(found.column, (logs - mean[found.column]) ** 2, minlength=width) / held)
