"""Counts of lines by minute, taken block by block and bounded; the order of the blocks does not matter.

::

    block of lines ──► cells     minute · service · type · gravity      how many lines
                   ──► statuses  minute · service · class of status     how many lines
                   ──► numbers   minute · service · host · field        how many, sum, sum of their asinh
                   ──► hosts     minute · host                          how many lines
                   ──► failures  ten minutes · entity · type            how many failed lines
                   ──► entities  ten minutes · entity                   how many lines

A minute is a number: minutes since the epoch, UTC. A *type* is the key of a line's template while learning (there are
no templates yet), and its row while detecting.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from oddlog.types import LEVELS, NO_TIME, State, Tally

US_PER_MINUTE = 60_000_000
LAST_MINUTE = 200 * 525_960  # the year 2170; what is later, or before 1970, is no time but a misread number
BUCKET = 10  # minutes in which the lines of entities are counted
MOST_ROWS = 2_000_000  # of each table, 20 bytes a row: a month of 45 types that are always there
COMPACT_ROWS = 500_000
MOST_FIELDS = 64  # numeric fields counted; which of them are judged is chosen at the end
MOST_NAMES = 50_000  # distinct entities, and distinct hosts, that are told apart
OTHERS = "(others)"
NO_HOST = (1 << 32) - 1
OTHER_TYPES = (1 << 64) - 1  # the type of those that were too rare to keep
WARNING, ERROR = LEVELS.index("WARNING"), LEVELS.index("ERROR")
FAILED_STATUS = 400

# Who did it, best first: an address tells more about an attack than the name that was tried.
_ENTITY = (
    re.compile(r"^(?:client|remote|src|source|peer|caller|forwarded)?_?(?:client|ip|addr|address|ipaddr|ip_address)$"),
    re.compile(r"^(?:user|username|user_name|user_id|userid|account|login|principal|actor)$"),
)
_ADDRESS = r"\b((?:\d{1,3}\.){3}\d{1,3})\b"
_STATUS = re.compile(r"^(?:http_)?(?:status|status_code|response_code|code)$")
# Numbers that name or locate something; their mean says nothing.
_NO_MEASURE = re.compile(r"(?:^|_)(?:status|code|port|pid|tid|id|line|lineno|version|year|seq|offset|number|no)$")

_KEYS: dict[str, tuple[str, ...]] = {
    "cells": ("minute", "service", "type", "gravity"),
    "statuses": ("minute", "service", "status"),
    "numbers": ("minute", "service", "host", "field"),
    "hosts": ("minute", "host"),
    "failures": ("bucket", "entity", "type"),
    "entities": ("bucket", "entity"),
}
TABLES = tuple(_KEYS)
_SCHEMAS: dict[str, dict[str, Any]] = {
    "cells": {"minute": pl.Int32, "service": pl.UInt16, "type": pl.UInt64, "gravity": pl.UInt8, "n": pl.UInt32},
    "statuses": {"minute": pl.Int32, "service": pl.UInt16, "status": pl.UInt8, "n": pl.UInt32},
    "numbers": {
        "minute": pl.Int32,
        "service": pl.UInt16,
        "host": pl.UInt32,
        "field": pl.UInt16,
        "n": pl.UInt32,
        "sum": pl.Float64,
        "asinh": pl.Float64,
    },
    "hosts": {"minute": pl.Int32, "host": pl.UInt32, "n": pl.UInt32},
    "failures": {"bucket": pl.Int32, "entity": pl.UInt32, "type": pl.UInt64, "n": pl.UInt32},
    "entities": {"bucket": pl.Int32, "entity": pl.UInt32, "n": pl.UInt32},
}


def is_measure(name: str) -> bool:
    """Return whether a number measures something; those that name or locate something say nothing by their size.

    >>> is_measure("duration_ms"), is_measure("http_status")
    (True, False)
    """
    return not _NO_MEASURE.search(name)


class Names:
    """Names ↔ numbers, in order of appearance; those that do not fit share the last number and are counted."""

    def __init__(self, most: int, what: str, tally: Tally) -> None:
        self.names: list[str] = []
        self.most, self.what, self._tally = most, what, tally
        self._code: dict[str, int] = {}

    def of(self, names: pl.Series) -> pl.Series:
        """Return the number (u32) of each name [x]; null stays null."""
        distinct = names.drop_nulls().unique(maintain_order=True).to_list()
        for name in distinct:
            if name in self._code:
                continue
            if len(self.names) < self.most:
                self._code[name] = len(self.names)
                self.names.append(name)
                continue
            if len(self.names) == self.most:
                self.names.append(OTHERS)
            self._tally.add(f"{self.what} beyond {self.most:,}, counted as one", example=name)
        codes = [self._code.get(name, self.most) for name in distinct]
        return names.replace_strict(distinct, codes, default=None, return_dtype=pl.UInt32)


@dataclass
class _Table:
    """A table of counts that is compacted as it grows."""

    keys: tuple[str, ...]
    schema: dict[str, Any]
    parts: list[pl.DataFrame] = field(default_factory=list)
    rows: int = 0
    settled: int = 0

    def add(self, frame: pl.DataFrame) -> None:
        if len(frame):
            self.parts.append(frame.select(pl.col(name).cast(dtype) for name, dtype in self.schema.items()))
            self.rows += len(frame)

    @property
    def is_due(self) -> bool:
        return self.rows > COMPACT_ROWS + self.settled

    def compact(self) -> pl.DataFrame:
        if len(self.parts) == 1 and self.rows == self.settled:
            return self.parts[0]
        frame = pl.concat([pl.DataFrame(schema=self.schema), *self.parts])
        sums = [name for name in self.schema if name not in self.keys]
        # In the order they came: a sum of floats depends on it, and a model must not.
        frame = frame.group_by(self.keys, maintain_order=True).agg(pl.col(sums).sum()).sort(self.keys)
        self.set(frame.select(pl.col(name).cast(dtype) for name, dtype in self.schema.items()))
        return self.parts[0]

    def set(self, frame: pl.DataFrame) -> None:
        self.parts, self.rows, self.settled = [frame], len(frame), len(frame)


class Counting:
    """Counts the lines of an input by minute.

    Parameters
    ----------
    tally : Tally
        Counts what is not counted by itself.
    entity : str
        The field that names whoever causes a line; found by its name if empty.

    Attributes
    ----------
    entities, hosts, fields : Names
        What the numbers in the tables stand for.

    """

    def __init__(self, tally: Tally, entity: str = "") -> None:
        self._tally = tally
        self._entity = entity.removeprefix("f.")
        self._tables = {name: _Table(_KEYS[name], _SCHEMAS[name]) for name in _KEYS}
        self.entities = Names(MOST_NAMES, "addresses and users", tally)
        self.hosts = Names(MOST_NAMES, "hosts", tally)
        self.fields = Names(MOST_FIELDS, "numeric fields", tally)

    def add(self, records: pl.DataFrame, shared: pl.DataFrame, alarming: pl.Series) -> None:
        """Take in one block.

        Parameters
        ----------
        records : pl.DataFrame [lines]
            As `types.RECORDS`, with found fields.
        shared : pl.DataFrame [lines]
            ``time_us level service count type`` of the same lines.
        alarming : pl.Series of bool [lines]
            Whether a line's type holds a word of trouble.

        """
        columns = {name: records[name] for name in records.columns if name[:2] in ("n.", "f.") or name == "source"}
        found = [name for name in sorted(columns) if name[:2] == "n." and _STATUS.match(name[2:])]
        status = found[0] if found else None
        if len(found) > 1 and "source" in columns:
            columns[found[0]] = _of_source(records, found).alias(found[0])
        minute = pl.col("time_us") // US_PER_MINUTE
        lines = shared.select(
            minute.cast(pl.Int32, strict=False).alias("minute"),
            "service",
            pl.col("type").cast(pl.UInt64),
            "count",
            pl.lit(records["host"]).alias("host"),
            pl.lit(records["message"]).alias("message"),
            gravity=(pl.col("level") >= WARNING).cast(pl.UInt8) + (pl.col("level") >= ERROR).cast(pl.UInt8),
            is_timed=minute.is_between(0, LAST_MINUTE),
        )
        hosts = self.hosts.of(lines["host"])
        lines = lines.with_columns(hosts).hstack([alarming.alias("alarming"), *columns.values()])
        if not lines["is_timed"].all():
            untimed = ~lines["is_timed"] & (shared["time_us"] != NO_TIME)
            self._tally.add("lines of impossible times, not counted by minute", int(untimed.sum()))
            lines = lines.filter("is_timed")
        if not len(lines):
            return
        self._count(lines, status)
        for name in sorted(columns):
            if name.startswith("n.") and name != status and is_measure(name[2:]):
                self._measure(lines, name)
        self._who(lines, status)
        for name, table in self._tables.items():
            if table.is_due:
                self._bound(name)

    def _count(self, lines: pl.DataFrame, status: str | None) -> None:
        n = pl.col("count").sum().alias("n")
        self._tables["cells"].add(lines.group_by(_KEYS["cells"]).agg(n))
        if lines["host"].null_count() < len(lines):
            self._tables["hosts"].add(lines.drop_nulls("host").group_by("minute", "host").agg(n))
        if status is not None:
            classed = lines.select(
                "minute", "service", "count", status=(pl.col(status) // 100).cast(pl.UInt8, strict=False)
            )
            self._tables["statuses"].add(classed.drop_nulls("status").group_by(_KEYS["statuses"]).agg(n))

    def _measure(self, lines: pl.DataFrame, name: str) -> None:
        """Sum up one numeric field. The mean of asinh is little moved by single large values."""
        value = pl.col(name).cast(pl.Float64)
        some = lines.select("minute", "service", pl.col("host").fill_null(NO_HOST), value).filter(
            pl.col(name).is_finite()
        )
        frame = some.group_by("minute", "service", "host", maintain_order=True).agg(
            n=pl.len(), sum=pl.col(name).sum(), asinh=pl.col(name).arcsinh().sum()
        )
        if len(frame):
            field_code = self.fields.of(pl.Series([name[2:]]))[0]
            self._tables["numbers"].add(frame.with_columns(field=pl.lit(field_code, pl.UInt16)))

    def _who(self, lines: pl.DataFrame, status: str | None) -> None:
        """Count the lines of each entity, and the failed ones by type."""
        failed = (pl.col("gravity") > 0) | pl.col("alarming")
        if status is not None:
            failed |= (pl.col(status) >= FAILED_STATUS).fill_null(value=False)
        bucket = (pl.col("minute") // BUCKET).alias("bucket")
        some = lines.select(bucket, "type", "count", "message", failed=failed, entity=self._entity_of(lines))
        named_lines = some.drop_nulls("entity")
        # Names are numbered as they come, so the order must be that of the lines.
        by_name = named_lines.group_by("bucket", "entity", maintain_order=True).agg(n=pl.col("count").sum())
        if len(by_name):
            self._tables["entities"].add(by_name.with_columns(self.entities.of(by_name["entity"])))
        # What has failed without a field that says for whom often has an address in its text.
        told = some.filter(pl.col("failed") & pl.col("entity").is_null())
        told = told.with_columns(entity=pl.col("message").str.extract(_ADDRESS)).drop_nulls("entity")
        failures = pl.concat([named_lines.filter("failed"), told])
        failures = failures.group_by("bucket", "entity", "type", maintain_order=True).agg(n=pl.col("count").sum())
        if len(failures):
            self._tables["failures"].add(failures.with_columns(self.entities.of(failures["entity"])))

    def _entity_of(self, lines: pl.DataFrame) -> pl.Expr:
        """Return who caused each line: the field that was asked for, else the best that its source has."""
        asked = [name for name in (f"f.{self._entity}", self._entity) if self._entity and name in lines.columns]
        if asked:
            return pl.coalesce(asked)
        words = sorted(name for name in lines.columns if name.startswith("f."))
        found = [name for one in _ENTITY for name in words if one.match(name[2:].lower())]
        if len(found) > 1 and "source" in lines.columns:
            return pl.lit(_of_source(lines, found))
        return pl.col(found[0]) if found else pl.lit(None, pl.String)

    def _bound(self, name: str) -> None:
        """Compact a table; if it is too long, its rarest types (or whatever is rarest) become one."""
        table = self._tables[name]
        frame = table.compact()
        if len(frame) <= MOST_ROWS:
            return
        by, other = {
            "cells": ("type", OTHER_TYPES),
            "failures": ("type", OTHER_TYPES),
            "hosts": ("host", MOST_NAMES),
            "entities": ("entity", MOST_NAMES),
        }.get(name, ("", 0))
        if not by:
            return  # classes of status and fields by service and minute: years of them fit
        rows = frame.group_by(by).agg(rows=pl.len(), n=pl.col("n").sum()).sort("n", by, descending=[True, False])
        kept = rows.filter(pl.col("rows").cum_sum() <= MOST_ROWS // 2)[by]
        self._tally.add(f"rare ones beyond {MOST_ROWS:,} counts by minute, counted as one", len(rows) - len(kept))
        table.set(frame.with_columns(pl.when(pl.col(by).is_in(kept.implode())).then(by).otherwise(other).alias(by)))
        table.settled = 0  # what became one is still in many rows
        table.compact()

    def table(self, name: str) -> pl.DataFrame:
        """Return one of the tables drawn above, compacted and sorted."""
        return self._tables[name].compact()

    def before(self, minute: int) -> Before:
        """Return the counts of the minutes before one, for whoever does not want those that are still counted."""
        return Before(self, minute)

    def forget(self, minute: int) -> None:
        """Forget what was counted before a minute, and the names that stand nowhere any more."""
        for table in self._tables.values():
            frame = table.compact()
            unit, per = _unit(frame)
            table.set(frame.filter(pl.col(unit) >= minute // per))
        self.entities = self._renumbered(self.entities, "entity", ("failures", "entities"))
        self.hosts = self._renumbered(self.hosts, "host", ("hosts", "numbers"))

    def _renumbered(self, names: Names, column: str, tables: tuple[str, ...]) -> Names:
        """Return the names that some tables still hold, and number them anew there."""
        frames = {name: self._tables[name].compact() for name in tables}
        codes = pl.concat([frame[column] for frame in frames.values()]).unique().sort()
        kept = codes.filter(codes < len(names.names)).to_list()
        fresh = Names(names.most, names.what, self._tally)
        fresh.of(pl.Series([names.names[code] for code in kept], dtype=pl.String))
        for name, frame in frames.items():
            new = pl.col(column).replace(kept, range(len(kept)))
            keys = self._tables[name].keys
            self._tables[name].set(frame.with_columns(new.cast(self._tables[name].schema[column])).sort(keys))
        return fresh

    def state(self) -> State:
        """Return everything `restore` needs."""
        arrays = {
            f"{name}.{column}": series.to_numpy()
            for name in self._tables
            for column, series in self.table(name).to_dict().items()
        }
        return State(arrays, {of: getattr(self, of).names for of in ("entities", "hosts", "fields")})

    def restore(self, state: State) -> None:
        """Go on where `state` was taken; this one must be new."""
        for name, table in self._tables.items():
            columns = {column: state.arrays[f"{name}.{column}"] for column in table.schema}
            table.set(pl.DataFrame(columns, schema=table.schema))
        for of in ("entities", "hosts", "fields"):
            getattr(self, of).of(pl.Series(state.meta[of], dtype=pl.String))


@dataclass(frozen=True)
class Before:
    """The counts of a `Counting` before a minute; see `Counting.before`."""

    counting: Counting
    minute: int

    @property
    def entities(self) -> Names:
        """Those of the counting."""
        return self.counting.entities

    @property
    def hosts(self) -> Names:
        """Those of the counting."""
        return self.counting.hosts

    @property
    def fields(self) -> Names:
        """Those of the counting."""
        return self.counting.fields

    def table(self, name: str) -> pl.DataFrame:
        """Return one of the tables; ten minutes that are not over hold what has been counted in them until now."""
        frame = self.counting.table(name)
        unit, per = _unit(frame)
        return frame.filter(pl.col(unit) * per < self.minute)


def _of_source(lines: pl.DataFrame, columns: list[str]) -> pl.Series:
    """Return of each line the first of some columns that its source has at all: those of another say nothing of it."""
    has = lines.group_by("source").agg(pl.col(columns).is_not_null().any())
    first = pl.coalesce(pl.when(name).then(pl.lit(i)) for i, name in enumerate(columns))
    which = lines.select("source", *columns).join(
        has.select("source", which=first), on="source", how="left", maintain_order="left"
    )
    value = pl.coalesce(pl.when(pl.col("which") == i).then(pl.col(name)) for i, name in enumerate(columns))
    return which.select(value=value)["value"]


def _unit(frame: pl.DataFrame) -> tuple[str, int]:
    return ("bucket", BUCKET) if "bucket" in frame.columns else ("minute", 1)
