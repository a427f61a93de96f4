r"""Stack traces and other lines without a header, joined to the record they belong to.

::

    12:00:01 ERROR pay - charge failed        message  charge failed ⏎ java.net.ConnectException: refused
    java.lang.IllegalStateException: charge   text     all five lines, joined with \n
        at shop.Pay.charge(Pay.java:41)       line     the first one's
    Caused by: java.net.ConnectException: …   position the last one's
        at shop.Net.open(Net.java:7)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

from oddlog.types import I64, U64, Bool, Tally

MAX_LINES = 256
MAX_BYTES = 64 << 10

JOINED = "continuation line joined to its record"
TOO_LONG = "continuation line dropped: the record has 256 lines or 64 KiB"

FRAME = (
    r"^(?:\s+at |\s*\.\.\. \d+ |\s*Caused by: |\s*Suppressed: |\s*Traceback \(most recent call last\)"
    r'|\s+File ".*", line \d|-----BEGIN [A-Z ]*PRIVATE KEY-----)'
)
"""A line of a trace, whatever stands before it."""
_WITHIN = r"^(?:\s|(?:[\w$]+\.)*[\w$]*(?:Error|Exception|Exit|Interrupt)\b|[A-Za-z0-9+/=]{16,}$|-----END )"
"""A line of a trace if the line before it is one: source code, the exception at the end, a key's body."""

_PYTHON = r"^(?s:.*)Traceback \(most recent call last\):\n(?:[ \t][^\n]*\n)*([^\s][^\n]*)"
_CAUSE = r"^(?s:.*)\n\s*Caused by: ([^\n]+)"
_THROWN = (
    r'\n(?:Exception in thread "[^"\n]*" )?'
    r"((?:[\w$]+\.)*[\w$]*(?:Exception|Error|Throwable)\b[^\n]*)"
)
_MAX_NAMED = 300  # characters of the exception that go into the message
_ARROW = " ⏎ "


@dataclass
class OpenRecord:
    """The last record of a source, which the next lines may still belong to.

    Its lines are rows of a `frame` that is held as a whole: of a thousand sources the last lines are then taken out of
    a few frames at once.

    Attributes
    ----------
    frame, start, n : DataFrame, int, int
        Where its lines that were kept stand, the first one with the header.
    lines : int
        Its lines so far, dropped ones included, so that a limit falls on the same line in any batching.
    position : int
        Where to resume after its last line, kept or dropped.

    """

    frame: pl.DataFrame
    start: int
    n: int
    lines: int
    position: int
    _bytes: int = -1

    @property
    def rows(self) -> pl.DataFrame:
        """Its lines that were kept."""
        return self.frame.slice(self.start, self.n)

    @property
    def n_bytes(self) -> int:
        """Its size so far, line ends and dropped lines included."""
        return self._bytes if self._bytes >= 0 else int(self.frame["text"].str.len_bytes()[self.start]) + 1


def continues(rows: pl.DataFrame, *, in_trace: bool) -> Bool:
    """Return which lines [lines] belong to the record before them.

    Lines without the header of a format that has one do. In text without headers a line does that looks
    like part of a trace; `in_trace` says whether the line before the first one did.
    """
    no_header = ~rows["ok"].to_numpy()
    if not rows["time"].null_count():  # every line has a time, so no line is bare text
        return no_header
    bare = (rows["time"].is_null() & rows["ok"]).to_numpy()
    frame = np.asarray(no_header | (bare & rows["text"].str.contains(FRAME).to_numpy()), np.bool_)
    if not frame.any() and not in_trace:
        return frame
    within = bare & rows["text"].str.contains(_WITHIN).to_numpy()
    at = np.arange(len(rows))
    last_frame = np.maximum.accumulate(np.where(frame, at, -1 if in_trace else -2))
    last_other = np.maximum.accumulate(np.where(frame | within, -2 if in_trace else -1, at))
    return np.asarray(last_frame > last_other)


