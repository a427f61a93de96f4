"""CSV with a header line; a column may itself hold lines of another format."""

from __future__ import annotations

import csv
import io
import re

import polars as pl
from polars.exceptions import PolarsError

from oddlog.formats import wrapped
from oddlog.formats.fields import ROLES, assign, plain_name, time_of
from oddlog.formats.json_lines import joined
from oddlog.formats.layout import finish
from oddlog.types import Format

_NAME = re.compile(r"^[^\W\d][\w@.:#$%&'+*?\- /()\[\]]{0,63}$|^[_@#$][\w@.\- ]{0,63}$")
_NUMBER = r"^[+-]?[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$"
_TIMES_LOOKED_AT, _ANY_YEAR = 100, 2024
_SEPARATORS = (",", ";", "\t", "|")
FEWEST_COLUMNS, MOST_COLUMNS = 2, 256
ENOUGH = 0.8  # share of a sample's lines that must have as many columns as the header
# Where no name of the header is known, rows must prove that there is a table: so many of them, and nearly all.
FEWEST_ROWS, NEARLY_ALL = 5, 0.95


def _header(line: str) -> tuple[str, list[str]] | None:
    """Return separator and column names, if the line can be a header."""
    for separator in _SEPARATORS:
        try:
            names = [n.strip() for n in next(csv.reader([line.lstrip("\ufeff")], delimiter=separator), [])]
        except csv.Error:
            continue
        # the first column of a table written with its row numbers has no name
        names = [n or f"column_{i + 1}" for i, n in enumerate(names[:1])] + names[1:]
        distinct = len(set(names)) == len(names)
        if FEWEST_COLUMNS <= len(names) <= MOST_COLUMNS and distinct and all(_NAME.match(n) for n in names):
            return separator, names
    return None


def _is_known(names: list[str]) -> bool:
    return any(plain_name(n) in role for n in names for role in ROLES.values())


def _shows_a_table(columns: pl.DataFrame) -> bool:
    """Say whether rows [lines] under a header of unknown names are one: a column of numbers or times under a word."""
    read = columns.filter(pl.col("0").is_not_null())
    if len(columns) < FEWEST_ROWS or len(read) < NEARLY_ALL * len(columns):
        return False
    number = read.select(pl.all().replace("", None).str.contains(_NUMBER).all() & (pl.all() != "").any())
    return any(number.row(0)) or _time_column(read) is not None


def _time_column(columns: pl.DataFrame) -> int | None:
    """Return the first column [lines] all of whose values are written times; digits alone may be anything."""
    for i, column in enumerate(columns):
        values = column.drop_nulls().head(_TIMES_LOOKED_AT)
        written = values.str.contains(r"[0-9][-/.: ][0-9]")
        if len(values) and written.all() and not time_of(values, _ANY_YEAR).null_count():
            return i
    return None


def _slowly(text: pl.Series, separator: str, width: int) -> pl.DataFrame:
    """Split line by line: for blocks that hold a line which is no row."""
    rows: list[list[str] | None] = []
    for line in text.to_list():
        try:
            row = next(csv.reader([line], delimiter=separator, strict=True), [])
        except csv.Error:
            row = []
        rows.append(row if len(row) == width else None)
    columns = {str(i): [r[i] if r else None for r in rows] for i in range(width)}
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def _quickly(text: pl.Series, separator: str, width: int) -> pl.DataFrame | None:
    """Split a block at once; None where a line is not one row of `width` columns."""
    quotes = text.str.count_matches('"', literal=True)
    if not len(text) or bool((quotes % 2 == 1).any()) or bool((text == "").any()):
        return None
    # a row that ends too early would be filled up, so that separators are counted, those inside quotes left out
    quoted = (quotes > 0).any()
    bare = text.str.replace_all(r'"[^"]*"', "") if quoted else text
    if (bare.str.count_matches(separator, literal=True) != width - 1).any():
        return None
    try:
        frame = pl.read_csv(
            io.BytesIO(joined(text)),
            has_header=False,
            separator=separator,
            infer_schema=False,
            empty_string_is_null=False,
            new_columns=[str(i) for i in range(width)],
            truncate_ragged_lines=False,
        )
    except PolarsError:
        return None
    return frame if frame.shape == (len(text), width) else None


def _columns(text: pl.Series, separator: str, width: int) -> pl.DataFrame:
    """Return the columns "0", "1", … of rows [lines], null where a line is no row."""
    columns = _quickly(text, separator, width)
    return _slowly(text, separator, width) if columns is None else columns


class CsvTable:
    """Columns named by a header line.

    Parameters
    ----------
    header : str
        The header line; found by `bind`. Without it a block's own first line is taken.
    separator : str
        Between columns.
    names : list of str
        Names of the columns.
    inner : Format, optional
        How the text of the message column is written.

    """

    name = "csv"

    def __init__(
        self, header: str = "", separator: str = ",", names: list[str] | None = None, inner: Format | None = None
    ) -> None:
        self.header = header
        self.separator = separator
        self.names = names or []
        self.inner = inner

    def bind(self, sample: pl.Series, *, year: int) -> Format | None:
        """Read the header, and find out how the message column is written."""
        header = str(sample[0]) if len(sample) else ""
        found = _header(header)
        rows = sample.filter(sample != header)
        if found is None:
            return None
        separator, names = found
        columns = _columns(rows.filter(rows != ""), separator, len(names))
        # a first line of words of which none is known is prose with commas, unless the rows say otherwise
        if not _is_known(names) and not _shows_a_table(columns):
            return None
        if not any(plain_name(n) in ROLES["time"] for n in names) and (at := _time_column(columns)) is not None:
            names[at] = "timestamp"
        bound = CsvTable(header, separator, names)
        outer = bound._outer(rows, year)
        if len(rows) and float(outer["ok"].mean() or 0) < ENOUGH:  # type: ignore[arg-type]
            return None
        bound.inner = wrapped.inner_format(outer, year=year, names=("docker", *wrapped.ANYTHING))
        return bound

    def _outer(self, text: pl.Series, year: int) -> pl.DataFrame:
        # an empty line has no columns, but a quick read needs one per line
        is_header = (text == self.header) | (text == "")
        rows = text.filter(~is_header)
        columns = _columns(rows, self.separator, len(self.names))
        ok = columns.select(pl.col("0").is_not_null()).to_series()
        columns.columns = self.names
        read = assign(columns, rows, year=year).with_columns(ok=ok)
        if not is_header.any():
            return read
        place = text.alias("text").to_frame().with_row_index("row of the block")
        read = read.with_columns(place.filter(~is_header)["row of the block"])
        others = place.filter(is_header).with_columns(ok=pl.lit(value=False))
        return pl.concat([read, others], how="diagonal").sort("row of the block").drop("row of the block")

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where a line has as many columns as the header. The header itself is not ok."""
        text = text.cast(pl.String).fill_null("").alias("text")
        if not self.names:
            bound = self.bind(text, year=year)
            if bound is None:
                return finish(text.to_frame().with_columns(ok=pl.lit(value=False)))
            return bound.parse(text, year=year)
        return finish(wrapped.unwrap(self._outer(text, year), self.inner, year=year))
