"""Lines as they come, a few at a time and of many sources, to cleaned records: what `Reading` does with files.

::

    lines ──► held until their format is found ──► parsed ──► Cleaner ──► records
              (1,000 lines, or `HOLD_S`)                       (the last record of a source stays open, at most
                                                                `LINGER_S`, since a stack trace may follow it)

Lines of many sources that are written alike are read and cleaned together: each call of Polars has its price.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from zlib import crc32

import numpy as np
import polars as pl

from oddlog.cleaning import Cleaner, by_source
from oddlog.cleaning.cleaner import REDELIVERED
from oddlog.errors import FormatError
from oddlog.formats import FIELDS_KEPT, Detected, likeness, parse_lines
from oddlog.formats.json_lines import JsonLines
from oddlog.pipeline.excluding import Exclusion
from oddlog.pipeline.reading import SAMPLE_LINES, Reading
from oddlog.pipeline.turning import Turning
from oddlog.pipeline.years import Years
from oddlog.sources import file_changed
from oddlog.types import I64, Bool, Tally

HOLD_S = 1.0  # so long is waited for more lines of a new source before its format is told from those that came
LINGER_S = 0.5  # so long a record stays open without another line; traces are written within milliseconds
SELF_CONTAINED_S = 0.1  # … where a line is an object, and the next one no part of it but in rare logs
UNREADABLE = "line of a source whose format is not known dropped"
TOO_MANY = "line of a source beyond the limit of sources dropped"
MOST_SOURCES = 50_000
MOST_AHEAD = 100_000  # lines of one source that are not yet part of a complete record
MANY = 5_000  # lines of one source from which on it is read as `detect` reads it: the fewest calls no longer matter
_ENDS = np.append(np.arange(MOST_AHEAD // 4), np.arange(-MOST_AHEAD // 4, 0))
_NOTHING = np.empty(0, np.int64), np.empty(0, np.int64)


class Place(NamedTuple):
    """Where to resume a source: the position behind a line, and that line's number."""

    position: int
    line: int


@dataclass
class _Source:
    """What is known of a source."""

    years: Years
    turning: Turning
    found: Detected | None = None
    alike: Hashable = None  # what reads it: see `likeness`
    linger_s: float = LINGER_S
    lot: int | str = 0  # sources alike and of one lot are read together
    held: list[pl.DataFrame] = field(default_factory=list)
    n_held: int = 0
    since_s: float = 0.0  # when the first of the lines held came
    touched_s: float = 0.0  # when its last line came
    is_open: bool = False
    place: Place | None = None
    # Lines that are not yet part of a complete record: positions and numbers.
    ahead: tuple[I64, I64] = _NOTHING

    def came(self, position: I64, line: I64) -> None:
        """Note lines that came."""
        if len(self.ahead[0]):
            position, line = np.append(self.ahead[0], position), np.append(self.ahead[1], line)
            if len(position) > MOST_AHEAD:  # one record without an end: where it begins and ends is all that matters
                position, line = position[_ENDS], line[_ENDS]
        self.ahead = position, line

    def settle(self, position: int) -> None:
        """Note that all lines up to `position` became part of complete records."""
        positions, lines = self.ahead
        done = positions <= position
        if done.any():
            self.place = Place(position, int(lines[done].max()))
            self.ahead = positions[~done], lines[~done]


@dataclass(frozen=True)
class _Lot:
    """Lines of some sources: `of` [lines] says which of them each line is of."""

    names: list[str]
    sources: list[_Source]
    of: I64
    lines: pl.DataFrame

    def of_source(self, i: int) -> pl.DataFrame:
        """Return the lines of the source `i`."""
        return self.lines if len(self.names) == 1 else self.lines.filter(pl.Series(self.of == i))

    def only(self, which: Sequence[int]) -> _Lot:
        """Return the lines of some of the sources."""
        if len(which) == len(self.names):
            return self
        new = np.full(len(self.names), -1)
        new[which] = np.arange(len(which))
        of = new[self.of]
        lines = self.lines.filter(pl.Series(of >= 0))
        return _Lot([self.names[i] for i in which], [self.sources[i] for i in which], of[of >= 0], lines)


