"""JSON lines: one object a line, nested or not, whatever its keys are called."""

from __future__ import annotations

import io
from typing import Any

import orjson
import polars as pl
from polars.exceptions import PolarsError

from oddlog.formats import wrapped
from oddlog.formats.fields import assign
from oddlog.formats.layout import finish, lines_of
from oddlog.types import Format

MOST_KEYS = 1_000  # of one block; further keys are not looked at
DEEPEST = 8  # levels of nesting that become dotted names
_LARGEST = 2**63
_DEEP = 64  # opening brackets in one line from which Python's reader, which has a limit, takes over


def flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Return nested columns as columns with dotted names."""
    for _ in range(DEEPEST):
        nested = [n for n, dtype in frame.schema.items() if isinstance(dtype, pl.Struct)]
        if not nested:
            break
        columns: dict[str, pl.Series] = {}
        for series in frame:
            if isinstance(series.dtype, pl.Struct):
                # all at once: alone, a name like "^a$" is a pattern to Polars
                for child, part in zip(series.struct.fields, series.struct.unnest(), strict=True):
                    columns.setdefault(f"{series.name}.{child}", part)
            else:
                columns[series.name] = series
        frame = pl.DataFrame(dict(list(columns.items())[:MOST_KEYS]))
    return frame


def _one(text: str) -> dict[str, Any] | None:
    try:
        value = orjson.loads(text)
    except (orjson.JSONDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _flat_one(value: dict[str, Any], prefix: str = "", depth: int = 0) -> dict[str, Any]:
    """Return one object with dotted names; numbers and words only."""
    out: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict) and depth < DEEPEST:
            out |= _flat_one(item, f"{prefix}{key}.", depth + 1)
        elif isinstance(item, str | bool | int | float):
            out[prefix + key] = item
    return out


def _column(values: list[Any]) -> pl.Series:
    """Return a column of mixed values: numbers if all are, else text."""
    kinds = {type(v) for v in values if v is not None}
    if kinds <= {int} and all(v is None or abs(v) < _LARGEST for v in values):
        return pl.Series(values=values, dtype=pl.Int64)
    if kinds <= {int, float}:
        return pl.Series(values=[None if v is None else float(v) for v in values], dtype=pl.Float64)
    if kinds <= {bool}:
        return pl.Series(values=values, dtype=pl.Boolean)
    said = [v if isinstance(v, str) or v is None else orjson.dumps(v).decode() for v in values]
    return pl.Series(values=said, dtype=pl.String)


def slowly(text: pl.Series) -> tuple[pl.DataFrame, pl.Series]:
    """Decode line by line: for blocks in which something is not JSON. Same results as `decoded`."""
    objects = [_one(line) for line in text.to_list()]
    flattened = [_flat_one(o) if o is not None else {} for o in objects]
    keys = list(dict.fromkeys(key for o in flattened for key in o))[:MOST_KEYS]
    columns = {key: _column([o.get(key) for o in flattened]) for key in keys}
    return pl.DataFrame(columns), pl.Series("ok", [o is not None for o in objects], dtype=pl.Boolean)


def joined(text: pl.Series) -> bytes:
    """Return the lines [lines] as a file holds them."""
    return bytes(text.str.join("\n").cast(pl.Binary).item())


def decoded(text: pl.Series) -> tuple[pl.DataFrame, pl.Series]:
    """Return the keys' columns and which lines [lines] are objects."""
    n_opened = text.str.count_matches("[", literal=True) + text.str.count_matches("{", literal=True)
    shallow = not n_opened.gt(_DEEP).any()
    if len(text) and shallow and bool((text.str.starts_with("{") & text.str.ends_with("}")).all()):
        try:
            frame = pl.read_ndjson(io.BytesIO(joined(text)), infer_schema_length=None)
        except PolarsError:
            return slowly(text)
        if len(frame) == len(text) and frame.width <= MOST_KEYS:
            return flat(frame), pl.repeat(value=True, n=len(text), dtype=pl.Boolean, eager=True)
    return slowly(text)


def first_of(frame: pl.DataFrame, *keys: str) -> pl.Expr:
    """Return the first text that is not empty among the columns called `keys`; null where there is none."""
    found = [pl.col(k).cast(pl.String) for k in keys if k in frame.columns and not frame.schema[k].is_nested()]
    return pl.coalesce(*[pl.when(value != "").then(value) for value in found], pl.lit(None, pl.String)).cast(pl.String)


class JsonLines:
    """One JSON object per line; formats whose keys mean something of their own override `named`.

    Parameters
    ----------
    inner : Format, optional
        How the message itself is written, where a header stands inside of it.

    """

    name = "json"
    marks: tuple[str, ...] = ()
    """Pieces of text one of which stands in every line of this kind; none for any object."""

    def __init__(self, inner: Format | None = None) -> None:
        self.inner = inner

    def named(self, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.Series]:
        """Return the decoded keys [lines] under names that `fields` understands, and which lines are of this kind."""
        return frame, pl.repeat(value=True, n=len(frame), dtype=pl.Boolean, eager=True)

    def _read(self, text: pl.Series, stripped: pl.Series, year: int) -> pl.DataFrame:
        frame, ok = decoded(stripped)
        if not frame.width:
            return assign(frame, text, year=year).with_columns(ok=ok & (not self.marks))
        if self.marks:  # "*" and "^…$" are patterns to Polars; no kind of its own has keys like these
            frame = pl.DataFrame([column for column in frame if column.name != "*" and column.name[:1] != "^"])
        if not frame.width:
            return lines_of(text).with_columns(ok=pl.lit(value=False))
        frame, of_kind = self.named(frame)
        return assign(frame, text, year=year).with_columns(ok=ok & of_kind)

    def _outer(self, text: pl.Series, year: int) -> pl.DataFrame:
        stripped = text.cast(pl.String).fill_null("").str.strip_chars()
        looks = stripped.str.starts_with("{")
        if self.marks:
            looks &= stripped.str.contains_any(list(self.marks))
        if looks.all():
            return self._read(text, stripped, year)
        lines = lines_of(text).with_row_index("row of the block")
        if not looks.any():
            return lines.drop("row of the block").with_columns(ok=pl.lit(value=False))
        some = self._read(text.filter(looks), stripped.filter(looks), year)
        rows = lines.filter(looks)["row of the block"]
        parts = [some.with_columns(rows), lines.filter(~looks).with_columns(ok=pl.lit(value=False))]
        return pl.concat(parts, how="diagonal").sort("row of the block").drop("row of the block")

    def bind(self, sample: pl.Series, *, year: int) -> Format | None:
        """Find out whether the messages carry a header of their own."""
        outer = self._outer(sample, year)
        if not outer["ok"].any():
            return None
        return type(self)(wrapped.inner_format(outer, year=year, names=wrapped.WITH_HEADER))

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where the line is one JSON object."""
        outer = self._outer(text, year)
        return finish(wrapped.unwrap(outer, self.inner, year=year))
