"""Counts that a model remembers of its training, so that rates, shares and drift are learned on, not kept as they were.

They are the very counts that a fit makes, by minute and by ten minutes, so that learning on from them is one fit of
both logs. Bounded: the latest `MOST_MINUTES`, and of these as many as have `MOST_ROWS` rows. Of addresses and users
only how many lines each had within ten minutes is kept, never a name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from oddlog.pipeline.learning.memory import packed, unpacked
from oddlog.rates import Counting
from oddlog.rates.counting import BUCKET, TABLES
from oddlog.shares import Bounds, ShareCounting
from oddlog.types import State, Tally

PART, SHARES = "memory.counts", "memory.shares"
MOST_MINUTES = 56 * 1_440  # eight weeks: enough for each hour of the week, and what is older ages
MOST_ROWS = 500_000  # of each table
_TYPED = ("cells", "failures")  # tables of types: few, each in many rows
_NAMED = ("failures", "entities")  # … and of who causes lines
OVERLAP = "lines of minutes that were learned from before, counted again"


def remembered(counting: Counting) -> State:
    """Return what is remembered of counts by minute, whose types are keys."""
    arrays: dict[str, NDArray[Any]] = {}
    tables = {name: counting.table(name) for name in TABLES}
    last = max((_last(frame) for frame in tables.values()), default=0)
    for name, frame in tables.items():
        kept = _latest(frame, last)
        if "entity" in kept.columns:
            kept = _nameless(kept)
        for column, series in kept.to_dict().items():
            if name in _TYPED and column == "type":
                types = series.unique().sort()
                arrays[f"{name}.types"] = types.to_numpy()
                arrays[f"{name}.type"] = types.search_sorted(series).cast(pl.UInt32).to_numpy()
            else:
                arrays[f"{name}.{column}"] = series.to_numpy()
    return packed(arrays, {"hosts": counting.hosts.names, "fields": counting.fields.names})


def recalled(state: State, counting: Counting) -> None:
    """Fill a new counting with what was remembered."""
    arrays = unpacked(state)
    for name in _TYPED:
        arrays[f"{name}.type"] = arrays.pop(f"{name}.types")[arrays[f"{name}.type"]]
    n = max(int(arrays[f"{name}.entity"].max()) + 1 if len(arrays[f"{name}.entity"]) else 0 for name in _NAMED)
    names = [f"remembered {i}" for i in range(n)]
    counting.restore(State(arrays, {**state.meta, "entities": names}))


def remembered_shares(counting: ShareCounting) -> State:
    """Return what is remembered of shares by ten minutes."""
    arrays = dict(counting.state().arrays)
    prefixes = {name.rsplit(".", 1)[0] for name in arrays}
    last = max((int(arrays[f"{one}.bucket"].max(initial=0)) for one in prefixes), default=0)
    kept: dict[str, NDArray[Any]] = {}
    for one in prefixes:
        bucket = arrays[f"{one}.bucket"]
        since = last - MOST_MINUTES // BUCKET
        if len(bucket) > MOST_ROWS:
            since = max(since, int(np.partition(bucket, len(bucket) - MOST_ROWS)[len(bucket) - MOST_ROWS]))
        rows = bucket > since
        kept |= {name: array[rows] for name, array in arrays.items() if name.rsplit(".", 1)[0] == one}
    return packed(kept, {})


def recalled_shares(state: State, bounds: Bounds, k: int, tally: Tally) -> ShareCounting:
    """Return a counting that goes on from what was remembered, within the bounds that it was counted by."""
    counting = ShareCounting(bounds, k, tally)
    counting.restore(State(unpacked(state)))
    return counting


def overlap(before: pl.DataFrame, after: pl.DataFrame) -> int:
    """Return how many lines were added `after` to minutes that were counted `before`: `Counting.table("cells")`."""
    by = [one.group_by("minute").agg(pl.col("n").sum().cast(pl.Int64)) for one in (before, after)]
    joined = by[0].join(by[1], on="minute", suffix="_after")
    return int((joined["n_after"] - joined["n"]).sum())


def remembers(memory: Mapping[str, State]) -> bool:
    """Return whether a model remembers its counts: one of an older oddlog does not."""
    return PART in memory


def _last(frame: pl.DataFrame) -> int:
    unit, per = ("bucket", BUCKET) if "bucket" in frame.columns else ("minute", 1)
    latest = frame[unit].max()
    return int(latest) * per if isinstance(latest, int) else 0


def _latest(frame: pl.DataFrame, last: int) -> pl.DataFrame:
    """Return the latest rows, of whole minutes."""
    unit, per = ("bucket", BUCKET) if "bucket" in frame.columns else ("minute", 1)
    since = (last - MOST_MINUTES) // per
    if len(frame) > MOST_ROWS:
        cut = frame[unit].top_k(MOST_ROWS + 1).min()
        since = max(since, int(cut) if isinstance(cut, int) else since)
    return frame.filter(pl.col(unit) > since)


def _nameless(frame: pl.DataFrame) -> pl.DataFrame:
    """Return counts of entities that are numbered anew in each ten minutes."""
    code = pl.col("entity").rank("dense").over("bucket") - 1
    keys = [name for name in frame.columns if name != "n"]
    return frame.with_columns(entity=code.cast(pl.UInt32)).sort(keys)
