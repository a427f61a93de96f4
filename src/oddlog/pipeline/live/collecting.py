"""Lines kept to learn a first model from, and how far that is.

::

    lines ──► a file for each source in a folder      what `fit` will read
          └─► records ──► their times                 how many hours there are
"""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import orjson
import polars as pl

from oddlog.errors import InputError
from oddlog.pipeline.live.arriving import Arriving
from oddlog.pipeline.reading import Reading
from oddlog.sources.spooled import sync
from oddlog.types import NO_TIME, TIME, Tally

NEED_LINES = 10_000
NEED_HOURS = 3.0  # from so many on, rates can be learned: `pipeline.rates.LEAST_HOURS`
DAY_HOURS = 24.0
FEW_LINES = 1_000  # of a quiet system, once a whole day of it is there
BUCKET_US = 600_000_000  # hours are counted in ten minutes that hold a line
MOST_BYTES = 2 << 30
BEYOND = "line beyond what is kept to learn from"
_NOTE = "collected.json"
_UNSAFE = re.compile(r"[^\w.-]+")


@dataclass(frozen=True)
class Need:
    """How much a first model needs: so many lines and hours, or a whole day and `FEW_LINES`."""

    lines: int = NEED_LINES
    hours: float = NEED_HOURS

    def twice(self) -> Need:
        """Return what to ask for where this was too little."""
        return Need(self.lines * 2, self.hours * 2)


@dataclass(frozen=True)
class Progress:
    """How much has been collected, of what is needed.

    Attributes
    ----------
    lines : int
        All of them.
    timed : bool or None
        Whether any of them has a time; None while no format is found.
    sources : int
        Where they are from.
    hours : float
        Of time that holds lines.
    need : Need
        What is needed.

    """

    lines: int
    timed: bool | None
    sources: int
    hours: float
    need: Need

    @property
    def is_enough(self) -> bool:
        """Whether a model can be learned; lines without times need no hours."""
        if self.timed is None:
            return False
        few = self.hours >= max(self.need.hours, DAY_HOURS) and self.lines >= min(FEW_LINES, self.need.lines)
        timed = not self.timed or self.hours >= self.need.hours
        return few or (self.lines >= self.need.lines and timed)

    @property
    def says(self) -> str:
        """How much there is and how much more is needed, in words.

        >>> Progress(4200, True, 2, 0.8, Need()).says
        '4,200 of 10,000 lines and 0.8 of 3 hours are collected, from 2 sources; about 2.2 hours more'
        """
        n = f"{self.sources:,} source{'' if self.sources == 1 else 's'}"
        hours = f" and {min(self.hours, self.need.hours):.2g} of {self.need.hours:.3g} hours" if self.timed else ""
        lines = min(self.lines, self.need.lines)
        said = f"{lines:,} of {self.need.lines:,} lines{hours} are collected, from {n}"
        return said if self.is_enough or not self.hours else f"{said}; about {self._left:.2g} hours more"

    @property
    def _left(self) -> float:
        """How many hours more it takes, as fast as lines come."""
        for_lines = (self.need.lines - self.lines) * self.hours / max(self.lines, 1)
        return min(max(self.need.hours - self.hours, for_lines), max(DAY_HOURS - self.hours, 0.1))


