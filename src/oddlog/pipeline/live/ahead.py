"""Lines whose own time lies in the future: somebody's clock is wrong, and must not carry the time of all others along.

Event time only goes forward. One line of next year would have each line after it come late, until next year. So what
is more than an hour ahead of the clock on the wall is placed at the latest line before it: but not where the whole
log is of another time, as in a simulation, or on a machine whose own clock has stopped.
"""

from __future__ import annotations

import polars as pl

from oddlog.types import NO_TIME, TIME, Tally

MOST_AHEAD_US = 3_600_000_000  # clocks that nobody keeps, and zones that are read wrong, are minutes and hours ahead
AHEAD = "time more than an hour in the future placed at the line before"


def placed(records: pl.DataFrame, end_us: int, now_us: int, tally: Tally) -> pl.DataFrame:
    """Return records, those of the future at the latest time before them.

    Parameters
    ----------
    records : pl.DataFrame
        `RECORDS`.
    end_us : int
        The latest time of the records before them; `NO_TIME` for none.
    now_us : int
        The time on the wall.
    tally : Tally
        Takes how many were placed.

    """
    time_us = records["time"].cast(TIME).to_physical()
    bound = now_us + MOST_AHEAD_US
    latest = time_us.max()
    if not isinstance(latest, int) or latest <= bound or end_us > bound:
        return records
    ahead = (time_us > bound).fill_null(value=False)
    others = time_us.set(ahead, None)
    first = others.min()
    begins = end_us if end_us != NO_TIME else first
    if not isinstance(begins, int):
        return records  # it begins there
    tally.add(AHEAD, int(ahead.sum()), example=str(records["source"].filter(ahead)[0]))
    before = others.cum_max().forward_fill().fill_null(begins).clip(lower_bound=begins)
    return records.with_columns(time=pl.when(ahead).then(before.cast(TIME)).otherwise("time"))
