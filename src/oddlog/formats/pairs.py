"""Pairs of key and value inside a line, spread into one column per key."""

from __future__ import annotations

import polars as pl

# More keys than this in one block are not pairs but text with equals signs in it.
MOST_KEYS = 256

PAIR = r'[A-Za-z_@][\w.@/\-]*=(?:"(?:[^"\\]|\\.)*"|[^\s"]*)'
"""``key=value`` or ``key="a value"``, backslash escapes inside the quotes."""


def spread(text: pl.Series, pattern: str = PAIR) -> pl.DataFrame:
    """Return one str column per key found in `text` [lines], the most frequent 256 keys; the first value counts."""
    pairs = (
        text.alias("text")
        .to_frame()
        .with_row_index("row")
        .select("row", pl.col("text").str.extract_all(pattern).alias("pair"))
        .explode("pair")
        .drop_nulls("pair")
        .select(
            "row",
            pl.col("pair").str.splitn("=", 2).struct.field("field_0").alias("key"),
            pl.col("pair").str.splitn("=", 2).struct.field("field_1").alias("value"),
        )
        .unique(["row", "key"], keep="first", maintain_order=True)
    )
    found = pairs.group_by("key").len().sort("len", "key", descending=[True, False]).head(MOST_KEYS)
    frame = text.alias("text").to_frame().with_row_index("row").select("row")
    kept = sorted(found["key"].to_list())
    if not kept:
        return frame.drop("row")
    wide = {key: part for (key,), part in pairs.partition_by("key", as_dict=True).items()}
    columns = []
    for key in kept:
        part = wide[key]
        column = frame.join(part.select("row", "value"), on="row", how="left", maintain_order="left")["value"]
        columns.append(unquoted(column).alias(str(key)))
    return pl.DataFrame(columns)


def unquoted(values: pl.Series) -> pl.Series:
    """Take the quotes off, and the backslashes before quotes and backslashes."""
    value = pl.col("value")
    inner = value.str.slice(1, value.str.len_chars() - 2)
    plain = (
        inner.str.replace_all("\\\\", "\x00", literal=True)
        .str.replace_all('\\"', '"', literal=True)
        .str.replace_all("\\n", " ", literal=True)
        .str.replace_all("\x00", "\\", literal=True)
    )
    quoted = value.str.starts_with('"') & value.str.ends_with('"') & (value.str.len_chars() > 1)
    return values.alias("value").to_frame().select(pl.when(quoted).then(plain).otherwise(value)).to_series()
