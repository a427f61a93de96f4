"""What is watched, over which minutes, and its dense form: a row per series, a column per minute."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from oddlog.types import F64, I64, Bool

CELLS_AT_ONCE = 500_000  # series × minutes that are dense at one time: 4 MB each copy, which caches hold
MOST_MINUTES = 400 * 1_440  # of an input that are looked at: a year and some days
UNOBSERVED = 360  # minutes without one line of anything: nobody was writing this log down
MINUTES_PER_DAY = 1_440
TAIL_MINUTES, TAIL_SHARE = 60, 0.1

KINDS = ("lines", "warnings", "errors", "template", "host", "status", "number")
"""What a series counts: all lines of a service, those ≥ WARNING, those ≥ ERROR, lines of a template, lines of a host,
answers of a class of status of a service; or the mean of a number of a service, on one of its hosts or on all."""
COUNTED = KINDS[:-1]


@dataclass(frozen=True)
class Series:
    """What is watched [s].

    Attributes
    ----------
    kind : tuple of str [s]
        Out of `KINDS`.
    service : tuple of str [s]
        Empty where a series is of a host or of a template.
    host : tuple of str [s]
        Empty where a series is of all hosts.
    name : tuple of str [s]
        The class of status ("5"), the field of a number; else empty.
    template : I64 [s]
        Row of the template, -1 where the series is of none.

    """

    kind: tuple[str, ...]
    service: tuple[str, ...]
    host: tuple[str, ...]
    name: tuple[str, ...]
    template: I64

    def __len__(self) -> int:
        return len(self.kind)

    def frame(self) -> pl.DataFrame:
        """Return ``series kind service host name template``."""
        return pl.DataFrame(
            {
                "series": np.arange(len(self), dtype=np.int32),
                "kind": pl.Series(self.kind, dtype=pl.String),
                "service": pl.Series(self.service, dtype=pl.String),
                "host": pl.Series(self.host, dtype=pl.String),
                "name": pl.Series(self.name, dtype=pl.String),
                "template": self.template,
            }
        )

    def of_kind(self, *kinds: str) -> I64:
        """Return the series of some kinds."""
        return np.flatnonzero(np.isin(np.array(self.kind, dtype=np.str_), kinds))


def hour_of_week(minute: I64) -> I64:
    """Return the hour of the week of each minute [t]: Monday 0:00 UTC is 0; the epoch was a Thursday."""
    return (minute // 60 + 3 * 24) % 168


@dataclass(frozen=True)
class Span:
    """The minutes of an input: `first` is the number of the first one, `observed` [t] whether anything was written."""

    first: int
    observed: Bool

    def __len__(self) -> int:
        return len(self.observed)

    @property
    def minute(self) -> I64:
        """The number of each minute [t]."""
        return self.first + np.arange(len(self.observed))

    @property
    def hour_of_week(self) -> I64:
        """Of each minute [t]; see `hour_of_week`."""
        return hour_of_week(self.minute)

    @property
    def day(self) -> I64:
        """Days since the epoch, UTC [t]."""
        return self.minute // MINUTES_PER_DAY

    @property
    def days(self) -> float:
        """How many days of it were observed."""
        return float(self.observed.sum()) / MINUTES_PER_DAY

    @classmethod
    def of(cls, cells: pl.DataFrame) -> Span:
        """Return the minutes of ``minute n``: of more than `MOST_MINUTES`, those with most lines in a row."""
        by_minute = cells.group_by("minute").agg(pl.col("n").sum()).sort("minute")
        there = by_minute["minute"].to_numpy().astype(np.int64)
        if not len(there):
            return cls(0, np.empty(0, np.bool_))
        lines = np.concatenate([[0], np.cumsum(by_minute["n"].to_numpy())])
        end = np.searchsorted(there, there + MOST_MINUTES)
        best = int(np.argmax(lines[end] - lines[:-1]))
        there = there[best : end[best]]
        there = there[: _ended(there, np.diff(lines)[best : end[best]])]
        gaps = np.flatnonzero(np.diff(there) > UNOBSERVED)
        observed = np.ones(int(there[-1] - there[0]) + 1, np.bool_)
        for gap in gaps.tolist():
            observed[there[gap] + 1 - there[0] : there[gap + 1] - there[0]] = False
        return cls(int(there[0]), observed)


def _ended(minute: I64, lines: I64) -> int:
    """Return how many of the minutes with lines [x], ascending, belong to the log while it was written as ever.

    Where a log was cut off, some requests still end behind the cut: next to nothing is written then, by anybody, and
    that a source is silent says nothing. So the end is where a last hour at most holds hardly a line.
    """
    usual = float(np.median(lines))
    kept = len(minute)
    while kept > 1 and minute[-1] - minute[kept - 1] < TAIL_MINUTES and lines[kept - 1] < TAIL_SHARE * usual:
        kept -= 1
    return kept if minute[-1] - minute[kept - 1] < TAIL_MINUTES else len(minute)


def dense(counts: pl.DataFrame, span: Span, series: I64, column: str = "n") -> F64:
    """Return one column of ``series minute …``, sorted, as a matrix of some series [x, t]; 0 where there is nothing."""
    matrix = np.zeros((len(series), len(span)))
    of_row, minute, value = (counts[name].to_numpy() for name in ("series", "minute", column))
    start, end = (np.searchsorted(of_row, series.astype(of_row.dtype), side) for side in ("left", "right"))
    for row, (a, b) in enumerate(zip(start.tolist(), end.tolist(), strict=True)):
        matrix[row, minute[a:b] - span.first] = value[a:b]
    return matrix


@dataclass(frozen=True)
class Block:
    """Some series as matrices, a column per minute of the span [x, t].

    Attributes
    ----------
    series : I64 [x]
        Which ones.
    seen : F64 [x, t]
        Lines; of numbers the sum of their asinh.
    values : F64 [x, t] or None
        Of how many values that is the sum; None of counts.
    total : F64 [x, t] or None
        The sum of the numbers themselves.

    """

    series: I64
    span: Span
    seen: F64
    values: F64 | None = None
    total: F64 | None = None


@dataclass(frozen=True)
class Counted:
    """The counts of an input.

    Attributes
    ----------
    span : Span
        Its minutes.
    series : Series
        What is watched.
    counts : pl.DataFrame
        ``series minute n``, sorted.
    numbers : pl.DataFrame
        ``series minute n sum asinh`` of the series of kind "number", sorted.
    failures : pl.DataFrame
        ``bucket entity template n``: failed lines of known types.
    entities : pl.DataFrame
        ``bucket entity n``: all lines that name an entity.
    cells : pl.DataFrame
        ``minute service gravity template n``: what `counts` was summed from.
    names, services : tuple of str
        The entities, and the services: what their numbers stand for.

    """

    span: Span
    series: Series
    counts: pl.DataFrame
    numbers: pl.DataFrame
    failures: pl.DataFrame
    entities: pl.DataFrame
    cells: pl.DataFrame
    names: tuple[str, ...] = ()
    services: tuple[str, ...] = ()

    @property
    def total(self) -> F64:
        """Lines of each series, or values of a number [s]."""
        every = pl.concat([self.counts.select("series", "n"), self.numbers.select("series", "n")])
        n = every["n"].cast(pl.Float64).to_numpy()
        result: F64 = np.bincount(every["series"].to_numpy(), n, minlength=len(self.series)).astype(np.float64)
        return result

    def blocks(self, looked_at: Bool | None = None) -> Iterator[Block]:
        """Yield all series, or those `looked_at` [s], in blocks whose dense form is small enough: numbers come last."""
        at_once = max(CELLS_AT_ONCE // max(len(self.span), 1), 1)
        for series, frame in (
            (self.series.of_kind(*COUNTED), self.counts),
            (self.series.of_kind("number"), self.numbers),
        ):
            wanted = series if looked_at is None else series[looked_at[series]]
            for start in range(0, len(wanted), at_once):
                some = wanted[start : start + at_once]
                if frame is self.counts:
                    yield Block(some, self.span, dense(frame, self.span, some))
                else:
                    seen, values, total = (dense(frame, self.span, some, c) for c in ("asinh", "n", "sum"))
                    yield Block(some, self.span, seen, values, total)


def trailing(matrix: F64, minutes: int, lag: int = 0) -> F64:
    """Return the sum of each minute and those before it, `minutes` in all, `lag` minutes ago [x, t].

    >>> trailing(np.array([[1.0, 2.0, 3.0, 4.0]]), 2).tolist()
    [[1.0, 3.0, 5.0, 7.0]]
    >>> trailing(np.array([[1.0, 2.0, 3.0, 4.0]]), 2, lag=1).tolist()
    [[0.0, 1.0, 3.0, 5.0]]
    """
    if minutes == 1 and not lag:
        return matrix
    length = matrix.shape[1]
    total = np.zeros((len(matrix), length + 1))
    np.cumsum(matrix, axis=1, out=total[:, 1:])
    result = np.zeros(matrix.shape)
    result[:, lag:] = total[:, 1 : max(length + 1 - lag, 1)]
    result[:, lag + minutes :] -= total[:, 1 : max(length + 1 - lag - minutes, 1)]
    return result
