"""Which counts are watched, and their dense form: a row per series, a column per minute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from oddlog.rates.counting import BUCKET, NO_HOST, Counting
from oddlog.types import F32, F64, I64, Bool, Tally

MOST_SERIES = 5_000
MOST_FIELDS = 16  # numeric fields, those with most values
LEAST_LINES = 30  # of a series in training; of rarer ones nothing can be said but that they are rare
CELLS_AT_ONCE = 4_000_000  # series × minutes that are dense at one time: 16 MB each copy
MOST_MINUTES = 400 * 1_440  # of an input that are looked at: a year and some days
UNOBSERVED = 360  # minutes without one line of anything: nobody was writing this log down
MINUTES_PER_DAY = 1_440

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
        """Monday 0:00 UTC is 0 [t]; the epoch was a Thursday."""
        return (self.minute // 60 + 3 * 24) % 168

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
        gaps = np.flatnonzero(np.diff(there) > UNOBSERVED)
        observed = np.ones(int(there[-1] - there[0]) + 1, np.bool_)
        for gap in gaps.tolist():
            observed[there[gap] + 1 - there[0] : there[gap + 1] - there[0]] = False
        return cls(int(there[0]), observed)


_NAMED = ("kind", "service", "host", "name", "template")


def counted(
    counting: Counting,
    rows_of: Callable[[pl.Series], I64],
    services: Sequence[str],
    tally: Tally,
    series: Series | None,
) -> Counted:
    """Return what was counted, as the series that are watched.

    Parameters
    ----------
    counting : Counting
        The counts.
    rows_of : callable
        Returns the template of each type, -1 of those that are unseen.
    services : sequence of str
        What the numbers of services stand for.
    tally : Tally
        Told how many series were left out.
    series : Series or None
        What is watched; chosen if None.

    """
    tables = {name: counting.table(name) for name in ("cells", "hosts", "statuses", "numbers", "failures", "entities")}
    for name in ("cells", "failures"):
        types = tables[name]["type"].unique(maintain_order=True)
        rows = pl.DataFrame({"type": types, "template": rows_of(types)})
        tables[name] = tables[name].join(rows, on="type", how="left", maintain_order="left").drop("type")
    span = Span.of(tables["cells"])
    for name, table in tables.items():
        unit, per = ("bucket", BUCKET) if "bucket" in table.columns else ("minute", 1)
        inside = pl.col(unit).is_between(span.first // per, (span.first + len(span) - 1) // per)
        tables[name] = table.filter(inside)
        if name == "cells":
            left_out = int(table["n"].sum()) - int(tables[name]["n"].sum())
            tally.add(f"lines more than {MOST_MINUTES // MINUTES_PER_DAY} days from most others, in no rate", left_out)
    counts = _named_counts(tables, services, counting.hosts.names)
    numbers = _named_numbers(tables["numbers"], services, counting.hosts.names, counting.fields.names)
    series = series or choose(counts, numbers, tally)
    failures = tables["failures"].filter(pl.col("template") >= 0).group_by("bucket", "entity", "template")
    return Counted(
        span,
        series,
        _numbered(counts, series),
        _numbered(numbers, series),
        failures.agg(pl.col("n").sum()).sort("bucket", "entity", "template"),
        tables["entities"],
        tables["cells"],
        tuple(counting.entities.names),
        tuple(services),
    )


def _spelled(column: str, names: Sequence[str]) -> pl.Expr:
    return pl.col(column).replace_strict(range(len(names)), names, return_dtype=pl.String, default="").alias(column)


def _named_counts(tables: Mapping[str, pl.DataFrame], services: Sequence[str], hosts: Sequence[str]) -> pl.DataFrame:
    """Return the counts of every possible series: ``kind service host name template minute n``."""
    cells, n = tables["cells"], pl.col("n").cast(pl.Int64).sum()

    def named(frame: pl.DataFrame, kind: str) -> pl.DataFrame:
        absent = {name: pl.lit("") for name in ("service", "host", "name")} | {"template": pl.lit(-1, pl.Int64)}
        columns = [column.alias(name) for name, column in absent.items() if name not in frame.columns]
        shown = frame.with_columns(pl.lit(kind).alias("kind"), *columns)
        return shown.group_by(*_NAMED, "minute").agg(n)

    by_service = cells.group_by("minute", "service", "gravity").agg(n).with_columns(_spelled("service", services))
    by_host = tables["hosts"].with_columns(_spelled("host", hosts))
    by_class = tables["statuses"].with_columns(_spelled("service", services), name=pl.col("status").cast(pl.String))
    parts = [
        named(by_service.filter(pl.col("gravity") >= least).drop("gravity"), kind)
        for least, kind in enumerate(("lines", "warnings", "errors"))
    ]
    parts.append(named(cells.filter(pl.col("template") >= 0).select("minute", "template", "n"), "template"))
    parts.append(named(by_host.filter(pl.col("host") != ""), "host"))
    parts.append(named(by_class.drop("status"), "status"))
    return pl.concat(parts)


def _named_numbers(
    numbers: pl.DataFrame, services: Sequence[str], hosts: Sequence[str], fields: Sequence[str]
) -> pl.DataFrame:
    """Return the sums of every number of every service: ``kind service host name template minute n sum asinh``.

    They stand there for all hosts together, and where there are several, for each of them.
    """
    by = ["service", "host", "field", "minute"]
    several = numbers.filter((pl.col("host").n_unique() > 1).over("service", "field"))
    every = pl.concat(
        [numbers.with_columns(host=pl.lit(NO_HOST, pl.UInt32)), several.filter(pl.col("host") != NO_HOST)]
    )
    summed = every.group_by(by).agg(pl.col("n").cast(pl.Int64).sum(), pl.col("sum", "asinh").sum())
    return summed.select(
        pl.lit("number").alias("kind"),
        _spelled("service", services),
        _spelled("host", hosts),
        _spelled("field", fields).alias("name"),
        pl.lit(-1, pl.Int64).alias("template"),
        "minute",
        "n",
        "sum",
        "asinh",
    )


def choose(counts: pl.DataFrame, numbers: pl.DataFrame, tally: Tally) -> Series:
    """Return the series to watch: those with enough lines, and of these the ones with most; in order of their names.

    Hosts that are services by another name, and a service's only template, are watched twice: that costs little.
    """
    fields = (
        numbers.filter(pl.col("host") == "")
        .group_by("name")
        .agg(pl.col("n").sum())
        .sort("n", "name", descending=[True, False])
    )
    tally.add(f"numeric fields beyond {MOST_FIELDS}, not watched", max(len(fields) - MOST_FIELDS, 0))
    some = numbers.filter(pl.col("name").is_in(fields.head(MOST_FIELDS)["name"].implode()))
    every = pl.concat([counts.select(*_NAMED, "n"), some.select(*_NAMED, pl.col("n").cast(pl.Int64))])
    every = every.group_by(_NAMED).agg(pl.col("n").sum()).filter(pl.col("n") >= LEAST_LINES)
    ranked = every.sort("n", *_NAMED, descending=[True, *[False] * len(_NAMED)])
    tally.add(f"series of counts beyond {MOST_SERIES:,}, not watched", max(len(ranked) - MOST_SERIES, 0))
    kept = ranked.head(MOST_SERIES).sort(_NAMED)
    kind, service, host, name = (tuple(kept[column].to_list()) for column in _NAMED[:-1])
    return Series(kind, service, host, name, kept["template"].to_numpy())


def _numbered(counts: pl.DataFrame, series: Series) -> pl.DataFrame:
    """Return the counts of chosen series only: ``series minute …``, sorted."""
    joined = counts.join(series.frame(), on=_NAMED).drop(_NAMED)
    return joined.select("series", pl.exclude("series")).sort("series", "minute")


def dense(counts: pl.DataFrame, span: Span, series: I64, column: str = "n") -> F64:
    """Return one column of ``series minute …``, sorted, as a matrix of some series [x, t]; 0 where there is nothing."""
    matrix = np.zeros((len(series), len(span)))
    of_row, minute, value = (counts[name].to_numpy() for name in ("series", "minute", column))
    start, end = np.searchsorted(of_row, series, "left"), np.searchsorted(of_row, series, "right")
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

    def blocks(self) -> Iterator[Block]:
        """Yield all series, in blocks whose dense form is small enough: first the counts, then the numbers."""
        at_once = max(CELLS_AT_ONCE // max(len(self.span), 1), 1)
        for series, frame in (
            (self.series.of_kind(*COUNTED), self.counts),
            (self.series.of_kind("number"), self.numbers),
        ):
            for start in range(0, len(series), at_once):
                some = series[start : start + at_once]
                if frame is self.counts:
                    yield Block(some, self.span, dense(frame, self.span, some))
                else:
                    seen, values, total = (dense(frame, self.span, some, c) for c in ("asinh", "n", "sum"))
                    yield Block(some, self.span, seen, values, total)


def trailing(matrix: F64 | F32, minutes: int, lag: int = 0) -> F64:
    """Return the sum of each minute and those before it, `minutes` in all, `lag` minutes ago [x, t].

    >>> trailing(np.array([[1.0, 2.0, 3.0, 4.0]]), 2).tolist()
    [[1.0, 3.0, 5.0, 7.0]]
    >>> trailing(np.array([[1.0, 2.0, 3.0, 4.0]]), 2, lag=1).tolist()
    [[0.0, 1.0, 3.0, 5.0]]
    """
    total = np.zeros((matrix.shape[0], matrix.shape[1] + 1))
    np.cumsum(matrix, axis=1, out=total[:, 1:])
    end = np.clip(np.arange(1, matrix.shape[1] + 1) - lag, 0, None)
    result: F64 = total[:, end] - total[:, np.clip(end - minutes, 0, None)]
    return result
