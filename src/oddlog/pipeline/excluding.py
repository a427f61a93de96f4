"""Records a person does not want to see: an SQL condition on the columns of a record."""

from __future__ import annotations

import re
from itertools import product

import polars as pl
from polars.exceptions import PolarsError

from oddlog.errors import ConfigError, did_you_mean
from oddlog.types import RECORDS

# Words in quotes stay as they are; n.status means the column of that name, not a member of a column n.
_FOUND_FIELD = re.compile(r"""('(?:[^']|'')*'|"[^"]*")|\b([nf]\.\w+(?:\.\w+)*)""")
_EXAMPLE = "Write it as in SQL: --exclude \"level = 'DEBUG' OR message LIKE '%healthz%'\""


class Exclusion:
    """Leaves out the records that a condition holds for.

    Columns are those of `types.RECORDS` and found fields, as ``n.status``, ``f.client``, or without their prefix.
    A field that only some sources have is null elsewhere: records without it stay.

    Parameters
    ----------
    condition : str
        SQL, as of a WHERE.

    Raises
    ------
    ConfigError
        If it is no SQL condition.

    """

    def __init__(self, condition: str) -> None:
        self.condition = condition
        sql = _FOUND_FIELD.sub(lambda m: m[1] or f'"{m[2]}"', condition)
        try:
            self._holds = pl.sql_expr(sql).fill_null(value=False)
        except PolarsError as error:
            raise ConfigError(f"--exclude {condition!r} is no condition: {_first_line(error)}.", _EXAMPLE) from error
        self._missing = dict.fromkeys(self._holds.meta.root_names())
        self._columns = dict.fromkeys(RECORDS)

    def kept(self, records: pl.DataFrame) -> pl.DataFrame:
        """Return the records that stay.

        Raises
        ------
        ConfigError
            If the condition does not fit the types of the columns.

        """
        names = self._holds.meta.root_names()
        column = {name: _column_of(name, records) for name in names}
        self._missing = {name: None for name in self._missing if column[name] is None}
        self._columns |= dict.fromkeys(records.columns)
        absent = [name for name, found in column.items() if found is None]
        for types in product(*map(_types_of, absent)):
            read = {name: pl.col(found) for name, found in column.items() if found is not None}
            read |= {name: pl.lit(None, dtype=dtype) for name, dtype in zip(absent, types, strict=True)}
            try:
                holds = records.with_columns(**read).select(held=self._holds)["held"]
                return records.filter(~(holds.new_from_index(0, len(records)) if len(holds) == 1 else holds))
            except PolarsError as error:
                problem = error
        raise ConfigError(
            f"--exclude {self.condition!r} does not fit the records: {_first_line(problem)}.",
            f"Their columns are: {', '.join(self._columns)}.",
        ) from problem

    def require_columns(self) -> None:
        """Raise ConfigError if the condition names a column that no record had."""
        if self._missing:
            name = next(iter(self._missing))
            raise ConfigError(
                f"--exclude {self.condition!r} names '{name}', which no record has.",
                did_you_mean(name, self._columns).replace("There are:", "Their columns are:"),
            )


def _column_of(name: str, records: pl.DataFrame) -> str | None:
    return next((column for column in (name, f"n.{name}", f"f.{name}") if column in records.columns), None)


def _types_of(name: str) -> tuple[type[pl.DataType], ...]:
    """Return what a field that is not here may be elsewhere: a null compares with nothing but its own type."""
    return {"n.": (pl.Float32,), "f.": (pl.String,)}.get(name[:2], (pl.Float32, pl.String))


def _first_line(error: Exception) -> str:
    """Return what Polars says, without its own list of columns."""
    return str(error).splitlines()[0].split("; valid columns")[0]
