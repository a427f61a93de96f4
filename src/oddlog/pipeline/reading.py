"""From paths to cleaned records: the first three rooms on a line's way, one source after the other."""

from __future__ import annotations

import logging
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import polars as pl

from oddlog.cleaning import Cleaner
from oddlog.errors import FormatError, InputError
from oddlog.formats import Detected, Remembered, by_name, detect_format, parse_lines
from oddlog.pipeline.excluding import Exclusion
from oddlog.pipeline.pieces import behind, neighbours
from oddlog.pipeline.turning import Turning
from oddlog.pipeline.years import Years
from oddlog.sources import Places
from oddlog.sources.fetched import Fetched
from oddlog.sources.files import BROKEN, expand, file_changed, read_blocks
from oddlog.sources.opening import is_store
from oddlog.types import RECORDS, Tally

if TYPE_CHECKING:
    from oddlog.pipeline.keeping import KeptRecords

SAMPLE_LINES = 1_000
STDIN = "-"
PASSED_OVER = "sources passed over"
MOST_TOLD = 10  # sources that are named one by one when they cannot be read; all are counted
ANY_LINE = frozenset({"plain", "timestamp"})  # formats that read (nearly) every line: knowing them tells nothing
MOST_SAMPLED = 200  # sources whose beginnings are looked at to find what ties lines together
LEAST_OF_SOURCE = 500  # lines of each
LINE_COLUMNS = ("source", "line", "text", "host", "message")
KNOWN_ENOUGH = 0.9  # share of a sample that a format the model knows must read to be taken without a search

_log = logging.getLogger("oddlog")