def join(
    opened: OpenRecord | None, rows: pl.DataFrame, continued: Bool, tally: Tally
) -> tuple[pl.DataFrame, OpenRecord]:
    """Return the records that are complete, one row each, and the one that is still open.

    `rows` [lines] are not empty; the first one continues `opened` or begins a record itself.
    """
    tally.add(JOINED, int(continued.sum()), example=_place(rows, continued))
    if not continued.any():
        done = rows if opened is None else concat([close(opened), rows])
        return done.head(len(done) - 1), OpenRecord(rows, len(rows) - 1, 1, 1, rows["position"][-1])
    n_held = 0
    if opened is not None:
        n_held = len(opened.rows)
        rows = concat([opened.rows, rows])
        continued = np.concatenate([np.arange(n_held) > 0, continued])
    starts = np.flatnonzero(~continued)
    group = np.cumsum(~continued) - 1
    rank, total = _sizes(rows, starts, group, opened)
    keep = (rank == 0) | ((rank <= MAX_LINES) & (total <= MAX_BYTES + 1))
    tally.add(TOO_LONG, int((~keep).sum()), example=_place(rows, ~keep))

    last = starts[-1]
    position = rows["position"].to_numpy().copy()
    if opened is not None:  # the lines behind the last one held were dropped, but they have been read
        position[n_held - 1] = opened.position
    done = _one_row_each(rows, keep, starts, len(starts) - 1, position)
    still = rows.slice(last).filter(pl.Series(keep[last:]))
    return done, OpenRecord(still, 0, len(still), int(rank[-1]) + 1, int(position[-1]), int(total[-1]))


def close(opened: OpenRecord) -> pl.DataFrame:
    """Return the open record as one row."""
    if opened.lines == 1:
        return opened.rows
    keep = np.ones(len(opened.rows), np.bool_)
    ends = np.full(len(opened.rows), opened.position, np.uint64)
    return _one_row_each(opened.rows, keep, np.zeros(1, np.int64), 1, ends)


def concat(frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Return the frames one below the other; found fields may differ."""
    if len(frames) == 1:
        return frames[0]
    columns, dtypes = frames[0].columns, frames[0].dtypes  # a schema takes ten times as long
    same = all(frame.columns == columns and frame.dtypes == dtypes for frame in frames[1:])
    return pl.concat(frames, how="vertical" if same else "diagonal")


def _sizes(rows: pl.DataFrame, starts: I64, group: I64, opened: OpenRecord | None) -> tuple[I64, I64]:
    """Return for each line its rank in its record and the record's bytes up to it, line ends included."""
    rank = np.arange(len(rows)) - starts[group]
    total = np.cumsum(rows["text"].str.len_bytes().to_numpy().astype(np.int64) + 1)
    before = np.concatenate([[0], total])[starts]
    size = total - before[group]
    if opened is not None:  # what was dropped earlier counts as well
        n_held = len(opened.rows)
        later = (group == 0) & (np.arange(len(rows)) >= n_held)
        rank[later] += opened.lines - n_held
        size[later] += opened.n_bytes - int(size[n_held - 1])
    return rank, size


def _one_row_each(rows: pl.DataFrame, keep: Bool, starts: I64, n_done: int, position: U64) -> pl.DataFrame:
    """Return the first `n_done` records, whose lines begin at `starts`, as one row each."""
    first = rows[starts[:n_done]]
    last = np.append(starts[1:], len(rows))[:n_done] - 1
    first = first.with_columns(pl.Series("position", position[last]))
    n_kept = np.add.reduceat(keep.astype(np.int64), starts)[:n_done]
    joined = np.flatnonzero(n_kept > 1)
    if not len(joined):
        return first
    record = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(rows))))
    chosen = keep & np.isin(record, joined)
    # a line that has a header of its own says what its message says
    has_own = rows["ok"] & pl.Series(np.isin(np.arange(len(rows)), starts, invert=True))
    said = rows.select(pl.when(has_own).then("message").otherwise("text")).to_series()
    lines = pl.DataFrame({"record": record, "text": rows["text"], "said": said}).filter(pl.Series(chosen))
    joins = lines.group_by("record", maintain_order=True).agg(pl.col("text", "said").str.join("\n"))
    text = joins["text"]
    return first.with_columns(
        first["text"].clone().scatter(joined, text),
        first["message"].clone().scatter(joined, _name_exception(first["message"].gather(joined), joins["said"])),
    )


def _name_exception(message: pl.Series, text: pl.Series) -> pl.Series:
    """Return the messages with the exception that the trace under each ends in or was caused by."""
    named = pl.coalesce(
        pl.col("text").str.extract(_PYTHON), pl.col("text").str.extract(_CAUSE), pl.col("text").str.extract(_THROWN)
    ).str.head(_MAX_NAMED)
    frame = pl.DataFrame({"message": message, "text": text}).select("message", named.alias("named"))
    both = pl.concat_str(pl.col("message").fill_null(""), pl.lit(_ARROW), "named")
    return frame.select(pl.when(pl.col("named").is_null()).then("message").otherwise(both)).to_series()


def _place(rows: pl.DataFrame, chosen: Bool) -> str:
    at = int(np.argmax(chosen))
    return f"{rows['source'][at]}:{rows['line'][at]}" if chosen[at] else ""
