"""What is new since a deployment: which message types it brought, and how its service fared.

A message type is put down to a deployment if its first line here comes after it (within the mark's time, and before
the next deployment of the service), and the service wrote it, or it stands in a session that passes through the
service after the deployment. Only types count that the model has never seen, or in one stretch of training only.
How this is told, and what it keeps from being told, stands in `since_deploy`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from oddlog.feedback.marks import Mark
from oddlog.model import Model
from oddlog.pipeline.events import Codes, EventStore
from oddlog.templates import Matcher
from oddlog.types import LEVELS, NO_TIME, OVERFLOW, Bool, to_datetime

ERROR = LEVELS.index("ERROR")
MOST_TYPES = 1_000  # put down to one deployment, the first ones
TYPES = pl.Schema(
    {
        "template": pl.UInt32(),
        "n": pl.UInt32(),  # lines of the type that belong to the deployment
        "level": pl.UInt8(),  # the gravest
        "first": pl.Int64(),  # time of its first line, us
        "last": pl.Int64(),
        "source": pl.UInt16(),  # where the first line stands
        "line": pl.UInt64(),
        "service": pl.UInt16(),  # that wrote it
    }
)


@dataclass(frozen=True)
class Rate:
    """How many lines a service wrote in a time."""

    lines: int
    errors: int
    time: timedelta


@dataclass
class Deployed:
    """One deployment, and what it brought.

    Attributes
    ----------
    mark : Mark
        The deployment.
    types : pl.DataFrame
        `TYPES`, the first ones first.
    before, after : Rate
        Of the service.
    n_windows, keys : int, list of str
        Windows that are odd for nothing but such types; of many the first keys.

    """

    mark: Mark
    types: pl.DataFrame
    before: Rate
    after: Rate
    n_windows: int = 0
    keys: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Finding:
    """What it takes to find what deployments brought.

    Attributes
    ----------
    services : Codes
        Of this run.
    new : Bool [k + unseen]
        Which rows are new to the model.

    """

    services: Codes
    new: Bool

    @classmethod
    def of(cls, model: Model, matcher: Matcher, services: Codes, answered: Callable[[int], bool]) -> Finding:
        """Look at what is new to `model`, without rows of which `answered` says that somebody has called them usual."""
        k, n_unseen = len(model.context.templates), matcher.n_unseen
        new = new_rows(model, n_unseen)
        new[[row for row in range(k, k + n_unseen) if answered(row)]] = False
        return cls(services, new)

    def find(
        self, marks: Sequence[Mark], store: EventStore, span_us: tuple[int, int]
    ) -> tuple[list[Deployed], list[str]]:
        """Return what deployments brought, and what to say of those that brought nothing; one pass over the events.

        `span_us` is the first and last time of the whole input.
        """
        start, end = (to_datetime(one) for one in span_us)
        if start is None or end is None:
            return [], []
        here = [one for one in marks if one.time <= end and one.end > start]
        silent = [one for one in here if one.service not in self.services.names]
        notes = [f"No line here is of the service of {one.says}." for one in silent]
        here = [one for one in here if one not in silent]
        passed = [self._passed(events, here) for events in (store if here else ())]
        found = []
        for one in self._claimed(here, *map(pl.concat, zip(*passed, strict=True))) if passed else ():
            if len(one.types):
                found.append(with_times(one, start, end))
            else:
                notes.append(f"Nothing is new since {one.mark.says}.")
        return found, notes

    def _passed(self, events: pl.DataFrame, marks: Sequence[Mark]) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """Return of a partition: first times of new types, the new types of each mark, lines before and after it."""
        template = events["template"].to_numpy()
        there = template != OVERFLOW
        new = events.filter(pl.Series(there & self.new[np.where(there, template, 0)]), pl.col("time_us") != NO_TIME)
        ever = new.group_by("template").agg(ever=pl.col("time_us").min())
        types, counted = [], []
        for i, mark in enumerate(marks):
            since, until = us(mark.time), us(mark.end)
            own = events.filter(
                pl.col("service") == self.services.names.index(mark.service),
                pl.col("time_us").is_between(since - (until - since), until, "left"),
            )
            after = pl.col("time_us") >= since
            counted.append(_counted(own, after).with_columns(mark=pl.lit(i)))
            through = own.filter(after)["session"].drop_nulls().unique()
            mine = (pl.col("service") == self.services.names.index(mark.service)) | pl.col("session").is_in(
                through.implode()
            )
            types.append(types_of(new.filter(after, mine.fill_null(value=False))).with_columns(mark=pl.lit(i)))
        return ever, pl.concat(types), pl.concat(counted)

    def _claimed(
        self, marks: Sequence[Mark], ever: pl.DataFrame, types: pl.DataFrame, counted: pl.DataFrame
    ) -> Iterator[Deployed]:
        """Yield what each deployment brought."""
        ever = ever.group_by("template").agg(pl.col("ever").min())
        codes = [self.services.names.index(one.service) for one in marks]
        for i, (mark, own) in enumerate(zip(marks, claimed(marks, codes, ever, types), strict=True)):
            lines = counted.filter(pl.col("mark") == i)
            yield Deployed(mark, own, _rate(lines.filter(~pl.col("after"))), _rate(lines.filter("after")))


def new_rows(model: Model, n_unseen: int) -> Bool:
    """Return which rows [k + unseen] are new: never seen in training, or in one stretch of it only."""
    return np.concatenate([model.events.stretches <= 1, np.ones(n_unseen, np.bool_)])


def claimed(
    marks: Sequence[Mark], services: Sequence[int], ever: pl.DataFrame, types: pl.DataFrame
) -> list[pl.DataFrame]:
    """Return `TYPES` of each deployment; a type goes to one of its writer, else to the last one before it.

    Parameters
    ----------
    marks, services : sequences
        The deployments, and the codes of their services.
    ever : pl.DataFrame
        ``template ever``: when each new type was seen first, us.
    types : pl.DataFrame
        `TYPES` with a ``mark`` each: what came since each deployment, by its service or in sessions through it.

    """
    spans = pl.DataFrame(
        [(i, us(one.time), us(one.end), code) for i, (one, code) in enumerate(zip(marks, services, strict=True))],
        schema={"mark": pl.Int32, "since": pl.Int64, "until": pl.Int64, "of": pl.UInt16},
        orient="row",
    )
    own = (
        together(types)
        .join(ever, on="template")
        .join(spans, on="mark")
        .filter(pl.col("ever").is_between("since", "until", "left"))
        .with_columns(own=pl.col("service") == pl.col("of"))
        .sort("template", "own", "since", "mark", descending=[False, True, True, False])
        .unique("template", keep="first", maintain_order=True)
        .sort("first", "template")
    )
    return [
        own.filter(pl.col("mark") == i).select(TYPES.names()).cast(TYPES).head(MOST_TYPES) for i in range(len(marks))
    ]


def types_of(events: pl.DataFrame) -> pl.DataFrame:
    """Return `TYPES` of some events."""
    by = ("time_us", "source", "line")
    return (
        events.sort(*by)
        .group_by("template", maintain_order=True)
        .agg(
            n=pl.col("count").sum(),
            level=pl.col("level").max(),
            first=pl.col("time_us").first(),
            last=pl.col("time_us").last(),
            source=pl.col("source").first(),
            line=pl.col("line").first(),
            service=pl.col("service").first(),
        )
        .cast(TYPES)
    )


def together(types: pl.DataFrame) -> pl.DataFrame:
    """Return the types of all partitions as one, by mark."""
    return (
        types.sort("first", "source", "line")
        .group_by("mark", "template", maintain_order=True)
        .agg(
            pl.col("n").sum(),
            pl.col("level", "last").max(),
            pl.col("first", "source", "line", "service").first(),
        )
    )


def _counted(own: pl.DataFrame, after: pl.Expr) -> pl.DataFrame:
    error = pl.col("level") >= ERROR
    return own.group_by(after.alias("after")).agg(
        lines=pl.col("count").sum().cast(pl.Int64), errors=pl.col("count").filter(error).sum().cast(pl.Int64)
    )


def _rate(counted: pl.DataFrame) -> Rate:
    return Rate(int(counted["lines"].sum()), int(counted["errors"].sum()), timedelta(0))


def with_times(one: Deployed, start: datetime, end: datetime) -> Deployed:
    """Return the deployment with how long its service was seen before and after, between `start` and `end`."""
    mark = one.mark
    before = max(mark.time - max(start, mark.time - mark.within), timedelta(0))
    after = min(end, mark.end) - max(start, mark.time)
    return replace(one, before=replace(one.before, time=before), after=replace(one.after, time=after))


def us(time: datetime) -> int:
    """Return a time in microseconds since the epoch."""
    return round(time.timestamp() * 1e6)
