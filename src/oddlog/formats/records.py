"""From lines and a format to records with exact types, within bounds."""

from __future__ import annotations

import polars as pl

from oddlog.formats.detection import Detected
from oddlog.formats.layout import RECORD, type_of_field
from oddlog.types import RECORDS, Format, Tally

FIELDS_KEPT = 64  # of each kind, numbers and words
_FILLED = (
    pl.col("ok").fill_null(value=False),
    pl.col("level").fill_null("UNKNOWN"),
    pl.coalesce("message", "text").alias("message"),
)
_WHOLE = [0, *(1 + list(RECORD).index(name) for name in ("level", "message"))]


def parse_lines(
    lines: pl.DataFrame, detected: Detected | Format, *, year: int, tally: Tally | None = None
) -> pl.DataFrame:
    """Return the records of `lines`: their columns, ``ok``, those of RECORDS and found fields.

    Parameters
    ----------
    lines : pl.DataFrame [lines]
        As `types.LINES`.
    detected : Detected or Format
        What `detect_format` returned, or a format.
    year : int
        Year of the first line, for formats that do not write one; after a turn of the year give the next
        block the year of the last time.
    tally : Tally, optional
        Counts the fields left out beyond 64 of a kind.

    Returns
    -------
    pl.DataFrame [lines]
        Same height and order. A line that is not ``ok`` has its text as message, no time and level UNKNOWN.
        Fields ``n.NAME`` (f32) and ``f.NAME`` (str) are those of the block: concatenate diagonally.

    """
    found = detected.format if isinstance(detected, Detected) else detected
    parsed = _bounded(found.parse(lines["text"], year=year), tally or Tally())
    columns = [parsed["ok"].cast(pl.Boolean)]
    columns += [parsed[name].cast(RECORDS[name]) for name in RECORD]
    columns += [parsed[c].cast(type_of_field[c[:2]]) for c in sorted(parsed.columns) if c[:2] in type_of_field]
    records = lines.hstack(columns)
    if not any(columns[i].null_count() for i in _WHOLE):
        return records
    return records.with_columns(_FILLED)


def _bounded(parsed: pl.DataFrame, tally: Tally) -> pl.DataFrame:
    """Keep the 64 fields of each kind that most lines have."""
    dropped: list[str] = []
    for kind in type_of_field:
        names = [c for c in parsed.columns if c.startswith(kind)]
        if len(names) > FIELDS_KEPT:
            nulls = parsed.select(pl.col(names).null_count()).row(0)
            ranked = sorted(zip(nulls, names, strict=True))
            dropped += [name for _, name in ranked[FIELDS_KEPT:]]
    if dropped:
        tally.add(f"fields beyond {FIELDS_KEPT} of a kind, not kept", len(dropped), example=dropped[0])
    return parsed.drop(dropped) if dropped else parsed
