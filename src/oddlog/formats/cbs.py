"""Windows component servicing: ``2024-11-20 10:11:12, Info                  CBS    message``."""

from __future__ import annotations

import polars as pl

from oddlog.formats.layout import finish, lines_of, words
from oddlog.formats.levels import by_word
from oddlog.formats.times import strptime
from oddlog.types import TIME


class Cbs:
    """Time, comma, level and component in padded columns, message."""

    name = "cbs"

    def parse(self, text: pl.Series, *, year: int) -> pl.DataFrame:  # noqa: ARG002 -- Format's signature
        """Return records; `ok` where a level follows the comma. The columns are 22 and 7 characters wide."""
        frame = lines_of(text)
        frame = frame.with_columns(
            words(frame, pl.col("text").str.slice(21), ["word", "tail"]),
            time=strptime(pl.col("text").str.head(19), "%Y-%m-%d %H:%M:%S").cast(TIME),
        )
        tail = pl.col("tail").str.strip_chars_start(" ")
        frame = frame.with_columns(words(frame, tail, ["service", "message"]))
        level = by_word(pl.col("word"))
        return finish(
            frame.with_columns(
                ok=pl.col("time").is_not_null()
                & (pl.col("text").str.slice(19, 2) == ", ")
                & level.is_not_null()
                & pl.col("service").str.contains(r"^[A-Z][A-Za-z]*$"),
                level=level,
                message=pl.col("message").str.strip_chars_start(" ").fill_null(""),
            )
        )