class Arriving:
    """Makes records of lines as they arrive; any batching makes the same records.

    Only time that passes (`tick`) may tell batchings apart: a record that stayed open is then closed.

    Parameters
    ----------
    reading : Reading
        How lines become records; see `detecting.reading_of`.
    sample_lines : int
        So many lines tell a source's format.

    """

    def __init__(self, reading: Reading, *, sample_lines: int = SAMPLE_LINES) -> None:
        self._reading = reading
        self._sample = sample_lines
        self._exclusions = [Exclusion(one) for one in (reading.exclude, reading.also_exclude) if one]
        self._cleaner = Cleaner(reading.tally, redact=reading.redact, drop_duplicates=reading.drop_duplicates)
        self._sources: dict[str, _Source] = {}
        self._lots: dict[Hashable, int] = {}  # into how many lots alike sources are split, so that fields fit

    @property
    def tally(self) -> Tally:
        """What was cut, dropped or repaired."""
        return self._reading.tally

    @property
    def lines(self) -> int:
        """Lines that came."""
        return self._reading.lines

    def push(self, lines: pl.DataFrame, now_s: float) -> list[pl.DataFrame]:
        """Take LINES in order of arrival; return frames of records that are complete now."""
        if not len(lines):
            return []
        lot = self._known(lines)
        done: list[pl.DataFrame] = []
        if not len(lot.lines):
            return done
        self._reading.lines += len(lot.lines)
        ready: dict[Hashable, list[int]] = {}
        full: list[str] = []
        position, number = (lot.lines[name].to_numpy().astype(np.int64) for name in ("position", "line"))
        order, bounds = _runs(lot.of, len(lot.names))
        for i, (name, source) in enumerate(zip(lot.names, lot.sources, strict=True)):
            mine = order[bounds[i] : bounds[i + 1]]
            source.touched_s = now_s
            source.came(position[mine], number[mine])
            if source.found is not None:
                ready.setdefault((source.alike, source.lot, source.years.year), []).append(i)
                continue
            source.since_s = source.since_s if source.held else now_s
            source.held.append(lot.of_source(i))
            source.n_held += len(mine)
            if source.n_held >= self._sample:
                full.append(name)
        done += self._release(full)
        for which in ready.values():
            done += self._records(lot.only(which))
        return self._kept(done)

    def tick(self, now_s: float) -> list[pl.DataFrame]:
        """Return the records that nothing more is awaited for, now that it is `now_s`."""
        return self._close(now_s)

    def finish(self) -> list[pl.DataFrame]:
        """Return all records, as nothing more will come for now."""
        return self._close(float("inf"))

    def places(self) -> Mapping[str, Place]:
        """Return where each source is to be resumed: behind the last line that became part of a complete record."""
        return {name: source.place for name, source in self._sources.items() if source.place is not None}

    @property
    def earliest(self) -> int | None:
        """The position of the first line that is not yet part of a complete record; None if all are.

        Where all sources have one order, reading is to be resumed with that line; lines of other sources behind it
        that are handed over again are known (`resume`) and dropped.
        """
        return min((int(one.ahead[0].min()) for one in self._sources.values() if len(one.ahead[0])), default=None)

    def resume(self, places: Mapping[str, Sequence[int]]) -> None:
        """Take over the `places` of another; what lies before them is dropped if it comes again."""
        for name, place in places.items():
            source = self._source(name)
            if source is not None:
                source.place = Place(*place)

    def forget(self, name: str) -> None:
        """Forget a source, because its positions begin anew or it is gone. `finish` or `tick` before."""
        self._sources.pop(name, None)
        self._cleaner.forget(name)
        self._reading.formats.pop(name, None)

    def _source(self, name: str) -> _Source | None:
        if name not in self._sources:
            if len(self._sources) >= MOST_SOURCES:
                return None
            self._sources[name] = _Source(Years(file_changed(name)), Turning(self.tally, self._reading.known_numbers))
        return self._sources[name]

    def _known(self, lines: pl.DataFrame) -> _Lot:
        """Return the lines that are new, of sources that fit in."""
        names, of = by_source(lines["source"])
        sources = [self._source(name) for name in names]
        keep = np.ones(len(of), np.bool_)
        for i in [i for i, source in enumerate(sources) if source is None]:
            keep[of == i] = False
            self.tally.add(TOO_MANY, int((of == i).sum()), example=names[i])
        behind = np.array([-1 if one is None or one.place is None else one.place.position for one in sources])[of]
        again = keep & (lines["position"].to_numpy().astype(np.int64) <= behind)
        if again.any():
            self.tally.add(REDELIVERED, int(again.sum()), example=names[of[int(np.argmax(again))]])
            keep &= ~again
        if not keep.all():
            lines = lines.filter(pl.Series(keep))
            names, of = by_source(lines["source"])
        return _Lot(names, [self._sources[name] for name in names], of, lines)

    def _close(self, now_s: float) -> list[pl.DataFrame]:
        due = [name for name, one in self._sources.items() if one.held and one.since_s + HOLD_S <= now_s]
        done = self._release(due)
        silent = [n for n, one in self._sources.items() if one.is_open and one.touched_s + one.linger_s <= now_s]
        if silent:
            done.append(self._cleaner.flush(silent))
            for name in silent:
                one = self._sources[name]
                one.is_open = False
                if len(one.ahead[0]):
                    one.settle(int(one.ahead[0].max()))
        return self._kept(done)

    def _release(self, names: Sequence[str]) -> list[pl.DataFrame]:
        """Find the formats of sources whose lines were held, and let these go on."""
        ready: dict[Hashable, list[tuple[str, pl.DataFrame]]] = {}
        for name in names:
            source = self._sources[name]
            held = pl.concat(source.held)
            source.held, source.n_held = [], 0
            if self._found(name, source, held):
                ready.setdefault((source.alike, source.lot, source.years.year), []).append((name, held))
        done = []
        for some in ready.values():
            of = np.repeat(np.arange(len(some)), [len(held) for _, held in some])
            which = [name for name, _ in some]
            lines = pl.concat([held for _, held in some])
            done += self._records(_Lot(which, [self._sources[name] for name in which], of, lines))
        return done

    def _found(self, name: str, source: _Source, held: pl.DataFrame) -> bool:
        """Find the format of a source from the lines that were held; return whether it can be read."""
        try:
            source.found = self._reading.detected(held["text"], source.years.at(0))
        except FormatError:
            self.tally.add(UNREADABLE, len(held), example=name)
            source.settle(int(source.ahead[0].max()))
            return False
        source.alike = likeness(source.found.format)
        source.linger_s = SELF_CONTAINED_S if isinstance(source.found.format, JsonLines) else LINGER_S
        source.lot = self._lot(name, source.alike)
        self._reading.formats[name] = source.found
        return True

    def _lot(self, name: str, alike: Hashable) -> int:
        return crc32(name.encode()) % self._lots.setdefault(alike, 1)

    def _records(self, lot: _Lot) -> list[pl.DataFrame]:
        """Return the records of lines of sources that are read together."""
        first = lot.sources[0]
        assert first.found is not None
        if len(lot.names) == 1 and len(lot.lines) > MANY:
            return [self._alone(lot.names[0], first, lot.lines)]
        year, tally = first.years.year, Tally()
        parsed = parse_lines(lot.lines, first.found, year=year, tally=tally)
        if tally.counts and len(lot.names) > 1:
            return self._in_smaller_lots(lot)
        goes_on = _years_go_on(lot, parsed, year)
        done = [self._alone(lot.names[i], lot.sources[i], lot.of_source(i)) for i in np.flatnonzero(~goes_on).tolist()]
        if goes_on.any():
            if done:
                parsed = parsed.filter(pl.Series(goes_on[lot.of]))
                lot = lot.only(np.flatnonzero(goes_on).tolist())
            Turning.note_all([source.turning for source in lot.sources], lot.of, parsed)
            done.append(self._cleaned(parsed, lot.sources, lot.names))
        return done

    def _in_smaller_lots(self, lot: _Lot) -> list[pl.DataFrame]:
        """Read each source by itself, as together they have more fields than are kept; later on fewer together."""
        done, wide = [], False
        for i, (name, source) in enumerate(zip(lot.names, lot.sources, strict=True)):
            records = self._alone(name, source, lot.of_source(i))
            done.append(records)
            if sum(column[1] == "." for column in records.columns) > FIELDS_KEPT // 2:
                source.lot, wide = name, True  # it alone would soon make any lot too wide
        if not wide:
            alike = lot.sources[0].alike
            self._lots[alike] *= 2
            for name, source in self._sources.items():
                if source.alike == alike and isinstance(source.lot, int):
                    source.lot = self._lot(name, alike)
        return done

    def _alone(self, name: str, source: _Source, lines: pl.DataFrame) -> pl.DataFrame:
        """Return the records of lines of one source."""
        assert source.found is not None
        parsed = source.years.parse(lines, source.found)
        source.turning.note(parsed)
        return self._cleaned(parsed, [source], [name])

    def _cleaned(self, parsed: pl.DataFrame, sources: Sequence[_Source], names: Sequence[str]) -> pl.DataFrame:
        """Return the records that are complete, and note up to where they go."""
        records = self._cleaner.push(parsed)
        for source in sources:
            source.is_open = True
        if len(records):
            of = dict(zip(names, sources, strict=True))
            done, which = by_source(records["source"])
            ends = np.zeros(len(done), np.int64)
            np.maximum.at(ends, which, records["position"].to_numpy().astype(np.int64))
            for name, end in zip(done, ends.tolist(), strict=True):
                of[name].settle(end)
        return records

    def _kept(self, frames: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
        kept = (self._reading.kept(frame, self._exclusions) for frame in frames if len(frame))
        return [frame for frame in kept if len(frame)]


def _runs(of: I64, n: int) -> tuple[I64, I64]:
    """Return the lines source after source, and where each of the `n` sources begins among them [n + 1]."""
    if n == 1:
        return np.arange(len(of)), np.array([0, len(of)])
    return np.argsort(of, kind="stable"), np.append(0, np.cumsum(np.bincount(of, minlength=n)))


def _years_go_on(lot: _Lot, parsed: pl.DataFrame, year: int) -> Bool:
    """Return of which sources the year was right; their last times are noted."""
    goes_on = np.ones(len(lot.names), np.bool_)
    timed = parsed["time"].is_not_null().to_numpy() if parsed["time"].null_count() else np.ones(len(parsed), np.bool_)
    rows = np.flatnonzero(timed)
    if not len(rows):
        return goes_on
    order, bounds = _runs(lot.of[rows], len(lot.names))
    there = np.flatnonzero(np.diff(bounds) > 0)
    firsts, lasts = (parsed["time"].gather(rows[order[at]]).to_list() for at in (bounds[there], bounds[there + 1] - 1))
    for i, first, last in zip(there.tolist(), firsts, lasts, strict=True):
        goes_on[i] = lot.sources[i].years.goes_on(year, first)
        if goes_on[i]:
            lot.sources[i].years.saw(last)
    return goes_on
