"""The cleaning of records, source by source, with a count of everything that was done to them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

import numpy as np
import polars as pl

from oddlog.cleaning.headed import LastLine, repeats_header
from oddlog.cleaning.redaction import redact, redact_texts
from oddlog.cleaning.repeats import MAY_REPEAT, Said, count_repeats
from oddlog.cleaning.together import AFTER, EARLIEST, by_source, complete, grows, last_of, opened_rows, stirring
from oddlog.cleaning.traces import OpenRecord, concat, continues, join
from oddlog.types import I64, RECORDS, U64, Bool, Tally

MAX_QUARANTINED = 1000
MAX_REMEMBERED = 4 << 20  # hashes of texts for `drop_duplicates`: 32 MiB

REDELIVERED = "line delivered again dropped"
NO_HEADER = "line without a header quarantined: no record before it"
INHERITED = "missing time taken from the record before"
IMPOSSIBLE = "time outside 1990-2100 dropped"
WHITE = "white space or control characters in a message normalised"
DUPLICATE = "duplicate line dropped"
FORGOTTEN = "text not remembered for duplicates: 4 M texts already are"

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
    said: Said | None = None
    texts: U64 = field(default_factory=lambda: np.empty(0, np.uint64))  # ascending


_NEW = _Memory()  # of a source of which nothing is known; never changed
_MANY = 5_000  # lines of one source from which on the fewest calls no longer matter


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

        Rows of a source stand in the order of their lines; those of several sources as they came.
        """
        if not len(records):
            return records.drop("ok")
        names, of = by_source(records["source"])
        if len(names) == 1 and (self.drop_duplicates or len(records) > _MANY):
            return self._push(names[0], records)
        calm = self._calm(names, of, records)
        parts = [self._push(names[i], records.filter(pl.Series(of == i))) for i in np.flatnonzero(~calm).tolist()]
        if calm.all():
            parts.append(self._push_calm(names, of, records))
        elif calm.any():
            chosen = calm[of]
            parts.append(self._push_calm(names, of[chosen], records.filter(pl.Series(chosen))))
        return concat([part for part in parts if len(part)] or parts[:1])

    def flush(self, sources: Collection[str] | None = None) -> pl.DataFrame:
        """Return the records that are still open, of some `sources` or of all.

        A source's line delivered again is still known as such.
        """
        opened: dict[str, OpenRecord] = {}
        for source in self._memory if sources is None else sources:
            memory = self._memory.get(source)
            if memory is not None and memory.opened is not None:
                opened[source], memory.opened, memory.last = memory.opened, None, None
        if not opened:
            return pl.DataFrame(schema=RECORDS)
        frames, which = opened_rows(list(opened.values()))
        return self._clean_all(list(opened), which, concat(frames))

    def _calm(self, names: list[str], of: I64, rows: pl.DataFrame) -> Bool:
        """Return the sources [n] each of whose lines is a record of its own; see `together`."""
        if self.drop_duplicates:
            return np.zeros(len(names), np.bool_)
        memories = [self._memory.get(name, _NEW) for name in names]
        before = np.array([memory.position for memory in memories])
        calm = grows(of, rows["position"].to_numpy().astype(np.int64), before)
        calm &= np.array([not (one.in_trace or (one.last is not None and one.last.in_trace)) for one in memories])
        stirs = stirring(rows)
        if stirs is not None:
            calm[of[stirs]] = False
        return calm

    def _push_calm(self, names: list[str], of: I64, rows: pl.DataFrame) -> pl.DataFrame:
        last = last_of(of, len(names))
        codes = np.flatnonzero(last >= 0).tolist()
        memories = {i: self._memory.setdefault(names[i], _Memory()) for i in codes}
        opened = {i: one.opened for i, one in memories.items() if one.opened is not None}
        done, done_of = complete(rows, of, opened, last)
        positions = rows["position"]
        for i in codes:
            memory, at = memories[i], int(last[i])
            memory.position = int(positions[at])
            memory.opened, memory.last = OpenRecord(rows, at, 1, 1, memory.position), LastLine(rows, at)
        return self._clean_all(names, done_of, done)

    def _clean_all(self, names: list[str], of: I64, rows: pl.DataFrame) -> pl.DataFrame:
        """Do what `_clean` does to records [lines] of several sources, to each by itself only where that matters."""
        alone = self._alone(names, of, rows)
        parts = [
            self._clean(self._memory.setdefault(names[i], _Memory()), rows.filter(pl.Series(of == i)))
            for i in np.flatnonzero(alone).tolist()
        ]
        if alone.any():
            rows, of = rows.filter(pl.Series(~alone[of])), of[~alone[of]]
        rows = self._normalise_white(_without_ok(rows))
        last = last_of(of, len(names))
        columns = [rows[name] for name in ("message", "service", "level", "time")]
        for i in np.flatnonzero(last >= 0).tolist():
            memory = self._memory.setdefault(names[i], _Memory())
            message, service, level, memory.time = (column[int(last[i])] for column in columns)
            memory.said = message, service, level
        parts.append(redact(rows, self.tally) if self.redact else rows)
        return concat([part for part in parts if len(part)] or parts[-1:])

    def _alone(self, names: list[str], of: I64, rows: pl.DataFrame) -> Bool:
        """Return the sources [n] with a record that needs what another one of them has said, or its time."""
        alone = np.zeros(len(names), np.bool_)
        if self.drop_duplicates:
            alone[of] = True
            return alone
        time, repeats = rows["time"], rows["message"].str.contains(MAY_REPEAT)
        first, last = time.min(), time.max()
        if repeats.any():
            alone[of[repeats.fill_null(value=False).to_numpy()]] = True
        if first is not None and not (first >= EARLIEST and last < AFTER):  # type: ignore[operator] # they are times
            alone[of[(~time.is_between(EARLIEST, AFTER, closed="left").fill_null(value=True)).to_numpy()]] = True
        if time.null_count():
            without = rows["time"].is_null().to_numpy()
            timed = np.array([self._memory.get(name, _NEW).time is not None for name in names])
            timed[of[~without]] = True
            lacks = np.zeros(len(names), np.bool_)
            lacks[of[without]] = True
            alone |= timed & lacks
        return alone

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
        rows = _without_ok(rows)
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
        impossible = ~time.is_between(EARLIEST, AFTER, closed="left").fill_null(value=True)
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
        if not len(rows) or not _has_white(message):
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


def _without_ok(rows: pl.DataFrame) -> pl.DataFrame:
    rows = rows.clone()
    rows.drop_in_place("ok")
    return rows


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
