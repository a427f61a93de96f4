"""The counts of some subjects in their dense form: a row each, a column for each ten minutes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from oddlog.shares.counting import ShareCounts
from oddlog.shares.subjects import Kind, wholes_of
from oddlog.types import F64, I64

SPANS = (1, 3, 12)  # buckets: ten minutes, half an hour, two hours
LEAST_EXCESS = 3.0  # marks beyond those expected
CELLS_AT_ONCE = 500_000


@dataclass(frozen=True)
class Block:
    """Some subjects as matrices, a column for each ten minutes from `first` on [x, t]."""

    subject: I64
    whole: I64
    first: int
    part: F64
    of: F64


def blocks_of(kind: Kind, counts: ShareCounts) -> Iterator[Block]:
    """Yield all subjects with a mark, in blocks whose dense form is small enough."""
    marked, whole = counts.marked[kind], counts.whole[kind]
    if not len(marked) or not len(whole):
        return
    first, last = int(whole["bucket"].min()), int(whole["bucket"].max())  # type: ignore[arg-type] # there are some
    enough = marked.group_by("subject").agg(pl.col("n").sum()).filter(pl.col("n") >= LEAST_EXCESS).sort("subject")
    subjects = enough["subject"].to_numpy()
    at_once = max(CELLS_AT_ONCE // (last - first + 1), 1)
    for start in range(0, len(subjects), at_once):
        some = subjects[start : start + at_once]
        wholes = wholes_of(kind, some)
        distinct, row = np.unique(wholes, return_inverse=True)
        part = _dense(marked, "subject", some, first, last)
        yield Block(some, wholes, first, part, _dense(whole, "whole", distinct, first, last)[row])


def _dense(frame: pl.DataFrame, column: str, wanted: I64, first: int, last: int) -> F64:
    matrix = np.zeros((len(wanted), last - first + 1))
    of, bucket, n = (frame[name].to_numpy() for name in (column, "bucket", "n"))
    row = np.searchsorted(wanted, of).clip(max=len(wanted) - 1)
    there = wanted[row] == of
    matrix[row[there], bucket[there] - first] = n[there]
    return matrix
