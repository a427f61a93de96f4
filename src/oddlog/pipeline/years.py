"""The year of times that are written without one, block after block of a source."""

from __future__ import annotations

from bisect import bisect_right
from datetime import datetime, timedelta

import polars as pl

from oddlog.formats import Detected, parse_lines

HALF_A_YEAR = timedelta(days=182)  # as inside a block: a longer step is a turn of the year
CLOCKS_DIFFER = timedelta(days=1)  # a line may be this much later than its file: zones, clocks


class Years:
    """Reads the blocks of one source, each with the year that its first line was written in.

    A file that was last changed in January begins in December of the year before: no line is later than the last
    change of its file. Where times carry their year, nothing of this changes them.

    Parameters
    ----------
    changed : datetime
        When the source was last written to, with a zone.

    """

    def __init__(self, changed: datetime) -> None:
        self._changed = changed
        self._last: datetime | None = None
        self._known: list[tuple[int, int]] = []  # number of a line, the year from there on; rising

    def parse(self, lines: pl.DataFrame, found: Detected) -> pl.DataFrame:
        """Return the records of the next block, as `parse_lines`."""
        year = self.year
        records = parse_lines(lines, found, year=year)
        times = records["time"].drop_nulls()
        if not len(times):
            return records
        if by := self._off_by(times[0]):
            other = parse_lines(lines, found, year=year + by)
            moved = other["time"].drop_nulls()
            if len(moved) and moved[0] != times[0]:
                records, times, year = other, moved, year + by
        self._note(lines["line"][0], year, records)
        self._last = times[-1]
        return records

    @property
    def year(self) -> int:
        """The year that the next block is read with at first."""
        return (self._last or self._changed).year

    def goes_on(self, year: int, first: datetime) -> bool:
        """Return whether a block read with this year, whose first time is this, goes on with what came before."""
        return year == self.year and not self._off_by(first)

    def saw(self, last: datetime) -> None:
        """Note the last time of a block that `goes_on`; `at` does not know of its lines."""
        self._last = last

    def at(self, line: int) -> int:
        """Return the year that a line was read with, by its number."""
        place = bisect_right(self._known, line, key=lambda one: one[0])
        return self._known[place - 1][1] if place else self._changed.year

    def _off_by(self, first: datetime) -> int:
        """Return how many years a block has to be moved that begins with `first`."""
        if self._last is None:
            return -1 if first > self._changed + CLOCKS_DIFFER else 0
        step = first - self._last
        return 1 if step < -HALF_A_YEAR else -1 if step > HALF_A_YEAR else 0

    def _note(self, line: int, year: int, records: pl.DataFrame) -> None:
        found = [(line, year)]
        later = records.filter(pl.col("time").dt.year() > year)
        if len(later):
            found.append((later["line"][0], later["time"].dt.year()[0]))
        self._known += [one for one in found if not self._known or one[1] != self._known[-1][1]]
