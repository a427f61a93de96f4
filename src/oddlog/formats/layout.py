"""The frame a format fills in, and how a block is worked through shape by shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from oddlog.types import LEVEL, TIME

RECORD = {"time": TIME, "level": LEVEL, "service": pl.String(), "host": pl.String(), "message": pl.String()}
"""What every format returns beside ``ok`` and found fields."""

type_of_field = {"n.": pl.Float32(), "f.": pl.String()}
Step = Callable[[pl.DataFrame], pl.DataFrame]


def lines_of(text: pl.Series) -> pl.DataFrame:
    """Return the frame with the one column ``text`` that formats start from."""
    text = text.cast(pl.String)
    return (text.fill_null("") if text.null_count() else text).alias("text").to_frame()


def finish(frame: pl.DataFrame) -> pl.DataFrame:
    """Return ``ok``, the columns of RECORD and the found fields of `frame`, and nothing else.

    Columns that `frame` does not have are null. A line that is not ok keeps its whole text as message and
    nothing else, so that no text is ever lost. Empty names are null.
    """
    if frame["ok"].null_count():
        frame = frame.with_columns(pl.col("ok").fill_null(value=False))
    everything_fits = bool(frame["ok"].all())
    columns = [pl.col("ok")]
    for name, dtype in RECORD.items():
        column = pl.col(name).cast(dtype) if name in frame.columns else pl.lit(None, dtype)
        if name in {"service", "host"} and name in frame.columns:
            column = pl.when(column != "").then(column)
        if not everything_fits:
            column = pl.when("ok").then(column).otherwise("text" if name == "message" else None)
        columns.append(column.alias(name))
    for name in frame.columns:
        if field_type := type_of_field.get(name[:2]):
            column = pl.col(name).cast(field_type, strict=False)
            columns.append(column if everything_fits else pl.when("ok").then(column).alias(name))
    return frame.select(columns)


def cascade(frame: pl.DataFrame, steps: Sequence[Step]) -> pl.DataFrame:
    """Try each step on the lines that none before it could read; keep the lines' order.

    A step returns its frame, same height and order, with ``ok`` and its own columns. A block all in one
    shape is read by one step without being copied; what no step can read comes back with ``ok`` false.
    """
    done: list[pl.DataFrame] = []
    row = _row_name(frame)
    left = frame
    for step in steps:
        if not len(left):
            break
        tried = step(left).with_columns(pl.col("ok").fill_null(value=False))
        fits = tried["ok"]
        n_fits = int(fits.sum())
        if n_fits == len(frame):
            return tried
        if not n_fits:
            continue
        if not done:
            left, tried = left.with_row_index(row), tried.with_row_index(row)
        done.append(tried.filter(fits))
        left = left.filter(~fits)
    if not done:
        return left.with_columns(ok=pl.lit(value=False))
    done.append(left.with_columns(ok=pl.lit(value=False)))
    return pl.concat(done, how="diagonal").sort(row).drop(row)


def on_some(frame: pl.DataFrame, which: pl.Expr, step: Step) -> pl.DataFrame:
    """Apply `step` (same height and order) to the lines for which `which` holds, leave the others."""
    chosen = frame.select(which.fill_null(value=False).alias("which")).to_series()
    if not chosen.any():
        return frame
    if chosen.all():
        return step(frame)
    row = _row_name(frame)
    frame = frame.with_row_index(row)
    parts = [step(frame.filter(chosen)), frame.filter(~chosen)]
    return pl.concat(parts, how="diagonal").sort(row).drop(row)


def _row_name(frame: pl.DataFrame) -> str:
    """Return a name for the line's place that nested calls do not share."""
    return f"row {sum(name.startswith('row ') for name in frame.columns)}"


def words(frame: pl.DataFrame, column: pl.Expr, names: Sequence[str], *, by: str = " ") -> list[pl.Series]:
    """Return the parts of `column` [lines] split at `by` into one per name; the last one holds the rest.

    Computed here and now: several expressions on one split would each split again.
    """
    parts = frame.select(column.str.splitn(by, len(names))).to_series().struct.unnest()
    return [part.alias(name) for part, name in zip(parts, names, strict=True)]


def chosen(frame: pl.DataFrame, columns: Mapping[str, pl.Expr]) -> pl.DataFrame:
    """Return the columns [lines], literals as high as the others."""
    made = frame.with_columns(**{f"chosen {name}": value for name, value in columns.items()})
    return made.select([pl.col(f"chosen {name}").alias(name) for name in columns])


def by_distinct(values: pl.Series, look: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """Return `look` of each value [lines], worked out once per distinct value; null for null.

    Loggers, levels and zones are few, so that a regular expression costs nothing on them.
    """
    distinct = values.drop_nulls().unique()
    looked = look(distinct)
    if not len(distinct):
        return pl.repeat(None, len(values), dtype=looked.dtype, eager=True)
    return values.replace_strict(distinct, looked, default=None, return_dtype=looked.dtype)
