"""From records to events, and where events wait until all of their window has arrived.

A window's events may lie hours and files apart. They wait in memory while they are few; beyond that they are
spilled to Parquet by a hash of the window key, so that one partition at a time holds whole windows.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import polars as pl

from oddlog.pipeline.watching import NumberColumns
from oddlog.templates import Masked, Matcher
from oddlog.types import LEVELS, NO_TIME, TIME, Tally

_FEW = 2_000  # up to so many names a dictionary is faster than Polars, whose every call costs a tenth of a millisecond
ROWS_IN_MEMORY = 1_000_000  # ≈ 75 MB of events with keys of 25 characters
PARTITIONS = 128  # 30 M lines give partitions of about 230,000 events
ROWS_AT_ONCE = 150_000  # cutting windows needs about 250 bytes for each of these
MOST_CODES = np.iinfo(np.uint16).max
_TIME_US = pl.col("time").cast(TIME).to_physical().fill_null(NO_TIME).alias("time_us")
_LEVEL = pl.col("level").to_physical().cast(pl.UInt8).fill_null(LEVELS.index("UNKNOWN"))
OTHERS = "(others)"  # what all names beyond that are called
MOST_REPEATS = 1_000  # "last message repeated N times" beyond this adds nothing to what is odd


class Codes:
    """Names ↔ small numbers, in order of appearance; what does not fit gets the last code and is counted."""

    def __init__(self, names: Sequence[str] = (), *, what: str = "names", tally: Tally | None = None) -> None:
        self.names = list(names)
        self._what = what
        self._tally = tally or Tally()
        self._code = {name: code for code, name in enumerate(self.names)}

    def of(self, names: pl.Series) -> pl.Series:
        """Return the code (u16) of each name; null counts as the empty name."""
        names = names.fill_null("") if names.null_count() else names
        if len(names) <= _FEW:
            listed = names.to_list()
            distinct = list(dict.fromkeys(listed))
        else:
            distinct = names.unique(maintain_order=True).to_list()
        for name in distinct:
            if name not in self._code and len(self.names) < MOST_CODES:
                self._code[name] = len(self.names)
                self.names.append(name)
            elif name not in self._code:
                if len(self.names) == MOST_CODES:
                    self.names.append(OTHERS)
                self._tally.add(f"{self._what} beyond {MOST_CODES}", example=name)
        codes = [self._code.get(name, MOST_CODES) for name in distinct]
        if len(distinct) == 1:
            return pl.Series(names.name, np.full(len(names), codes[0], np.uint16))
        if len(names) <= _FEW:
            of = dict(zip(distinct, codes, strict=True))
            return pl.Series(names.name, np.array([of[name] for name in listed], np.uint16))
        return names.replace_strict(distinct, codes, return_dtype=pl.UInt16)


def event_columns(records: pl.DataFrame, services: Codes, sources: Codes, hosts: Codes | None = None) -> pl.DataFrame:
    """Return the columns of `records` that every view's events share; `session` and `template` are still to come."""
    codes = [services.of(records["service"]).alias("service"), sources.of(records["source"]).alias("source")]
    codes += [] if hosts is None else [hosts.of(records["host"]).alias("host")]
    shared = records.select(_TIME_US, _LEVEL)
    return shared.hstack([*codes[:2], records["line"], records["count"], *codes[2:]])


def repeated(events: pl.DataFrame) -> pl.DataFrame:
    """Return `events` with each row as often as its `count` says (at most `MOST_REPEATS` times)."""
    events = events.clone()
    count = events.drop_in_place("count")
    if count.max() in (None, 1):
        return events
    times = count.clip(1, MOST_REPEATS).to_numpy()
    return events[np.repeat(np.arange(len(events)), times)]


def typed(
    records: pl.DataFrame,
    matcher: Matcher,
    numbers: NumberColumns,
    services: Codes,
    sources: Codes,
    hosts: Codes | None = None,
) -> tuple[pl.DataFrame, Masked]:
    """Return `event_columns` with each record's ``template`` and the model's numbers, and the masked messages."""
    masked = matcher.mask(records["message"])
    rows = matcher.rows(masked.distinct_key, masked.distinct_text)[masked.inverse]
    shared = event_columns(records, services, sources, hosts)
    return shared.hstack([pl.Series("template", rows), *numbers.of(records, masked)]), masked


class EventStore:
    """Keeps the events of one view until its windows can be cut.

    Use as a context manager: what was spilled is removed at the end, also after an error.

    Parameters
    ----------
    by : pl.Expr
        A u64 that all events of a window share; by default the hash of `session`.
    rows_in_memory : int
        Events beyond this are spilled.
    partitions : int
        Into how many.
    rows_at_once : int
        Larger partitions are yielded in pieces of about so many rows.

    """

    def __init__(
        self,
        *,
        by: pl.Expr | None = None,
        rows_in_memory: int = ROWS_IN_MEMORY,
        partitions: int = PARTITIONS,
        rows_at_once: int = ROWS_AT_ONCE,
    ) -> None:
        self._by = pl.col("session").hash() if by is None else by
        self._limit = rows_in_memory
        self._partitions = partitions
        self._rows_at_once = rows_at_once
        self._waiting: list[pl.DataFrame] = []
        self._rows_waiting = 0
        self._folder: Path | None = None
        self._spilled: dict[int, int] = {}  # partition -> rows
        self._flushes = 0
        self.rows = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget all events and remove what was spilled."""
        self._waiting.clear()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def add(self, events: pl.DataFrame) -> None:
        """Add events; `session` is what windows are grouped by."""
        self._waiting.append(events)
        self._rows_waiting += len(events)
        self.rows += len(events)
        if self._rows_waiting > self._limit:
            self._spill()

    def __iter__(self) -> Iterator[pl.DataFrame]:
        """Yield partitions; all events of a window stand in one of them, in the order they were added."""
        if self._folder is None:
            if self._waiting:
                yield from self._pieces(pl.concat(self._waiting, how="vertical").lazy(), self.rows)
            return
        self._spill()
        for partition, rows in sorted(self._spilled.items()):
            files = sorted((self._folder / f"{partition:04d}").iterdir())
            yield from self._pieces(pl.scan_parquet(files), rows)

    def _pieces(self, events: pl.LazyFrame, rows: int) -> Iterator[pl.DataFrame]:
        """Yield `events`, all of one partition, in pieces that still hold whole windows."""
        n = -(-rows // self._rows_at_once)
        if n <= 1:
            yield events.collect().rechunk()
            return
        piece = self._by // self._partitions % n
        for i in range(n):
            part = events.filter(piece == i).collect()
            if len(part):
                yield part.rechunk()

    def _spill(self) -> None:
        """Write what waits, a file for each partition: block by block, so that there are never two copies of all."""
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="oddlog-events-"))
        parts: dict[int, list[pl.DataFrame]] = defaultdict(list)
        self._waiting.reverse()
        while self._waiting:
            # The partition of a key must only be the same within this run: Polars' hash is good enough here.
            events = self._waiting.pop().with_columns((self._by % self._partitions).alias("_partition"))
            for (partition,), part in events.partition_by("_partition", include_key=False, as_dict=True).items():
                parts[partition].append(part)
        self._rows_waiting = 0
        for partition in list(parts):
            events = pl.concat(parts.pop(partition), how="vertical")
            folder = self._folder / f"{partition:04d}"
            folder.mkdir(exist_ok=True)
            events.write_parquet(folder / f"{self._flushes:06d}.parquet", compression="lz4", statistics=False)
            self._spilled[partition] = self._spilled.get(partition, 0) + len(events)
        self._flushes += 1
