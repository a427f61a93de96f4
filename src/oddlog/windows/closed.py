"""Windows that were closed in one push, on their way out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from oddlog.types import I64, NO_TIME, Windows
from oddlog.windows.held import Held, ranges
from oddlog.windows.keys import with_part


@dataclass(frozen=True)
class ClosedWindows:
    """Windows [x] that were closed, in no particular order, and where their events are held.

    `emitted` is the arrival of the push that closed them, `closes` the time (us) by which they were over;
    `of start stop` [r] are the runs of their events: which window, and the held positions.
    """

    base: list[str]
    part: I64
    bin: I64
    closed_by: I64
    closes: I64
    emitted: I64
    of: I64
    start: I64
    stop: I64


def as_windows(closed: list[ClosedWindows], held: Held, bounds: Callable[[I64], tuple[I64, I64]] | None) -> Windows:
    """Return closed windows in order of (`emitted`, `closes`, key), their events by (time, source, line).

    `bounds` gives start and end of a numbered window where these are not its first and last event.
    """
    base = pl.Series("base", [key for one in closed for key in one.base], pl.String)
    part, number, closed_by, closes, emitted = (
        np.concatenate([getattr(one, name) for one in closed])
        for name in ("part", "bin", "closed_by", "closes", "emitted")
    )
    order = _order(emitted, closes, base, part)
    index, offsets = _events(closed, order)
    columns = {name: held.gather(name, index) for name in held.names}
    columns = _sorted_inside(columns, offsets)
    if bounds is None:
        start, end = _span(columns["time_us"], offsets)
    else:
        start, end = bounds(number[order])
    return Windows(
        key=with_part(base.gather(order), part[order]),
        start=start,
        end=end,
        closed_by=closed_by[order].astype(np.uint8),
        weight=np.ones(len(order)),
        offsets=offsets,
        **columns,
    )


def _order(emitted: I64, closes: I64, base: pl.Series, part: I64) -> I64:
    by = {"emitted": emitted, "closes": closes, "base": base, "part": part}
    return pl.DataFrame(by).select(pl.arg_sort_by(list(by)))["emitted"].to_numpy().astype(np.int64)


def _events(closed: list[ClosedWindows], order: I64) -> tuple[I64, I64]:
    """Return held positions of all events, window after window in `order`, and the windows' offsets."""
    firsts = np.cumsum([0] + [len(one.base) for one in closed[:-1]])
    of = np.concatenate([one.of + first for one, first in zip(closed, firsts, strict=True)])
    start = np.concatenate([one.start for one in closed])
    stop = np.concatenate([one.stop for one in closed])
    rank = np.empty(len(order), np.int64)
    rank[order] = np.arange(len(order))
    rank = rank[of]
    runs = np.lexsort((start, rank))  # a window's earlier runs stand before its later ones
    counts = np.bincount(rank, weights=stop - start, minlength=len(order)).astype(np.int64)
    return ranges(start[runs], stop[runs]), np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _sorted_inside(columns: dict[str, NDArray[Any]], offsets: I64) -> dict[str, NDArray[Any]]:
    """Put the events of each window in order of (time, source, line); most stand so already."""
    time, source, line = columns["time_us"], columns["source"], columns["line"]
    same_source = (source[1:] == source[:-1]) & (line[1:] < line[:-1])
    same_time = (time[1:] == time[:-1]) & ((source[1:] < source[:-1]) | same_source)
    wrong = (time[1:] < time[:-1]) | same_time
    wrong[offsets[1:-1] - 1] = False
    if not wrong.any():
        return columns
    lengths = np.diff(offsets)
    bad = np.unique(np.searchsorted(offsets, np.flatnonzero(wrong), side="right") - 1)
    at = ranges(offsets[bad], offsets[bad + 1])
    window = np.repeat(bad, lengths[bad])
    index = np.arange(len(time))
    index[at] = at[np.lexsort((line[at], source[at], time[at], window))]
    return {name: column[index] for name, column in columns.items()}


def _span(time: I64, offsets: I64) -> tuple[I64, I64]:
    """Return first and last event time of each window; events without time stand first and do not count."""
    first = offsets[:-1]
    if len(time) and time.min() == NO_TIME:
        untimed = np.add.reduceat((time == NO_TIME).astype(np.int64), first)
        first = np.minimum(first + untimed, offsets[1:] - 1)
    return time[first], time[offsets[1:] - 1]
