"""Usual traffic of a small system by minute, and things that go wrong in it, as records and as what was counted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from oddlog.rates import Counted, Counting, Series, counted
from oddlog.types import RECORDS, Tally

MONDAY = 29_540_160  # minutes since the epoch: Monday, 2 March 2026, 00:00 UTC
DAY = 1_440
SERVICES = ("", "api", "auth", "db")
TEXTS = ("answered in <*> ms", "log-in of <*> failed", "log-in of <*>", "query took <*> ms", "weekly report written")
ANSWERED, FAILED, LOGGED_IN, QUERY, REPORT = range(5)
# template: service, level, lines a minute at noon
USUAL = {
    ANSWERED: ("api", "INFO", 6.0),
    FAILED: ("auth", "WARNING", 0.15),
    LOGGED_IN: ("auth", "INFO", 1.5),
    QUERY: ("db", "INFO", 4.0),
}
CLIENTS = tuple(f"192.0.2.{i}" for i in range(1, 60))


@dataclass(frozen=True)
class More:
    """`lines` more lines a minute of a template from a minute on, of one client if it is named."""

    template: int
    start: int
    minutes: int
    lines: float
    client: str = ""


@dataclass(frozen=True)
class Silent:
    """A service says nothing."""

    service: str
    start: int
    minutes: int


@dataclass(frozen=True)
class Slower:
    """Durations grow evenly from once to `factor` times the usual."""

    start: int
    minutes: int
    factor: float


def rhythm(minute: np.ndarray) -> np.ndarray:
    """Return how busy the system is: most at 14:00, a fifth of it at night, half of it at the weekend."""
    of_day = 0.6 - 0.4 * np.cos(2 * np.pi * (minute % DAY - 120) / DAY)
    weekend = (minute // DAY + 3) % 7 >= 5
    return of_day * np.where(weekend, 0.5, 1.0)


def traffic(first: int, minutes: int, seed: int, *changes: More | Silent | Slower) -> pl.DataFrame:
    """Return the records of some minutes; a report is written on Sundays from 3:00 to 3:20, 30 lines a minute."""
    draw = np.random.default_rng(seed)
    minute = first + np.arange(minutes)
    parts = [_lines(t, draw.poisson(rate * rhythm(minute)), minute, draw) for t, (_, _, rate) in USUAL.items()]
    sunday = (minute // DAY + 3) % 7 == 6
    parts.append(_lines(REPORT, np.where(sunday & (minute % DAY >= 180) & (minute % DAY < 200), 30, 0), minute, draw))
    for more in changes:
        if isinstance(more, More):
            there = (minute >= more.start) & (minute < more.start + more.minutes)
            parts.append(_lines(more.template, draw.poisson(more.lines * there), minute, draw, more.client))
    frame = pl.concat(parts)
    for one in changes:
        if isinstance(one, Silent):
            then = pl.col("minute").is_between(one.start, one.start + one.minutes - 1)
            frame = frame.filter(~((pl.col("service") == one.service) & then))
        elif isinstance(one, Slower):
            along = ((pl.col("minute") - one.start) / one.minutes).clip(0, 1)
            after = pl.col("minute") > one.start + one.minutes
            times = pl.when(after).then(1.0).otherwise(1 + (one.factor - 1) * along)
            frame = frame.with_columns((pl.col("n.duration_ms") * times).cast(pl.Float32))
    return _records(frame)


def _lines(
    template: int, n: np.ndarray, minute: np.ndarray, draw: np.random.Generator, client: str = ""
) -> pl.DataFrame:
    service, level, _ = USUAL.get(template, ("db", "INFO", 0.0))
    at = np.repeat(minute, n)
    who = [client] * len(at) if client else np.array(CLIENTS)[draw.integers(0, len(CLIENTS), len(at))].tolist()
    timed = template in (ANSWERED, QUERY)
    took = np.exp(draw.normal(4.0, 0.5, len(at))).astype(np.float32) if timed else np.full(len(at), np.nan, np.float32)
    return pl.DataFrame(
        {
            "minute": at,
            "time_us": at * 60_000_000 + draw.integers(0, 60_000_000, len(at)),
            "template": np.full(len(at), template),
            "service": pl.Series([service] * len(at), dtype=pl.String),
            "level": pl.Series([level] * len(at), dtype=pl.String),
            "n.duration_ms": pl.Series(took).fill_nan(None),
            "f.client": pl.Series(who if template in (FAILED, LOGGED_IN) else [None] * len(at), dtype=pl.String),
        }
    )


def _records(frame: pl.DataFrame) -> pl.DataFrame:
    ordered = frame.sort("time_us", "template", maintain_order=True)
    texts = pl.col("template").replace_strict(range(len(TEXTS)), TEXTS, return_dtype=pl.String)
    return ordered.select(
        source=pl.lit("app.log"),
        position=pl.lit(0, pl.UInt64),
        line=pl.int_range(1, pl.len() + 1, dtype=pl.UInt64),
        text=pl.lit(""),
        count=pl.lit(1, pl.UInt32),
        time=pl.col("time_us").cast(RECORDS["time"]),
        level=pl.col("level").cast(RECORDS["level"]),
        service="service",
        host=pl.col("service") + "-1",
        message=texts,
        template="template",
        **{name: pl.col(name) for name in ("n.duration_ms", "f.client")},
    )


def count(records: pl.DataFrame, counting: Counting | None = None) -> Counting:
    """Count one block of records; the rows of their templates are their types."""
    counting = counting or Counting(Tally())
    shared = records.select(
        time_us=pl.col("time").to_physical(),
        level=pl.col("level").to_physical().cast(pl.UInt8),
        service=pl.col("service").replace_strict(SERVICES, range(len(SERVICES)), return_dtype=pl.UInt16),
        count="count",
        type=pl.col("template").cast(pl.UInt64),
    )
    counting.add(records.drop("template"), shared, pl.repeat(value=False, n=len(records), eager=True))
    return counting


def counts(records: pl.DataFrame, series: Series | None = None) -> Counted:
    """Return what is counted in some records."""
    return counted(count(records), lambda types: types.cast(pl.Int64).to_numpy(), SERVICES, Tally(), series)


def write(records: pl.DataFrame, path: Path) -> Path:
    """Write records as a log of JSON lines."""
    rows = records.select(
        ts=pl.col("time").dt.strftime("%Y-%m-%dT%H:%M:%S%.6fZ"),
        level="level",
        service="service",
        host="host",
        msg=pl.col("message").str.replace("<*>", "n" + pl.int_range(pl.len()).cast(pl.String), literal=True),
        duration_ms="n.duration_ms",
        client="f.client",
    )
    lines = ({k: v for k, v in row.items() if v is not None} for row in rows.iter_rows(named=True))
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return path
