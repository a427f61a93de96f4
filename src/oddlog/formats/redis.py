"""Redis and Valkey: ``17:M 20 Nov 2024 10:11:12.345 * message``; before 3.0 ``[17] 20 Nov 10:11:12.345 * message``."""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import finish, lines_of, words
from oddlog.formats.times import Stamp, take
from oddlog.types import LEVEL

_STAMPS = (Stamp("%d %b %Y %H:%M:%S"), Stamp("%d %b %H:%M:%S", "yearless"))
# Redis has four levels, debug < verbose < notice < warning; whatever is worse is a warning, too.
_LEVELS = {".": "DEBUG", "-": "INFO", "*": "NOTICE", "#": "WARNING"}
_ROLES = {"M": "master", "S": "replica", "C": "child", "X": "sentinel"}


class Redis:
    """Process and role, time, a character for the level, message."""

    name = "redis"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:
        """Return records; `ok` where process, time and one of the four characters stand in their places."""
        frame = lines_of(text)
        frame = frame.with_columns(words(frame, pl.col("text"), ["who", "tail"]), whole="text")
        frame = take(frame.with_columns(text=pl.col("tail").fill_null("")), year=year, only=_STAMPS)
        frame = frame.with_columns(words(frame, pl.col("rest").str.slice(1), ["sign", "message"]))
        who = frame["who"].str.extract_groups(r"^(?:([0-9]+):([A-Z])|\[([0-9]+)\])$").struct.unnest()
        pid = pl.lit(who["1"].fill_null(who["3"]))
        level = pl.col("sign").replace_strict(_LEVELS, default=None, return_dtype=LEVEL)
        return finish(
            frame.with_columns(
                pid.alias("f.pid"),
                pl.lit(who["2"]).replace_strict(_ROLES, default=None, return_dtype=pl.String).alias("f.role"),
                ok=pl.col("ok") & pid.is_not_null() & level.is_not_null(),
                level=level,
                message=pl.col("message").fill_null(""),
                text="whole",
            )
        )