@dataclass
class Reading:
    """How lines become records, and what happened on the way.

    Parameters
    ----------
    format : str
        Name of the format of every source; found per source if empty.
    exclude : str
        SQL condition on the columns of a record; records it holds for are left out. See `excluding.Exclusion`.
    also_exclude : str
        A second one, the model's: it may name fields that these logs do not have.
    since, until : datetime or None
        Records before and from these times on are left out (those without a time stay).
    redact, drop_duplicates : bool
        See `cleaning.Cleaner`.
    known_formats : sequence of str
        Formats to try first, those of the model.
    known_numbers : sequence of str
        Fields that hold numbers, those that the model watches: text in them is counted.
    progress : callable
        Called with (source, lines read so far in it).
    keeping : KeptRecords, optional
        Keeps records for another reading of the same.

    """

    format: str = ""
    exclude: str = ""
    also_exclude: str = ""
    since: datetime | None = None
    until: datetime | None = None
    redact: bool = True
    drop_duplicates: bool = False
    known_formats: Sequence[str] = ()
    known_numbers: Sequence[str] = ()
    progress: Callable[[str, int], None] | None = None
    tally: Tally = field(default_factory=Tally)
    formats: dict[str, Detected] = field(default_factory=dict)
    lines: int = 0
    places: Places = field(default_factory=Places)
    _years: dict[str, Years] = field(default_factory=dict)
    fetched: Fetched = field(default_factory=Fetched)  # what log stores were asked for
    _remembered: Remembered = field(default_factory=Remembered)  # by how a source is written
    keeping: KeptRecords | None = None
    _spool: BinaryIO | None = None
    _told: int = 0
    _step: int = 8 << 20  # bytes of a block

    def records(self, paths: str | Path | Sequence[str | Path]) -> Iterator[pl.DataFrame]:
        """Yield frames of cleaned records. A source that cannot be read is told, counted and passed over.

        Raises
        ------
        InputError
            If no source at all could be read, or none of them holds a line.
        ConfigError
            If `exclude` is no condition, does not fit, or names what no record has.

        """
        asked = Exclusion(self.exclude) if self.exclude else None
        exclusions = [one for one in (asked, Exclusion(self.also_exclude) if self.also_exclude else None) if one]
        for frame in self._frames(paths):
            kept = self.kept(frame, exclusions)
            if len(kept):
                yield kept
        if asked is not None:
            asked.require_columns()

    def _frames(self, paths: str | Path | Sequence[str | Path]) -> Iterator[pl.DataFrame]:
        if self.keeping is not None:
            return self.keeping.frames(self, paths, lambda: self._every(paths, self._source))
        return (frame for _, frame in self._every(paths, self._source))

    def firsts(self, paths: str | Path | Sequence[str | Path]) -> list[tuple[str, pl.DataFrame]]:
        """Return the first records of each source that holds some; raises as `records` does."""

        def first(source: str) -> Iterator[pl.DataFrame]:
            yield from islice((frame for frame in self._source(source) if len(frame)), 1)

        return list(self._every(paths, first))

    def sample(self, paths: str | Path | Sequence[str | Path], most: int) -> pl.DataFrame:
        """Return about `most` records from the beginnings of all sources, of a time that they share.

        What ties lines together stands in several sources at once: requests pass through services that each write a
        file of their own. So the longest beginning of time is taken of which all lines have been read.
        """
        quiet = replace(
            self, tally=Tally(), lines=0, places=Places(), progress=None, _told=MOST_TOLD + 1, _step=1 << 18
        )
        return _shared_time(*quiet.beginnings(paths, most), most)

    def beginnings(
        self, paths: str | Path | Sequence[str | Path], most: int
    ) -> tuple[list[pl.DataFrame], list[datetime]]:
        """Return the first records of each source, together about `most`, and the last time of each broken off.

        Of very many sources some are taken.
        """
        sources = _spread(self.sources(paths), MOST_SAMPLED)
        each = max(most // len(sources), LEAST_OF_SOURCE)
        exclusions = [Exclusion(one) for one in (self.exclude, self.also_exclude) if one]
        frames: list[pl.DataFrame] = []
        ends: list[datetime] = []

        def beginning(source: str) -> Iterator[pl.DataFrame]:
            n = 0
            for frame in self._source(source):
                yield frame.select(pl.exclude("text"))
                n += len(frame)
                if n >= each:
                    ends.extend(frame["time"].drop_nulls().tail(1).to_list())
                    return

        for _, frame in self._every(sources, beginning):
            frames.append(self.kept(frame, exclusions))
        return frames, ends

    def _every(
        self, paths: str | Path | Sequence[str | Path], read: Callable[[str], Iterator[pl.DataFrame]]
    ) -> Iterator[tuple[str, pl.DataFrame]]:
        """Yield what `read` yields of each source; what cannot be read is passed over, unless that is all."""
        sources = self.sources(paths)
        failed: list[InputError] = []
        for source in sources:
            try:
                yield from ((source, frame) for frame in read(source))
            except InputError as error:
                failed.append(error)
                if len(sources) > 1:
                    self._pass_over(error)
        if failed and len(failed) == len(sources):
            raise _none_readable(failed)
        if not self.lines:
            names = ", ".join(map(_name, sources[:3])) + (" …" if len(sources) > 3 else "")  # noqa: PLR2004
            raise InputError(f"There is not one line of log in {names}.", "Give a file that holds some.")

    def sources(self, paths: str | Path | Sequence[str | Path]) -> list[str]:
        """Return the sources that `paths` name. A path that names none is passed over, unless all are so.

        Raises
        ------
        InputError
            If there is no source at all.

        """
        asked = [paths] if isinstance(paths, (str, Path)) else list(paths)
        if not asked:
            raise InputError("No file was named.", "Name files, folders or globs, or - for standard input.")
        named, brought, failed = self._named(asked)
        if not named and not brought:
            raise failed[0]
        for one in failed:
            self._pass_over(one)
        found = [*(expand(named, self.tally) if named else []), *brought]
        unnamed = [
            InputError(f"{name!r} has a name that is no UTF-8, and is not read.", "Rename it.")
            for name in found
            if not _is_utf8(name)
        ]
        if len(unnamed) == len(found):
            raise unnamed[0]
        for one in unnamed:
            self._pass_over(one)
        return [name for name in found if _is_utf8(name)]

    def _named(self, asked: Sequence[str | Path]) -> tuple[list[str | Path], list[str], list[InputError]]:
        """Return the paths that name something, the sources that log stores have brought, and what failed."""
        named: list[str | Path] = []
        brought: list[str] = []
        failed: list[InputError] = []
        for path in asked:
            try:
                _require_name(path)
                if self.fetched.file(str(path)) is not None:
                    brought.append(str(path))
                elif is_store(str(path)):
                    brought += self.fetched.names(str(path), self.tally)
                else:
                    if len(asked) > 1:
                        expand([path], Tally())
                    named.append(path)
            except InputError as error:
                failed.append(error)
        return named, brought, failed

    def _pass_over(self, error: InputError) -> None:
        self.tally.add(PASSED_OVER, example=error.message)
        self._tell(f"Passed over: {error.message}")

    def _tell(self, what: str) -> None:
        """Say at once what a reader of the result should know; of many such things the first ones."""
        self._told += 1
        if self._told <= MOST_TOLD:
            _log.warning("%s", what)
        elif self._told == MOST_TOLD + 1:
            _log.warning("Further sources that cannot be read are only counted.")

    def _source(self, source: str) -> Iterator[pl.DataFrame]:
        years = self._years[source] = Years(file_changed(source))
        cleaner = Cleaner(self.tally, redact=self.redact, drop_duplicates=self.drop_duplicates)
        turning = Turning(self.tally, self.known_numbers)
        read, broken = 0, self.tally.counts[BROKEN]
        for lines in self._blocks(source, self.tally):
            if source not in self.formats:
                self.formats[source] = self.detected(lines["text"], years.at(0))
            self.places.note(source, lines)
            read += len(lines)
            self.lines += len(lines)
            records = years.parse(lines, self.formats[source])
            turning.note(records)
            yield cleaner.push(records)
            if self.progress is not None:
                self.progress(source, read)
        yield cleaner.flush()
        if self.tally.counts[BROKEN] > broken:
            self._tell(f"{_name(source)} was read only up to line {read:,}: it breaks off in the middle.")

    def again(self, wanted: Mapping[str, Collection[int]], columns: Sequence[str] = LINE_COLUMNS) -> pl.DataFrame:
        """Read some lines once more: `columns` of `RECORDS` of those whose numbers are `wanted` by source."""
        found = [pl.DataFrame(schema={name: RECORDS[name] for name in columns})]
        for source, numbers in wanted.items():
            cleaner, years = Cleaner(Tally(), redact=self.redact), self._years[source]
            frames = [
                cleaner.push(parse_lines(lines, self.formats[source], year=years.at(lines["line"][0])))
                for lines in self._whole(source, numbers)
            ]
            frames.append(cleaner.flush())
            asked = pl.col("line").is_in(list(numbers))
            found += [frame.filter(asked).select(columns) for frame in frames if len(frame)]
        return pl.concat(found)

    def _whole(self, source: str, numbers: Collection[int]) -> Iterator[pl.DataFrame]:
        """Yield the lines of these numbers, with the rest of those that a container's runtime has cut."""
        some = list(self._some(source, numbers))
        rest = set().union(*map(behind, some)) if self.formats[source].format.name == "docker" else set()
        if not rest:
            return iter(some)
        return (part for lines in self._some(source, {*numbers, *rest}) for part in neighbours(lines))

    def _some(self, source: str, numbers: Collection[int]) -> Iterator[pl.DataFrame]:
        """Yield the lines of these numbers; of a compressed source all lines up to the last must be read for it."""
        file = self._spool if source == STDIN else self.fetched.file(source)
        found = self.places.read(source, numbers, file)
        if found is not None:
            yield from (found,) if len(found) else ()
            return
        last = max(numbers)
        for lines in self._blocks(source, Tally()):
            some = lines.filter(pl.col("line").is_in(list(numbers)))
            if len(some):
                yield some
            if lines["line"][-1] >= last:
                return

    def close(self) -> None:
        """Forget standard input, if it was read, and what log stores were asked for."""
        self.fetched.close()
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def anew(self) -> Reading:
        """Return a reading of the same with nothing counted yet; what stood on standard input is handed on."""
        spool, self._spool = self._spool, None
        fetched, self.fetched = self.fetched, Fetched()
        anew = replace(self, tally=Tally(), formats={}, lines=0, places=Places(), _years={}, _told=MOST_TOLD + 1)
        anew.fetched, anew._spool = fetched, spool  # noqa: SLF001 - of its own kind
        return anew

    def _blocks(self, source: str, tally: Tally) -> Iterator[pl.DataFrame]:
        """Yield a source's lines; standard input is kept in a temporary file, since it may be read again."""
        if source != STDIN:
            return read_blocks(source, tally, block_bytes=self._step, stdin=self.fetched.file(source))
        if self._spool is None:
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
            shutil.copyfileobj(sys.stdin.buffer, self._spool)
        self._spool.seek(0)
        return read_blocks(source, tally, stdin=self._spool)

    def detected(self, text: pl.Series, year: int) -> Detected:
        """Return the format of a source, told by the `text` of its first lines."""
        sample = text.head(SAMPLE_LINES)
        if self.format:
            by_name(self.format)
            return detect_format(sample, year=year, names=[self.format])
        found = self._remembered.find(sample, year=year)
        if found is None:
            found = self._searched(sample, year)
            self._remembered.note(sample, found)
        return found

    def _searched(self, sample: pl.Series, year: int) -> Detected:
        telling = [name for name in self.known_formats if name not in ANY_LINE]
        with suppress(FormatError):  # none of the known formats can read these lines: look among all
            known = detect_format(sample, year=year, names=telling, alternatives=False) if telling else None
            if known is not None and known.share_ok >= KNOWN_ENOUGH:
                return known
        return detect_format(sample, year=year, alternatives=False)

    def kept(self, records: pl.DataFrame, exclusions: Sequence[Exclusion]) -> pl.DataFrame:
        """Return the records that no exclusion, and no bound of time, leaves out; the others are counted."""
        before = len(records)
        if self.since is not None:
            records = records.filter((pl.col("time") >= self.since).fill_null(value=True))
        if self.until is not None:
            records = records.filter((pl.col("time") < self.until).fill_null(value=True))
        self.tally.add("records outside --since and --until", before - len(records))
        before = len(records)
        for exclusion in exclusions:
            records = exclusion.kept(records)
        self.tally.add("records left out by --exclude", before - len(records))
        return records


def _spread(names: Sequence[str], most: int) -> list[str]:
    """Return at most `most` of the names, evenly spread."""
    return [names[i * len(names) // most] for i in range(most)] if len(names) > most else list(names)


def _shared_time(frames: Sequence[pl.DataFrame], ends: Sequence[datetime], most: int) -> pl.DataFrame:
    """Return the records up to the earliest of `ends` that leaves enough of them, in order of time, at most `most`."""
    records = pl.concat(frames, how="diagonal_relaxed") if frames else pl.DataFrame()
    if not len(records):
        return records
    for end in sorted(ends):
        kept = records.filter((pl.col("time") <= end).fill_null(value=True))
        if len(kept) >= min(most, len(records)) // 5:
            records = kept
            break
    return records.sort("time", nulls_last=True, maintain_order=True).head(most)


def _name(source: str) -> str:
    return "standard input" if source == STDIN else source


def _is_utf8(name: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _require_name(path: str | Path) -> None:
    if not str(path):
        raise InputError("An empty path was given.", "Is a variable in the command empty? Name a file or a folder.")


def _none_readable(failed: Sequence[InputError]) -> InputError:
    if len(failed) == 1:
        return failed[0]
    return InputError(
        f"None of the {len(failed)} sources could be read; the first says: {failed[0].message}", failed[0].hint
    )
