"""Counts what goes by: lines by minute and service, scores by minute, types by day, sources. For those who draw it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import fields

import polars as pl

from oddlog.templates import Matcher
from oddlog.types import LEVELS, NO_TIME, OVERFLOW, SCORES, Passed

MINUTE_US, DAY_US = 60_000_000, 86_400_000_000
MOST_TYPES = 20_000  # unseen types whose text is handed over, of one `take`
MOST_VERDICTS = 500_000  # kept while nothing can be stored
AT_ONCE = 50_000  # events that are counted at once
_LOOKED_AT = ["time_us", "service", "source", "template", "level", "count"]
TOP = 1_000.0  # scores beyond a thousand times the threshold say no more
_ERROR = LEVELS.index("ERROR")
VERDICTS = pl.Schema({**SCORES, "view": pl.String()})


class Passing:
    """Collects counts between two calls of `take`.

    Parameters
    ----------
    n_known : int
        Message types that the model knows: rows from there on are unseen.
    clock : callable
        Seconds since the epoch: the time of lines that have none.

    """

    def __init__(self, n_known: int, clock: Callable[[], float] = time.time) -> None:
        self._n_known, self._clock = n_known, clock
        self._told: set[int] = set()  # unseen rows whose text was handed over
        self._events: list[pl.DataFrame] = []
        self._n_events = 0
        self._counts: list[pl.DataFrame] = []
        self._verdicts: list[pl.DataFrame] = []

    def add(self, events: pl.DataFrame) -> None:
        """Take in events as `events.typed` returns them: each line once."""
        if not len(events):
            return
        seen = events[_LOOKED_AT]
        if seen["time_us"].min() == NO_TIME:
            now_us = round(self._clock() * 1e6)
            happened = pl.when(pl.col("time_us") == NO_TIME).then(now_us).otherwise("time_us")
            seen = seen.with_columns(happened=happened)
        else:
            seen = seen.hstack([seen["time_us"].alias("happened")])
        self._events.append(seen)
        self._n_events += len(seen)
        if self._n_events > AT_ONCE:
            self._count()

    def _count(self) -> None:
        """Count the events that were taken in: many at once, since that takes hardly longer than a few."""
        if not self._events:
            return
        events, self._events, self._n_events = pl.concat(self._events), [], 0
        time_us = pl.col("happened")
        grouped = events.group_by((time_us // MINUTE_US).alias("minute"), "service", "source", "template").agg(
            pl.col("count").sum().cast(pl.Int64).alias("lines"),
            pl.col("count").filter(pl.col("level") >= _ERROR).sum().cast(pl.Int64).alias("errors"),
            pl.col("level").max(),
            time_us.min().alias("first"),
            time_us.max().alias("last"),
            pl.col("time_us").max().alias("event"),
        )
        self._counts.append(grouped)

    def add_verdicts(self, verdicts: pl.DataFrame) -> None:
        """Take in what was judged for good: `SCORES` with ``view``."""
        if len(verdicts):
            self._verdicts.append(verdicts.select(VERDICTS.names()))

    def take(self, matcher: Matcher, services: Sequence[str], sources: Sequence[str]) -> Passed | None:
        """Return what went by since the last call, None for nothing."""
        self._count()
        if not self._counts and not self._verdicts:
            return None
        counts, self._counts = self._counts, []
        verdicts, self._verdicts = self._verdicts, []
        lines = pl.concat(counts) if counts else pl.DataFrame(schema=_COUNTS)
        lines = lines.filter(pl.col("template") != OVERFLOW)
        names = pl.Series(list(services), dtype=pl.String), pl.Series(list(sources), dtype=pl.String)
        judged = pl.concat([pl.DataFrame(schema=VERDICTS), *verdicts])
        return Passed(
            self._minutes(lines, names[0]),
            _scores(judged, round(self._clock() * 1e6)),
            _types(lines, matcher),
            self._texts(lines, matcher, names[0]),
            _sources(lines, names[1]),
            judged,
        )

    def _minutes(self, lines: pl.DataFrame, services: pl.Series) -> pl.DataFrame:
        unseen = pl.col("lines").filter(pl.col("template") >= self._n_known).sum().alias("unseen")
        sums = lines.group_by("minute", "service").agg(pl.col("lines", "errors").sum(), unseen)
        return sums.with_columns(services.gather(sums["service"]).alias("service")).sort("minute", "service")

    def _texts(self, lines: pl.DataFrame, matcher: Matcher, services: pl.Series) -> pl.DataFrame:
        new = lines.filter((pl.col("template") >= self._n_known) & ~pl.col("template").is_in(list(self._told)))
        found = new.group_by("template", maintain_order=True).agg(pl.col("level").max(), pl.col("service").first())
        found = found.head(MOST_TYPES)
        rows = found["template"].to_list()
        self._told.update(rows)
        return pl.DataFrame(
            {
                "key": pl.Series([f"{matcher.key_of(row):016x}" for row in rows], dtype=pl.String),
                "text": pl.Series([matcher.text_of(row) for row in rows], dtype=pl.String),
                "level": pl.Series([LEVELS[code] for code in found["level"].to_list()], dtype=pl.String),
                "service": services.gather(found["service"]),
            }
        )


_COUNTS = pl.Schema(
    {
        "minute": pl.Int64(),
        "service": pl.UInt16(),
        "source": pl.UInt16(),
        "template": pl.UInt32(),
        "lines": pl.Int64(),
        "errors": pl.Int64(),
        "level": pl.UInt8(),
        "first": pl.Int64(),
        "last": pl.Int64(),
        "event": pl.Int64(),
    }
)


def _types(lines: pl.DataFrame, matcher: Matcher) -> pl.DataFrame:
    days = lines.group_by(day=pl.col("first") // DAY_US, template="template").agg(
        pl.col("lines").sum(), pl.col("first").min() / 1e6, pl.col("last").max() / 1e6
    )
    keys = pl.Series("key", [f"{matcher.key_of(row):016x}" for row in days["template"].to_list()], dtype=pl.String)
    # Two rows may be one type that was told apart only by this model's table.
    keyed = days.with_columns(keys).group_by("day", "key")
    return keyed.agg(pl.col("lines").sum(), pl.col("first").min(), pl.col("last").max()).sort("day", "key")


def _sources(lines: pl.DataFrame, names: pl.Series) -> pl.DataFrame:
    latest = pl.col("event").filter(pl.col("event") != NO_TIME).max() / 1e6
    sums = lines.group_by("source").agg(pl.col("lines", "errors").sum(), latest)
    return sums.select(names.gather(sums["source"]).alias("name"), "lines", "errors", "event").sort("name")


def _scores(verdicts: pl.DataFrame, now_us: int) -> pl.DataFrame:
    share = pl.col("score") / pl.col("threshold")
    top = pl.when(pl.col("threshold") > 0).then(share.fill_nan(0.0).clip(0.0, TOP)).otherwise(0.0)
    minute = pl.col("end").to_physical().fill_null(now_us) // MINUTE_US
    return (
        verdicts.group_by(minute.alias("minute"), "view")
        .agg(
            pl.len().cast(pl.Int64).alias("windows"),
            pl.col("is_anomaly").sum().cast(pl.Int64).alias("odd"),
            top.max().fill_null(0.0).alias("top"),
        )
        .sort("minute", "view")
    )


def added(one: Passed | None, other: Passed | None) -> Passed | None:
    """Return what went by in two stretches, the same row of both beside each other."""
    if one is None or other is None:
        return one or other
    frames = {field.name: pl.concat([getattr(one, field.name), getattr(other, field.name)]) for field in fields(Passed)}
    for name, keys, sums in (
        ("minutes", ("minute", "service"), ("lines", "errors", "unseen")),
        ("scores", ("minute", "view"), ("windows", "odd")),
        ("types", ("day", "key"), ("lines",)),
        ("sources", ("name",), ("lines", "errors")),
    ):
        rest = [column for column in frames[name].columns if column not in (*keys, *sums)]
        lowest = [pl.col(column).min() if column == "first" else pl.col(column).max() for column in rest]
        grouped = frames[name].group_by(keys, maintain_order=True).agg(pl.col(sums).sum(), *lowest)
        frames[name] = grouped.select(frames[name].columns)
    frames["verdicts"] = frames["verdicts"].tail(MOST_VERDICTS)
    return Passed(**frames)
