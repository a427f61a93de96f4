"""What syslog writes instead of a line that repeats, turned back into a count (RFC 3164 daemons, rsyslog)."""

from __future__ import annotations

import numpy as np
import polars as pl

from oddlog.types import Tally

MAX_COUNT = 10_000

INNER = "repeated message counted: message repeated N times: [ ... ]"
PREVIOUS = "repeated message counted: last message repeated N times"
CAPPED = "count of a repeated message capped at 10,000"

_INNER = r"^message repeated (\d+) times?: \[ ?(.*?) ?\]?$"
_PREVIOUS = r"^last message (?:buffered and )?repeated (\d+) times?\.?$"
MAY_REPEAT = r"message[\x00-\x20]+(?:buffered[\x00-\x20]+and[\x00-\x20]+)?repeated[\x00-\x20]"
"""Stands in every message that may repeat another, also before its white space is normalised."""
_TAKEN = ("message", "service", "level")
Said = tuple[str | None, str | None, str | None]
"""Message, service and level of a record."""


def count_repeats(records: pl.DataFrame, before: Said | None, tally: Tally) -> tuple[pl.DataFrame, Said]:
    """Return the records with repeats as counts, and what the last of them said.

    ``message repeated 3 times: [ x ]`` becomes the message ``x``, counted three times; ``last message repeated
    3 times`` takes the message (service, level) of the record before it, which is counted itself already.

    Parameters
    ----------
    records : DataFrame
        At least one record of one source.
    before : tuple, optional
        What the record before them said, as returned for it: message, service, level.
    tally : Tally
        Takes how many repeats were counted, and capped.

    """
    message = pl.col("message")
    asked = message.str.starts_with("message repeated ") | message.str.starts_with("last message ")
    if not records.select(asked.any()).item():
        return records, records.select(_TAKEN).row(-1)
    return _take_previous(_take_inner(records, tally), before, tally)


def _take_inner(records: pl.DataFrame, tally: Tally) -> pl.DataFrame:
    inner = pl.col("message").str.extract(_INNER, 2)
    repeated = records.select(inner.is_not_null()).to_series()
    if not repeated.any():
        return records
    times = _times(records, _INNER, repeated, tally)
    tally.add(INNER, int(repeated.sum()), example=_place(records, repeated))
    return records.with_columns(inner.fill_null(pl.col("message")).alias("message"), times)


def _take_previous(records: pl.DataFrame, before: Said | None, tally: Tally) -> tuple[pl.DataFrame, Said]:
    asked = records.select(pl.col("message").str.contains(_PREVIOUS).fill_null(value=False)).to_series().to_numpy()
    asked = asked & ((np.arange(len(asked)) > 0) | (before is not None))
    own = records.select(_TAKEN)
    # row of what each record says, 0 = `before`; of several repeats in a row all say the same
    of = np.maximum.accumulate(np.where(asked, 0, np.arange(1, len(asked) + 1)))
    first = pl.DataFrame([before or (None, None, None)], schema=own.schema, orient="row")
    said = pl.concat([first, own])[of]
    if not asked.any():
        return records, said.row(-1)
    repeated = pl.Series(asked)
    times = _times(records, _PREVIOUS, repeated, tally)
    tally.add(PREVIOUS, int(repeated.sum()), example=_place(records, repeated))
    nameless = pl.col("service").is_null()
    unknown = pl.col("level").is_null() | (pl.col("level") == "UNKNOWN")
    records = records.with_columns(
        pl.when(repeated).then(said["message"]).otherwise("message").alias("message"),
        pl.when(repeated & nameless).then(said["service"]).otherwise("service").alias("service"),
        pl.when(repeated & unknown).then(said["level"]).otherwise("level").alias("level"),
        times,
    )
    return records, said.row(-1)


def _times(records: pl.DataFrame, pattern: str, repeated: pl.Series, tally: Tally) -> pl.Series:
    """Return `count` multiplied by the number in the message where it is `repeated`."""
    number = pl.col("message").str.extract(pattern, 1).cast(pl.UInt64, strict=False)
    # more digits than 64 bits hold: certainly capped
    named = records.select(number.fill_null(MAX_COUNT + 1).clip(1)).to_series()
    capped = repeated & (named > MAX_COUNT)
    if capped.any():
        tally.add(CAPPED, int(capped.sum()), example=_place(records, capped))
    count = pl.col("count") * named.clip(1, MAX_COUNT).cast(pl.UInt32)
    return records.select(pl.when(repeated).then(count).otherwise("count").alias("count")).to_series()


def _place(records: pl.DataFrame, chosen: pl.Series) -> str:
    source, line = records.filter(chosen).select("source", "line").row(0)
    return f"{source}:{line}"