class Collecting:
    """Keeps lines in a folder until there are enough of them. Goes on where another process stopped.

    Parameters
    ----------
    folder : Path
        Where the lines are kept; made if it is not there.
    need : Need
        How much is needed.
    format : str
        Of the lines; found per source if empty.
    most_bytes : int
        What comes beyond it is counted and not kept: it is enough to learn from.

    Raises
    ------
    InputError
        If the folder cannot be used.

    """

    def __init__(
        self,
        folder: Path,
        need: Need,
        *,
        format: str = "",  # noqa: A002 - the option's name
        most_bytes: int = MOST_BYTES,
    ) -> None:
        self.folder, self.need = folder, need
        self.tally = Tally()
        self._most, self._format = most_bytes, format
        self._arriving = self._reading()
        self._sizes: dict[str, int] = {}  # by file name
        self._lines = 0
        self._timed: bool | None = None
        self._buckets: set[int] = set()
        self.position: int | None = None
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._resume()
        except OSError as error:
            raise InputError(f"Nothing can be kept in {folder}: {error.strerror}.", "Give another place.") from error

    def _reading(self) -> Arriving:
        return Arriving(Reading(format=self._format, tally=self.tally))

    @property
    def progress(self) -> Progress:
        """How far it is."""
        return Progress(self._lines, self._timed, len(self._sizes), len(self._buckets) / 6, self.need)

    @property
    def n_bytes(self) -> int:
        """How much is kept."""
        return sum(self._sizes.values())

    def add(self, lines: pl.DataFrame, now_s: float) -> None:
        """Keep `LINES`."""
        for frame in (*self._arriving.push(lines, now_s), *self._arriving.tick(now_s)):
            self._note_times(frame)
        for (source,), part in lines.partition_by("source", as_dict=True, maintain_order=True).items():
            self._write(str(source), part)

    def add_end(self) -> None:
        """Take the last record of each source for complete."""
        for frame in self._arriving.finish():
            self._note_times(frame)

    def note(self, position: int) -> None:
        """Note durably that lines up to `position` are kept."""
        self.position = position
        for name in self._sizes:
            sync(self.folder / name)
        note = {
            "position": position,
            "sizes": self._sizes,
            "lines": self._lines,
            "timed": self._timed,
            "buckets": sorted(self._buckets),
        }
        aside = self.folder / f".{_NOTE}.part"
        aside.write_bytes(orjson.dumps(note))
        sync(aside)
        aside.replace(self.folder / _NOTE)

    @property
    def files(self) -> list[Path]:
        """What to learn from."""
        return sorted(self.folder / name for name in self._sizes)

    def rewind(self) -> None:
        """Go back to what was noted last, because something could not be written."""
        self._arriving = self._reading()
        self._resume()

    def clear(self) -> None:
        """Remove what was kept."""
        for path in [*self.folder.glob("*.log"), self.folder / _NOTE]:
            path.unlink(missing_ok=True)
        self._sizes, self._lines, self._timed, self._buckets = {}, 0, None, set()

    def _note_times(self, records: pl.DataFrame) -> None:
        time_us = records["time"].cast(TIME).to_physical().drop_nulls().to_numpy()
        self._timed = bool(self._timed) or len(time_us) > 0
        self._buckets.update(np.unique(time_us[time_us != NO_TIME] // BUCKET_US).tolist())

    def _write(self, source: str, lines: pl.DataFrame) -> None:
        content = "".join(f"{text}\n" for text in lines["text"].to_list()).encode()
        if self.n_bytes + len(content) > self._most:
            self.tally.add(BEYOND, len(lines), example=source)
            return
        name = _file_of(source)
        with (self.folder / name).open("ab") as file:
            file.write(content)
        self._sizes[name] = self._sizes.get(name, 0) + len(content)
        self._lines += len(lines)

    def _resume(self) -> None:
        """Go on behind what was noted; what was written after that comes again, and is cut off."""
        try:
            note = orjson.loads((self.folder / _NOTE).read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            note = {"position": None, "sizes": {}, "lines": 0, "timed": None, "buckets": []}
        self.position, self._sizes = note["position"], dict(note["sizes"])
        self._lines, self._timed, self._buckets = note["lines"], note["timed"], set(note["buckets"])
        for path in self.folder.glob("*.log"):
            if path.name in self._sizes:
                os.truncate(path, self._sizes[path.name])
            else:
                path.unlink()


def _file_of(source: str) -> str:
    """Return the name of a source's file; two sources never share one."""
    digest = hashlib.blake2b(source.encode(), digest_size=4).hexdigest()
    return f"{_UNSAFE.sub('-', source).strip('-.')[-60:] or 'source'}.{digest}.log"
