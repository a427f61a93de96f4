"""How often each type of event stands in a window, one row per *distinct* window.

Members that look only at counts see the same row again and again (three in four HDFS sessions repeat another
word for word), so equal windows become one row with the sum of their weights, and scores are spread back::

    windows   A A B C        row 0: A A B C, A A C B   weight 2
              A A C B   ──►  row 1: A                  weight 1      inverse = [0, 0, 1]
              A
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from oddlog.features.hashing import GOLDEN, mix, sums_of
from oddlog.types import F32, F64, I64, U32, U64, Windows

UNSEEN = -1
"""In place of a template's row: the slot shared by all types that the usual windows do not hold."""
RARE = -2
"""In place of a template's row: the slot shared by the rarest types, when there are more than `MAX_COLUMNS`."""
MAX_COLUMNS = 2_048
"""Types with a column of their own. 2,048 columns x 2,048 rows of float64 are 32 MiB: the largest dense block
that a member holds; the types beyond it stand in fewer windows than any of the 2,048 and share one slot."""


@dataclass(frozen=True)
class Columns:
    """Which column a template's row is counted in: own columns first, then the rare slot, then the unseen slot.

    Attributes
    ----------
    lookup : I64 [k + 1]
        Column of each row; the last entry serves every row >= k.
    row : I64 [d]
        Template row of each column, `RARE` and `UNSEEN` for the last two.

    """

    lookup: I64
    row: I64

    @classmethod
    def of_rows(cls, rows: I64, pooled: I64, k: int) -> Self:
        """Give each of `rows` a column (ascending), `pooled` the rare slot, every other type the unseen one."""
        rows = np.sort(rows)
        lookup = np.full(k + 1, len(rows) + 1, np.int64)
        lookup[pooled] = len(rows)
        lookup[rows] = np.arange(len(rows))
        return cls(lookup, np.concatenate([rows, [RARE, UNSEEN]]).astype(np.int64))

    @property
    def k(self) -> int:
        """Types known to the model."""
        return len(self.lookup) - 1

    @property
    def width(self) -> int:
        """Columns, the rare and the unseen slot included."""
        return len(self.row)

    def of(self, template: U32) -> I64:
        """Return the column of each event [e]."""
        return self.lookup[np.minimum(template, self.k)]

    def of_slot(self, slot: I64) -> I64:
        """Return the column of `RARE` or `UNSEEN` [x]."""
        return np.where(slot == RARE, self.width - 2, self.width - 1)


@dataclass(frozen=True)
class Counts:
    """Distinct rows of counts, sparse (CSR), in an order that depends on their content only.

    Attributes
    ----------
    columns : Columns
        What is counted where.
    indptr : I64 [r + 1]
        Row ``i`` stands in ``column[indptr[i]:indptr[i + 1]]`` and ``count[...]``.
    column : I64 [x]
        Ascending within a row.
    count : F64 [x]
        Always >= 1.
    weight : F64 [r]
        Windows that each row stands for.
    inverse : I64 [w]
        Row of each window.

    """

    columns: Columns
    indptr: I64
    column: I64
    count: F64
    weight: F64
    inverse: I64

    def __len__(self) -> int:
        return len(self.indptr) - 1

    @property
    def nnz(self) -> I64:
        """Types per row [r]."""
        return np.diff(self.indptr)

    @cached_property
    def row_of_entry(self) -> I64:
        """The row of each entry [x]."""
        return np.repeat(np.arange(len(self)), self.nnz)

    @cached_property
    def held(self) -> F32:
        """Which columns each row holds, as a full matrix of 0 and 1 [r, d]: for the few rows of a reference."""
        return (self.dense() > 0).astype(np.float32)

    def dense(self, start: int = 0, stop: int | None = None) -> F64:
        """Return rows ``start:stop`` as a full matrix [b, d]."""
        stop = len(self) if stop is None else min(stop, len(self))
        part = slice(self.indptr[start], self.indptr[stop])
        full = np.zeros((stop - start, self.columns.width))
        full[self.row_of_entry[part] - start, self.column[part]] = self.count[part]
        return full

    def heaviest(self, limit: int) -> Self:
        """Return at most `limit` rows: those that stand for most windows, ties in the order of the rows.

        That order is one of hashes, so among rows of equal weight the choice is a fixed random sample.
        `inverse` is that of the rows kept: ``0 .. limit - 1``.
        """
        keep = np.sort(np.argsort(-self.weight, kind="stable")[:limit])
        entry = ragged(self.indptr[keep], self.nnz[keep])
        indptr = np.concatenate([[0], np.cumsum(self.nnz[keep])]).astype(np.int64)
        return type(self)(
            self.columns,
            indptr,
            self.column[entry],
            self.count[entry],
            self.weight[keep],
            np.arange(len(keep)),
        )

    def to_events(self, value: F64, windows: Windows) -> F32:
        """Spread `value` [x], one per entry, to the events [e] of the windows that were counted."""
        width = self.columns.width
        entry = self.row_of_entry * width + self.column
        event = np.repeat(self.inverse * width, windows.lengths) + self.columns.of(windows.template)
        return value.astype(np.float32)[np.searchsorted(entry, event)]


