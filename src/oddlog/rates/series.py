"""Which counts are watched, and their dense form: a row per series, a column per minute."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from oddlog.rates.counting import BUCKET, NO_HOST, Counting
from oddlog.types import F64, I64, Bool, Tally

MOST_SERIES = 5_000
MOST_FIELDS = 16  # numeric fields, those with most values
LEAST_LINES = 30  # of a series in training; of rarer ones nothing can be said but that they are rare
CELLS_AT_ONCE = 500_000  # series × minutes that are dense at one time: 4 MB each copy, which caches hold
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
    counts, numbers = _counts(tables), _numbers(tables["numbers"])
    names = (services, counting.hosts.names, counting.fields.names)
    named_counts, named_numbers = _named(counts, *names), _named(numbers, *names)
    series = series or choose(pl.concat([named_counts, named_numbers]), tally)
    failures = tables["failures"].filter(pl.col("template") >= 0).group_by("bucket", "entity", "template")
    return Counted(
        span,
        series,
        _numbered(counts, named_counts, series),
        _numbered(numbers, named_numbers, series),
        failures.agg(pl.col("n").sum()).sort("bucket", "entity", "template"),
        tables["entities"],
        tables["cells"],
        tuple(counting.entities.names),
        tuple(services),
    )


_KIND = {kind: code for code, kind in enumerate(KINDS)}
_ALL_HOSTS = (1 << 16) - 1  # hosts are at most 50,000


def _counts(tables: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """Return the counts of every possible series: ``kind key minute n``, all of them numbers."""
    cells = tables["cells"]

    def part(kind: str, frame: pl.DataFrame, key: pl.Expr) -> pl.DataFrame:
        summed = frame.group_by(key.cast(pl.Int64).alias("key"), "minute").agg(pl.col("n").cast(pl.Int64).sum())
        return summed.select(pl.lit(_KIND[kind], pl.UInt8).alias("kind"), "key", "minute", "n")

    by_service = cells.group_by("minute", "service", "gravity").agg(pl.col("n").cast(pl.Int64).sum())
    status = pl.col("service").cast(pl.Int64) * 16 + pl.col("status").cast(pl.Int64)
    return pl.concat(
        [
            *(
                part(kind, by_service.filter(pl.col("gravity") >= least), pl.col("service"))
                for least, kind in enumerate(("lines", "warnings", "errors"))
            ),
            part("template", cells.filter(pl.col("template") >= 0), pl.col("template")),
            part("host", tables["hosts"], pl.col("host")),
            part("status", tables["statuses"].filter(pl.col("status") < 16), status),  # noqa: PLR2004 - as above
        ]
    )


def _numbers(numbers: pl.DataFrame) -> pl.DataFrame:
    """Return the sums of every number of every service: ``kind key minute n sum asinh``.

    They stand there for all hosts together, and where there are several, for each of them.
    """
    service_and_field = pl.col("service").cast(pl.Int64) * (1 << 32) + pl.col("field").cast(pl.Int64)
    coded = numbers.select("minute", pl.col("n").cast(pl.Int64), "sum", "asinh", "host", base=service_and_field)
    hosts = coded.select("base", "host").unique().group_by("base").agg(hosts=pl.len()).filter(pl.col("hosts") > 1)
    each = coded.filter(pl.col("base").is_in(hosts["base"].implode()) & (pl.col("host") != NO_HOST))
    together = coded.group_by("base", "minute", maintain_order=True).agg(pl.col("n", "sum", "asinh").sum())
    columns = (pl.lit(_KIND["number"], pl.UInt8).alias("kind"), "key", "minute", "n", "sum", "asinh")
    return pl.concat(
        [
            together.with_columns(key=pl.col("base") + _ALL_HOSTS * (1 << 16)).select(columns),
            each.with_columns(key=pl.col("base") + pl.col("host").cast(pl.Int64) * (1 << 16)).select(columns),
        ]
    )


def _named(counts: pl.DataFrame, services: Sequence[str], hosts: Sequence[str], fields: Sequence[str]) -> pl.DataFrame:
    """Return what the codes of series stand for, and their lines: ``kind key n`` and `_NAMED`."""
    rows = counts.group_by("kind", "key").agg(pl.col("n").sum()).sort("kind", "key")
    named = [_name(KINDS[kind], key, services, hosts, fields) for kind, key in rows.select("kind", "key").iter_rows()]
    columns = dict(zip(_NAMED, zip(*named, strict=True) if named else [()] * len(_NAMED), strict=True))
    template = pl.Series("template", columns.pop("template"), dtype=pl.Int64)
    words = [pl.Series(name, values, dtype=pl.String) for name, values in columns.items()]
    return rows.rename({"kind": "code"}).with_columns(*words, template)


def _name(
    kind: str, key: int, services: Sequence[str], hosts: Sequence[str], fields: Sequence[str]
) -> tuple[str, str, str, str, int]:
    if kind == "template":
        return kind, "", "", "", key
    if kind == "host":
        return kind, "", hosts[key], "", -1
    if kind == "status":
        return kind, services[key // 16], "", str(key % 16), -1
    if kind == "number":
        host = key >> 16 & _ALL_HOSTS
        return kind, services[key >> 32], "" if host == _ALL_HOSTS else hosts[host], fields[key & 0xFFFF], -1
    return kind, services[key], "", "", -1


def choose(named: pl.DataFrame, tally: Tally) -> Series:
    """Return the series to watch: those with enough lines, and of these the ones with most; in order of their names.

    Hosts that are services by another name, and a service's only template, are watched twice: that costs little.
    """
    numbers = named.filter((pl.col("kind") == "number") & (pl.col("host") == ""))
    fields = numbers.group_by("name").agg(pl.col("n").sum()).sort("n", "name", descending=[True, False])
    tally.add(f"numeric fields beyond {MOST_FIELDS}, not watched", max(len(fields) - MOST_FIELDS, 0))
    kept_fields = fields.head(MOST_FIELDS)["name"].implode()
    every = named.filter((pl.col("kind") != "number") | pl.col("name").is_in(kept_fields))
    ranked = every.filter(pl.col("n") >= LEAST_LINES).sort("n", *_NAMED, descending=[True, *[False] * len(_NAMED)])
    tally.add(f"series of counts beyond {MOST_SERIES:,}, not watched", max(len(ranked) - MOST_SERIES, 0))
    kept = ranked.head(MOST_SERIES).sort(_NAMED)
    kind, service, host, name = (tuple(kept[column].to_list()) for column in _NAMED[:-1])
    return Series(kind, service, host, name, kept["template"].to_numpy())


def _numbered(counts: pl.DataFrame, named: pl.DataFrame, series: Series) -> pl.DataFrame:
    """Return the counts of chosen series only: ``series minute …``, sorted."""
    chosen = named.join(series.frame(), on=_NAMED).select(kind="code", key="key", series="series")
    joined = counts.join(chosen, on=["kind", "key"]).drop("kind", "key")
    return joined.select("series", pl.exclude("series")).sort("series", "minute")


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
