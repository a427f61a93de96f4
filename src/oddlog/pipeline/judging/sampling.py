"""Some lines of what is odd by its count, noted while the events pass by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import polars as pl

from oddlog.pipeline.judging.rates_reasons import Stretch
from oddlog.rates.counting import US_PER_MINUTE
from oddlog.types import LEVELS, Bool

MOST = 500  # stretches of which lines are noted, the oddest
EACH = 4  # lines of a stretch
BEFORE = 10  # minutes before a silence of which lines are noted
_LEAST_LEVEL = {"errors": LEVELS.index("ERROR"), "warnings": LEVELS.index("WARNING")}


T = TypeVar("T")


class Line(NamedTuple):
    """A line of a stretch."""

    time_us: int
    source: int
    line: int
    template: int
    level: int


class Sampling:
    """Notes the first lines of each stretch; of a silence the last ones before it.

    Parameters
    ----------
    stretches : sequence of Stretch
        The oddest first.
    services : sequence of str
        Names of the events' codes.

    """

    def __init__(self, stretches: Sequence[Stretch], services: Sequence[str]) -> None:
        self._lines: dict[Stretch, list[Line]] = {one: [] for one in stretches[:MOST]}
        self._code = {name: code for code, name in enumerate(services)}

    def add(self, events: pl.DataFrame) -> None:
        """Take in some events, in order of time."""
        if not self._lines:
            return
        time = events["time_us"].to_numpy()
        columns = {name: events[name].to_numpy() for name in ("template", "service", "level", "source", "line")}
        for one, lines in self._lines.items():
            first, last = (one.start - BEFORE, one.start) if one.member == "silence" else (one.start, one.end + 1)
            a, b = np.searchsorted(time, [first * US_PER_MINUTE, last * US_PER_MINUTE])
            at = a + np.flatnonzero(self._is_of(one, columns, slice(a, b)))
            if len(at):
                at = _best(one, at.tolist())
                named = (columns[name][at].tolist() for name in ("source", "line", "template", "level"))
                found = map(Line._make, zip(time[at].tolist(), *named, strict=True))
                lines[:] = _best(one, sorted({*lines, *found}))

    def of(self, stretch: Stretch) -> list[Line]:
        """Return the lines of a stretch, in order of time."""
        return self._lines.get(stretch, [])

    def _is_of(self, one: Stretch, columns: dict[str, np.ndarray], part: slice) -> Bool:
        """Return which events of a part of the time are counted in a stretch's series [x]."""
        if one.template >= 0:
            return np.asarray(columns["template"][part] == one.template)
        if one.kind in ("host", "entity") or one.service not in self._code:
            return np.zeros(part.stop - part.start, np.bool_)
        of_service = columns["service"][part] == self._code[one.service]
        return np.asarray(of_service & (columns["level"][part] >= _LEAST_LEVEL.get(one.kind, 0)))


def _best(one: Stretch, lines: list[T]) -> list[T]:
    return lines[-EACH:] if one.member == "silence" else lines[:EACH]
