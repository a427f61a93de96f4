"""Arrival order: the watermark behind every event, and the order in which events become final.

An event that arrives while the watermark has already passed it is *late*: it counts as happening at the
watermark. So the times that decide about windows never lie behind the watermark, and what is decided up to the
watermark stays decided, however the arrivals are cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from oddlog.types import I64

NEVER = -(1 << 62)
"""A watermark before every time: far enough from the ends of i64 that sums with durations cannot overflow."""
FOREVER = 1 << 62


@dataclass(frozen=True)
class Arrived:
    """Events in an order that is final, and what is known of each.

    Attributes
    ----------
    session : pl.Series [e] str
        The key the windower groups by, never null.
    at : I64 [e] us
        The time that decides about windows: event time, or the watermark where the event came late.
    ready : I64 [e]
        Position in the push at which the order up to this event became final.
    columns : dict of arrays [e, ...]
        The columns of the events.

    """

    session: pl.Series
    at: I64
    ready: I64
    columns: dict[str, NDArray[Any]]

    def __len__(self) -> int:
        return len(self.at)

    def take(self, index: NDArray[Any]) -> Arrived:
        """Return the events at `index` (positions or a mask)."""
        if index.dtype == np.bool_:
            index = np.flatnonzero(index)
        columns = {name: column[index] for name, column in self.columns.items()}
        return Arrived(self.session.gather(index), self.at[index], self.ready[index], columns)

    def slice(self, start: int, stop: int) -> Arrived:
        """Return the events `start:stop`."""
        columns = {name: column[start:stop] for name, column in self.columns.items()}
        return Arrived(self.session[start:stop], self.at[start:stop], self.ready[start:stop], columns)

    def then(self, later: Arrived) -> Arrived:
        """Return these events followed by `later`."""
        columns = {name: np.concatenate([a, later.columns[name]]) for name, a in self.columns.items()}
        return Arrived(
            pl.concat([self.session, later.session]),
            np.concatenate([self.at, later.at]),
            np.concatenate([self.ready, later.ready]),
            columns,
        )


class Clock:
    """The watermark: the largest event time so far less `lateness_us`; it never goes back."""

    def __init__(self, lateness_us: int, watermark: int = NEVER) -> None:
        self.lateness_us = lateness_us
        self.watermark = watermark

    def advance(self, time_us: I64, watermark_us: int | None) -> tuple[I64, I64]:
        """Return the watermark before each event [e], and after each event and the push's own [e + 1]."""
        known = np.clip(time_us, NEVER + self.lateness_us, FOREVER) - self.lateness_us
        last = NEVER if watermark_us is None else min(watermark_us, FOREVER)
        path = np.maximum.accumulate(np.concatenate([[self.watermark], known, [last]]).astype(np.int64))
        self.watermark = int(path[-1])
        return path[:-2], path[1:]


def in_final_order(events: Arrived, path: I64) -> tuple[Arrived, Arrived]:
    """Split into the events whose order is final at the watermark `path[-1]`, in that order, and the others.

    The order is (`at`, arrival); `events` stand in order of arrival. An event is final at the first arrival
    whose watermark reaches it: whatever comes later counts as happening then or later.
    """
    if len(events) == 0:
        return events, events
    if np.any(events.at[1:] < events.at[:-1]):
        events = events.take(np.argsort(events.at, kind="stable"))
    final = int(np.searchsorted(events.at, path[-1], side="right"))
    done = events.slice(0, final)
    ready = np.maximum(done.ready, np.searchsorted(path, done.at, side="left"))
    return Arrived(done.session, done.at, ready, done.columns), events.slice(final, len(events))
