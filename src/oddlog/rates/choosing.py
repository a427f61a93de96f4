"""From counted tables to series: which are watched, and what their numbers stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from oddlog.rates.counting import BUCKET, NO_HOST, Before, Counting
from oddlog.rates.series import KINDS, MINUTES_PER_DAY, MOST_MINUTES, TAIL_MINUTES, Counted, Series, Span
from oddlog.types import I64, Tally

MOST_SERIES = 5_000
MOST_FIELDS = 16  # numeric fields, those with most values
LEAST_LINES = 30  # of a series in training; of rarer ones nothing can be said but that they are rare
_NAMED = ("kind", "service", "host", "name", "template")


def counted(
    counting: Counting | Before,
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
            _tell_left_out(table.filter(~inside), span, tally)
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


def _tell_left_out(cells: pl.DataFrame, span: Span, tally: Tally) -> None:
    """Count the lines that lie in no minute of `span`: the last few behind its end, and those far away."""
    behind = pl.col("minute") - (span.first + len(span) - 1)
    last = int(cells.filter(behind.is_between(1, TAIL_MINUTES))["n"].sum())
    tally.add("last lines, of minutes in which hardly anything was written any more, in no rate", last)
    far = int(cells["n"].sum()) - last
    tally.add(f"lines more than {MOST_MINUTES // MINUTES_PER_DAY} days from most others, in no rate", far)


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
