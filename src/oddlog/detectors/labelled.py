"""The windows that a detector with labels learns from: both kinds, alike ones merged, none without a limit."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

import numpy as np

from oddlog.detectors.usual import ANOMALOUS
from oddlog.errors import LabelError, TooLittleDataError
from oddlog.features.counts import Columns, choose_columns, counts
from oddlog.types import F64, I8, Windows

MAX_CELLS = 1 << 23
"""Rows x columns that are learned from (64 MiB of float64); wide tables keep fewer rows."""


def both_kinds(windows: Windows, labels: I8 | None) -> I8:
    """Return 1 for anomalous windows and 0 for all others [w]: what is not labelled counts as usual.

    Raises
    ------
    TooLittleDataError
        If there is no window at all.
    LabelError
        If there are no labels, or only one kind.

    """
    if len(windows) == 0:
        raise TooLittleDataError("There is no window to learn from.", "Give more logs.")
    if labels is None:
        raise LabelError("There are no labels to learn from.", "Give some with --labels, a CSV with key,label.")
    anomalous: I8 = (labels == ANOMALOUS).astype(np.int8)
    if anomalous.all() or not anomalous.any():
        kind = "usual" if anomalous.all() else "labelled anomalous"
        raise LabelError(
            f"No window is {kind}, and to learn from labels takes both kinds.",
            "Give labels of both kinds with --labels, a CSV with key,label.",
        )
    return anomalous


def merged(windows: Windows, label: I8, k: int, most: int) -> tuple[Windows, I8]:
    """Return windows that differ in how often they hold each of the `k` types, with weights, and their labels.

    Of each kind at most half of `most` are kept, or more where the other kind needs less: those that stand for most
    windows, ties in the order of a hash. The weights of each kind then sum to half of all, so that the few anomalous
    windows count as much as the many usual ones.
    """
    every = Columns.of_rows(np.arange(k), np.empty(0, np.int64), k)
    usual, anomalous = (_merged(windows.take(label == one), every) for one in (0, 1))
    n = _shared(len(usual), len(anomalous), most)
    total = windows.weight.sum() / 2
    kept = [_heaviest(part, limit, total) for part, limit in zip((usual, anomalous), n, strict=True)]
    return Windows.concat(kept), np.repeat(np.array([0, 1], np.int8), [len(part) for part in kept])


def _merged(windows: Windows, every: Columns) -> Windows:
    found = counts(windows, every.k, columns=every)
    first = np.unique(found.inverse, return_index=True)[1].astype(np.int64)
    return replace(windows.take(first), weight=found.weight)


def _heaviest(windows: Windows, limit: int, total: float) -> Windows:
    index = np.sort(np.argsort(-windows.weight, kind="stable")[:limit])
    kept = windows.take(index)
    return replace(kept, weight=kept.weight * (total / kept.weight.sum()))


def _shared(a: int, b: int, most: int) -> tuple[int, int]:
    """Return how many of `a` and of `b` are kept, `most` in all.

    >>> _shared(90, 30, 100), _shared(90, 60, 100), _shared(5, 4, 100)
    ((70, 30), (50, 50), (5, 4))
    """
    half = most // 2
    return min(a, max(half, most - b)), min(b, max(half, most - a))


@dataclass(frozen=True)
class Examples:
    """Distinct rows of counts with a label each.

    Attributes
    ----------
    columns : Columns
        What is counted where.
    count : F64 [x, d]
        Full rows.
    label : I8 [x]
        0 usual, 1 anomalous.
    weight : F64 [x]
        That of each kind sums to half of all windows.

    """

    columns: Columns
    count: F64
    label: I8
    weight: F64

    @classmethod
    def of(cls, windows: Windows, labels: I8 | None, k: int, most: int) -> Self:
        """Return at most `most` rows, see `merged`."""
        label = both_kinds(windows, labels)
        columns = choose_columns(windows, k)
        kept, label = merged(windows, label, k, min(most, max(2, MAX_CELLS // columns.width)))
        found = counts(kept, k, columns=columns)
        return cls(columns, found.dense()[found.inverse], label, kept.weight)
