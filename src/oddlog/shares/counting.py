"""Counts of marks and of their wholes, by ten minutes; taken partition by partition, bounded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl

from oddlog.shares.bounds import Bounds
from oddlog.shares.subjects import UNSEEN, Kind, mix_of, place_of, steps, wholes_of
from oddlog.types import I64, NO_TIME, Bool, State, Tally, Windows

COUNTED: tuple[Kind, ...] = ("step", "mix", "gap", "number")
BUCKET_US = 600_000_000
COMPACT_ROWS = 500_000
MOST_ROWS = 2_000_000  # 50 bytes each: a month of 450 steps that are always there
_MARKED: dict[str, Any] = {
    "subject": pl.Int64,
    "bucket": pl.Int32,
    "n": pl.UInt32,
    "first_us": pl.Int64,
    "last_us": pl.Int64,
    "source": pl.UInt16,
    "line": pl.UInt64,
    "template": pl.UInt32,
    "service": pl.UInt16,
}
_PLACE = ("time_us", "source", "line", "template", "service")
_WHOLE: dict[str, Any] = {"whole": pl.Int64, "bucket": pl.Int32, "n": pl.UInt32}


@dataclass(frozen=True)
class ShareCounts:
    """The counts of an input.

    Attributes
    ----------
    marked : mapping
        By kind: ``subject bucket n first_us last_us source line template service``, sorted; source, line and template
        are those of the first marked event.
    whole : mapping
        By kind: ``whole bucket n``, sorted.

    """

    marked: dict[Kind, pl.DataFrame]
    whole: dict[Kind, pl.DataFrame]

    @property
    def buckets(self) -> I64:
        """The ten minutes that hold anything, ascending."""
        every = [frame["bucket"] for frame in self.whole.values()]
        return pl.concat([pl.Series("bucket", [], dtype=pl.Int32), *every]).unique().sort().to_numpy().astype(np.int64)


@dataclass
class _Table:
    """Counts that are summed up as they grow."""

    keys: list[str]
    schema: dict[str, Any]
    parts: list[pl.DataFrame] = field(default_factory=list)
    rows: int = 0
    settled: int = 0

    def add(self, frame: pl.DataFrame, tally: Tally) -> None:
        self.parts.append(frame.select(pl.col(name).cast(dtype) for name, dtype in self.schema.items()))
        self.rows += len(frame)
        if self.rows > COMPACT_ROWS + self.settled:
            self.compact(tally)

    def compact(self, tally: Tally) -> pl.DataFrame:
        frame = pl.concat([pl.DataFrame(schema=self.schema), *self.parts])
        further = {}
        if "first_us" in self.schema:
            first = pl.col("first_us").arg_min()
            further = {
                "first_us": pl.col("first_us").min(),
                "last_us": pl.col("last_us").max(),
                "source": pl.col("source").get(first),
                "line": pl.col("line").get(first),
                "template": pl.col("template").get(first),
                "service": pl.col("service").get(pl.col("n").arg_max()),
            }
        frame = frame.group_by(self.keys, maintain_order=True).agg(n=pl.col("n").sum(), **further)
        if len(frame) > MOST_ROWS:
            tally.add(f"shares of steps and numbers beyond {MOST_ROWS:,}", len(frame) - MOST_ROWS)
            frame = frame.sort("n", *self.keys, descending=[True, *(False for _ in self.keys)]).head(MOST_ROWS)
        frame = frame.select(pl.col(name).cast(dtype) for name, dtype in self.schema.items()).sort(self.keys)
        self.parts, self.rows, self.settled = [frame], len(frame), len(frame)
        return frame


class ShareCounting:
    """Counts what is marked.

    Parameters
    ----------
    bounds : Bounds
        Beyond which gaps and numbers carry a mark.
    k : int
        Types of the model.
    tally : Tally
        Counts what is not counted by itself.

    """

    def __init__(self, bounds: Bounds, k: int, tally: Tally) -> None:
        self._bounds, self._k, self._tally = bounds, k, tally
        self._marked = {kind: _Table(["subject", "bucket"], _MARKED) for kind in COUNTED}
        self._whole = {kind: _Table(["whole", "bucket"], _WHOLE) for kind in COUNTED}

    def add(self, events: pl.DataFrame, windows: Windows | None) -> None:
        """Take in some events, and the sessions that are made of them, if they are."""
        self.add_events(events)
        if windows is not None:
            self.add_windows(windows)

    def add_windows(self, windows: Windows) -> None:
        """Take in windows whose events are steps, one after the other: sessions."""
        for kind, subject, whole, event, marked in of_windows(windows, self._bounds, self._k):
            place = {name: getattr(windows, name)[event] for name in _PLACE}
            self._add(kind, subject, whole, place, marked)

    def add_events(self, events: pl.DataFrame) -> None:
        """Take in events with ``time_us template service host source line`` and numbers ``n.00``, ``n.01``."""
        for kind, subject, whole, event, marked in of_events(events, self._bounds, self._k):
            place = {name: events[name].to_numpy()[event] for name in _PLACE}
            self._add(kind, subject, whole, place, marked)

    def counts(self) -> ShareCounts:
        """Return the counts."""
        return ShareCounts(
            {kind: table.compact(self._tally) for kind, table in self._marked.items()},
            {kind: table.compact(self._tally) for kind, table in self._whole.items()},
        )

    def forget(self, bucket: int) -> None:
        """Forget what was counted before some ten minutes."""
        for table in (*self._marked.values(), *self._whole.values()):
            kept = table.compact(self._tally).filter(pl.col("bucket") >= bucket)
            table.parts, table.rows, table.settled = [kept], len(kept), len(kept)

    def state(self) -> State:
        """Return everything `restore` needs."""
        counts = self.counts()
        return State(
            {
                f"{what}.{kind}.{column}": series.to_numpy()
                for what, tables in (("marked", counts.marked), ("whole", counts.whole))
                for kind, frame in tables.items()
                for column, series in frame.to_dict().items()
            }
        )

    def restore(self, state: State) -> None:
        """Go on where `state` was taken; this one must be new."""
        for what, tables in (("marked", self._marked), ("whole", self._whole)):
            for kind, table in tables.items():
                columns = {column: state.arrays[f"{what}.{kind}.{column}"] for column in table.schema}
                table.add(pl.DataFrame(columns, schema=table.schema), self._tally)

    def _add(self, kind: Kind, subject: I64, whole: I64, place: dict[str, np.ndarray], marked: Bool) -> None:
        timed = place["time_us"] != NO_TIME
        frame = pl.DataFrame(
            {"subject": subject, "whole": whole, "marked": marked, "bucket": place["time_us"] // BUCKET_US, **place}
        ).filter(pl.Series(timed, dtype=pl.Boolean))
        self._whole[kind].add(frame.group_by("whole", "bucket").agg(n=pl.len()), self._tally)
        found = frame.filter("marked") if not marked.all() else frame
        first = pl.col("time_us").arg_min()
        counted = found.group_by("subject", "bucket", maintain_order=True).agg(
            n=pl.len(),
            first_us=pl.col("time_us").min(),
            last_us=pl.col("time_us").max(),
            source=pl.col("source").get(first),
            line=pl.col("line").get(first),
            template=pl.col("template").get(first),
            service=pl.col("service").min(),
        )
        self._marked[kind].add(counted, self._tally)


def of_windows(windows: Windows, bounds: Bounds, k: int) -> Iterator[tuple[Kind, I64, I64, I64, Bool]]:
    """Yield ``kind, subject [x], whole [x], event [x], is marked [x]`` of the steps and gaps of windows."""
    found = steps(windows, k)
    yield "step", found.pair, wholes_of("step", found.pair), found.event, np.ones(len(found.pair), np.bool_)
    known, late = bounds.late(found)
    if len(known):
        service = windows.service[found.event[known]].astype(np.int64)
        yield "gap", service, service, found.event[known], late


def of_events(events: pl.DataFrame, bounds: Bounds, k: int) -> Iterator[tuple[Kind, I64, I64, I64, Bool]]:
    """Yield ``kind, subject [x], whole [x], event [x], is marked [x]`` of events.

    First of the mix of types of each service, then of each number: of hosts, and of all.
    """
    service, host, row = (events[name].to_numpy().astype(np.int64) for name in ("service", "host", "template"))
    yield "mix", mix_of(service, np.where(row < k, row, UNSEEN)), service, np.arange(len(row)), row < k
    for name in (name for name in events.columns if name.startswith("n.")):
        event, below, above = bounds.of_numbers(events, int(name[2:]))
        if not len(event):
            continue
        for where in (host[event], np.full(len(event), -1)):
            place = place_of(service[event], where, int(name[2:]))
            yield "number", place * 2 + above, place, event, below | above
