"""From paths to cleaned records: the first three rooms on a line's way, one source after the other."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

import polars as pl
from polars.exceptions import PolarsError

from oddlog.cleaning import Cleaner
from oddlog.errors import ConfigError, InputError
from oddlog.formats import Detected, by_name, detect_format, parse_lines
from oddlog.sources.files import expand, file_year, read_blocks
from oddlog.types import Tally

SAMPLE_LINES = 1_000
STDIN = "-"
ANY_LINE = frozenset({"plain", "timestamp"})  # formats that read (nearly) every line: knowing them tells nothing
KNOWN_ENOUGH = 0.9  # share of a sample that a format the model knows must read to be taken without a search


@dataclass
class Reading:
    """How lines become records, and what happened on the way.

    Parameters
    ----------
    format : str
        Name of the format of every source; found per source if empty.
    exclude : str
        SQL condition on the columns of a record; records it holds for are left out.
    since, until : datetime or None
        Records before and from these times on are left out (those without a time stay).
    redact, drop_duplicates : bool
        See `cleaning.Cleaner`.
    known_formats : sequence of str
        Formats to try first, those of the model.
    progress : callable
        Called with (source, lines read so far in it).

    """

    format: str = ""
    exclude: str = ""
    since: datetime | None = None
    until: datetime | None = None
    redact: bool = True
    drop_duplicates: bool = False
    known_formats: Sequence[str] = ()
    progress: Callable[[str, int], None] | None = None
    tally: Tally = field(default_factory=Tally)
    formats: dict[str, Detected] = field(default_factory=dict)
    lines: int = 0
    _spool: BinaryIO | None = None

    def records(self, paths: str | Path | Sequence[str | Path]) -> Iterator[pl.DataFrame]:
        """Yield frames of cleaned records. A source that cannot be read is counted and passed over.

        Raises
        ------
        InputError
            If no source at all could be read, or none of them holds a line.

        """
        keep = self._filter()
        sources = self.sources(paths)
        failed: list[InputError] = []
        for source in sources:
            try:
                for frame in self._source(source):
                    kept = self._kept(frame, keep)
                    if len(kept):
                        yield kept
            except InputError as error:
                failed.append(error)
                self.tally.add("sources passed over", example=error.message)
        if failed and len(failed) == len(sources):
            raise (
                failed[0]
                if len(failed) == 1
                else InputError(
                    f"None of the {len(sources)} sources could be read; the first says: {failed[0].message}",
                    failed[0].hint,
                )
            )
        if not self.lines:
            names = ", ".join(sources[:3]) + (" …" if len(sources) > 3 else "")  # noqa: PLR2004
            raise InputError(f"There is not one line of log in {names}.", "Give a file that holds some.")

    def sources(self, paths: str | Path | Sequence[str | Path]) -> list[str]:
        """Return the sources that `paths` name."""
        return expand([paths] if isinstance(paths, (str, Path)) else list(paths), self.tally)

    def first(self, source: str) -> pl.DataFrame | None:
        """Return the first records of a source, None if it holds none or cannot be read (which is counted)."""
        try:
            return next((frame for frame in self._source(source) if len(frame)), None)
        except InputError as error:
            self.tally.add("sources passed over", example=error.message)
            return None

    def _source(self, source: str) -> Iterator[pl.DataFrame]:
        year = file_year(source)
        cleaner = Cleaner(self.tally, redact=self.redact, drop_duplicates=self.drop_duplicates)
        read = 0
        for lines in self._blocks(source, self.tally):
            if source not in self.formats:
                self.formats[source] = self._detect(lines, year)
            read += len(lines)
            self.lines += len(lines)
            yield cleaner.push(parse_lines(lines, self.formats[source], year=year))
            if self.progress is not None:
                self.progress(source, read)
        yield cleaner.flush()

    def again(self, wanted: Mapping[str, Collection[int]]) -> pl.DataFrame:
        """Read some lines once more: ``source line text host`` of those whose numbers are `wanted` by source."""
        found = [pl.DataFrame(schema={"source": pl.String, "line": pl.UInt64, "text": pl.String, "host": pl.String})]
        for source, numbers in wanted.items():
            last = max(numbers)
            cleaner = Cleaner(Tally(), redact=self.redact)
            frames = []
            for lines in self._blocks(source, Tally()):
                some = lines.filter(pl.col("line").is_in(list(numbers)))
                if len(some):
                    frames.append(cleaner.push(parse_lines(some, self.formats[source], year=file_year(source))))
                if lines["line"][-1] >= last:
                    break
            frames.append(cleaner.flush())
            found += [frame.select(found[0].columns) for frame in frames if len(frame)]
        return pl.concat(found)

    def close(self) -> None:
        """Forget standard input, if it was read."""
        if self._spool is not None:
            self._spool.close()
            self._spool = None

    def _blocks(self, source: str, tally: Tally) -> Iterator[pl.DataFrame]:
        """Yield a source's lines; standard input is kept in a temporary file, since it may be read again."""
        if source != STDIN:
            return read_blocks(source, tally)
        if self._spool is None:
            self._spool = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
            shutil.copyfileobj(sys.stdin.buffer, self._spool)
        self._spool.seek(0)
        return read_blocks(source, tally, stdin=self._spool)

    def _detect(self, lines: pl.DataFrame, year: int) -> Detected:
        sample = lines["text"].head(SAMPLE_LINES)
        if self.format:
            by_name(self.format)
            return detect_format(sample, year=year, names=[self.format])
        telling = [name for name in self.known_formats if name not in ANY_LINE]
        if telling:
            known = detect_format(sample, year=year, names=telling)
            if known.share_ok >= KNOWN_ENOUGH:
                return known
        return detect_format(sample, year=year)

    def _filter(self) -> pl.Expr | None:
        if not self.exclude:
            return None
        try:
            return ~pl.sql_expr(self.exclude).fill_null(value=False)
        except PolarsError as error:
            raise ConfigError(
                f"--exclude {self.exclude!r} is no condition: {error}.",
                "Write it as in SQL: --exclude \"level = 'DEBUG' OR message LIKE '%healthz%'\"",
            ) from error

    def _kept(self, records: pl.DataFrame, keep: pl.Expr | None) -> pl.DataFrame:
        if keep is None and self.since is None and self.until is None:
            return records
        before = len(records)
        if self.since is not None:
            records = records.filter((pl.col("time") >= self.since).fill_null(value=True))
        if self.until is not None:
            records = records.filter((pl.col("time") < self.until).fill_null(value=True))
        self.tally.add("records outside --since and --until", before - len(records))
        if keep is None:
            return records
        before = len(records)
        try:
            records = records.filter(keep)
        except PolarsError as error:
            raise ConfigError(
                f"--exclude {self.exclude!r} does not fit the records: {str(error).splitlines()[0]}.",
                f"Their columns are: {', '.join(records.columns)}.",
            ) from error
        self.tally.add("records left out by --exclude", before - len(records))
        return records
