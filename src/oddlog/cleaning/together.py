"""Lines of many sources at once, as they come live: what is done to one source is done to all of them in one go.

A call of Polars costs a tenth of a millisecond, however few its rows are. So lines are cleaned source by source only
where what a line becomes depends on its neighbours: the sources in which a line has no header, a trace begins, or
something comes again. All others are *calm*: each line is a record of its own, and the last one stays open.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
import polars as pl

from oddlog.cleaning.headed import START
from oddlog.cleaning.traces import FRAME, OpenRecord, close, concat
from oddlog.types import I64, Bool

EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
AFTER = datetime(2101, 1, 1, tzinfo=UTC)
_bare = pl.col("time").is_null() & pl.col("text").str.contains(FRAME)
_STIRS = (~pl.col("ok") | _bare | pl.col("message").str.contains(START, literal=True).fill_null(value=False)).alias(
    "stirs"
)


def by_source(source: pl.Series) -> tuple[list[str], I64]:
    """Return the sources in order of appearance, and which of them each line [lines] is of.

    >>> by_source(pl.Series(["b", "a", "b"]))[0]
    ['b', 'a']
    """
    names: dict[str, int] = {}
    of = [names.setdefault(name, len(names)) for name in source.to_list()]
    return list(names), np.array(of, np.int64)


def last_of(of: I64, n: int) -> I64:
    """Return where the last line of each source [n] stands, -1 for none."""
    last = np.full(n, -1)
    last[of] = np.arange(len(of))  # of several the last one stays
    return last


def stirring(rows: pl.DataFrame) -> Bool | None:
    """Return which lines [lines] need to be looked at with their neighbours; None if not one does."""
    if not rows["time"].null_count() and rows["ok"].all():
        found = rows["message"].str.contains(START, literal=True)
    else:
        found = rows.select(_STIRS)["stirs"]
    return found.fill_null(value=False).to_numpy() if found.any() else None


def grows(of: I64, position: I64, before: I64) -> Bool:
    """Return of which sources [n] every line lies behind the one before it, and the first behind `before` [n]."""
    fine = np.ones(len(before), np.bool_)
    order = np.argsort(of, kind="stable")
    of, position = of[order], position[order]
    first = np.append(True, of[1:] != of[:-1])
    step = np.diff(position, prepend=0)
    step[first] = position[first] - before[of[first]]
    fine[of[step <= 0]] = False
    return fine


def opened_rows(opened: Sequence[OpenRecord]) -> tuple[list[pl.DataFrame], I64]:
    """Return open records as rows, one each, and which of them [x] each row is."""
    by_frame: dict[int, list[int]] = {}
    for i, one in enumerate(opened):
        by_frame.setdefault(id(one.frame) if one.lines == 1 else -1 - i, []).append(i)
    frames = []
    for which in by_frame.values():
        first = opened[which[0]]
        if first.lines > 1:
            frames.append(close(first))
        elif len(which) == 1:
            frames.append(first.rows)
        else:
            frames.append(first.frame[[opened[i].start for i in which]])
    return frames, np.array([i for which in by_frame.values() for i in which], np.int64)


def complete(rows: pl.DataFrame, of: I64, opened: dict[int, OpenRecord], last: I64) -> tuple[pl.DataFrame, I64]:
    """Return the records that are complete now that calm lines have come, and the source of each.

    Parameters
    ----------
    rows : DataFrame [lines]
        Of calm sources.
    of : I64 [lines]
        The source of each.
    opened : dict
        The record that was open, by source.
    last : I64 [n]
        Where the last line of each source stands: it stays open.

    """
    stays = np.zeros(len(rows), np.bool_)
    stays[last[last >= 0]] = True
    ends = stays.sum()
    done = rows.head(-ends) if stays[-ends:].all() else rows.filter(pl.Series(~stays))
    if not opened:
        return done, of[~stays]
    codes = np.fromiter(opened, np.int64, len(opened))
    frames, which = opened_rows(list(opened.values()))
    return concat([*frames, done]), np.concatenate([codes[which], of[~stays]])
