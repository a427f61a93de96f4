"""When, within a longer time, a share is odd; what is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from oddlog.rates.member import share_deviate
from oddlog.shares.blocks import SPANS, Block
from oddlog.shares.counting import ShareCounts
from oddlog.shares.subjects import Kind
from oddlog.types import F64

FALL = 6.0  # nats
GAP = max(SPANS)  # buckets between two odd stretches of a subject that still are one


@dataclass(frozen=True)
class Odd:
    """A subject whose share is far above usual for a while.

    Attributes
    ----------
    kind : str
        Out of `KINDS`.
    subject : int
        See `subjects.subject_of`.
    start_us, end_us : int
        Times of the first and the last marked event.
    first, last : int
        The ten minutes of both.
    score, surprise : float
        As a normal deviate, and −log10 of how often an hour holds one as high.
    part, whole : float
        Events with the mark, and all, in these ten minutes.
    usual : float
        The usual share.
    service : int
        Where the marked events are, mostly.
    lines : tuple of (source, line, template)
        Some marked events.

    """

    kind: Kind
    subject: int
    start_us: int
    end_us: int
    first: int
    last: int
    score: float
    surprise: float
    part: float
    whole: float
    usual: float
    service: int
    lines: tuple[tuple[int, int, int], ...]

    @property
    def excess(self) -> float:
        """The share of the marked events that are more than usual."""
        return max(self.part - self.whole * self.usual, 0.0) / max(self.part, 1.0)


def runs(odd: pl.DataFrame) -> Iterator[tuple[int, int]]:
    """Yield the ten minutes from which and to which a subject is looked at more closely."""
    first = pl.col("bucket") - pl.col("span") + 1
    fresh = (first > pl.col("bucket").shift(1).cum_max() + GAP).fill_null(value=True)
    runs = odd.with_columns(run=fresh.cum_sum(), first=first)
    for _, part in runs.group_by("run", maintain_order=True):
        yield int(part["first"].min()), int(part["bucket"].max())  # type: ignore[arg-type] # not empty


def score_of(block: Block, row: int, within: tuple[int, int], usual: float, spread: F64) -> float:
    """Return how far above usual the share of a stretch is, as that of the span nearest to its length."""
    part, of = (matrix[row, within[0] : within[1] + 1].sum() for matrix in (block.part, block.of))
    nearest = int(np.argmin(np.abs(np.log(np.array(SPANS) / (within[1] - within[0] + 1)))))
    return float(share_deviate(part, of, usual) / np.sqrt(spread[nearest]))


def one_candidate(subject: int, score: float) -> pl.DataFrame:
    """Return a candidate, as far as a limit looks at it."""
    return pl.DataFrame({"subject": [subject], "score": [score]})


def told(
    kind: Kind,
    block: Block,
    row: int,
    usual: float,
    within: tuple[int, int],
    top: tuple[float, float],
    counts: ShareCounts,
) -> Odd:
    """Return what is odd in a stretch."""
    part, of = (float(matrix[row, within[0] : within[1] + 1].sum()) for matrix in (block.part, block.of))
    first, last = block.first + within[0], block.first + within[1]
    subject = int(block.subject[row])
    marks = counts.marked[kind].filter((pl.col("subject") == subject) & pl.col("bucket").is_between(first, last))
    lines = tuple(marks.select("source", "line", "template").iter_rows())
    start_us, end_us = int(marks["first_us"].min()), int(marks["last_us"].max())  # type: ignore[arg-type] # begin and end have marks
    service = int(marks.sort("n", descending=True, maintain_order=True)["service"][0])
    return Odd(kind, subject, start_us, end_us, first, last, *top, part, of, usual, service, lines)


def dense_stretches(part: F64, of: F64, usual: float) -> list[tuple[int, int]]:
    """Return the first and the last of the counts [t] of each stretch in which the share is far above usual.

    Each is a climb of the log-likelihood ratio of the share there is at its worst against the usual one, and is over
    once that has fallen so far that the worst share, had it gone on, would have given what came then 1 time in 400
    (a cumulative sum, Page, Continuous inspection schemes, 1954, read backwards to where it began).

    >>> dense_stretches(np.array([0.0, 5, 0, 6, 0, 0]), np.array([9.0, 9, 9, 9, 9, 9]), 0.01)
    [(1, 3)]
    >>> dense_stretches(np.array([8.0, 8, 0, 0, 0, 0, 8.0]), np.full(7, 9.0), 0.2)
    [(0, 1), (6, 6)]
    """
    p = min(max(usual, 1e-9), 1 - 1e-9)
    worst = float((part.sum() + 0.5) / (of.sum() + 1))
    q = min(max(worst, min(2 * p, (1 + p) / 2)), 1 - 1e-9)
    gain = part * np.log(q / p) + (of - part) * np.log((1 - q) / (1 - p))
    found: list[tuple[int, int]] = []
    start, total, top, end = -1, 0.0, 0.0, -1
    for i, one in enumerate(gain.tolist()):
        if start < 0:
            if one <= 0:
                continue
            start, total, top = i, 0.0, 0.0
        total += one
        if total > top:
            top, end = total, i
        elif total <= max(top - FALL, 0.0):
            found.append((start, end))
            start = -1
    return [*found, (start, end)] if start >= 0 else found
