"""The cleaning of records, source by source, with a count of everything that was done to them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import numpy as np
import polars as pl

from oddlog.cleaning.headed import LastLine, repeats_header
from oddlog.cleaning.redaction import redact, redact_texts
from oddlog.cleaning.repeats import count_repeats
from oddlog.cleaning.traces import OpenRecord, close, concat, continues, join
from oddlog.types import RECORDS, U64, Bool, Tally

MAX_QUARANTINED = 1000
MAX_REMEMBERED = 4 << 20  # hashes of texts for `drop_duplicates`: 32 MiB

REDELIVERED = "line delivered again dropped"
NO_HEADER = "line without a header quarantined: no record before it"
INHERITED = "missing time taken from the record before"
IMPOSSIBLE = "time outside 1990-2100 dropped"
WHITE = "white space or control characters in a message normalised"
DUPLICATE = "duplicate line dropped"
FORGOTTEN = "text not remembered for duplicates: 4 M texts already are"

_EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)
_AFTER = datetime(2101, 1, 1, tzinfo=UTC)
_TWO_SPACES = 0x2020
_WHITE_RUN = r"[\x00-\x20]+"


class Quarantined(NamedTuple):
    """A line that became no record, as it is shown: secrets redacted."""

    source: str
    line: int
    text: str
    reason: str


@dataclass
class _Memory:
    """What the cleaning of a source knows of the lines before."""

    opened: OpenRecord | None = None
    in_trace: bool = False
    last: LastLine | None = None
    position: int = -1
    time: datetime | None = None
    said: pl.DataFrame | None = None
    texts: U64 = field(default_factory=lambda: np.empty(0, np.uint64))  # ascending


class Cleaner:
    """Cleans records in the order of their lines; any batching of them gives the same records.

    The last record of a source stays open until the next one begins, because a stack trace may follow it:
    `push` returns it later, `flush` at once.

    Parameters
    ----------
    tally : Tally
        Takes what was done, how often, and where first.
    redact : bool
        Take secrets out of texts, messages and found fields.
    drop_duplicates : bool
        Keep only the first of identical texts of a source, the behaviour of the first paper. Off, identical
        lines all stay, since how often they come carries information.

    Attributes
    ----------
    quarantine : list of Quarantined
        The first 1,000 lines that could not be made a record or part of one.

    """

    def __init__(self, tally: Tally, *, redact: bool = True, drop_duplicates: bool = False) -> None:
        self.tally = tally
        self.redact = redact
        self.drop_duplicates = drop_duplicates
        self.quarantine: list[Quarantined] = []
        self._memory: dict[str, _Memory] = {}
        self._remembered = 0

    def push(self, records: pl.DataFrame) -> pl.DataFrame:
        """Take RECORDS with ``ok`` and found fields; return those that are complete, without ``ok``.

        Rows of a source stand in the order of their lines; rows of several sources come back source by source.
        """
        if not len(records):
            return records.drop("ok")
        source = records["source"]
        if (source == source[0]).all():
            return self._push(source[0], records)
        parts = records.partition_by("source", maintain_order=True)
        return concat([self._push(part["source"][0], part) for part in parts])

    def flush(self, sources: Collection[str] | None = None) -> pl.DataFrame:
        """Return the records that are still open, of some `sources` or of all.

        A source's line delivered again is still known as such.
        """
        done = [pl.DataFrame(schema=RECORDS)]
        for source in self._memory if sources is None else sources:
            memory = self._memory.get(source, _Memory())
            if memory.opened is not None:
                rows, memory.opened, memory.last = close(memory.opened), None, None
                done.append(self._clean(memory, rows))
        return concat(done[1:] or done)

    def forget(self, source: str) -> None:
        """Forget the lines of a source, because its positions begin anew: a rotated file. Flush before."""
        memory = self._memory.pop(source, None)
        self._remembered -= len(memory.texts) if memory else 0

    def _push(self, source: str, rows: pl.DataFrame) -> pl.DataFrame:
        memory = self._memory.setdefault(source, _Memory())
        rows = self._drop_redelivered(memory, rows)
        if not len(rows):
            return rows.drop("ok")
        continued = continues(rows, in_trace=memory.in_trace)
        memory.in_trace = bool(continued[-1])
        headed, memory.last = repeats_header(rows, memory.last)
        continued |= headed
        if memory.opened is None and continued[0]:
            rows, continued = self._set_apart(rows, continued)
            if not len(rows):
                return rows.drop("ok")
        done, memory.opened = join(memory.opened, rows, continued, self.tally)
        return self._clean(memory, done)

    def _clean(self, memory: _Memory, rows: pl.DataFrame) -> pl.DataFrame:
        """Do what concerns whole records, each step only where a cheap test finds something to do."""
        rows = rows.drop("ok")
        if not len(rows):
            return rows
        rows = self._repair_time(memory, rows)
        rows = self._normalise_white(rows)
        rows, memory.said = count_repeats(rows, memory.said, self.tally)
        if self.redact:
            rows = redact(rows, self.tally)
        return self._drop_duplicates(memory, rows) if self.drop_duplicates else rows

    def _drop_redelivered(self, memory: _Memory, rows: pl.DataFrame) -> pl.DataFrame:
        """Positions of a source only grow: what does not has been here before."""
        position = rows["position"].to_numpy().astype(np.int64)
        highest = np.maximum.accumulate(np.append(memory.position, position))
        memory.position = int(highest[-1])
        return self._keep(rows, position > highest[:-1], REDELIVERED)

    def _set_apart(self, rows: pl.DataFrame, continued: Bool) -> tuple[pl.DataFrame, Bool]:
        """Quarantine the first lines if they have no header and no record before them."""
        stands = rows["ok"].to_numpy() | ~continued  # can begin a record
        n_apart = int(np.argmax(stands)) if stands.any() else len(rows)
        apart = rows.head(min(n_apart, MAX_QUARANTINED - len(self.quarantine))).select("source", "line", "text")
        if self.redact:
            apart = apart.with_columns(redact_texts(apart["text"]))
        self.quarantine.extend(Quarantined(source, line, text, NO_HEADER) for source, line, text in apart.iter_rows())
        rest = continued[n_apart:].copy()
        rest[:1] = False
        return self._keep(rows, np.arange(len(rows)) >= n_apart, NO_HEADER), rest

    def _repair_time(self, memory: _Memory, rows: pl.DataFrame) -> pl.DataFrame:
        time = rows["time"]
        impossible = ~time.is_between(_EARLIEST, _AFTER, closed="left").fill_null(value=True)
        if impossible.any():
            self._count(rows, impossible.to_numpy(), IMPOSSIBLE)
            time = time.set(impossible, None)
        missing = time.is_null()
        if time.null_count():
            time = time.fill_null(strategy="forward")
            time = time if memory.time is None else time.fill_null(memory.time)
            self._count(rows, (missing & time.is_not_null()).to_numpy(), INHERITED)
        memory.time = time[-1]
        return rows.with_columns(time)

    def _normalise_white(self, rows: pl.DataFrame) -> pl.DataFrame:
        message = rows["message"]
        if not _has_white(message):
            return rows
        normal = message.str.replace_all(_WHITE_RUN, " ").str.strip_chars(" ")
        changed = (normal != message).fill_null(value=False).to_numpy()
        self._count(rows, changed, WHITE)
        return rows.with_columns(normal)

    def _drop_duplicates(self, memory: _Memory, rows: pl.DataFrame) -> pl.DataFrame:
        # Which hash it is decides nothing but which texts collide: one pair in 10^13 at 4 M texts.
        hashed = rows["text"].hash(seed=0).to_numpy()
        distinct, first = np.unique(hashed, return_index=True)
        order = np.argsort(first)
        new = distinct[order][~_contains(memory.texts, distinct[order])]
        room = MAX_REMEMBERED - self._remembered
        is_first = np.zeros(len(rows), np.bool_)
        is_first[first] = True
        known_before = _contains(memory.texts, hashed)
        forgotten = _contains(np.sort(new[room:]), hashed)
        self._count(rows, forgotten, FORGOTTEN)
        self._remembered += len(new[:room])
        memory.texts = np.sort(np.concatenate([memory.texts, new[:room]]), kind="stable")
        return self._keep(rows, (is_first & ~known_before) | forgotten, DUPLICATE)

    def _keep(self, rows: pl.DataFrame, kept: Bool, otherwise: str) -> pl.DataFrame:
        """Return the rows that are kept and count the others."""
        if kept.all():
            return rows
        self._count(rows, ~kept, otherwise)
        return rows.filter(pl.Series(kept))

    def _count(self, rows: pl.DataFrame, chosen: Bool, reason: str) -> None:
        if chosen.any():
            at = int(np.argmax(chosen))
            self.tally.add(reason, int(chosen.sum()), example=f"{rows['source'][at]}:{rows['line'][at]}")


def _has_white(message: pl.Series) -> bool:
    """Whether any message may hold a control character, two spaces in a row, or a space at an end.

    All messages are joined by spaces, so that a space at an end is one of two. Pairs of bytes are compared
    as one number, from the first byte on and from the second: four times as fast as a search per message.
    """
    joined = np.frombuffer(f" {message.str.join(' ').item()} ".encode(), np.uint8)
    if int(joined.min()) < ord(" "):
        return True
    pairs = (joined[at : at + (len(joined) - at) // 2 * 2].view(np.uint16) for at in (0, 1))
    return any(bool((pair == _TWO_SPACES).any()) for pair in pairs)


def _contains(ascending: U64, values: U64) -> Bool:
    """Return which values [x] stand in an ascending array."""
    if not len(ascending):
        return np.zeros(len(values), np.bool_)
    at = np.minimum(np.searchsorted(ascending, values), len(ascending) - 1)
    return np.asarray(ascending[at] == values)


def cleaning_table(tally: Tally) -> pl.DataFrame:
    """Return what was done to the lines, most frequent first: step, how often, place of the first case."""
    steps = sorted(tally.counts.items(), key=lambda step: (-step[1], step[0]))
    rows = [(step, count, tally.examples.get(step, "")) for step, count in steps]
    schema = {"step": pl.String(), "count": pl.UInt64(), "example": pl.String()}
    return pl.DataFrame(rows, schema=schema, orient="row")