def counts(windows: Windows, k: int, *, columns: Columns | None = None) -> Counts:
    """Count the types of each window's events and keep the distinct rows.

    Parameters
    ----------
    windows : Windows
        [w]
    k : int
        Types known to the model; a row >= k is unseen.
    columns : Columns, optional
        Those of training. Without them they are chosen here: every type that stands in a window has its own
        column, up to `MAX_COLUMNS` by the weight of the windows that hold it (ties: the lower row), the others
        share the rare slot.

    Returns
    -------
    Counts
        Rows ordered by a hash of their content, so that the order of the windows changes nothing.

    """
    if columns is None:
        columns = choose_columns(windows, k)
    column = columns.of(windows.template)
    first, inverse = _distinct(_fingerprints(column, windows.offsets, columns.width))
    weight: F64 = np.bincount(inverse, weights=windows.weight, minlength=len(first)).astype(np.float64)
    lengths = windows.lengths[first]
    event = column[ragged(windows.offsets[first], lengths)]
    cell = np.repeat(np.arange(len(first)) * columns.width, lengths) + event
    cell, count = np.unique(cell, return_counts=True)
    row, column = np.divmod(cell, columns.width)
    indptr = np.searchsorted(row, np.arange(len(first) + 1)).astype(np.int64)
    return Counts(columns, indptr, column, count.astype(np.float64), weight, inverse)


def ragged(start: I64, length: I64) -> I64:
    """Return ``start[0] .. start[0] + length[0] - 1, start[1] ..`` one after the other.

    >>> ragged(np.array([7, 2]), np.array([2, 3])).tolist()
    [7, 8, 2, 3, 4]
    """
    end = np.cumsum(length)
    total = int(end[-1]) if len(end) else 0
    return np.repeat(start - (end - length), length) + np.arange(total)


def document_frequency(found: Counts) -> F64:
    """Return the weight of the windows that hold each column [d]."""
    weight = found.weight[found.row_of_entry]
    return np.bincount(found.column, weights=weight, minlength=found.columns.width).astype(np.float64)


def choose_columns(windows: Windows, k: int, most: int | None = None) -> Columns:
    """Give the types that stand in most windows a column each, at most `MAX_COLUMNS` or `most`; see `counts`."""
    most = MAX_COLUMNS if most is None else most
    every = Columns.of_rows(np.arange(k), np.empty(0, np.int64), k)
    frequency = document_frequency(counts(windows, k, columns=every))[:k]
    held = np.flatnonzero(frequency)
    ranked = held[np.argsort(-frequency[held], kind="stable")]
    return Columns.of_rows(ranked[:most], ranked[most:], k)


def _fingerprints(column: I64, offsets: I64, width: int) -> tuple[U64, U64]:
    """Return two 64-bit sums of mixed column numbers per window [w], alike whatever the order of the events.

    With 128 bits, two different windows among 10^7 share a fingerprint with a chance below 10^-24.
    """

    def sums(seed: int) -> U64:
        with np.errstate(over="ignore"):
            value = np.arange(1, width + 1, dtype=np.uint64) * GOLDEN
        return sums_of(mix(value, np.uint64(seed << 32))[column], offsets)

    return sums(1), sums(2)


def _distinct(fingerprints: tuple[U64, U64]) -> tuple[I64, I64]:
    """Return the first window of each distinct fingerprint [r], in fingerprint order, and each one's row [w]."""
    high, low = fingerprints
    order: NDArray[Any] = np.lexsort((low, high))
    new = np.ones(len(order), np.bool_)
    new[1:] = (np.diff(high[order]) != 0) | (np.diff(low[order]) != 0)
    inverse = np.empty(len(order), np.int64)
    inverse[order] = np.cumsum(new) - 1
    return order[new].astype(np.int64), inverse
