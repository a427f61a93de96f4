"""Lines as they come, a few at a time and of many sources, to cleaned records: what `Reading` does with files.

::

    lines ──► held until their format is found ──► parsed ──► Cleaner ──► records
              (1,000 lines, or `HOLD_S`)                       (the last record of a source stays open, at most
                                                                `LINGER_S`, since a stack trace may follow it)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import polars as pl

from oddlog.cleaning import Cleaner
from oddlog.cleaning.cleaner import REDELIVERED
from oddlog.errors import FormatError
from oddlog.formats import Detected
from oddlog.pipeline.excluding import Exclusion
from oddlog.pipeline.reading import SAMPLE_LINES, Reading
from oddlog.pipeline.turning import Turning
from oddlog.pipeline.years import Years
from oddlog.sources import file_changed
from oddlog.types import Tally

HOLD_S = 1.0  # so long is waited for more lines of a new source before its format is told from those that came
LINGER_S = 0.5  # so long a record stays open without another line; traces are written within milliseconds
UNREADABLE = "line of a source whose format is not known dropped"
TOO_MANY = "line of a source beyond the limit of sources dropped"
MOST_SOURCES = 50_000


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
    held: list[pl.DataFrame] = field(default_factory=list)
    n_held: int = 0
    since_s: float = 0.0  # when the first of the lines held came
    touched_s: float = 0.0  # when its last line came
    is_open: bool = False
    place: Place | None = None
    ahead: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema={"position": pl.UInt64, "line": pl.UInt64}))


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
        done: list[pl.DataFrame] = []
        for part in _by_source(lines):
            name = part["source"][0]
            source = self._source(name)
            if source is None:
                self.tally.add(TOO_MANY, len(part), example=name)
                continue
            if source.place is not None:
                part = self._new(part, source.place)  # noqa: PLW2901
            if not len(part):
                continue
            self._reading.lines += len(part)
            source.touched_s = now_s
            source.ahead = source.ahead.vstack(part.select("position", "line"))
            if source.found is not None:
                done += self._records(source, part)
                continue
            source.since_s = source.since_s if source.held else now_s
            source.held.append(part)
            source.n_held += len(part)
            if source.n_held >= self._sample:
                done += self._release(name, source)
        return self._kept(done)

    def tick(self, now_s: float) -> list[pl.DataFrame]:
        """Return the records that nothing more is awaited for, now that it is `now_s`."""
        return self._close(now_s - HOLD_S, now_s - LINGER_S)

    def finish(self) -> list[pl.DataFrame]:
        """Return all records, as nothing more will come for now."""
        return self._close(float("inf"), float("inf"))

    def places(self) -> Mapping[str, Place]:
        """Return where each source is to be resumed: behind the last line that became part of a complete record."""
        return {name: source.place for name, source in self._sources.items() if source.place is not None}

    @property
    def earliest(self) -> int | None:
        """The position of the first line that is not yet part of a complete record; None if all are.

        Where all sources have one order, reading is to be resumed with that line; lines of other sources behind it
        that are handed over again are known (`resume`) and dropped.
        """
        waiting = [one.ahead["position"].min() for one in self._sources.values() if len(one.ahead)]
        return min((one for one in waiting if isinstance(one, int)), default=None)

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

    def _new(self, lines: pl.DataFrame, place: Place) -> pl.DataFrame:
        """Return the lines behind a place."""
        if lines["position"][0] > place.position:
            return lines
        new = lines.filter(pl.col("position") > place.position)
        self.tally.add(REDELIVERED, len(lines) - len(new), example=lines["source"][0])
        return new

    def _close(self, held_since_s: float, silent_since_s: float) -> list[pl.DataFrame]:
        done: list[pl.DataFrame] = []
        for name, source in self._sources.items():
            if source.held and source.since_s <= held_since_s:
                done += self._release(name, source)
        silent = [n for n, one in self._sources.items() if one.is_open and one.touched_s <= silent_since_s]
        if silent:
            frame = self._cleaner.flush(silent)
            done.append(frame)
            for name in silent:
                one = self._sources[name]
                one.is_open = False
                self._settle(one, one.ahead["position"].max() if len(one.ahead) else None)
        return self._kept(done)

    def _release(self, name: str, source: _Source) -> list[pl.DataFrame]:
        """Find the format of the lines that were held, and let them go on."""
        held = pl.concat(source.held)
        source.held, source.n_held = [], 0
        try:
            source.found = self._reading.detected(held["text"], source.years.at(0))
        except FormatError:
            self.tally.add(UNREADABLE, len(held), example=name)
            self._settle(source, held["position"].max())
            return []
        self._reading.formats[name] = source.found
        return self._records(source, held)

    def _records(self, source: _Source, lines: pl.DataFrame) -> list[pl.DataFrame]:
        assert source.found is not None
        parsed = source.years.parse(lines, source.found)
        source.turning.note(parsed)
        records = self._cleaner.push(parsed)
        source.is_open = True
        if len(records):
            self._settle(source, records["position"].max())
        return [records]

    def _settle(self, source: _Source, position: object) -> None:
        """Note that all lines up to `position` became part of complete records."""
        if not isinstance(position, int):
            return
        line = source.ahead.filter(pl.col("position") <= position)["line"].max()
        if isinstance(line, int):
            source.place = Place(position, line)
        source.ahead = source.ahead.filter(pl.col("position") > position)

    def _kept(self, frames: Sequence[pl.DataFrame]) -> list[pl.DataFrame]:
        kept = (self._reading.kept(frame, self._exclusions) for frame in frames if len(frame))
        return [frame for frame in kept if len(frame)]


def _by_source(lines: pl.DataFrame) -> list[pl.DataFrame]:
    if not len(lines):
        return []
    source = lines["source"]
    if (source == source[0]).all():
        return [lines]
    return lines.partition_by("source", maintain_order=True)
