r"""Stack traces each line of which has a header of its own, as oslo.log and syslog write them.

::

    10:11:12.345 17 ERROR nova.compute [req-1 …] no machine         message  no machine ⏎ NoHost: every host is full
    10:11:12.345 17 TRACE nova.compute Traceback (most recent …     text     all four lines, joined with \n
    10:11:12.345 17 TRACE nova.compute   File "/srv/nova.py", …
    10:11:12.345 17 TRACE nova.compute NoHost: every host is full
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from oddlog.types import I64, Bool

START = "Traceback (most recent call last)"
# Between two tracebacks of a chain, and inside of one.
_INNER = r"^(?:\s|$|During handling of the above exception|The above exception was the direct cause)"
_COLUMNS = ("ok", "time", "level", "service", "text", "message")


@dataclass
class LastLine:
    """What of the lines before decides whether the next ones belong to them.

    Attributes
    ----------
    frame, at : DataFrame, int
        Where the line itself stands.
    in_trace : bool
        It is part of a trace.
    own_header : bool
        The trace has a header that its record has not: whatever has that header belongs to it.

    """

    frame: pl.DataFrame
    at: int
    in_trace: bool = False
    own_header: bool = False

    @property
    def row(self) -> pl.DataFrame:
        """The line, with what is looked at."""
        return self.frame.slice(self.at, 1).select(_COLUMNS)


def repeats_header(rows: pl.DataFrame, last: LastLine | None) -> tuple[Bool, LastLine]:
    """Return which lines [lines] are parts of a trace of the record before them, and what to hand in next time.

    A trace begins with a line ``Traceback …`` whose header is that of the line before it, which is a warning or
    worse, but for the level and for what that one says of the request. It goes on while the header stays the same;
    where that is the header of usual lines, too, only as far as Python's traces go.
    """
    whole, at = rows, len(rows) - 1
    in_trace = last is not None and last.in_trace
    if not in_trace and not rows["message"].str.contains(START, literal=True).any():
        return np.zeros(len(rows), np.bool_), LastLine(whole, at)
    rows = rows.select(_COLUMNS)
    n_before = 0 if last is None else 1
    if last is not None:
        rows = pl.concat([last.row, rows])
    parts = _parts(rows)
    header, same = parts["header"], parts["same"].to_numpy()
    run = np.maximum.accumulate(np.where(same, 0, np.arange(len(rows))))  # [lines] first line with this header
    known = header.is_not_null().to_numpy()
    start = parts["start"].to_numpy() & known
    joins = parts["joins"].to_numpy() & start & ~same
    if last is not None:
        start[0], joins[0] = last.in_trace, last.own_header
    inside = _inside(rows["message"], start, run) & known
    owned = joins[run] & known
    inside |= owned
    continued = (inside & (run < np.arange(len(rows)))) | (joins & known)
    return continued[n_before:], LastLine(whole, at, bool(inside[-1]), bool(owned[-1]))


def _parts(rows: pl.DataFrame) -> pl.DataFrame:
    """Return per line its ``header``, whether it is the ``same`` as before, a ``start``, ``joins`` the line before."""
    can = pl.col("ok") & pl.col("time").is_not_null() & pl.col("service").is_not_null()
    can &= pl.col("text").str.ends_with(pl.col("message"))
    header = pl.col("text").str.strip_suffix(pl.col("message")).str.strip_chars_end(" ")
    split = pl.col("header").str.splitn(pl.col("service"), 2)
    frame = rows.with_columns(header=pl.when(can & (header != "")).then(header)).with_columns(
        # the level stands before the logger, and differs: ERROR, then TRACE
        before=split.struct.field("field_0").str.replace(r"\S+\s*$", ""),
        behind=split.struct.field("field_1"),
        start=pl.col("message").str.starts_with(START),
    )
    shifted = {name: pl.col(name).shift(1) for name in ("before", "behind", "service", "time", "header")}
    alike = pl.all_horizontal([pl.col(name) == shifted[name] for name in ("before", "service", "time")])
    # what the line before says more than the trace is said in front: its request
    alike &= pl.col("level").shift(1) >= "WARNING"
    alike &= shifted["behind"].str.ends_with(pl.col("behind"))
    return frame.select(
        "header",
        same=(pl.col("header") == shifted["header"]).fill_null(value=False),
        start=pl.col("start").fill_null(value=False),
        joins=alike.fill_null(value=False),
    )


def _inside(message: pl.Series, start: Bool, run: I64) -> Bool:
    """Return which lines [lines] are part of a trace that began under the same header, as Python writes traces.

    Behind indented lines one that is not, the exception, is the last of a traceback.
    """
    at = np.arange(len(message))
    inner = message.str.contains(_INNER).fill_null(value=False).to_numpy()
    indented = message.str.contains(r"^\s+\S").fill_null(value=False).to_numpy()
    after_indented = np.concatenate([[False], indented[:-1]])
    breaks = ~start & ~inner & ~after_indented
    started = np.maximum.accumulate(np.where(start, at, -1))
    broken = np.maximum.accumulate(np.where(breaks, at, -1))
    return np.asarray((started >= run) & (started > broken))
