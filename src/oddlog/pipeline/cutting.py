"""From stored events to windows: the same for learning and for detecting."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import polars as pl

from oddlog.pipeline.events import EventStore, repeated
from oddlog.pipeline.judging.views import Cut
from oddlog.types import CLOSED_BY, NO_TIME, Tally, Windows

_OPEN, _REST, _HEADLESS = (np.uint8(CLOSED_BY.index(name)) for name in ("open", "rest", "headless"))


def partitions(store: EventStore, rows_of: Callable[[pl.Series], pl.Series] | None = None) -> Iterator[pl.DataFrame]:
    """Yield the events of each partition in the order of (time, source, line), each as often as it was counted.

    `rows_of` maps the column `key` to `template`, where the events were stored before there were templates.
    """
    for events in store:
        if rows_of is not None:
            events = events.with_columns(rows_of(events["key"]).alias("template")).drop("key")  # noqa: PLW2901
        yield repeated(events).sort("time_us", "source", "line", maintain_order=True)


def cut_windows(events: pl.DataFrame, cut: Cut, tally: Tally, span_us: tuple[int, int]) -> Windows:
    """Return all windows of a partition of sorted events; `span_us` is the first and last time of the whole input."""
    windower = cut.windower(tally)
    watermark = None if span_us[1] == NO_TIME else span_us[1]
    windows = Windows.concat([windower.push(events), windower.push(events.clear(), watermark), windower.flush()])
    return settled(windows, cut, span_us)


def settled(windows: Windows, cut: Cut, span_us: tuple[int, int]) -> Windows:
    """Return windows with how they were closed, now that the first and last time of the input are known."""
    if cut.by == "session" and span_us[1] == NO_TIME:
        # Without any time nothing tells that the input broke a session off: it is taken as whole.
        return replace(windows, closed_by=np.where(windows.closed_by == _OPEN, _REST, windows.closed_by))
    if cut.by == "time":
        begun_before = windows.start < span_us[0]
        return replace(windows, closed_by=np.where(begun_before, _HEADLESS, windows.closed_by))
    if cut.closing is None:
        return windows
    return replace(windows, closed_by=cut.closing.settled(windows, *span_us))
